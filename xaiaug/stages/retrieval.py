"""Finds real images that look, to the classifier, like its mistakes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import PluginError
from ..records import Sample
from ..store import Blob, StageName
from ..store.stage_rows import EmbeddingRow
from .chunks import Item, Stage, complete
from .lazy import Lazy
from .plugin_guard import blame_plugin
from .predict import CHUNK
from .runtime import Fitted, StageRuntime, open_images
from .stage_work import Monitor

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class _Work:
    monitor: Monitor
    title: str
    fitted: Fitted

    def __call__(self, samples: list[Sample]) -> list[Any]:
        who, images = f"{self.fitted.kind.__name__}.embed", open_images(self.monitor, samples, self.title)
        with blame_plugin(who):
            found = self.fitted.load().embed(images)
        if found is None:
            return [{"embeddings": None}]
        embeddings = np.asarray(found, np.float32)
        if embeddings.ndim != 2 or len(embeddings) != len(samples) or not np.isfinite(embeddings).all():
            raise PluginError(
                f"{who} must return finite features n d for {len(samples)} images, or None, got shape"
                f" {embeddings.shape}"
            )
        return [{"embeddings": Blob.array(embeddings)}]


def embed_images(runtime: StageRuntime, name: StageName, fitted: Fitted, samples: Sequence[Sample]) -> Floats | None:
    """The classifier's features of images: n d; None where it has none, or there is no image.

    Args:
        runtime: where they are kept.
        name: of the stage.
        fitted: the classifier.
        samples: the images.

    Raises:
        PluginError: the classifier returned another shape, or values that are not finite.
    """
    who = f"{fitted.kind.__name__}.embed"
    title = f"embed {' '.join(name.detail)}"
    stage = Stage(name, title, {"model": fitted.key}, CHUNK, together=True, who=who, spread=True, plugin=fitted.kind)
    items = Lazy(len(samples), lambda i: Item(samples[i].id, samples[i]))
    rows: Sequence[EmbeddingRow] = complete(runtime, stage, items, _Work(runtime.monitor, title, fitted))
    names = [row["embeddings"]["blob"] if row["embeddings"] else None for row in rows]
    if not names or None in names:
        return None
    return np.concatenate([runtime.store.blobs.array(str(one)) for one in names])


def order_by_nearness(
    mistakes: Sequence[Sample], embedded: Floats, pool: Sequence[Sample], pool_embedded: Floats
) -> list[Sample]:
    """Images of a pool in the order in which mistakes take them, class after class.

    The mistakes of a class in turn take the image of this class that is nearest to them, by the cosine of the
    embeddings, and not taken yet, until none is left. Images of classes without mistakes are not in the list.

    Args:
        mistakes: m, with their true labels.
        embedded: m d.
        pool: n.
        pool_embedded: n d.
    """
    similar = _normalize(embedded) @ _normalize(pool_embedded).T
    labels = np.array([sample.label for sample in pool])
    ordered: list[int] = []
    for label in sorted({sample.label for sample in mistakes}):
        rows = similar[[i for i, sample in enumerate(mistakes) if sample.label == label]].copy()
        rows[:, labels != label] = -np.inf
        for turn in range(int((labels == label).sum())):
            row = rows[turn % len(rows)]
            nearest = int(row.argmax())  # of equal ones the first
            ordered.append(nearest)
            rows[:, nearest] = -np.inf
    return [pool[i] for i in ordered]


def _normalize(features: Floats) -> NDArray[np.float64]:
    wide = features.astype(np.float64)
    lengths = np.linalg.norm(wide, axis=1, keepdims=True)
    return wide / np.where(lengths > 0, lengths, 1.0)
