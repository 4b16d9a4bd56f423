"""Compositing: places a cut-out subject on a new backdrop and matches its colours, light and sharpness."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from ...imaging.image_stats import lab_to_rgb, rgb_to_lab, sharpness, to_pixels
from ._cutout import Cutout

Floats = NDArray[np.float32]

LARGEST = 1.8  # a subject is never enlarged further: it would be blurred on a sharp backdrop
COLUMNS = {"left": 0.28, "right": 0.72}
ROWS = {"top": 0.3, "bottom": 0.72}


@dataclass(frozen=True)
class Placement:
    """Where a subject is placed.

    Attributes:
        scale: its side relative to that in the photo.
        left: pixels from the left to its box; may be negative.
        top: pixels from the top.
    """

    scale: float
    left: int
    top: int


@dataclass(frozen=True)
class _Axis:
    """The subject's box along one axis of the photo, in pixels, and at which ends the photo crops it."""

    low: int
    high: int
    length: int
    cut_low: bool
    cut_high: bool

    def offset(self, scale: float, middle: float) -> int:
        """Pixels to the low end of the scaled box, with its middle at `middle`, 0 to 1, unless it is cropped."""
        extent = (self.high - self.low) * scale
        if self.cut_low and self.cut_high:
            return round(self.length / 2 - extent / 2)
        if self.cut_low:
            return 0
        room = max(0.0, self.length - extent)
        return int(np.ceil(room)) if self.cut_high else round(np.clip(middle * self.length - extent / 2, 0, room))

    @property
    def middle(self) -> float:
        """The box's middle, 0 to 1."""
        return (self.low + self.high) / 2 / self.length


def place_subject(
    cutout: Cutout,
    photo: tuple[int, int],
    share: float | None,
    place: str | None,
    rng: np.random.Generator,
    free: frozenset[str] = frozenset({"size", "place"}),
) -> Placement:
    """Size and place of a subject on a backdrop of the photo's size (width, height).

    A subject that the photo crops at a side stays at that side, and without guidance it never moves up, so that nothing
    floats. What the guidance leaves open is random, near its original value.

    Args:
        cutout: the subject.
        photo: width, height.
        share: the requested share of the image, 0 to 1.
        place: the requested place, as in `Critique.guidance`.
        rng: source of randomness.
        free: which of "size" and "place" may change.
    """
    left, top, right, bottom = cutout.box
    across = _Axis(left, right, photo[0], "left" in cutout.cut, "right" in cutout.cut)
    down = _Axis(top, bottom, photo[1], "top" in cutout.cut, "bottom" in cutout.cut)
    scale = _choose_scale(cutout, photo, share, rng)
    jitter = rng.normal(0, 0.05 if place else 0.1, 2)
    if "size" not in free:
        scale = 1.0
    if "place" not in free:
        place, jitter = None, np.zeros(2)
    x, y = _wanted_middle(place, COLUMNS, across.middle), _wanted_middle(place, ROWS, _grounded_middle(down, scale))
    return Placement(scale, across.offset(scale, x + jitter[0]), down.offset(scale, y + abs(jitter[1])))


def _grounded_middle(down: _Axis, scale: float) -> float:
    """The middle, 0 to 1 from the top, of a subject that changes its size but keeps its lower edge."""
    return down.middle + (down.high - down.low) * (1 - scale) / 2 / down.length


def _choose_scale(cutout: Cutout, photo: tuple[int, int], share: float | None, rng: np.random.Generator) -> float:
    now = cutout.area / (photo[0] * photo[1])
    scale = float(np.sqrt(share / now) * rng.uniform(0.95, 1.05)) if share else float(rng.uniform(0.8, 1.15))
    least = 1.0 if {"left", "right"} <= cutout.cut or {"top", "bottom"} <= cutout.cut else 0.25
    return float(np.clip(scale, least, LARGEST))


def _wanted_middle(place: str | None, middles: dict[str, float], otherwise: float) -> float:
    """The requested middle along one axis, 0 to 1."""
    if place is None:
        return otherwise
    return next((middle for word, middle in middles.items() if word in place.split("-")), 0.5)


def recolour(colours: Floats, main: Floats, target: Floats | None, rng: np.random.Generator) -> Floats:
    """A subject, h w 3 Lab, shifted towards a colour, or slightly at random; shading and markings are kept.

    Only colours near the subject's main colour shift fully: eyes, noses and tongues stay as they are.
    """
    shift = rng.normal(0, (3.0, 2.5, 3.5))
    nearness = np.exp(-((colours - main) ** 2).sum(axis=-1, keepdims=True) / (2 * 40.0**2))
    if target is not None:
        shift = (target - main) + shift / 3
    else:
        nearness = nearness * _tintable(colours)
    moved: Floats = colours + nearness * shift
    moved[..., 0] = np.clip(moved[..., 0], 0, 100)
    return moved


def harmonise(colours: Floats, old: Floats, new: Floats, strength: float = 0.35) -> Floats:
    """A subject, h w 3 Lab, adapted to its new backdrop: shifted by part of the difference between the backdrops."""
    shift = np.clip((new - old) * strength, (-12, -5, -6), (12, 5, 6)).astype(np.float32)
    moved: Floats = colours + shift * _tintable(colours)
    moved[..., 0] = np.clip(moved[..., 0], 0, 100)
    return moved


def _tintable(colours: Floats) -> Floats:
    """How far colours, h w 3 Lab, may shift unasked, 0 to 1: little if dark, or black fur would turn blue or grey."""
    share: Floats = np.clip(colours[..., :1] / 40, 0, 1)
    return share


def add_shadow(backdrop: Floats, alpha: Floats, strength: float = 0.3) -> Floats:
    """The backdrop, h w 3 Lab, with the soft shadow of the subject with opacity `alpha`, h w."""
    from scipy.ndimage import gaussian_filter, shift

    radius = max(alpha.shape) / 28
    fallen = gaussian_filter(shift(alpha, (radius * 0.9, 0), order=1, mode="constant"), radius)
    shaded = backdrop.copy()
    shaded[..., 0] *= 1 - strength * fallen
    return shaded


def relight(image: Image.Image, brightness: float | None, rng: np.random.Generator) -> Image.Image:
    """The image at a requested mean lightness, 0 to 1, or slightly brighter or dimmer, warmer or colder at random."""
    colours = rgb_to_lab(to_pixels(image))
    warmth = float(rng.normal(0, 2))
    gain = float(np.exp(rng.normal(0, 0.06)))
    if brightness is not None:
        gain = 100 * brightness / max(float(colours[..., 0].mean()), 1.0)
    colours[..., 0] = np.clip(colours[..., 0] * gain, 0, 100)
    colours[..., 1:] *= min(gain, 1.0)  # dim light has less colour; bright light does not have more
    colours[..., 2] += warmth
    return Image.fromarray(lab_to_rgb(colours))


def limit_sharpness(image: Image.Image, wanted: float) -> Image.Image:
    """The image, blurred until its sharpness is at most `wanted`, 0 to 1; never sharpened."""
    for radius in np.geomspace(0.4, 6, 10):
        if sharpness(image) <= wanted + 0.01:
            break
        blurred = image.filter(ImageFilter.GaussianBlur(float(radius)))
        if sharpness(blurred) <= wanted + 0.01:
            return blurred
    else:
        return blurred
    return image
