"""The recommendation of a run: the cheapest remedy that is shown to lose little to the best of the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..records.pipeline import BASELINE, FEWEST_SEEDS
from ..report.schema_arms import ArmResult
from ..report.schema_recommendation import Recommendation, RemedyRow
from ..report.schema_report import ArmCost
from ..statistics import AllPairs, Scorer, compare_all
from ..store import Reader
from .predictions import arm_predictions, pair_seeds


@dataclass(frozen=True)
class _Remedies:
    """The arms that may be recommended, cheapest first, and how they compare."""

    arms: tuple[ArmResult, ...]
    pairs: AllPairs
    margin: float  # in units of the score
    metric: str
    usd: Mapping[str, float]  # by name

    @property
    def chosen(self) -> int | None:
        return self.pairs.find_sufficient(range(len(self.arms)), self.margin)

    @property
    def required(self) -> tuple[int | None, int | None]:
        """About how many seeds, or test images, would tell."""
        return self.pairs.required_seeds(self.margin), self.pairs.required_images(self.margin)

    @property
    def baseline(self) -> int | None:
        return next((index for index, arm in enumerate(self.arms) if arm.name == BASELINE), None)

    def gain(self, index: int) -> tuple[float, float, float] | None:
        """Difference over the baseline, and its interval; None of the baseline itself, or without one."""
        if self.baseline is None or index == self.baseline:
            return None
        return (self.pairs.difference(index, self.baseline), *self.pairs.gain(index, self.baseline))


def recommend(
    reader: Reader, plan: Mapping[str, Any], arms: Sequence[ArmResult], costs: Sequence[ArmCost]
) -> Recommendation | None:
    """The recommendation; None where fewer than two remedies were tested, or with too few seeds.

    Arms that only isolate something, such as one with shuffled maps, are no remedies. Cheaper is what needs fewer
    further labels, then fewer dollars, then fewer new images, then less training; of equals the first in the report.
    Minutes are not asked: they differ between equal runs.

    Args:
        reader: of the run.
        plan: what was named before training: "metric", and "margin" in points.
        arms: of the report.
        costs: what each took.
    """
    usd = {cost.name: cost.usd for cost in costs}
    remedies = sorted(
        (arm for arm in arms if not arm.control),
        key=lambda arm: (arm.used.labels, usd.get(arm.name, 0.0), sum(arm.synthetic.values()), _passes(arm)),
    )
    tested = [(arm, found) for arm in remedies if (found := arm_predictions(reader, arm.name)) is not None]
    if len(tested) < 2:
        return None
    seeds = pair_seeds([found for _, found in tested])
    if len(seeds) < FEWEST_SEEDS:
        return None
    scorer = Scorer(plan["metric"])
    pairs = compare_all([found.condition(scorer, seeds) for _, found in tested])
    return describe_remedies(tuple(arm for arm, _ in tested), pairs, plan["margin"] / 100, plan["metric"], usd)


def _passes(arm: ArmResult) -> int:
    return arm.image_passes if arm.trained else 0


def describe_remedies(
    arms: tuple[ArmResult, ...], pairs: AllPairs, margin: float, metric: str, usd: Mapping[str, float]
) -> Recommendation:
    """The recommendation from what all pairs of remedies came to.

    Args:
        arms: the remedies, cheapest first.
        pairs: of them, in that order.
        margin: the largest loss to the best that is accepted, 0 to 1.
        metric: of the comparison.
        usd: dollars that each remedy took, by name; none for those that are not there.
    """
    known = _Remedies(arms, pairs, margin, metric, usd)
    chosen = known.chosen
    seeds, images = (None, None) if chosen is not None else known.required
    return Recommendation(
        arm=None if chosen is None else arms[chosen].name,
        sentence=_say_inconclusive(known, seeds, images) if chosen is None else _advise(known, chosen),
        metric=metric,
        margin=margin,
        seeds=pairs.n_seeds,
        seeds_needed=seeds,
        images_needed=images,
        remedies=tuple(_remedy(known, index) for index in range(len(arms))),
    )


def _remedy(known: _Remedies, index: int) -> RemedyRow:
    gain = known.gain(index)
    difference, low, high = gain or (None, None, None)
    return RemedyRow(
        arm=known.arms[index].name, gain=difference, low=low, high=high, to_best=known.pairs.lower_bound(index)
    )


def _advise(known: _Remedies, chosen: int) -> str:
    arm, gain, margin = known.arms[chosen], known.gain(chosen), 100 * known.margin
    proof = f"No other remedy is more than {margin:g} points better"
    if gain is None:
        return f"{arm.advice}. {proof}."
    difference, low, high = map(_points, gain)
    gained = f"{difference} points of {known.metric} over the baseline ({low} to {high})"
    return f"{arm.advice}: {gained}, {_price(arm, known.usd)}. {proof}."


def _price(arm: ArmResult, usd: Mapping[str, float]) -> str:
    """What a remedy costs, in words."""
    new = sum(arm.synthetic.values())
    labels = f"{arm.used.labels:,} more labels" if arm.used.labels else "no more labels"
    images = f"{new:,} new images" if new else "no new images"
    return ", ".join((labels, images, *([f"${usd[arm.name]:.2f}"] if usd.get(arm.name) else [])))


def _say_inconclusive(known: _Remedies, seeds: int | None, images: int | None) -> str:
    counts = ((seeds, "seeds"), (images, "test images"))
    ways = [f"{count:,} {what}" for count, what in counts if count]
    told = (
        f"about {' or '.join(ways)} would settle it" if ways else _say_growth(known.pairs.required_growth(known.margin))
    )
    return (
        f"Which remedy to take is inconclusive: with {known.pairs.n_seeds} seeds none is shown to be within "
        f"{100 * known.margin:g} points of {known.metric} of the best; {told}."
    )


def _say_growth(factor: int | None) -> str:
    """What would settle it where neither more seeds nor more test images alone do."""
    if factor is None:
        return "no number of seeds would settle it"
    return f"about {factor} times as many seeds and test images would settle it"


def _points(value: float) -> str:
    return f"{round(100 * value, 1) + 0.0:+.1f}".replace("-", "−")
