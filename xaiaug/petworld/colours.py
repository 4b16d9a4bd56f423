"""Colour words, and the coat or backdrop of the nearest colour."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import lru_cache

import numpy as np
from PIL import ImageColor

from .palette import RGB, Tone, mix, rgb

_EVERYDAY = {
    "ginger": "#e38a33",
    "golden": "#e0a94a",
    "gold": "#e0a94a",
    "sandy": "#e8cf94",
    "cream": "#f2d99b",
    "blonde": "#f0d695",
    "fawn": "#dcb07a",
    "amber": "#e0912f",
    "rust": "#ab5430",
    "russet": "#ab5430",
    "auburn": "#9a4a2a",
    "chestnut": "#954a2c",
    "copper": "#b8632f",
    "reddish brown": "#ab5430",
    "red brown": "#ab5430",
    "reddish": "#ab5430",
    "brown": "#70472d",
    "brownish": "#70472d",
    "chocolate": "#6b432c",
    "coffee": "#6b432c",
    "charcoal": "#4a4a53",
    "jet black": "#101014",
    "sooty": "#3a3a40",
    "ash grey": "#a3a7ad",
    "smoky": "#8e9299",
    "slate": "#6781a6",
    "blue grey": "#6781a6",
    "bluish grey": "#6781a6",
    "steel blue": "#5f7ea8",
    "snow white": "#fafafa",
    "ivory": "#f6f0e0",
    "lilac": "#c8a2d8",
    "mauve": "#a37ac0",
    "purple": "#9166c4",
    "violet": "#9166c4",
    "pink": "#eba4bb",
    "rose": "#e898ae",
    "rosy": "#e898ae",
    "red": "#c02a3c",
    "scarlet": "#c8202f",
    "burgundy": "#7c1a2e",
    "yellow": "#f2cc2f",
    "lemon": "#f5e04a",
    "mustard": "#d8ab2a",
    "green": "#62b04a",
    "grassy green": "#62b04a",
    "emerald": "#2f9a5a",
    "teal": "#1f8f88",
    "aqua": "#3cc4ba",
    "turquoise": "#2fb5aa",
    "cyan": "#34c4c4",
    "blue": "#2f55b0",
    "navy": "#22356f",
    "indigo": "#33418f",
    "sky blue": "#a8d4f0",
    "ice blue": "#c8e2f4",
    "pale blue": "#bfdcf3",
    "light blue": "#b0d4f0",
    "icy": "#c8e2f4",
    "black": "#2c2c32",
    "blackish": "#3a3a40",
    "grey": "#9a9ea4",
    "greyish": "#9a9ea4",
    "silver": "#a3a7ad",
    "silvery": "#a3a7ad",
    "orange": "#e38a33",
    "magenta": "#c43ca0",
}
_SHADES = {"dark": -0.35, "deep": -0.3, "light": 0.35, "pale": 0.5, "bright": 0.1, "soft": 0.2, "dull": -0.1}
LIGHTNESS = 0.55
"""Weight of lightness against hue: lower, since light and shadow change lightness."""


@lru_cache(maxsize=1)
def colour_words() -> dict[str, RGB]:
    """All known colour phrases: everyday words, CSS names, and their darker and lighter shades."""
    # With getrgb, since Pillow caches parsed colours as tuples in its colormap.
    words: dict[str, RGB] = {}
    for name in list(ImageColor.colormap):
        red, green, blue = ImageColor.getrgb(name)[:3]
        words[name.replace("gray", "grey")] = red, green, blue
    words |= {name: rgb(code) for name, code in _EVERYDAY.items()}
    shaded = {
        f"{shade} {name}": mix(colour, (255, 255, 255) if by > 0 else (0, 0, 0), abs(by))
        for shade, by in _SHADES.items()
        for name, colour in words.items()
    }
    return shaded | words


def nearest_tone(colour: RGB, tones: Mapping[str, Tone], without: Collection[str] = ()) -> str:
    """Name of the tone nearest to the colour, except those in `without` unless that leaves none."""
    names = [name for name in tones if name not in without] or list(tones)
    known = np.array([_lab(rgb(tones[name].colour)) for name in names])
    difference = (known - _lab(colour)) * [LIGHTNESS, 1, 1]
    return names[int(np.argmin(np.linalg.norm(difference, axis=1)))]


@lru_cache(maxsize=4096)
def _lab(colour: RGB) -> tuple[float, ...]:
    from skimage.color import rgb2lab

    return tuple(float(value) for value in rgb2lab(np.array(colour) / 255))
