"""The verdict of a run: one primary contrast decides, the others are reported beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..records.pipeline import BASELINE, CONTINUED, EXPLANATIONS, FEWEST_SEEDS, HEADLINE
from ..report.schema_report import Contrast, Verdict
from ..statistics import Comparison, Outcome, Scorer, compare, holm_adjust, judge_outcome
from ..store import Reader
from .predictions import ArmPredictions, arm_predictions, pair_seeds


@dataclass(frozen=True)
class _Contrast:
    arm: str
    against: str
    found: Comparison
    outcome: Outcome
    p: float
    level: float


def verdict(
    reader: Reader, plan: Mapping[str, Any], names: Sequence[str], untestable: Mapping[tuple[str, str], str]
) -> Verdict | None:
    """The verdict; None where nothing can be compared, or there are too few seeds.

    Args:
        reader: of the run.
        plan: what was named before training: "primary" (arm and reference), "metric", "smallest_effect" in points, and
            "vary": what differs from seed to seed besides images and training.
        names: of the arms, in order.
        untestable: pairs of arms that say nothing about the explanation, each with the reason.
    """
    named = [tuple(plan["primary"]), *EXPLANATIONS]
    arm, against = plan["primary"]
    predicted = {name: predictions for name in names if (predictions := arm_predictions(reader, name)) is not None}
    if arm not in predicted or against not in predicted:
        return None
    named = [pair for pair in dict.fromkeys(named) if set(pair) <= predicted.keys()]
    pairs = [*named, *_secondary(predicted, named)]
    scores = Scorer(plan["metric"])
    found = [_compare_arms(predicted[one], predicted[other], scores) for one, other in pairs]
    if any(len(one.by_seed) < FEWEST_SEEDS for one in found):
        return None
    delta, fixed = plan["smallest_effect"], _shared_by_seeds(plan.get("vary", ()))
    judged = _judge_contrasts(pairs, found, delta / 100, len(named))
    asked = [one for one in judged[: len(named)] if (one.arm, one.against) in EXPLANATIONS]
    sentences = [
        untestable.get((one.arm, one.against)) or _sentence(one, delta, _explanation_of(one), fixed=fixed)
        for one in sorted(asked, key=lambda one: (one.arm, one.against) in untestable)
    ]
    return Verdict(
        sentence=_sentence(judged[0], delta, fixed=fixed),
        outcome=judged[0].outcome.word,
        explanation=" ".join(sentences),
        contrasts=tuple(_row(one, primary=number < len(named)) for number, one in enumerate(judged)),
    )


def _explanation_of(judged: _Contrast) -> str:
    return "The explanation" if judged.arm == HEADLINE else f"The explanation in {judged.arm}"


def _secondary(predicted: Mapping[str, ArmPredictions], named: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    others = [(name, CONTINUED) for name in predicted if name not in (CONTINUED, BASELINE)]
    start = [(CONTINUED, BASELINE)] if {CONTINUED, BASELINE} <= predicted.keys() else []
    return [pair for pair in (*others, *start) if pair not in named and pair[1] in predicted]


def _compare_arms(one: ArmPredictions, other: ArmPredictions, scores: Scorer) -> Comparison:
    seeds = pair_seeds([one, other])
    return compare(other.condition(scores, seeds), one.condition(scores, seeds))


def _judge_contrasts(
    pairs: Sequence[tuple[str, str]], found: Sequence[Comparison], delta: float, named: int
) -> list[_Contrast]:
    """Each contrast; the first so many were named before training, each for a question of its own."""
    estimates = [one.estimate for one in found if one.estimate is not None]
    others = holm_adjust([estimate.p for estimate in estimates[named:]])
    steps = [*((one.p, 0.95) for one in estimates[:named]), *((one.p, one.level) for one in others)]
    return [
        _Contrast(arm, against, comparison, judge_outcome(estimate, delta, level), p, level)
        for (arm, against), comparison, estimate, (p, level) in zip(pairs, found, estimates, steps, strict=True)
    ]


def _row(judged: _Contrast, *, primary: bool) -> Contrast:
    estimate = judged.found.estimate
    low, high = estimate.interval(judged.level) if estimate else (None, None)
    return Contrast(
        arm=judged.arm,
        against=judged.against,
        metric=judged.found.metric,
        estimate=judged.found.difference,
        low=low,
        high=high,
        p=judged.p,
        primary=primary,
        outcome=judged.outcome.word,
        level=judged.level,
        crossed=judged.found.crossed,
        fixed=tuple(flip.fixed for flip in judged.found.flips),
        broken=tuple(flip.broken for flip in judged.found.flips),
    )


def _shared_by_seeds(varied: Sequence[str]) -> str:
    """What the seeds share, and the verdict therefore holds for."""
    if "baseline" in varied:
        return "each with a baseline of its own"
    return "for this baseline" + ("" if "critique" in varied else " and these critiques")


def _sentence(judged: _Contrast, delta: float, subject: str = "", *, fixed: str) -> str:
    estimate, outcome = judged.found.estimate, judged.outcome
    if estimate is None:
        return ""
    low, high = estimate.interval(judged.level)
    measured = (
        f"{_points(judged.found.difference)} points of {judged.found.metric} over {judged.against}, 95 % interval "
        f"{_points(low)} to {_points(high)}, {estimate.n_seeds} seeds, {fixed}"
    )
    subject = subject or judged.arm
    words = {
        "no difference": f"{subject} makes no difference larger than {delta:g} points",
        "helps": f"{subject} helps",
        "hurts": f"{subject} hurts",
        "inconclusive": f"Whether {subject[:1].lower()}{subject[1:]} helps is inconclusive",
    }
    return f"{words[outcome.word]}: {measured}.{_more(outcome)}"


def _more(outcome: Outcome) -> str:
    if outcome.word == "no difference" and outcome.excludes_zero:
        return " The interval excludes 0, but is below the smallest effect that matters."
    if outcome.word != "inconclusive":
        return ""
    ways = [f"{count:,} {what}" for count, what in ((outcome.seeds, "seeds"), (outcome.images, "test images")) if count]
    if not ways:
        return " Neither more seeds nor more test images alone would settle it."
    return f" About {' or '.join(ways)} would settle it."


def _points(value: float) -> str:
    return f"{round(100 * value, 1) + 0.0:+.1f}".replace("-", "−")
