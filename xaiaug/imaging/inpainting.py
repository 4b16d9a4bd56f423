"""Fills holes in an image from what surrounds them, without a generative model."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Floats = NDArray[np.float32]


def fill_subject(colours: Floats, mask: Floats) -> Floats:
    """The colours, h w 3 Lab, with the subject, `mask` h w 0 to 1, and its rim filled in from their surroundings."""
    from scipy.ndimage import binary_dilation

    hole = binary_dilation(mask > 0.25, iterations=max(2, max(mask.shape) // 32))
    if hole.mean() > 0.97:  # no backdrop is left: use the mean colour
        return np.broadcast_to(colours.mean(axis=(0, 1)), colours.shape).astype(np.float32)
    return fill_hole(colours, hole)


def fill_hole(colours: Floats, hole: NDArray[np.bool_]) -> Floats:
    """The colours with the hole filled from its rim: smooth colours by push-pull, plus as much grain.

    Args:
        colours: h w 3, Lab.
        hole: h w; some of the image must lie outside it.
    """
    from scipy.ndimage import gaussian_filter, uniform_filter

    known = (~hole).astype(np.float32)[..., None]
    width = 2 * max(2, max(hole.shape) // 40) + 1
    sums, weights = (uniform_filter(values, (width, width, 0)) for values in (colours * known, known))
    detail = (colours - sums / np.maximum(weights, 1e-3)) * known
    strength = uniform_filter(np.abs(detail).sum(axis=-1, keepdims=True), (width, width, 0)) / np.maximum(weights, 1e-3)
    # Stronger detail than usual is not grain but an edge.
    usual = float(np.median(strength[~hole])) + 1e-3
    grain = _grain(detail / (1 + (strength / (1.2 * usual)) ** 4))
    flowed = _push_pull(np.concatenate([colours, np.minimum(strength, usual)], axis=-1) * known, known)
    inside = flowed[..., :3] + 0.8 * flowed[..., 3:] * grain
    blend = gaussian_filter(hole.astype(np.float32), 1.0)[..., None]
    filled: Floats = (1 - blend) * colours + blend * inside
    filled[~hole] = colours[~hole]
    return filled


def _grain(detail: Floats) -> Floats:
    """Texture with the spectrum of `detail`, h w 3, and a mean strength of 1: random phase noise (Galerne et al. 2011).

    Shifted copies of the detail would look embossed at the edges of the photo.
    """
    from scipy.fft import fft2, ifft2

    noise = fft2(np.random.default_rng(0).standard_normal(detail.shape[:2]).astype(np.float32))
    phase = noise / np.maximum(np.abs(noise), 1e-6)
    grain = ifft2(fft2(detail, axes=(0, 1)) * phase[..., None], axes=(0, 1)).real
    strength = np.abs(grain).sum(axis=-1).mean()
    scaled: Floats = (grain / max(float(strength), 1e-6)).astype(np.float32)
    return scaled


def _push_pull(sums: Floats, weights: Floats) -> Floats:
    """Unknown colours from ever coarser images: push-pull, after Gortler et al. (SIGGRAPH 1996).

    Args:
        sums: h w c, known colours times their weights.
        weights: h w 1, 0 to 1.
    """
    fine = sums / np.maximum(weights, 1e-6)
    if min(sums.shape[:2]) <= 2:
        mean = sums.sum(axis=(0, 1)) / max(float(weights.sum()), 1e-6)
        return np.where(weights > 1e-6, fine, mean).astype(np.float32)
    coarse = _resize(_push_pull(_halve(sums), _halve(weights)), sums.shape[:2])
    trust = np.minimum(weights * 1.5, 1)
    filled: Floats = trust * fine + (1 - trust) * coarse
    return filled


def _halve(values: Floats) -> Floats:
    """Means over two by two pixels: h w c to h/2 w/2 c, rounded up."""
    height, width, channels = values.shape
    padded = np.pad(values, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    halved: Floats = padded.reshape((height + 1) // 2, 2, (width + 1) // 2, 2, channels).mean(axis=(1, 3))
    return halved


def _resize(values: Floats, shape: tuple[int, ...]) -> Floats:
    size = (shape[1], shape[0])
    channels = [Image.fromarray(values[..., c]).resize(size, Image.Resampling.BILINEAR) for c in range(values.shape[2])]
    return np.stack([np.asarray(channel) for channel in channels], axis=-1)
