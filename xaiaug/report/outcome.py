"""What a run came to, in plain words that claim no more than it shows."""

from __future__ import annotations

from .schema import Note, Report
from .schema_arms import Scores
from .summary import HEADLINE, REFERENCE, ArmRow, arm_rows, scores_by_seed
from .table import points

FEW_MISTAKES = 30
FEW_SEEDS = 3

_GOALS = {
    "mistakes": "finding the mistakes",
    "explain": "the heatmaps",
    "critique": "the critiques",
    "images": "the new images",
    "report": "the last training and its test",
}


def outcome(report: Report) -> str:
    """One or two sentences: the verdict where there is one, else what was measured, or how far the run came."""
    if report.verdict is not None:
        return report.verdict.sentence
    rows = {row.name: row for row in arm_rows(report)}
    headline = rows.get(HEADLINE) or next((row for row in rows.values() if row.synthetic and row.seeds), None)
    reference = rows.get(REFERENCE)
    if headline and reference and headline.difference.mean is not None:
        return _compared(headline, reference)
    return _of_mistakes(report)


def tags(report: Report) -> tuple[str, ...]:
    """Two or three words for each thing that limits what the run can show."""
    return tuple(tag for tag, _ in _limits(report))


def caveats(report: Report) -> tuple[Note, ...]:
    """The same in sentences, for whoever writes the notes of a report."""
    return tuple(Note(kind="warning", text=text) for _, text in _limits(report))


def meaning(report: Report) -> tuple[str, ...]:
    """How to read the table of arms: budgets, seeds and the size of the test set."""
    return tuple(sentence for sentence in (_budgets(report), _test_size(report), _seeds(report)) if sentence)


def _compared(headline: ArmRow, reference: ArmRow) -> str:
    reached, against = 100 * (headline.accuracy.mean or 0), 100 * (reference.accuracy.mean or 0)
    return (
        f"With new images ({headline.name}) the classifier gets {reached:.1f} % of the test images right; trained as "
        f"long without them ({reference.name}) it gets {against:.1f} %. "
        f"The difference is {points(headline.difference)} percentage points."
    )


def _of_mistakes(report: Report) -> str:
    found, size = report.mistakes.found, report.mistakes.guide_size
    if not size:
        return "The run stopped before it looked for mistakes."
    if not found:
        return (
            f"The classifier made no mistake on {size:,} guide images: there is nothing to explain and nothing to mend."
        )
    words = f"The classifier gets {found:,} of {size:,} guide images wrong ({100 * found / size:.1f} %)"
    return f"{words}; the run looked into {report.mistakes.chosen:,} of these mistakes."


def _limits(report: Report) -> list[tuple[str, str]]:
    found, seeds = report.mistakes.found, _most_seeds(report)
    limits = [
        (
            not report.complete,
            "unfinished",
            f"This run is not finished: it was to go as far as {_GOALS[report.until]}. The same command goes on.",
        ),
        (
            report.data.drawn,
            "drawn world",
            "These are drawn animals with a planted shortcut. The figures say nothing about real photographs, "
            "nor about a critic that looks at pictures.",
        ),
        (
            seeds == 1,
            "one seed",
            "One seed proves nothing: trained again with another seed, each figure would differ.",
        ),
        (
            1 < seeds < FEW_SEEDS,
            f"{seeds} seeds",
            f"{seeds} seeds are too few for a verdict; take {FEW_SEEDS} at least, better five.",
        ),
        (
            0 < found < FEW_MISTAKES,
            "few mistakes",
            f"Only {found} mistakes were found. So few may not stand for how the classifier fails; "
            "a larger guide split would show more.",
        ),
        (
            report.data.guide_is_validation,
            "guide = validation",
            "The validation split was used as guide, so what was synthesized has seen it: "
            "the validation curves are no longer independent. The test split is.",
        ),
    ]
    return [(tag, text) for holds, tag, text in limits if holds]


def _most_seeds(report: Report) -> int:
    return max((len(scores_by_seed(arm)) for arm in report.arms if arm.trained), default=0)


def _budgets(report: Report) -> str:
    budgets = {(arm.steps, arm.batch_size) for arm in report.arms if arm.trained}
    if not budgets:
        return ""
    if len(budgets) > 1:
        return "Unequal budgets: steps or batch size differ between the trained arms, so the comparison is not fair."
    (steps, batch), *_ = budgets
    return f"Every trained arm had the same budget: {steps:,} steps of {batch:,} images, then its last weights were tested."


def _test_size(report: Report) -> str:
    widest = max((score for arm in report.arms for score in scores_by_seed(arm).values()), key=_width, default=None)
    if widest is None or not _width(widest):
        return ""
    return (
        f"The test split has {widest.n:,} images, which alone leaves an accuracy uncertain by about "
        f"± {50 * _width(widest):.1f} percentage points. "
        "A difference between two arms on the same images can be surer than that."
    )


def _width(score: Scores) -> float:
    low, high = score.accuracy_interval or (0.0, 0.0)
    return high - low


def _seeds(report: Report) -> str:
    seeds = _most_seeds(report)
    return f"Figures are means over {seeds} seeds; ± is the standard deviation between them." if seeds > 1 else ""
