"""Measures whether heatmaps are faithful to a classifier, each against random maps on the same image."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import DataError
from ..interfaces import Classifier
from ..records import Explanation, Failure
from .deletion_insertion import compute_area, compute_curves, rank_pixels
from .pointing import Mask, check_mask, score_energy, score_pointing
from .summary import Faithfulness, summarize

_CELLS = (7, 7)  # of the random maps for a method without a grid


ImageScores = dict[str, tuple[float, float]]


@dataclass(frozen=True, eq=False)
class MapScores:
    """The scores of one map on its image.

    Attributes:
        scores: by measure, the map's value and the mean of the random maps.
        curves: 2 2 s+1: deletion and insertion, the map's and the mean of the random maps.
    """

    scores: ImageScores
    curves: NDArray[np.float64]


def faithfulness(
    classifier: Classifier,
    images: Sequence[Image.Image],
    explanations: Sequence[Explanation | Failure],
    *,
    masks: Sequence[Any] | None = None,
    steps: int = 16,
    random_maps: int = 4,
    tolerance: int = 0,
    seed: int = 0,
) -> Faithfulness:
    """How faithful heatmaps are to a classifier, against random maps on the same images.

    Deletion and insertion (RISE, arXiv 1806.07421): the area under the probability of the explained class as the
    hottest pixels are painted over, or uncovered in a blurred image. With masks also the pointing game (arXiv
    1608.00507), whether the hottest pixel lies on the subject, and energy-based pointing (arXiv 1910.01279), the share
    of the heat on it; these two tell whether the *model* looks at the subject, not whether the map is faithful to it.
    The random maps are uniform noise at the resolution of the map's grid.

    Args:
        classifier: ready to predict; left as it was.
        images: n images, RGB.
        explanations: n, as an explainer returned them; failures are left out.
        masks: n masks of the subject, h w each: boolean, or 1, 0 and NaN where undecided; None for an image without.
        steps: deletions and insertions per image, ≥ 2.
        random_maps: random maps per image, ≥ 1; `count_predictions` gives the number of predictions this takes.
        tolerance: pixels by which the pointing game lets the hottest one miss the subject.
        seed: decides the random maps, with the image itself.

    Raises:
        DataError: lengths or sizes differ, a mask or a target is invalid, or there is nothing to measure.
        PluginError: the classifier returned no probabilities.
    """
    _check(images, explanations, masks, steps, random_maps, tolerance)
    results: list[MapScores] = []
    methods: dict[str, None] = {}  # in order
    for index, explanation in enumerate(explanations):
        if isinstance(explanation, Explanation):
            mask = masks[index] if masks is not None else None
            options = {"steps": steps, "random_maps": random_maps, "tolerance": tolerance, "seed": seed}
            results.append(score_map(classifier, images[index], explanation, mask, **options))
            methods[explanation.method] = None
    return summarize(", ".join(methods), [result.scores for result in results], [result.curves for result in results])


def count_predictions(steps: int, random_maps: int) -> int:
    """How many predictions `score_map` takes."""
    # The full image, the empty and the blurred one; for each map the steps between, deleted and inserted.
    return 3 + 2 * (steps - 1) * (1 + random_maps)


def score_map(
    classifier: Classifier,
    image: Image.Image,
    explanation: Explanation,
    mask: Any = None,
    *,
    steps: int,
    random_maps: int,
    tolerance: int = 0,
    seed: int = 0,
) -> MapScores:
    """The scores of one map on its image; arguments and errors are those of `faithfulness`."""
    image = image.convert("RGB")
    if explanation.heatmap.shape != image.size[::-1]:
        raise DataError(
            f"faithfulness: a heatmap must have the size of its image, {image.size[::-1]} (h w), got "
            f"{explanation.heatmap.shape}"
        )
    # A degenerate map counts as constant: rounding must not order its pixels.
    heatmap = np.where(np.isnan(explanation.heatmap), np.nan, 1) if explanation.degenerate else explanation.heatmap
    tie_break, *random = islice(iter_random_maps(image, explanation, seed), 1 + random_maps)
    maps = [heatmap.astype(np.float32), *random]
    orders = [rank_pixels(each, tie_break) for each in maps]
    all_curves = compute_curves(classifier, image, explanation.target, orders, steps)
    curves = np.stack([all_curves[:, 0], all_curves[:, 1:].mean(axis=1)], axis=1)
    deletion, insertion = compute_area(curves).tolist()
    scores: ImageScores = {"deletion": tuple(deletion), "insertion": tuple(insertion)}
    if mask is not None:
        scores |= _score_on_mask(maps, check_mask(mask, heatmap.shape), tolerance)
    return MapScores(scores, curves)


def _score_on_mask(maps: Sequence[NDArray[np.float32]], mask: Mask, tolerance: int) -> ImageScores:
    hits = [score_pointing(each, mask, tolerance) for each in maps]
    energies = [score_energy(each, mask) for each in maps]
    return {
        "pointing": (hits[0], float(np.mean(hits[1:]))),
        "energy": (energies[0], float(np.mean(energies[1:]))),
    }


def iter_random_maps(image: Image.Image, explanation: Explanation, seed: int) -> Iterator[NDArray[np.float32]]:
    """Endless maps of uniform noise at the grid's resolution, scaled to what the model saw: h w, NaN elsewhere.

    They depend on the image, the shape of the grid and the seed alone: on one image, methods with equal grids are
    compared with the same maps, whatever the batch.
    """
    seen = ~np.isnan(explanation.heatmap)
    cells = _CELLS if explanation.grid is None else explanation.grid.shape
    rng = np.random.default_rng([seed, zlib.crc32(image.tobytes())])
    while True:
        yield _place(rng.random(cells, dtype=np.float32), seen)


def _place(grid: NDArray[np.float32], seen: NDArray[np.bool_]) -> NDArray[np.float32]:
    heatmap = np.full(seen.shape, np.nan, np.float32)
    if seen.any():
        rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
        top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
        scaled = Image.fromarray(grid).resize((int(right - left), int(bottom - top)), Image.Resampling.BILINEAR)
        heatmap[top:bottom, left:right] = np.asarray(scaled)
    heatmap[~seen] = np.nan
    return heatmap


def _check(
    images: Sequence[Any],
    explanations: Sequence[Any],
    masks: Sequence[Any] | None,
    steps: int,
    random_maps: int,
    tolerance: int,
) -> None:
    if len(images) != len(explanations):
        raise DataError(
            f"faithfulness: needs one explanation per image, got {len(images)} images and {len(explanations)}"
            " explanations"
        )
    if masks is not None and len(masks) != len(images):
        raise DataError(f"faithfulness: needs a mask or None for each image, got {len(images)} and {len(masks)} masks")
    for name, value, least in (("steps", steps, 2), ("random_maps", random_maps, 1), ("tolerance", tolerance, 0)):
        if value < least:
            raise DataError(f"faithfulness: {name} must be at least {least}, got {value}")
    for index, explanation in enumerate(explanations):
        if not isinstance(explanation, Explanation | Failure):
            raise DataError(
                f"faithfulness: explanation {index} must be an Explanation or a Failure, got"
                f" {type(explanation).__name__}"
            )
