"""Deletion and insertion curves (RISE, arXiv 1806.07421): the probability of a class as hot pixels go or come."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from ..errors import DataError, PluginError
from ..interfaces import Classifier

Curves = NDArray[np.float64]
_BLUR = 0.1  # radius over the shorter side: no animal is recognisable any more
_PIXELS_PER_CALL = 48_000_000  # at most


def rank_pixels(heatmap: NDArray[np.float32], tie_break: NDArray[np.float32]) -> NDArray[np.int64]:
    """The rank of each pixel, the hottest first: h w, from 0; -1 where the model did not see the image.

    Args:
        heatmap: h w, NaN where not seen.
        tie_break: h w, a random map: equal pixels follow in its order. So a constant map is a random one.
    """
    seen = np.flatnonzero(~np.isnan(heatmap))
    order = np.lexsort((-tie_break.ravel()[seen], -heatmap.ravel()[seen]))
    ranks = np.full(heatmap.size, -1, np.int64)
    ranks[seen[order]] = np.arange(len(seen))
    return ranks.reshape(heatmap.shape)


def compute_curves(
    classifier: Classifier, image: Image.Image, target: int, orders: Sequence[NDArray[np.int64]], steps: int
) -> Curves:
    """The probability of `target` as more and more of the image is deleted, and as more and more is inserted.

    Deletion paints pixels in the mean colour of the image; insertion starts from the image blurred beyond recognition.
    What the model does not see is left as it is.

    Args:
        classifier: ready to predict.
        image: h w c, RGB.
        target: index of a class.
        orders: m of them, h w each, as `rank_pixels` returns them.
        steps: s: the share of the seen pixels grows by 1 / s.

    Returns:
        2 m s+1: deletion and insertion, for each order, at the shares 0, 1/s, …, 1.
    """
    values = _predict(classifier, _iter_perturbed(image, orders, steps), target, image.size)
    (full, empty, blurred), inner = values[:3], values[3:].reshape(len(orders), 2, steps - 1).transpose(1, 0, 2)
    # The ends are the same for every order.
    first = np.array([full, blurred]).repeat(len(orders)).reshape(2, -1, 1)
    last = np.array([empty, full]).repeat(len(orders)).reshape(2, -1, 1)
    return np.concatenate([first, inner, last], axis=2)


def compute_area(curve: Curves) -> NDArray[np.float64]:
    """Area under curves over the shares 0 to 1, by the trapezoidal rule: … s+1 -> …"""
    return np.asarray((curve[..., 1:] + curve[..., :-1]).mean(axis=-1) / 2)


def _iter_perturbed(image: Image.Image, orders: Sequence[NDArray[np.int64]], steps: int) -> Iterator[Image.Image]:
    """The full image, the empty and the blurred one; then, for each order, the steps between, deleted and inserted."""
    pixels, seen = np.asarray(image), (orders[0] >= 0)[..., None]
    empty = np.where(seen, np.rint(pixels.mean(axis=(0, 1))).astype(np.uint8), pixels)
    blur = ImageFilter.GaussianBlur(_BLUR * min(image.size))
    blurred = np.where(seen, np.asarray(image.filter(blur)), pixels)
    yield from (Image.fromarray(ends) for ends in (pixels, empty, blurred))
    for order in orders:
        count = int(order.max()) + 1
        for before, after in ((pixels, empty), (blurred, pixels)):
            for step in range(1, steps):
                reached = order < round(step / steps * count)
                yield Image.fromarray(np.where(reached[..., None], after, before))


def _predict(
    classifier: Classifier, images: Iterator[Image.Image], target: int, size: tuple[int, int]
) -> NDArray[np.float64]:
    """The target's probability on each image: n."""
    count = max(1, min(classifier.batch_size, _PIXELS_PER_CALL // (size[0] * size[1])))
    parts = []
    while part := list(islice(images, count)):
        parts.append(_predict_batch(classifier, part, target))
    return np.concatenate(parts)


def _predict_batch(classifier: Classifier, images: list[Image.Image], target: int) -> NDArray[np.float64]:
    values = np.asarray(classifier.predict_proba(images), np.float64)
    who = f"{type(classifier).__name__}.predict_proba"
    if values.ndim != 2 or len(values) != len(images) or not np.isfinite(values).all():
        raise PluginError(f"{who} must return n k finite probabilities for {len(images)} images, got {values.shape}")
    if not 0 <= target < values.shape[1]:
        raise DataError(f"faithfulness: target must be a class in 0..{values.shape[1] - 1}, got {target}")
    return values[:, target]
