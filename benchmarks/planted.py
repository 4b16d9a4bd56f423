"""Photographs with a planted mark, and what edits by heatmaps do about it; run by `photos.py --start tag`.

A yellow tag lies in a corner of most dogs and of few cats, but of half of each in test. Every seed is a run of its own,
with its own photographs, tags, baseline and trainings. Nothing is written of the data but masks of the tags: an image
is composed whenever it is opened.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter
from scipy.stats import t

from xaiaug import FeedbackLoop, Recipe, Result, Sample, Splits
from xaiaug.records import derive_seed, digest

SIDES = (34 / 224, 46 / 224)  # of the tag, in shares of the image's shorter side
GAP = 6 / 224  # most pixels between tag and border, likewise
YELLOW = np.array([236, 200, 40])
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
    "saliency-edit+failures",
    "masktune",
)
CORNERS = ("top-left", "top-right", "bottom-left", "bottom-right")


@dataclass(frozen=True)
class Tag:
    """Where a tag is, in shares of the image.

    Attributes:
        corner: one of `CORNERS`.
        side: of the shorter side of the image.
        gap: to the border, likewise.
        shade: added to its colour, in grey levels.
    """

    corner: str
    side: float
    gap: float
    shade: int

    @classmethod
    def draw(cls, rng: random.Random, corner: str | None) -> Tag:
        """A random tag; in this corner, or None in a random one."""
        return cls(corner or rng.choice(CORNERS), rng.uniform(*SIDES), rng.uniform(0, GAP), rng.randint(-15, 15))

    def box(self, size: tuple[int, int]) -> tuple[int, int, int, int]:
        """Left, top, right and bottom, all within the tag, for an image of that width and height."""
        side, gap = (round(share * min(size)) for share in (self.side, self.gap))
        left = gap if "left" in self.corner else size[0] - gap - side
        top = gap if "top" in self.corner else size[1] - gap - side
        return left, top, left + side - 1, top + side - 1

    def mask(self, size: tuple[int, int]) -> Image.Image:
        """White on the tag."""
        mask = Image.new("L", size)
        ImageDraw.Draw(mask).rectangle(self.box(size), fill=255)
        return mask

    def put_on(self, image: Image.Image) -> Image.Image:
        """The image with the tag, its edges slightly soft."""
        colour = tuple(int(value) for value in np.clip(YELLOW + self.shade, 0, 255))
        marked = image.convert("RGB")
        marked.paste(colour, mask=self.mask(marked.size).filter(ImageFilter.GaussianBlur(0.6)))
        return marked


@dataclass(frozen=True)
class Marked:
    """Opens an image and puts a tag on it; picklable."""

    opener: Callable[[], Image.Image]
    tag: Tag

    def __call__(self) -> Image.Image:
        return self.tag.put_on(self.opener())


def plant_tags(
    splits: Splits, seed: int, *, share: float | None, corner: str | None, counts: Mapping[str, int], marks: Path
) -> Splits:
    """Some images of each split, `share` of the dogs and one less this of the cats with a tag; half of both in test.

    Args:
        splits: of cats and dogs.
        seed: decides which images, which of them have a tag, and where.
        share: of the dogs of train, guide and validation that have a tag; of the cats it is one less this. None: no
            image has a tag.
        corner: of all tags; None: a random one for each.
        counts: images of each split, both classes together.
        marks: the folder for the masks of tags, named by the ids of their images.
    """
    marks.mkdir(parents=True, exist_ok=True)
    planted = {}
    for name, count in counts.items():
        chosen = _choose(splits[name], splits.labels, seed, count)
        shares = (0.0, 0.0) if share is None else (0.5, 0.5) if name == "test" else (1 - share, share)
        planted[name] = tuple(
            _plant(sample, place < shares[label] * len(chosen[label]), splits.labels, seed, corner, marks)
            for label in chosen
            for place, sample in enumerate(chosen[label])
        )
    return replace(splits, reserve=(), **planted)


def _choose(samples: Sequence[Sample], labels: Sequence[str], seed: int, count: int) -> dict[int, list[Sample]]:
    """Equally many of each class in random order."""
    chosen = {}
    for label in range(len(labels)):
        of_class = sorted((sample for sample in samples if sample.label == label), key=lambda sample: sample.id)
        chosen[label] = random.Random(f"{seed} {label}").sample(of_class, count // len(labels))
    return chosen


def _plant(sample: Sample, has_tag: bool, labels: Sequence[str], seed: int, corner: str | None, marks: Path) -> Sample:
    group = {"tag": f"{labels[sample.label]} {'with' if has_tag else 'without'} tag"}
    if not has_tag:
        return replace(sample, groups=group)
    tag = Tag.draw(random.Random(derive_seed("tag", seed, sample.id)), corner)
    name = digest([sample.id, tag.corner, tag.side, tag.gap, tag.shade])
    opener = Marked(sample.opener, tag)
    if not (marks / f"{name}.png").exists():
        tag.mask(opener().size).save(marks / f"{name}.png")
    return replace(sample, id=name, opener=opener, groups=group)


@dataclass(frozen=True)
class World:
    """A planted world and how classifiers are trained in it.

    Attributes:
        checkpoint: the folder of the classifier that is fine-tuned.
        photographs: cats and dogs.
        share: of the dogs of train and guide that have a tag, 0 to 1; None: no image has one.
        corner: of all tags; None: a random one for each.
        counts: images of each split.
        recipes: of the baseline and of the arms.
        arms: training conditions.
        edits: parameters of saliency-edit.
        folder: of the runs, one for each seed.
    """

    checkpoint: Path
    photographs: Splits
    share: float | None
    corner: str | None
    counts: Mapping[str, int]
    recipes: tuple[Recipe, Recipe]
    arms: Sequence[str]
    edits: Mapping[str, object]
    folder: Path

    def run(self, seed: int) -> Result:
        """The run of one seed; a finished one is read from its folder."""
        folder = self.folder / f"seed-{seed}"
        marks = folder / "marks"
        splits = plant_tags(
            self.photographs, seed, share=self.share, corner=self.corner, counts=self.counts, marks=marks
        )
        settings = {
            "data": {"marks": str(marks), "on_near_duplicate": "drop"},
            "classifier": {"checkpoint": str(self.checkpoint)},
            "experiment": {"metric": "worst-group", "primary": [EDITED, REFERENCE]},
            "mistakes": {"faithfulness": 0},
            **({"synthesizers": {EDITED: dict(self.edits)}} if self.edits else {}),
        }
        loop = FeedbackLoop(
            "transformers",
            "attention-relevance",
            arms=self.arms,
            seeds=(seed,),
            recipe=self.recipes[1],
            baseline_recipe=self.recipes[0],
            settings=settings,
        )
        return loop.run(splits, folder / "run")

    def measure(self, seeds: Sequence[int]) -> dict[str, dict[str, list[float]]]:
        """Accuracy and worst group of each arm, and the new images it trains on, by arm and measure, a value a seed."""
        figures: dict[str, dict[str, list[float]]] = {}
        for seed in seeds:
            for arm in self.run(seed).report.arms:
                scores = arm.seeds[0].metrics
                if scores is None or scores.worst_group is None:
                    continue
                row = figures.setdefault(arm.name, {"accuracy": [], "worst_group": [], "images": []})
                row["accuracy"].append(100 * scores.accuracy)
                row["worst_group"].append(100 * scores.worst_group.accuracy)
                row["images"].append(sum(arm.synthetic.values()))
            print(format_table(figures), flush=True)
        return figures


def format_table(figures: Mapping[str, Mapping[str, Sequence[float]]]) -> str:
    """Means over the seeds that are there, and the advantage of edits by the real map with its 95 % interval."""
    lines = [f"{'arm':<24}{'seeds':>6}{'images':>8}{'accuracy':>10}{'worst group':>13}{'edits are ahead by':>28}"]
    for arm, row in figures.items():
        count, images = len(row["worst_group"]), np.mean(row["images"])
        accuracy, worst = (np.mean(row[name]) for name in ("accuracy", "worst_group"))
        ahead = ""
        if arm != EDITED and EDITED in figures and len(figures[EDITED]["worst_group"]) == count:
            ahead = format_interval(np.subtract(figures[EDITED]["worst_group"], row["worst_group"]))
        lines.append(f"{arm:<24}{count:>6}{images:>8.0f}{accuracy:>10.1f}{worst:>13.1f}{ahead:>28}")
    return "\n".join(lines)


def format_interval(differences: Sequence[float]) -> str:
    """Mean and 95 % interval by Student's t over the seeds; the mean alone of a single seed."""
    mean, count = float(np.mean(differences)), len(differences)
    if count < 2:
        return f"{mean:+.1f}"
    half = float(t.ppf(0.975, count - 1) * np.std(differences, ddof=1) / np.sqrt(count))
    return f"{mean:+.1f} ({mean - half:+.1f} to {mean + half:+.1f})"
