"""The heatmaps a critic is shown in place of the real ones, to learn whether the real ones matter."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from ..records import derive_seed
from ..store import Blob
from ..store.blobs import Blobs
from .chunks import Item, Stage, complete
from .lazy import Lazy
from .mistakes import Mistake
from .predict import CHUNK
from .runtime import StageRuntime


def derange(mistakes: Sequence[Mistake], seed: int) -> list[int]:
    """For each mistake the place of another one, of the same predicted class; each place is given once.

    A mistake that is alone with its predicted class takes the map of another such one; one that is alone with that,
    too, the first map of another class. Where there is but one mistake it keeps its own.
    """
    groups: dict[int, list[int]] = defaultdict(list)
    for place, mistake in enumerate(mistakes):
        groups[mistake.predicted].append(place)
    lonely = [group[0] for group in groups.values() if len(group) == 1]
    found = list(range(len(mistakes)))
    for group in [*(group for group in groups.values() if len(group) > 1), lonely]:
        # A walk in an order that depends on nothing but seed and images, each taking the map of the next.
        order = sorted(group, key=lambda place: derive_seed("shuffled map", seed, mistakes[place].sample.id))
        for place, following in zip(order, [*order[1:], *order[:1]], strict=True):
            found[place] = following
    if len(lonely) == 1 and len(found) > 1:
        found[lonely[0]] = next(place for place in range(len(found)) if place != lonely[0])
    return found


def shuffle_maps(explained: Sequence[Any], mistakes: Sequence[Mistake], seed: int) -> Sequence[Any]:
    """The rows of the explain stage, each with another mistake's map."""
    others = derange(mistakes, seed)
    return Lazy(
        len(explained), lambda i: {**explained[i], "predicted": explained[others[i]]["predicted"], "label": None}
    )


def remove_maps(explained: Sequence[Any]) -> Sequence[Any]:
    """The rows of the explain stage without maps."""
    return Lazy(len(explained), lambda i: {**explained[i], "predicted": None, "label": None})


def draw_random_maps(runtime: StageRuntime, explained: Sequence[Any], seed: int) -> Sequence[Any]:
    """The rows of the explain stage with maps of chance: of the same grid, size and name as the real ones."""
    stage = Stage("maps/random", "draw random maps", {"seed": seed}, CHUNK)
    items = Lazy(len(explained), lambda i: Item(explained[i], explained[i]))
    return complete(runtime, stage, items, _Random(runtime.store.blobs, seed))


@dataclass(frozen=True)
class _Random:
    blobs: Blobs
    seed: int

    def __call__(self, rows: list[Any]) -> list[Any]:
        return [{**row, "predicted": self._map(row), "label": None} for row in rows]

    def _map(self, row: Any) -> Any:
        told = row["predicted"]
        if "failure" in told:
            return told
        heatmap = self.blobs.array(told["heatmap"]["blob"])
        cells = self.blobs.array(told["grid"]["blob"]).shape if told["grid"] else (7, 7)
        grid = np.random.default_rng(derive_seed("random map", self.seed, row["id"])).random(cells, dtype=np.float32)
        drawn = resize_heatmap(grid, heatmap.shape[::-1])
        drawn[np.isnan(heatmap)] = np.nan
        return {**told, "heatmap": Blob.array(drawn), "grid": Blob.array(grid), "degenerate": False}


def resize_heatmap(heatmap: Any, size: tuple[int, int]) -> Any:
    """A map of one image laid over another one of another size (width, height), NaN where it was NaN."""
    if heatmap.shape == size[::-1]:
        return heatmap
    unseen = np.isnan(heatmap)
    values = Image.fromarray(np.where(unseen, 0, heatmap).astype(np.float32)).resize(size, Image.Resampling.BILINEAR)
    found = np.array(values, np.float32)
    if unseen.any():
        mask = Image.fromarray(unseen.astype(np.uint8)).resize(size, Image.Resampling.NEAREST)
        found[np.asarray(mask) > 0] = np.nan
    return found
