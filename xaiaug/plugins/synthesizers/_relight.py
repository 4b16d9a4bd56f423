"""Colour and light of a subject and of a whole image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from .._colour import lab, pixels, rgb
from .._sharpness import sharpness

Floats = NDArray[np.float32]


def recoloured(colours: Floats, main: Floats, target: Floats | None, rng: np.random.Generator) -> Floats:
    """A subject, h w 3 Lab, moved towards a colour, or by a little, with its shading and markings kept.

    Only what is near the subject's main colour moves whole: eyes, noses and tongues stay what they are.
    """
    shift = rng.normal(0, (3.0, 2.5, 3.5))
    if target is not None:
        shift = (target - main) + shift / 3
    nearness = np.exp(-((colours - main) ** 2).sum(axis=-1, keepdims=True) / (2 * 40.0**2))
    moved: Floats = colours + nearness * shift
    moved[..., 0] = np.clip(moved[..., 0], 0, 100)
    return moved


def harmonised(colours: Floats, old: Floats, new: Floats, strength: float = 0.35) -> Floats:
    """A subject, h w 3 Lab, under the light of its new backdrop: moved by a part of how the backdrops differ."""
    shift = np.clip((new - old) * strength, (-12, -5, -6), (12, 5, 6)).astype(np.float32)
    moved: Floats = colours + shift
    moved[..., 0] = np.clip(moved[..., 0], 0, 100)
    return moved


def shadowed(backdrop: Floats, alpha: Floats, strength: float = 0.3) -> Floats:
    """The backdrop, h w 3 Lab, with the soft shadow of a subject, `alpha` h w, that stands on it."""
    from scipy.ndimage import gaussian_filter, shift

    radius = max(alpha.shape) / 28
    fallen = gaussian_filter(shift(alpha, (radius * 0.9, 0), order=1, mode="constant"), radius)
    shaded = backdrop.copy()
    shaded[..., 0] *= 1 - strength * fallen
    return shaded


def lit(image: Image.Image, brightness: float | None, rng: np.random.Generator) -> Image.Image:
    """The image at a wished mean lightness, 0 to 1, or a little brighter or dimmer, warmer or colder."""
    colours = lab(pixels(image))
    warmth = float(rng.normal(0, 2))
    gain = float(np.exp(rng.normal(0, 0.06)))
    if brightness is not None:
        gain = 100 * brightness / max(float(colours[..., 0].mean()), 1.0)
    colours[..., 0] = np.clip(colours[..., 0] * gain, 0, 100)
    colours[..., 1:] *= min(gain, 1.0)  # dim light has less colour; bright light has no more
    colours[..., 2] += warmth
    return Image.fromarray(rgb(colours))


def sharpened_to(image: Image.Image, wanted: float) -> Image.Image:
    """The image blurred until it is no sharper than `wanted`, 0 to 1; a blurred one is never made sharp."""
    for radius in np.geomspace(0.4, 6, 10):
        if sharpness(image) <= wanted + 0.01:
            break
        blurred = image.filter(ImageFilter.GaussianBlur(float(radius)))
        if sharpness(blurred) <= wanted + 0.01:
            return blurred
    else:
        return blurred
    return image
