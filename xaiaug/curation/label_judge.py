"""The judge: a classifier other than the one being improved, which checks new images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..interfaces import Classifier

ADMISSION_THRESHOLD = 0.8  # share of the guide's mistakes that a judge must classify correctly
# Copies lie above, other photographs below; between the two the training images decide.
_LOWEST_THRESHOLD, _HIGHEST_THRESHOLD = 0.9, 0.97


@dataclass(frozen=True)
class Judge:
    """A classifier that checks new images; can be sent to a worker.

    Attributes:
        name: such as "hog".
        labels: names of the classes, in the order of its outputs.
        load: returns the classifier, ready to predict.
        key: equal for equal weights.
        admitted: whether its predictions may reject an image.
        near_duplicate_threshold: cosine similarity of embeddings from which two images count as near-duplicates; None
            if it gives no embeddings.
    """

    name: str
    labels: tuple[str, ...]
    load: Callable[[], Classifier]
    key: str
    admitted: bool
    near_duplicate_threshold: float | None = None


class JudgePredictions:
    """A judge's predictions for one batch of images; the judge runs once, and only if a check needs it.

    Args:
        judge: the judge.
        images: the batch.
        is_readable: whether an image can be classified.
    """

    def __init__(self, judge: Judge, images: Sequence[Image.Image], is_readable: Callable[[Image.Image], bool]) -> None:
        self.judge = judge
        self._images, self._is_readable = images, is_readable

    def probabilities(self, position: int) -> NDArray[np.float32]:
        """Probability of each class for the image at that position: k, float32."""
        row: NDArray[np.float32] = self._probabilities[self._rows[position]]
        return row

    def embedding(self, position: int) -> NDArray[np.float32]:
        """Embedding of the image at that position, of length 1: d, float32."""
        row: NDArray[np.float32] = self._embeddings[self._rows[position]]
        return row

    @cached_property
    def _rows(self) -> dict[int, int]:
        positions = [position for position, image in enumerate(self._images) if self._is_readable(image)]
        return {position: row for row, position in enumerate(positions)}

    @cached_property
    def _probabilities(self) -> NDArray[np.float32]:
        return self.judge.load().predict_proba(self._readable_images())

    @cached_property
    def _embeddings(self) -> NDArray[np.float32]:
        embeddings = self.judge.load().embed(self._readable_images())
        return normalize(np.zeros((len(self._rows), 1), np.float32) if embeddings is None else embeddings)

    def _readable_images(self) -> Sequence[Image.Image]:
        return _Subset(self._images, list(self._rows))


class _Subset(Sequence[Image.Image]):
    """Some images of a sequence, opened on access: a batch of large images need not fit into memory."""

    def __init__(self, images: Sequence[Image.Image], positions: Sequence[int]) -> None:
        self._images, self._positions = images, positions

    def __len__(self) -> int:
        return len(self._positions)

    def __getitem__(self, index: Any) -> Any:
        return self._images[self._positions[index]]


def normalize(embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
    """The embeddings, n d, scaled to length 1."""
    lengths = np.linalg.norm(embeddings, axis=1, keepdims=True)
    scaled: NDArray[np.float32] = embeddings / np.maximum(lengths, 1e-12)
    return scaled


def near_duplicate_threshold(embeddings: NDArray[np.float32]) -> float:
    """The highest cosine similarity between two of these images, clipped to 0.9–0.97.

    Args:
        embeddings: n d, of distinct training images.
    """
    unit = normalize(embeddings.astype(np.float32))
    similarity = unit @ unit.T
    np.fill_diagonal(similarity, -1)
    return float(np.clip(similarity.max(initial=-1), _LOWEST_THRESHOLD, _HIGHEST_THRESHOLD))
