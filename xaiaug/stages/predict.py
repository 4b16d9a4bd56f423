"""Predicts a list of images with a fitted classifier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import PluginError
from ..records import Sample
from ..store import Blob, StageName
from ..store.blobs import Blobs
from ..store.stage_rows import PredictionRow
from .chunks import Item, Stage, complete
from .lazy import Lazy
from .plugin_guard import blame_plugin
from .runtime import Fitted, StageRuntime, open_images
from .stage_work import Monitor

CHUNK = 256


@dataclass(frozen=True, eq=False)
class Predictions:
    """Probabilities of a list of images.

    Attributes:
        labels: n, their true classes.
        probabilities: n k, float32.
    """

    labels: NDArray[np.int64]
    probabilities: NDArray[np.float32]

    @cached_property
    def predicted(self) -> NDArray[np.int64]:
        """n: the likeliest class of each image."""
        likeliest: NDArray[np.int64] = self.probabilities.argmax(axis=1)
        return likeliest


@dataclass(frozen=True)
class _Work:
    monitor: Monitor
    title: str
    fitted: Fitted
    classes: int

    def __call__(self, samples: list[Sample]) -> list[Any]:
        images = open_images(self.monitor, samples, self.title)
        with blame_plugin(f"{self.fitted.kind.__name__}.predict_proba"):
            probabilities = np.asarray(self.fitted.load().predict_proba(images))
        _check(self.fitted, probabilities, (len(samples), self.classes))
        row: dict[str, Any] = {"ids": [sample.id for sample in samples], "labels": [sample.label for sample in samples]}
        if any(sample.groups for sample in samples):
            row["groups"] = [dict(sample.groups) for sample in samples]
        return [{**row, "probabilities": Blob.array(probabilities.astype(np.float32))}]


def predict(
    runtime: StageRuntime, name: StageName, fitted: Fitted, samples: Sequence[Sample], classes: int
) -> Predictions:
    """The probabilities of `samples`.

    Args:
        runtime: where they are kept.
        name: of the stage.
        fitted: the classifier.
        samples: the images.
        classes: number of classes.

    Raises:
        PluginError: the classifier returned another shape, or values that are no probabilities.
    """
    who = f"{fitted.kind.__name__}.predict_proba"
    title = f"predict {' '.join(name.detail)}"
    stage = Stage(name, title, {"model": fitted.key}, CHUNK, together=True, who=who, spread=True, plugin=fitted.kind)
    items = Lazy(len(samples), lambda i: Item(_key(samples[i]), samples[i]))
    rows = complete(runtime, stage, items, _Work(runtime.monitor, title, fitted, classes))
    return gather(rows, runtime.store.blobs, classes)


def _key(sample: Sample) -> Any:
    return [sample.id, sample.label, *([dict(sample.groups)] if sample.groups else [])]


def gather(rows: Sequence[PredictionRow], blobs: Blobs, classes: int) -> Predictions:
    """The committed rows of a prediction stage as one set of arrays."""
    labels = np.array([label for row in rows for label in row["labels"]], dtype=np.int64)
    parts = [blobs.array(row["probabilities"]["blob"]) for row in rows]
    return Predictions(labels, np.concatenate(parts) if parts else np.zeros((0, classes), np.float32))


def _check(fitted: Fitted, probabilities: NDArray[Any], shape: tuple[int, int]) -> None:
    who = f"{fitted.kind.__name__}.predict_proba"
    if probabilities.shape != shape:
        raise PluginError(f"{who} must return shape {shape} (n k), got {probabilities.shape}")
    if not np.isfinite(probabilities).all() or np.abs(probabilities.sum(axis=1) - 1).max(initial=0) > 1e-3:
        raise PluginError(f"{who} must return finite probabilities whose rows sum to 1")
