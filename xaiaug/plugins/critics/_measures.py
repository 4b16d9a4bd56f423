"""What is measured of an image."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .._colour import lab, pixels
from .._sharpness import sharpness
from .._subject import SIDE, subject_mask, typical_colour

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Measures:
    """What was measured of one image.

    Attributes:
        subject: the subject's colour: the median of its surest pixels, sRGB from 0 to 255.
        backdrop: the same of all else.
        light: lightness (L of Lab, 0 to 100) of the brightest hundredth, and on average.
        sharpness: 0 (blurred) to 1.
        size: the subject's share of the image, 0 to 1.
        place: x y of the subject's middle, 0 to 1 from the left and the top.
        mask: h w, 0 to 1, the subject as it was found.
    """

    subject: Floats
    backdrop: Floats
    light: Floats
    sharpness: float
    size: float
    place: Floats
    mask: Floats

    def vectors(self) -> dict[str, Floats]:
        """Each attribute as a vector in which distances mean about the same everywhere."""
        return {
            "subject colour": lab(self.subject),
            "backdrop colour": lab(self.backdrop),
            "light": self.light,
            "sharpness": np.log([self.sharpness + 0.01], dtype=np.float32),
            "size": np.sqrt([self.size], dtype=np.float32),
            "place": self.place,
        }

    def relit(self, light: Floats) -> Measures:
        """The same image as if its light were `light`: its colours brightened or dimmed with it."""
        gain = _luminance(float(light.mean())) / max(_luminance(float(self.light.mean())), 1e-4)
        subject, backdrop = _brightened(self.subject, gain), _brightened(self.backdrop, gain)
        return replace(self, light=light, subject=subject, backdrop=backdrop)


def measure(image: Image.Image) -> Measures:
    """Measures one image, RGB, by its pixels alone."""
    small = image.convert("RGB")
    small.thumbnail((SIDE, SIDE), Image.Resampling.BOX)
    mask, values = subject_mask(small), pixels(small)
    lightness = lab(values)[..., 0]
    return Measures(
        subject=typical_colour(values, mask),
        backdrop=typical_colour(values, 1 - mask),
        light=np.array([np.percentile(lightness, 99), lightness.mean()], np.float32),
        sharpness=sharpness(image),
        size=float(mask.mean()),
        place=_middle(mask),
        mask=mask,
    )


def _middle(mask: Floats) -> Floats:
    y, x = ((axis + 0.5) / length for axis, length in zip(np.indices(mask.shape), mask.shape, strict=True))
    total = max(float(mask.sum()), 1e-9)
    return np.array([(x * mask).sum() / total, (y * mask).sum() / total], np.float32)


def _luminance(lightness: float) -> float:
    """Relative luminance, 0 to 1, of a lightness, 0 to 100 (near enough to CIE's cube)."""
    return float(((lightness + 16) / 116) ** 3)


def _brightened(colour: Floats, gain: float) -> Floats:
    """An sRGB colour under `gain` times the light."""
    linear = (colour / 255) ** 2.2 * gain
    brightened: Floats = (255 * np.clip(linear, 0, 1) ** (1 / 2.2)).astype(np.float32)
    return brightened
