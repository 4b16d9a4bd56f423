"""Hides parts of an image from a classifier, and collects what it answers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...errors import PluginError
from ...interfaces import Classifier
from .._pixels import to_rgb

_PIXELS_PER_CALL = 48_000_000  # at most: 144 MB of images


class HiddenParts:
    """One image, and the target's probability while parts of it are hidden.

    What is hidden takes the mean colour of what the classifier sees of the image.

    Args:
        method: name of the explainer, for messages.
        classifier: ready to predict; left as it was.
        image: any mode.
        box: x0 y0 x1 y1 of what the classifier sees, in pixels of the image; it may reach beyond it.
        target: index of the class whose probability counts.
        before_batch: called before each batch of predictions; may raise to stop.

    Attributes:
        box: the pixels whose centres it sees: left, top, right and bottom.
        shape: rows and columns of these pixels.
        batch_size: images per prediction, bounded by memory.
    """

    def __init__(
        self,
        method: str,
        classifier: Classifier,
        image: Image.Image,
        box: Sequence[float],
        target: int,
        before_batch: Callable[[], object] = bool,
    ) -> None:
        self._method, self._classifier, self._target, self._before_batch = method, classifier, target, before_batch
        image = to_rgb(image)
        (left, right), (top, bottom) = (_find_pixels(box[i], box[i + 2], image.size[i]) for i in (0, 1))
        self.box = left, top, right, bottom
        self.shape = bottom - top, right - left
        self.batch_size = max(1, min(classifier.batch_size, int(_PIXELS_PER_CALL / (image.width * image.height))))
        self._shown = image.crop(self.box)
        mean = np.asarray(self._shown).mean(axis=(0, 1)).round().astype(int).tolist()
        self._hidden = image.copy()
        self._hidden.paste(tuple(mean), self.box)

    def predict(self, masks: Iterable[NDArray[np.float32]], smooth: bool) -> NDArray[np.float64]:
        """The target's probability under each mask: n.

        Args:
            masks: gh gw each, over the box: 1 where the image is shown, 0 where it is hidden.
            smooth: whether masks are scaled to the image with bilinear interpolation, or cell by cell.

        Raises:
            PluginError: the classifier returned no probabilities.
        """
        images = self._iter_images(masks, Image.Resampling.BILINEAR if smooth else Image.Resampling.NEAREST)
        parts = []
        while batch := list(islice(images, self.batch_size)):
            self._before_batch()
            parts.append(self._predict_batch(batch))
        return np.concatenate(parts) if parts else np.zeros(0)

    def _iter_images(self, masks: Iterable[NDArray[np.float32]], resampling: Image.Resampling) -> Iterator[Image.Image]:
        for mask in masks:
            scaled = Image.fromarray(np.rint(mask * 255).astype(np.uint8)).resize(self._shown.size, resampling)
            image = self._hidden.copy()
            image.paste(self._shown, self.box, scaled)
            yield image

    def _predict_batch(self, images: list[Image.Image]) -> NDArray[np.float64]:
        values = np.asarray(self._classifier.predict_proba(images), np.float64)
        expected = len(images), len(self._classifier.labels)
        if values.shape != expected or not np.isfinite(values).all():
            got = values.shape if values.shape != expected else "some that are not finite"
            raise PluginError(
                f"{self._method}: {type(self._classifier).__name__}.predict_proba must return finite probabilities of"
                f" shape {expected} (n k), got {got}"
            )
        return values[:, self._target]


def _find_pixels(start: float, end: float, count: int) -> tuple[int, int]:
    """The first pixel whose centre lies in the stretch, and the one after the last; one at least."""
    first = min(max(math.ceil(start - 0.5), 0), count - 1)
    return first, min(max(math.floor(end - 0.5) + 1, first + 1), count)
