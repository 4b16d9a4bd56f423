"""What is measured of an image."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...records import Explanation
from .._image_stats import rgb_to_lab, sharpness, to_pixels
from .._segmentation import SIDE, subject_mask, typical_colour

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
            "subject colour": rgb_to_lab(self.subject),
            "backdrop colour": rgb_to_lab(self.backdrop),
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
    mask, values = subject_mask(small), to_pixels(small)
    lightness = rgb_to_lab(values)[..., 0]
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


@dataclass(frozen=True)
class Attended:
    """Where a heatmap lies.

    Attributes:
        kind: "subject", "part" (of the subject), "background", "other" (both alike), or "unknown" without a map.
        mass: share of the heatmap on the subject, 0 to 1.
        area: share of what the model saw that is subject, 0 to 1.
    """

    kind: str = "unknown"
    mass: float = 0.0
    area: float = 0.0


def attended(explanation: Explanation | None, mask: Floats) -> Attended:
    """Compares the heatmap's share on the subject (`mask`, h w, 0 to 1) with the subject's share of the area.

    The odds of the one must be 1.5 times those of the other to count: a flat map over a large subject is no
    evidence that the model looked at it. A map is on a part when half of what lies on the subject lies on less than
    a sixth of it.
    """
    if explanation is None or explanation.degenerate:
        return Attended()
    seen, heat = _shrunk(explanation, mask.shape)
    weight, total = heat * seen, float((heat * seen).sum())
    if total <= 0:
        return Attended()
    mass, area = float((weight * mask).sum()) / total, float((seen * mask).sum() / seen.sum())
    lift = _log_odds(mass) - _log_odds(area)
    if abs(lift) < np.log(1.5):
        return Attended("other", mass, area)
    if lift < 0:
        return Attended("background", mass, area)
    return Attended("part" if _concentration(weight * mask, seen * mask) < 1 / 6 else "subject", mass, area)


def _shrunk(explanation: Explanation, shape: tuple[int, ...]) -> tuple[Floats, Floats]:
    """How far each pixel of the small image was seen, and the heat there, from 0 up: h w each."""
    finite = np.isfinite(explanation.heatmap)
    filled = np.where(finite, np.maximum(explanation.heatmap - explanation.floor, 0), 0)
    size = (shape[1], shape[0])
    seen, heat = (
        np.asarray(Image.fromarray(values.astype(np.float32)).resize(size, Image.Resampling.BOX))
        for values in (finite, filled)
    )
    return seen, heat / np.maximum(seen, 1e-6)


def _log_odds(share: float) -> float:
    share = min(max(share, 1e-3), 1 - 1e-3)
    return float(np.log(share / (1 - share)))


def _concentration(weight: Floats, area: Floats) -> float:
    """Share of the area that holds the heavier half of the weight, 0 to 1."""
    order = np.argsort(weight, axis=None)[::-1]
    held = np.cumsum(weight.ravel()[order])
    half = int(np.searchsorted(held, held[-1] / 2)) + 1
    return float(area.ravel()[order][:half].sum() / max(float(area.sum()), 1e-9))
