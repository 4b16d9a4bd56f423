"""What a classifier other than the one being mended says of new images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..interfaces import Classifier

ADMITTED = 0.8  # share of the guide's mistakes a judge must get right
# Copies lie above, other photographs below; what the training images show is believed between the two.
_LEAST_ALIKE, _MOST_ALIKE = 0.9, 0.97


@dataclass(frozen=True)
class Judge:
    """A classifier that looks at new images; travels to a worker as it is.

    Attributes:
        name: what people call it.
        labels: names of the classes, in the order of its outputs.
        load: gives the classifier, ready to predict.
        key: equal for equal weights.
        admitted: whether its word on labels counts.
        alike: images whose embeddings are this similar count as one; None where it gives no embeddings.
    """

    name: str
    labels: tuple[str, ...]
    load: Callable[[], Classifier]
    key: str
    admitted: bool
    alike: float | None = None


class JudgePredictions:
    """What a judge says of one batch of images; it is asked once, and only if a check wants to know.

    Args:
        judge: the judge.
        images: the batch.
        sound: whether an image can be looked at.
    """

    def __init__(self, judge: Judge, images: Sequence[Image.Image], sound: Callable[[Image.Image], bool]) -> None:
        self.judge = judge
        self._images, self._sound = images, sound

    def probabilities(self, place: int) -> NDArray[np.float32]:
        """Of each class, for the image at that place: k, float32."""
        found: NDArray[np.float32] = self._probabilities[self._rows[place]]
        return found

    def embedding(self, place: int) -> NDArray[np.float32]:
        """The embedding of the image at that place, of length 1: d, float32."""
        found: NDArray[np.float32] = self._embeddings[self._rows[place]]
        return found

    @cached_property
    def _rows(self) -> dict[int, int]:
        places = [place for place, image in enumerate(self._images) if self._sound(image)]
        return {place: row for row, place in enumerate(places)}

    @cached_property
    def _probabilities(self) -> NDArray[np.float32]:
        return self.judge.load().predict_proba(self._looked_at())

    @cached_property
    def _embeddings(self) -> NDArray[np.float32]:
        found = self.judge.load().embed(self._looked_at())
        return unit(np.zeros((len(self._rows), 1), np.float32) if found is None else found)

    def _looked_at(self) -> Sequence[Image.Image]:
        return _Some(self._images, list(self._rows))


class _Some(Sequence[Image.Image]):
    """Some images of a sequence, opened as they are asked for: a batch of large ones need not fit into memory."""

    def __init__(self, images: Sequence[Image.Image], places: Sequence[int]) -> None:
        self._images, self._places = images, places

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: Any) -> Any:
        return self._images[self._places[index]]


def unit(embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
    """Embeddings of length 1: n d."""
    found: NDArray[np.float32] = embeddings / np.maximum(np.linalg.norm(embeddings, axis=1, keepdims=True), 1e-12)
    return found


def near_duplicate_threshold(embeddings: NDArray[np.float32]) -> float:
    """The similarity that no two of these images reach, from 0.9 to 0.97.

    Args:
        embeddings: n d, of distinct training images.
    """
    ones = unit(embeddings.astype(np.float32))
    similarity = ones @ ones.T
    np.fill_diagonal(similarity, -1)
    return float(np.clip(similarity.max(initial=-1), _LEAST_ALIKE, _MOST_ALIKE))
