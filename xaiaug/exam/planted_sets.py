"""Sets of images with one planted cause each, a classifier that depends on nothing else, and so known mistakes."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .. import petworld
from ..imaging.image_stats import css_to_lab, rgb_to_lab, to_pixels
from ..petworld.palette import BACKDROPS, COATS, names_of
from ..petworld.sampling import sample_nuisances
from ..petworld.tag import CORNERS, paint_tag, tag_box
from ..records import Cause, Sample, derive_seed, digest
from ..records.cause import Box

LABELS = petworld.LABELS
SIDE = 128  # pixels of a drawing
NEAR_TAG = 25.0  # CIELAB distance within which a pixel is the tag's colour
LEAST_TAG = 0.25  # of a tag's pixels that the rule needs to see
EDGE = 0.1  # of the image's side: the border that the rule for backdrops reads
HIT = 0.9  # probability that the rule gives its class


@dataclass(frozen=True)
class Rule:
    """What the classifier of a planted set depends on; picklable, and the same answer for the same pixels.

    Attributes:
        kind: "tag" or "backdrop".
        colour: of the tag, "#rrggbb"; of backdrops, nothing.
    """

    kind: str
    colour: str = ""

    def __call__(self, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        """n 2: the second class has what the rule looks for."""
        seen = np.array([self.finds(image) for image in images], bool)
        second = np.where(seen, HIT, 1 - HIT).astype(np.float32)
        return np.stack([1 - second, second], axis=1)

    def finds(self, image: Image.Image) -> bool:
        """Whether an image has what the second class has."""
        lab = rgb_to_lab(to_pixels(image))
        if self.kind == "tag":
            return self.locate(lab) is not None
        edge = max(1, round(EDGE * min(lab.shape[:2])))
        border = np.concatenate([part.reshape(-1, 3) for part in (lab[:edge], lab[:, :edge], lab[:, -edge:])])
        distances = {
            name: float(np.linalg.norm(np.median(border, axis=0) - css_to_lab(tone.colour)))
            for name, tone in BACKDROPS.items()
        }
        return BACKDROPS[min(distances, key=distances.__getitem__)].label == LABELS[1]

    def locate(self, lab: NDArray[np.float32]) -> Box | None:
        """The corner with the tag: left, top, right, bottom, 0 to 1; None where there is none."""
        near = np.linalg.norm(lab - css_to_lab(self.colour), axis=2) < NEAR_TAG
        height, width = near.shape
        shares = {}
        for corner in CORNERS:
            left, top, right, bottom = tag_box(corner)
            inside = near[round(top * height) : round(bottom * height), round(left * width) : round(right * width)]
            shares[corner] = float(inside.mean())
        best = max(shares, key=shares.__getitem__)
        return tag_box(best) if shares[best] >= LEAST_TAG else None


@dataclass(frozen=True, eq=False)
class PlantedSet:
    """The images of one planted cause.

    Attributes:
        name: of the cause.
        rule: what its classifier depends on.
        samples: images of both classes; those that break the rule are its mistakes.
        truth: the planted cause of each mistake, by the sample's id.
        labels: names of both classes.
    """

    name: str
    rule: Rule
    samples: tuple[Sample, ...]
    truth: dict[str, Cause]
    labels: tuple[str, ...] = LABELS


PLANTED = {
    "magenta tag": Rule("tag", "#c43ca0"),
    "blue tag": Rule("tag", "#2f62c4"),
    "backdrop": Rule("backdrop"),
}
CORRECT_FOR_ONE = 4  # correct images for each mistake: a critic that compares needs them


@dataclass(frozen=True)
class _Drawing:
    scene: petworld.Scene

    def __call__(self) -> Image.Image:
        return _draw_scene(self.scene).copy()


@lru_cache(maxsize=1000)
def _draw_scene(scene: petworld.Scene) -> Image.Image:
    """An exam opens each image many times."""
    return petworld.draw(scene, SIDE)


@dataclass(frozen=True)
class TagPainter:
    """Opens an image with a tag in a corner.

    Attributes:
        opener: of the image without it.
        colour: of the tag.
        corner: a name of `CORNERS`.
    """

    opener: Callable[[], Image.Image]
    colour: str
    corner: str

    def __call__(self) -> Image.Image:
        return paint_tag(self.opener().convert("RGB"), self.corner, self.colour)


def create_planted_set(name: str, mistakes: int, seed: int = 0) -> PlantedSet:
    """A set with so many mistakes, half of each class, and four correct images for each.

    Coat, pose, size, place and light are independent of the class, and so is the backdrop where a tag is planted. The
    second class has the cause, the first has not; in a mistake it is the other way round.

    Args:
        name: a name of `PLANTED`.
        mistakes: at least 2.
        seed: the same seed gives the same images.
    """
    rule, rng = PLANTED[name], np.random.default_rng(derive_seed("exam", name, seed))
    samples, truth = [], {}
    for label in range(2):
        wrong = islice(_draw(rule, label, True, rng), mistakes // 2)
        right = islice(_draw(rule, label, False, rng), CORRECT_FOR_ONE * mistakes // 2)
        for sample, cause in wrong:
            samples.append(sample)
            truth[sample.id] = cause
        samples += [sample for sample, _ in right]
    return PlantedSet(name, rule, tuple(samples), truth)


def _draw(rule: Rule, label: int, broken: bool, rng: np.random.Generator) -> Any:
    """Samples of a class that break the rule, or follow it, each with the cause that a critic should state."""
    while True:
        sample, cause = _draw_one(rule, label, broken, rng)
        # A drawing may look otherwise to the rule than it was meant, such as an animal that fills the border.
        if rule.finds(sample.open()) == (bool(label) != broken):
            yield sample, cause


def _draw_one(rule: Rule, label: int, broken: bool, rng: np.random.Generator) -> tuple[Sample, Cause]:
    has = bool(label) != broken
    goes_with = LABELS[int(has)] if rule.kind == "backdrop" else None
    backdrops = names_of(BACKDROPS, goes_with) if goes_with else tuple(BACKDROPS)
    scene = petworld.Scene(
        animal=LABELS[label],
        coat=str(rng.choice(tuple(COATS))),
        backdrop=str(rng.choice(backdrops)),
        **vars(sample_nuisances(rng)),
    )
    opener: Callable[[], Image.Image] = _Drawing(replace(scene, blur=0.0))
    if rule.kind == "backdrop":
        cause = Cause("backdrop", colour=BACKDROPS[scene.backdrop].colour)
    elif has:
        corner = random.Random(int(rng.integers(2**31))).choice(CORNERS)
        opener = TagPainter(opener, rule.colour, corner)
        cause = Cause("region", colour=rule.colour, box=tag_box(corner))
    else:
        cause = Cause("region", present=False, colour=rule.colour)
    return Sample(id=digest([repr(opener)]), label=label, opener=opener), cause
