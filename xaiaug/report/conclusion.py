"""The conclusion of a run in plain words, its limits, and how to read the table of arms."""

from __future__ import annotations

from ..records.pipeline import CONTINUED, FEWEST_MISTAKES, HEADLINE
from ..records.training_method import describe_exception
from .arm_table import ArmRow, chosen_metric, format_points, scores_by_seed, summarise_arms
from .schema_arms import Scores
from .schema_report import Note, Report

FEW_SEEDS = 3


def write_conclusion(report: Report) -> str:
    """A few sentences: what to do and the verdict if there are any, else what was measured, or how far the run got."""
    return " ".join(list_conclusions(report))


def list_conclusions(report: Report) -> tuple[str, ...]:
    """The conclusion in parts: what to do, the verdict, and whether the explanation helped, as far as there are any."""
    advice = report.recommendation.sentence if report.recommendation else ""
    verdict = (report.verdict.sentence, report.verdict.explanation) if report.verdict else ()
    return tuple(part for part in (advice, *verdict) if part) or (_describe_measured(report),)


def _describe_measured(report: Report) -> str:
    rows = {row.name: row for row in summarise_arms(report)}
    headline = rows.get(HEADLINE) or next((row for row in rows.values() if row.synthetic and row.seeds), None)
    reference = rows.get(CONTINUED)
    if headline and reference and headline.difference.mean is not None:
        return _compare_arms(headline, reference, chosen_metric(report))
    return _describe_mistakes(report)


def list_limits(report: Report) -> tuple[str, ...]:
    """Each limitation of the run in two or three words; the notes give it in sentences."""
    mistakes, seeds = report.mistakes.found, _most_seeds(report)
    limits = {
        "unfinished": not report.complete,
        "drawn world": report.data.drawn,
        "one seed": seeds == 1,
        f"{seeds} seeds": 1 < seeds < FEW_SEEDS,
        "few mistakes": 0 < mistakes < FEWEST_MISTAKES,
        "guide = validation": report.data.guide_is_validation,
    }
    return tuple(tag for tag, holds in limits.items() if holds)


def list_cautions(report: Report) -> tuple[Note, ...]:
    """What to know before relying on the results: warnings first, and among equals the shortest."""
    data = (Note(kind="warning", text=f"Data: {text}") for text in report.data.warnings)
    return tuple(sorted((*report.notes, *data), key=lambda note: (note.kind != "warning", len(note.text))))


def explain_table(report: Report) -> tuple[str, ...]:
    """How to read the table of arms: budgets, seeds and the size of the test set."""
    return tuple(
        sentence
        for sentence in (
            _describe_budgets(report),
            _describe_difference(report),
            _describe_test_size(report),
            _describe_seeds(report),
        )
        if sentence
    )


def _compare_arms(headline: ArmRow, reference: ArmRow, metric: str) -> str:
    reached, against = 100 * (headline.compared.mean or 0), 100 * (reference.compared.mean or 0)
    score, by_metric = ("accuracy", "") if metric == "accuracy" else ("score", f" by {metric}")
    return (
        f"Trained with new images ({headline.name}), the classifier reaches a test {score} of {reached:.1f} %"
        f"{by_metric}; trained as long without them ({reference.name}), {against:.1f} %. The difference is "
        f"{format_points(headline.difference)} percentage points; no verdict is drawn from it."
    )


def _describe_mistakes(report: Report) -> str:
    count, size, chosen = report.mistakes.found, report.mistakes.guide_size, report.mistakes.chosen
    if not size:
        return "The run stopped before it looked for mistakes."
    if not count:
        return f"The classifier made no mistakes on {size:,} guide images: there is nothing to explain or to fix."
    misclassified = f"The classifier misclassifies {count:,} of {size:,} guide images ({100 * count / size:.1f} %)"
    return f"{misclassified}; the run analysed {'all' if chosen == count else f'{chosen:,}'} of these mistakes."


def _most_seeds(report: Report) -> int:
    return max((len(scores_by_seed(arm)) for arm in report.arms if arm.trained), default=0)


def _describe_budgets(report: Report) -> str:
    budgets = {(arm.steps, arm.batch_size) for arm in report.arms if arm.trained and not arm.head_only}
    exception = describe_exception([arm.name for arm in report.arms if arm.head_only])
    if not budgets:
        return exception
    if len(budgets) > 1:
        return "Unequal budgets: steps or batch size differ between the trained arms, so the comparison is not fair."
    (steps, batch), *_ = budgets
    budget = (
        f"All trained arms have the same budget: {steps:,} steps of {batch:,} images; the final weights are tested."
    )
    return f"{budget} {exception}".strip()


def _describe_difference(report: Report) -> str:
    metric = chosen_metric(report)
    return "" if metric == "accuracy" else f"Differences to {CONTINUED} are of the metric of the settings, {metric}."


def _describe_test_size(report: Report) -> str:
    widest = max((score for arm in report.arms for score in scores_by_seed(arm).values()), key=_width, default=None)
    if widest is None or not _width(widest):
        return ""
    return (
        f"With {widest.n:,} test images an accuracy is uncertain by about "
        f"±\N{NO-BREAK SPACE}{50 * _width(widest):.1f} percentage points. "
        "A difference between two arms on the same images can be more certain than that."
    )


def _width(score: Scores) -> float:
    low, high = score.accuracy_interval or (0.0, 0.0)
    return high - low


def _describe_seeds(report: Report) -> str:
    seeds = _most_seeds(report)
    return f"Values are means over {seeds} seeds; ± is the standard deviation over seeds." if seeds > 1 else ""
