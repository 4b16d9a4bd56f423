"""Heatmaps of a planted set: where its classifier really looks, those of other images, or none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..imaging.image_stats import css_to_lab, digest_image, rgb_to_lab, to_pixels
from ..interfaces import Classifier, Explainer
from ..petworld.palette import BACKDROPS
from ..records import JSON, Explanation, Failure, derive_seed, digest
from .planted_sets import EDGE, PlantedSet, Rule

GRID = 16  # cells of a map to a side: as coarse as those of a vision transformer
NOISE = 0.12  # of the peak
SUBJECT = ((0.5, 0.58), 0.22)  # middle and radius of where animals are drawn, for images without a tag
NO_MAP = Failure("no map", "no map is shown in this part of the exam")


class PlantedMaps(Explainer):
    """Gives each image of a planted set the map that was chosen for it.

    Args:
        maps: heatmaps h w by digest of the image's pixels; an image that has none gets none.
        condition: a name of `MAPS`.
    """

    def __init__(self, maps: Mapping[str, NDArray[np.float32]], condition: str) -> None:
        self.maps, self.condition = maps, condition

    def parameters(self) -> dict[str, JSON]:
        """The condition, and a digest of the maps."""
        key = digest([[name, values.tobytes().hex()] for name, values in sorted(self.maps.items())])
        return {"condition": self.condition, "maps": key}

    def explain(
        self,
        classifier: Classifier,  # noqa: ARG002  (part of the interface)
        images: Sequence[Image.Image],
        targets: Sequence[int],
    ) -> list[Explanation | Failure]:
        """The chosen maps, in order."""
        return [self._explain_one(image, target) for image, target in zip(images, targets, strict=True)]

    def _explain_one(self, image: Image.Image, target: int) -> Explanation | Failure:
        found = self.maps.get(digest_image(image))
        if found is None:
            return NO_MAP
        heatmap = np.asarray(Image.fromarray(found).resize(image.size, Image.Resampling.BILINEAR), np.float32)
        return Explanation(heatmap, "planted", target, class_specific=False, grid=found)


def choose_maps(planted: PlantedSet, condition: str) -> PlantedMaps:
    """The maps of a planted set for a condition of `MAPS`; where they are shuffled, no image keeps its own."""
    if condition == "none":
        return PlantedMaps({}, condition)
    images = [sample.open() for sample in planted.samples]
    names = [digest_image(image) for image in images]
    maps = [draw_map(planted.rule, image, derive_seed("map", name)) for image, name in zip(images, names, strict=True)]
    if condition == "shuffled":
        order = np.random.default_rng(derive_seed("shuffle", planted.name)).permutation(len(maps))
        others = {int(one): int(other) for one, other in zip(order, np.roll(order, 1), strict=True)}
        maps = [maps[others[place]] for place in range(len(maps))]
    return PlantedMaps(dict(zip(names, maps, strict=True)), condition)


def draw_map(rule: Rule, image: Image.Image, seed: int) -> NDArray[np.float32]:
    """Where the rule looks in an image: 16 16, 0 to about 1, with noise.

    That is the tag, or the animal's usual place where there is none; or all that has the colour of the backdrop.
    """
    rng = np.random.default_rng(seed)
    lab = rgb_to_lab(to_pixels(image))
    heat = _backdrop_heat(lab) if rule.kind == "backdrop" else _tag_heat(rule, lab)
    noisy: NDArray[np.float32] = np.maximum(heat + rng.normal(0, NOISE, heat.shape), 0).astype(np.float32)
    return noisy


def _tag_heat(rule: Rule, lab: NDArray[np.float32]) -> NDArray[np.float64]:
    box = rule.locate(lab)
    (x, y), radius = SUBJECT
    if box is not None:
        (x, y), radius = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2), (box[2] - box[0]) / 2
    centres = (np.arange(GRID) + 0.5) / GRID
    squared = (centres[None] - x) ** 2 + (centres[:, None] - y) ** 2
    blob: NDArray[np.float64] = np.exp(-squared / (2 * radius**2))
    return blob


def _backdrop_heat(lab: NDArray[np.float32]) -> NDArray[np.float64]:
    edge = max(1, round(EDGE * lab.shape[0]))
    middle = np.median(np.concatenate([lab[:edge].reshape(-1, 3), lab[:, :edge].reshape(-1, 3)]), axis=0)
    shades = [css_to_lab(tone.colour) for tone in BACKDROPS.values()]
    shade = min(shades, key=lambda one: float(np.linalg.norm(one - middle)))
    near = (np.linalg.norm(lab - shade, axis=2) < 30).astype(np.float32)
    small = Image.fromarray(near).resize((GRID, GRID), Image.Resampling.BOX)
    return np.asarray(small, np.float64)
