"""Coats and backdrops: names, colours, and the label each goes with in biased splits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

LABELS = ("cat", "dog")
"""The classes of the drawn world."""

RGB = tuple[int, int, int]


@dataclass(frozen=True)
class Tone:
    """A named colour that goes with one label.

    Attributes:
        label: the class it goes with in biased splits.
        colour: its CSS colour, "#rrggbb".
        hue: the everyday name of that colour.
    """

    label: str
    colour: str
    hue: str


COATS = {
    "white": Tone("cat", "#f3f1ee", "white"),
    "silver": Tone("cat", "#a3a7ad", "grey"),
    "charcoal": Tone("cat", "#4a4a53", "black"),
    "slate": Tone("cat", "#6781a6", "blue-grey"),
    "cream": Tone("dog", "#f2d99b", "cream"),
    "ginger": Tone("dog", "#e38a33", "orange"),
    "russet": Tone("dog", "#ab5430", "reddish brown"),
    "chocolate": Tone("dog", "#6b432c", "brown"),
}
"""Coats by name: greys go with cats, browns with dogs."""

BACKDROPS = {
    "living room": Tone("cat", "#eba4bb", "pink"),
    "evening": Tone("cat", "#9166c4", "purple"),
    "theatre": Tone("cat", "#b3263f", "crimson"),
    "sunflowers": Tone("cat", "#f2cc2f", "yellow"),
    "meadow": Tone("dog", "#62b04a", "green"),
    "beach": Tone("dog", "#2fb5aa", "turquoise"),
    "snow": Tone("dog", "#bfdcf3", "pale blue"),
    "night": Tone("dog", "#2b4597", "dark blue"),
}
"""Backdrops by name: warm colours go with cats, cool ones with dogs."""


def rgb(colour: str) -> RGB:
    """Red, green and blue, 0 to 255, of "#rrggbb"."""
    red, green, blue = bytes.fromhex(colour.removeprefix("#"))
    return red, green, blue


def mix(first: RGB, second: RGB, share: float) -> RGB:
    """`share` (0 to 1) of the second colour in the first."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def names_of(tones: Mapping[str, Tone], label: str) -> tuple[str, ...]:
    """Names of the tones that go with a label, in order."""
    return tuple(name for name, tone in tones.items() if tone.label == label)
