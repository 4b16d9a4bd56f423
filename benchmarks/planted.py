"""Photographs with a planted mark, and what edits by heatmaps do about it; run by `photos.py`.

Every seed is a run of its own, with its own photographs, marks, baseline and trainings.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from planted_marks import Planting
from scipy.stats import nct, t

from xaiaug import FeedbackLoop, Recipe, Splits
from xaiaug.records import JSON

EDITED, REFERENCE = "saliency-edit", "continued"
ARMS = (
    "baseline",
    REFERENCE,
    EDITED,
    "saliency-edit-shuffled",
    "saliency-edit-random",
    "saliency-edit-none",
    "saliency-edit-oracle",
    "oversampled-failures",
    "oversampled-train-failures",
    "saliency-edit+failures",
    "masktune",
)
JUDGED = (EDITED, "generated+training")  # where nothing is planted
PILOT = range(100, 103)  # seeds of the pilot, which are not among those that are judged
WIDEST = 1.0  # largest margin, in points of accuracy
POWER = 0.9
ALPHA = 0.025  # one-sided

Figures = dict[str, dict[str, list[float]]]  # by arm and measure, a value a seed


@dataclass(frozen=True)
class World:
    """A planted world and how classifiers are trained in it.

    Attributes:
        classifier: the settings of the classifier that is fine-tuned.
        explainer: of the heatmaps.
        photographs: cats and dogs.
        planting: which of them have a mark.
        recipes: of the baseline and of the arms.
        arms: training conditions.
        metric: what the verdict is about.
        smallest_group: fewest test images of a group that may be the worst.
        donors: most training images that are edited.
        edits: parameters of saliency-edit.
        folder: of the runs, one for each seed.
    """

    classifier: Mapping[str, JSON]
    explainer: str
    photographs: Splits
    planting: Planting
    recipes: tuple[Recipe, Recipe]
    arms: Sequence[str]
    metric: str
    smallest_group: int
    donors: int
    edits: Mapping[str, JSON]
    folder: Path

    def run(self, seed: int) -> Figures:
        """The figures of one seed; a finished one is read from its folder."""
        folder = self.folder / f"seed-{seed}"
        masks = folder / "marks"
        splits = self.planting.plant(self.photographs, seed, masks)
        settings = {
            "data": {"on_near_duplicate": "drop", **({"marks": str(masks)} if masks.exists() else {})},
            "classifier": dict(self.classifier),
            "experiment": {
                "metric": self.metric,
                "smallest_group": self.smallest_group,
                "primary": [EDITED, REFERENCE],
            },
            "mistakes": {"faithfulness": 0, "donors": self.donors},
            "synthesizers": {EDITED: dict(self.edits)} if self.edits else {},
        }
        loop = FeedbackLoop(
            "transformers",
            self.explainer,
            arms=self.arms,
            seeds=(seed,),
            recipe=self.recipes[1],
            baseline_recipe=self.recipes[0],
            settings=settings,
        )
        figures = {}
        for arm in loop.run(splits, folder / "run").report.arms:
            scores = arm.seeds[0].metrics
            if scores is not None and scores.worst_group is not None:
                figures[arm.name] = {
                    "accuracy": [100 * scores.accuracy],
                    "worst_group": [100 * scores.worst_group.accuracy],
                    "images": [float(sum(arm.synthetic.values()))],
                }
        return figures

    def measure(self, seeds: Sequence[int], jobs: int = 1) -> Figures:
        """Accuracy, worst group and new images of each arm.

        Args:
            seeds: in order.
            jobs: seeds that are run at the same time, each in a process of its own.
        """
        figures: Figures = {}
        for of_seed in _map(self, seeds, jobs):
            for arm, row in of_seed.items():
                kept = figures.setdefault(arm, {name: [] for name in row})
                for name, values in row.items():
                    kept[name] += values
            print(format_table(figures), flush=True)
        return figures


def _map(world: World, seeds: Sequence[int], jobs: int) -> Iterator[Figures]:
    if jobs == 1:
        yield from map(world.run, seeds)
        return
    spawn = multiprocessing.get_context("spawn")  # a forked process cannot use a GPU
    with ProcessPoolExecutor(jobs, mp_context=spawn, initializer=_use_one_thread) as pool:
        yield from pool.map(world.run, seeds)


def _use_one_thread() -> None:
    """Processes that run at the same time would starve each other with a pool of threads each."""
    import torch

    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)


@dataclass(frozen=True)
class Margin:
    """How much worse than `continued` an arm may be and still do no harm, fixed before the seeds that are judged.

    Attributes:
        arm: which one.
        points: of accuracy.
        deviation: standard deviation of the difference in the pilot.
        power: probability of showing it, if there is no difference and the deviation is that of the pilot.
    """

    arm: str
    points: float
    deviation: float
    power: float

    @classmethod
    def from_pilot(cls, arm: str, pilot: Figures, seeds: int) -> Margin:
        """The smallest that so many seeds show with power 0.9, at most one point."""
        deviation = float(np.std(_differences(arm, pilot), ddof=1))
        candidates = np.arange(1, round(10 * WIDEST) + 1) / 10
        points = next((float(one) for one in candidates if _power(one, deviation, seeds) >= POWER), WIDEST)
        return cls(arm, points, deviation, _power(points, deviation, seeds))

    def judge(self, figures: Figures) -> str:
        """Whether the arm does no harm, in words: the lower end of the 95 % interval counts."""
        differences = _differences(self.arm, figures)
        lower = _interval(differences)[0]
        verdict = "no harm" if lower > -self.points else "harm cannot be ruled out"
        return (
            f"{self.arm}: {verdict}: {format_interval(differences)} points of accuracy over {REFERENCE}, margin "
            f"−{self.points:.1f}; pilot of {len(PILOT)} seeds: standard deviation {self.deviation:.2f}, power "
            f"{self.power:.2f}"
        )


def _differences(arm: str, figures: Figures) -> list[float]:
    return list(np.subtract(figures[arm]["accuracy"], figures[REFERENCE]["accuracy"]))


def _power(margin: float, deviation: float, seeds: int) -> float:
    """Of a one-sided t-test for a difference above −margin, if it is 0."""
    freedom = seeds - 1
    return float(nct.sf(t.ppf(1 - ALPHA, freedom), freedom, margin * np.sqrt(seeds) / deviation)) if deviation else 1.0


def measure_harm(world: World, seeds: Sequence[int], jobs: int) -> dict[str, object]:
    """Accuracy of each arm where nothing is planted, beside margins from a pilot."""
    pilot = replace(world, folder=world.folder / "pilot").measure(PILOT, jobs)
    margins = [Margin.from_pilot(arm, pilot, len(seeds)) for arm in JUDGED if arm in world.arms]
    for one in margins:
        print(f"{one.arm}: margin {one.points:.1f} points, power {one.power:.2f}")
    print("the seeds that are judged:")
    figures = world.measure(seeds, jobs)
    for one in margins:
        print(one.judge(figures), flush=True)
    return {"figures": figures, "pilot": pilot, "margins": [vars(one) for one in margins]}


def format_table(figures: Figures) -> str:
    """Means over the seeds that are there, and the advantage of edits by the real map with its 95 % interval."""
    lines = [f"{'arm':<28}{'seeds':>6}{'images':>8}{'accuracy':>10}{'worst group':>13}{'edits are ahead by':>28}"]
    for arm, row in figures.items():
        count, images = len(row["worst_group"]), np.mean(row["images"])
        accuracy, worst = (np.mean(row[name]) for name in ("accuracy", "worst_group"))
        ahead = ""
        if arm != EDITED and EDITED in figures and len(figures[EDITED]["worst_group"]) == count:
            ahead = format_interval(np.subtract(figures[EDITED]["worst_group"], row["worst_group"]))
        lines.append(f"{arm:<28}{count:>6}{images:>8.0f}{accuracy:>10.1f}{worst:>13.1f}{ahead:>28}")
    return "\n".join(lines)


def format_interval(differences: Iterable[float]) -> str:
    """Mean and 95 % interval by Student's t over the seeds; the mean alone of a single seed."""
    values = list(differences)
    if len(values) < 2:
        return f"{np.mean(values):+.1f}"
    low, high = _interval(values)
    return f"{np.mean(values):+.1f} ({low:+.1f} to {high:+.1f})"


def _interval(values: Sequence[float]) -> tuple[float, float]:
    half = float(t.ppf(1 - ALPHA, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values)))
    return float(np.mean(values)) - half, float(np.mean(values)) + half
