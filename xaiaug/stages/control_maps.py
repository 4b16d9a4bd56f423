"""Shuffled, random and no heatmaps, and the true marks, in place of the real maps: they show whether those matter."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..errors import DataError
from ..records import derive_seed
from ..store import Blob
from ..store.blobs import Blobs
from ..store.schema import control_maps_stage
from ..store.stage_rows import ExplainRow, MapRow
from .chunks import Item, Stage, complete
from .lazy import Lazy
from .mistakes import Mistake
from .predict import CHUNK
from .runtime import StageRuntime

CELLS = 7  # along each side of a random map, where the real one has no grid


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


def shuffle_maps(explained: Sequence[ExplainRow], mistakes: Sequence[Mistake], seed: int) -> Sequence[ExplainRow]:
    """The rows of the explain stage, each with another mistake's map."""
    others = derange(mistakes, seed)
    return Lazy(
        len(explained), lambda i: {**explained[i], "predicted": explained[others[i]]["predicted"], "label": None}
    )


def remove_maps(explained: Sequence[ExplainRow]) -> Sequence[ExplainRow]:
    """The rows of the explain stage without maps."""
    return Lazy(len(explained), lambda i: {**explained[i], "predicted": None, "label": None})


def draw_random_maps(
    runtime: StageRuntime, explained: Sequence[ExplainRow], cases: str, seed: int
) -> Sequence[ExplainRow]:
    """The rows of the explain stage with random maps: the cells of the real ones in random order.

    So a random map has the values of the real one, and is as sharply peaked, at places that mean nothing.
    """
    basis = {"seed": seed, "cells": "permuted"}
    stage = Stage(control_maps_stage(cases, "random"), "draw random maps", basis, CHUNK)
    items = Lazy(len(explained), lambda i: Item(explained[i], explained[i]))
    return complete(runtime, stage, items, _Random(runtime.store.blobs, seed))


@dataclass(frozen=True)
class _Random:
    blobs: Blobs
    seed: int

    def __call__(self, rows: list[ExplainRow]) -> list[dict[str, Any]]:
        return [{**row, "predicted": self._map(row), "label": None} for row in rows]

    def _map(self, row: ExplainRow) -> MapRow | dict[str, Any] | None:
        real = row["predicted"]
        if real is None or "failure" in real:
            return real
        heatmap = self.blobs.array(real["heatmap"]["blob"])
        cells = self.blobs.array(real["grid"]["blob"]) if real["grid"] else _coarsen(heatmap)
        rng = np.random.default_rng(derive_seed("random map", self.seed, row["id"]))
        grid = rng.permutation(cells.ravel()).reshape(cells.shape).astype(np.float32)
        placed = resize_heatmap(grid, heatmap.shape[::-1])
        placed[np.isnan(heatmap)] = np.nan
        return {
            **real,
            "heatmap": Blob.array(placed),
            "grid": Blob.array(grid),
            "completeness_error": None,
        }


def _coarsen(heatmap: Any) -> Any:
    """The heatmap as a grid of seven by seven means; unseen pixels count as its least value."""
    filled = np.where(np.isfinite(heatmap), heatmap, np.nanmin(heatmap, initial=np.inf)).astype(np.float32)
    return np.asarray(Image.fromarray(filled).resize((CELLS, CELLS), Image.Resampling.BOX))


def mark_maps(runtime: StageRuntime, explained: Sequence[ExplainRow], cases: str, marks: Path) -> Sequence[ExplainRow]:
    """The rows of the explain stage, with the mask of the planted mark as map where an image has one.

    Args:
        runtime: where the maps are kept.
        explained: the real ones; the image of a failed one keeps its failure.
        cases: what they are of.
        marks: a folder of masks, `ID.png`, not zero on the mark.

    Raises:
        DataError: no image has a mask, or one cannot be read.
    """
    if not any(_mark_file(marks, row).is_file() for row in explained):
        raise DataError(
            f"[data] marks: {marks} holds no mask of the images that are edited, expected PNG files named by the ids "
            "of their images; create them with Splits.link_masks"
        )
    stage = Stage(control_maps_stage(cases, "oracle"), "read the masks of marks", None, CHUNK)
    items = Lazy(len(explained), lambda i: Item([explained[i], _digest_mark(marks, explained[i])], explained[i]))
    return complete(runtime, stage, items, _Oracle(runtime.store.blobs, marks))


def _mark_file(marks: Path, row: ExplainRow) -> Path:
    return marks / f"{row['id']}.png"


def _digest_mark(marks: Path, row: ExplainRow) -> str | None:
    file = _mark_file(marks, row)
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else None


@dataclass(frozen=True)
class _Oracle:
    blobs: Blobs
    marks: Path

    def __call__(self, rows: list[ExplainRow]) -> list[dict[str, Any]]:
        return [{**row, "predicted": self._map(row), "label": None} for row in rows]

    def _map(self, row: ExplainRow) -> MapRow | dict[str, Any] | None:
        real, file = row["predicted"], _mark_file(self.marks, row)
        if real is None or "failure" in real or not file.is_file():
            return real
        size = self.blobs.array(real["heatmap"]["blob"]).shape[::-1]
        try:
            with Image.open(file, formats=("PNG",)) as picture:
                mask = np.asarray(picture.convert("L").resize(size, Image.Resampling.NEAREST)) > 0
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise DataError(f"[data] marks: {file.name} cannot be read: {error}") from error
        heatmap = Blob.array(mask.astype(np.float32))
        return {**real, "heatmap": heatmap, "grid": None, "degenerate": False, "completeness_error": None}


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
