"""Finds slices among a run's mistakes: groups of guide images on which the classifier fails more often."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import PluginError
from ..interfaces import Context
from ..interfaces.source_digest import source_digest
from ..records import JSON, Explanation, MistakeSlice, Slices
from ..slices import GuideImage, find_obstacle, measure_in_threads, search_slices
from ..slices.search import ScoredSlice
from ..store import Blob
from ..store.blobs import Blobs
from ..store.schema import SLICES
from ..store.stage_rows import ExplainRow, MapRow, explanation_of, mistake_slice_of
from .chunks import Item, Stage, complete
from .mistakes import Mistake
from .plugin_guard import blame_plugin
from .runtime import Fitted, StageRuntime

BATCH = 64
SHOWN_SIDE = 384  # pixels of the longer side of the copies kept for the report


class SliceSegmenter(Protocol):
    """Finds the subject of an image, or guesses it: every image is measured. Several threads call it at once."""

    def prepare(self, context: Context) -> None:
        """Opens what it needs."""

    def identity(self) -> dict[str, JSON]:
        """What its masks depend on."""

    def __call__(self, image: Image.Image) -> NDArray[np.float32]:
        """RGB image to mask, h w, 0 to 1."""
        ...


@dataclass(frozen=True)
class _Work:
    fitted: Fitted
    blobs: Blobs
    segmenter: SliceSegmenter
    context: Context
    oversampling: float

    def __call__(self, pairs: list[tuple[Mistake, MapRow | None]]) -> list[Any]:
        mistakes = sum(not case.is_right for case, _ in pairs)
        if reason := find_obstacle(mistakes, len(pairs)):
            return [_row(Slices(images=len(pairs), mistakes=mistakes, reason=reason), {})]
        self.segmenter.prepare(self.context)
        images = [one for start in range(0, len(pairs), BATCH) for one in self._measure(pairs[start : start + BATCH])]
        found = search_slices(images, self.context.labels, oversampling=self.oversampling)
        return [_row(found, {case.sample.id: case for case, _ in pairs})]

    def _measure(self, pairs: Sequence[tuple[Mistake, MapRow | None]]) -> list[GuideImage]:
        opened = [case.sample.open().convert("RGB") for case, _ in pairs]
        made = self._embed(opened)
        vectors = [None] * len(opened) if made is None else list(made)
        traits = measure_in_threads(opened, self.segmenter, [self._map(row) for _, row in pairs])
        return [
            GuideImage(case.sample.id, case.sample.label, case.predicted, one, vector)
            for (case, _), one, vector in zip(pairs, traits, vectors, strict=True)
        ]

    def _map(self, row: MapRow | None) -> Explanation | None:
        explanation = explanation_of(row, self.blobs)
        return explanation if isinstance(explanation, Explanation) else None

    def _embed(self, images: Sequence[Image.Image]) -> NDArray[np.float32] | None:
        who = f"{self.fitted.kind.__name__}.embed"
        with blame_plugin(who):
            made = self.fitted.load().embed(images)
        if made is None:
            return None
        vectors = np.asarray(made, np.float32)
        if vectors.ndim != 2 or len(vectors) != len(images) or not np.isfinite(vectors).all():
            raise PluginError(f"{who} must return finite features, n d, for {len(images)} images, got {vectors.shape}")
        return vectors


def find_run_slices(
    runtime: StageRuntime,
    fitted: Fitted,
    mistakes: Sequence[tuple[Mistake, ExplainRow]],
    correct: Sequence[Mistake],
    segmenter: SliceSegmenter,
    oversampling: float,
) -> list[MistakeSlice]:
    """The slices of a run that hold; they are kept.

    Args:
        runtime: where they are kept.
        fitted: the classifier, which is asked for the embedding.
        mistakes: the chosen ones, with their heatmaps.
        correct: the images that they are compared with.
        segmenter: not yet prepared.
        oversampling: as in `search_slices`.

    Raises:
        PluginError: the classifier returned embeddings of another shape, or that are not finite.
    """
    pairs = [(case, row["predicted"]) for case, row in mistakes] + [(case, None) for case in correct]
    basis = {
        "model": fitted.key,
        "segmenter": segmenter.identity(),
        "source": source_digest(ScoredSlice),
        "oversampling": oversampling,
    }
    items = [Item([case.key, row], (case, row)) for case, row in pairs]
    stage = Stage(SLICES, "find slices", basis, max(1, len(items)), together=True)
    work = _Work(fitted, runtime.store.blobs, segmenter, runtime.context, oversampling)
    rows = complete(runtime, stage, items, work)
    return [mistake_slice_of(one) for row in rows for one in row["slices"]]


def _row(found: Slices, cases: Mapping[str, Mistake]) -> dict[str, Any]:
    """A `SlicesRow` whose images are still to be kept."""
    named = dict.fromkeys(image_id for one in found for image_id in one.contrast)
    return {
        "slices": [_plain(one) for one in found.slices],
        "unconfirmed": [_plain(one) for one in found.unconfirmed],
        "contrast": [{"id": image_id, "image": Blob.image(_copy(cases[image_id]))} for image_id in named],
        "images": found.images,
        "mistakes": found.mistakes,
        "reason": found.reason,
    }


def _plain(one: MistakeSlice) -> dict[str, Any]:
    return asdict(one)


def _copy(case: Mistake) -> Image.Image:
    image = case.sample.open()
    image.thumbnail((SHOWN_SIDE, SHOWN_SIDE))
    return image
