"""Square windows of an image: how each looks, whether it lies off the subject, and how hot it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..imaging.image_stats import rgb_to_lab, to_pixels
from ..records import Explanation

Floats = NDArray[np.float32]

SIDE = 48  # pixels a side that an image is shrunk to, whatever its shape
SIZES = (5, 8, 12)  # of windows, in such pixels
STRIDE = 2
OFF = 0.5  # least share of a window off the subject
HOT = 0.5  # least heat of a window, as a share of that of the hottest


@dataclass(frozen=True, eq=False)
class Windows:
    """The windows of one image, w of them.

    Attributes:
        looks: w 6: mean and standard deviation of each channel of Lab.
        off: w, the share off the subject, 0 to 1.
        heat: w, mean heat off the subject as a share of the hottest window's; None without a heatmap.
        centres: w 2: x y, 0 to 1 from the left and the top.
        size: w, the side as a share of the image's.
    """

    looks: Floats
    off: Floats
    heat: Floats | None
    centres: Floats
    size: Floats


def cut_windows(image: Image.Image, mask: Floats, explanation: Explanation | None) -> Windows:
    """All windows of an image, RGB.

    Args:
        image: h w c.
        mask: how much each pixel belongs to the subject, 0 to 1; of any size.
        explanation: the image's heatmap; None without.
    """
    small = image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX)
    lab = rgb_to_lab(to_pixels(small))
    off = 1 - _resize(np.asarray(mask, np.float32))
    heat = None if explanation is None or explanation.degenerate else _heat(explanation) * off
    layers = np.concatenate([lab, lab**2, off[..., None], *([] if heat is None else [heat[..., None]])], axis=2)
    parts = [_means(layers, size) for size in SIZES]
    means = np.concatenate([part.reshape(-1, part.shape[2]) for part in parts])
    spread = np.sqrt(np.maximum(means[:, 3:6] - means[:, :3] ** 2, 0))
    grids = [_centres(part.shape[0], size) for part, size in zip(parts, SIZES, strict=True)]
    return Windows(
        looks=np.concatenate([means[:, :3], spread], axis=1).astype(np.float32),
        off=means[:, 6].astype(np.float32),
        heat=None if heat is None else (means[:, 7] / max(float(means[:, 7].max()), 1e-9)).astype(np.float32),
        centres=np.concatenate(grids),
        size=np.concatenate(
            [np.full(len(grid), size / SIDE, np.float32) for grid, size in zip(grids, SIZES, strict=True)]
        ),
    )


def pick_windows(windows: Windows, count: int) -> list[int]:
    """The windows most likely to be a mark: those off the subject that differ most from what is around them.

    Where there is a heatmap, only hot windows count. At most `count`, which do not touch each other; the best first.
    """
    off = windows.off >= OFF
    if not off.any():
        return []
    usual = np.median(windows.looks[off, :3], axis=0)
    contrast = np.linalg.norm(windows.looks[:, :3] - usual, axis=1)
    solid = contrast / (4 + np.linalg.norm(windows.looks[:, 3:], axis=1))
    # Of two windows within one mark the larger says more of it.
    worth = np.where(off, solid * windows.size**0.5, -1)
    if windows.heat is not None:
        worth = np.where(windows.heat >= HOT, worth, -1)
    picked: list[int] = []
    while len(picked) < count and worth.max() > 0:
        best = int(worth.argmax())
        picked.append(best)
        apart = np.abs(windows.centres - windows.centres[best]).max(axis=1)
        worth = np.where(apart >= (windows.size + windows.size[best]) / 2, worth, -1)
    return picked


def _resize(values: Floats) -> Floats:
    return np.asarray(Image.fromarray(values).resize((SIDE, SIDE), Image.Resampling.BOX))


def _heat(explanation: Explanation) -> Floats:
    """The heat above the map's floor, 0 where the model did not see the image."""
    seen = np.isfinite(explanation.heatmap)
    return _resize(np.where(seen, np.maximum(explanation.heatmap - explanation.floor, 0), 0).astype(np.float32))


def _means(layers: Floats, size: int) -> NDArray[np.float64]:
    """The mean of each layer, h w c, over every window of that size: rows columns c; by integral images."""
    sums = np.pad(layers, ((1, 0), (1, 0), (0, 0))).cumsum(axis=0, dtype=np.float64).cumsum(axis=1)
    inside = sums[size:, size:] - sums[:-size, size:] - sums[size:, :-size] + sums[:-size, :-size]
    means: NDArray[np.float64] = inside[::STRIDE, ::STRIDE] / size**2
    return means


def _centres(count: int, size: int) -> Floats:
    steps = (np.arange(count) * STRIDE + size / 2) / SIDE
    y, x = np.meshgrid(steps, steps, indexing="ij")
    return np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float32)
