"""Image statistics: a digest, colours in Lab and their everyday names, the centroid of a mask, and sharpness."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Floats = NDArray[np.float32]

COLOUR_NAMES = {
    "black": "#141414",
    "dark grey": "#484848",
    "grey": "#888888",
    "light grey": "#c4c4c4",
    "white": "#f8f8f8",
    "dark red": "#7a1420",
    "red": "#d42a2a",
    "crimson": "#b02040",
    "pink": "#f0a6bc",
    "salmon": "#e88a78",
    "orange": "#e88a30",
    "dark brown": "#4a2c1c",
    "brown": "#7a4a2a",
    "reddish brown": "#a85232",
    "light brown": "#b08a60",
    "beige": "#d8c6a4",
    "cream": "#f4e2b4",
    "golden": "#d0a440",
    "yellow": "#f4d83c",
    "olive": "#7c7c34",
    "dark green": "#1e4a24",
    "green": "#4c9c3c",
    "light green": "#a0d68c",
    "turquoise": "#34b6ac",
    "dark turquoise": "#1c6c6c",
    "pale blue": "#bcdaf0",
    "light blue": "#7cb4e4",
    "blue": "#2f62c4",
    "dark blue": "#22306c",
    "blue-grey": "#68809c",
    "purple": "#8c5cbc",
    "dark purple": "#4a2c66",
    "lilac": "#c8aee0",
    "magenta": "#c43ca0",
}
"""Everyday colour names, each with a typical shade."""


def rgb_to_lab(rgb: NDArray[Any]) -> Floats:
    """CIE Lab (D65) of sRGB: … 3, uint8 or float from 0 to 255; L from 0 to 100."""
    from skimage.color import rgb2lab

    colours = np.asarray(rgb)
    if colours.dtype == np.uint8:
        return _pixels_to_lab(colours)
    values: Floats = rgb2lab(np.asarray(colours, np.float32) / 255).astype(np.float32)
    return values


def _pixels_to_lab(pixels: NDArray[np.uint8]) -> Floats:
    """The values of skimage's `rgb2lab` to the bit, a third faster: of 256 levels each is linearised once."""
    from skimage.color.colorconv import xyz_from_rgb, xyz_tristimulus_values

    white = xyz_tristimulus_values(illuminant="D65", observer="2", dtype=np.float32)  # type: ignore[no-untyped-call]
    xyz = _linear_levels()[pixels] @ xyz_from_rgb.T.astype(np.float32) / white
    x, y, z = np.moveaxis(np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16.0 / 116.0), -1, 0)
    lab: Floats = np.stack([116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)], axis=-1)
    return lab


@lru_cache(maxsize=1)
def _linear_levels() -> Floats:
    """256: the linear light of each level of sRGB, 0 to 1."""
    levels = np.arange(256, dtype=np.float32) / np.float32(255)
    linear: Floats = np.where(levels > 0.04045, np.power((levels + 0.055) / 1.055, 2.4), levels / 12.92)
    return linear


def lab_to_rgb(colours: NDArray[Any]) -> NDArray[np.uint8]:
    """sRGB of CIE Lab, … 3: uint8, clipped to the displayable range."""
    import warnings

    from skimage.color import lab2rgb

    with warnings.catch_warnings():  # skimage warns of colours outside sRGB
        warnings.simplefilter("ignore", UserWarning)
        shown = lab2rgb(np.asarray(colours, np.float32))
    screen: NDArray[np.uint8] = np.clip(np.round(shown * 255), 0, 255).astype(np.uint8)
    return screen


def to_pixels(image: Image.Image) -> NDArray[np.uint8]:
    """The image as h w 3, RGB, uint8."""
    return np.asarray(image.convert("RGB"))


def digest_image(image: Image.Image) -> str:
    """32 hexadecimal digits over the size and the pixels of an image, as RGB."""
    pixels = image.convert("RGB")
    return hashlib.sha256(f"{pixels.size}".encode() + pixels.tobytes()).hexdigest()[:32]


def centroid(weight: Floats) -> Floats:
    """x y of the centroid of a weight, h w, 0 to 1 from the left and the top; the centre where there is no weight."""
    y, x = ((axis + 0.5) / length for axis, length in zip(np.indices(weight.shape), weight.shape, strict=True))
    total = float(weight.sum())
    if total <= 0:
        return np.array([0.5, 0.5], np.float32)
    return np.array([(x * weight).sum() / total, (y * weight).sum() / total], np.float32)


def lab_to_hex(colour: Floats) -> str:
    """ "#rrggbb" of one Lab colour."""
    red, green, blue = lab_to_rgb(colour)
    return f"#{red:02x}{green:02x}{blue:02x}"


def css_to_lab(colour: str) -> Floats:
    """Lab of a CSS colour, "#rrggbb" or a name.

    Raises:
        ValueError: not a colour.
    """
    from PIL import ImageColor

    return rgb_to_lab(np.array(ImageColor.getrgb(colour)[:3]))


def typical_colour(values: NDArray[Any], weight: Floats) -> Floats:
    """Median colour, 3, of the pixels, h w 3, with the largest weights: at least a twentieth of the image.

    With a subject's mask as weight it is the subject's colour, with one minus it the backdrop's.
    """
    least = min(0.6, float(np.quantile(weight, 0.95)))
    median: Floats = np.median(values[weight >= least], axis=0).astype(np.float32)
    return median


def colour_name(colour: Floats) -> str:
    """The everyday name nearest to a Lab colour."""
    words, shades = _shades()
    return words[int(((shades - colour) ** 2).sum(axis=1).argmin())]


@lru_cache(maxsize=1)
def _shades() -> tuple[tuple[str, ...], Floats]:
    return tuple(COLOUR_NAMES), np.stack([css_to_lab(shade) for shade in COLOUR_NAMES.values()])


ROUNDING = 0.1  # variance from rounding to whole grey levels
SIDE = 192  # longer side above which an image is shrunk: finer grain does not count


def sharpness(image: Image.Image) -> float:
    """Sharpness, 0 (blurred) to 1: the share of fine detail in fine and medium detail.

    Fine detail is what a blur of a 200th of the longer side, at least 0.7 pixels, removes; medium detail what a blur
    four times as wide removes. Light and contrast hardly matter. 0 for an image of one colour.
    """
    from scipy.ndimage import gaussian_filter

    small = image.convert("RGB")
    small.thumbnail((SIDE, SIDE), Image.Resampling.BOX)
    values = np.asarray(small, np.float32)
    radius = max(0.7, max(small.size) / 200)
    fine, medium = (
        float((values - gaussian_filter(values, (width, width, 0))).var()) - ROUNDING for width in (radius, 4 * radius)
    )
    return float(np.sqrt(max(fine, 0) / medium)) if medium > ROUNDING else 0.0
