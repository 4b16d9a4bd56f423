"""Measures an image: colour, light, sharpness, size and position of its subject, and where a heatmap lies."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...imaging.image_stats import centroid, rgb_to_lab, sharpness, to_pixels, typical_colour
from ...records import Explanation
from .._superpixels import SIDE, subject_mask

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Measurements:
    """The measurements of one image.

    Attributes:
        subject: the subject's colour: the median of its most certain pixels, sRGB from 0 to 255.
        backdrop: the same of the backdrop.
        light: lightness (L of Lab, 0 to 100): its 99th percentile, and its mean.
        sharpness: 0 (blurred) to 1.
        size: the subject's share of the image, 0 to 1.
        place: x y of the subject's centroid, 0 to 1 from the left and the top.
        mask: h w, 0 to 1, the estimated subject.
    """

    subject: Floats
    backdrop: Floats
    light: Floats
    sharpness: float
    size: float
    place: Floats
    mask: Floats

    def vectors(self) -> dict[str, Floats]:
        """Each attribute as a vector in a space where distances are about equally meaningful everywhere."""
        return {
            "subject colour": rgb_to_lab(self.subject),
            "backdrop colour": rgb_to_lab(self.backdrop),
            "light": self.light,
            "sharpness": np.log([self.sharpness + 0.01], dtype=np.float32),
            "size": np.sqrt([self.size], dtype=np.float32),
            "place": self.place,
        }

    def with_light(self, light: Floats) -> Measurements:
        """The measurements in another light: colours are brightened or dimmed with it."""
        gain = _luminance(float(light.mean())) / max(_luminance(float(self.light.mean())), 1e-4)
        subject, backdrop = _scale_light(self.subject, gain), _scale_light(self.backdrop, gain)
        return replace(self, light=light, subject=subject, backdrop=backdrop)


def measure(image: Image.Image) -> Measurements:
    """Measures one image, RGB."""
    small = image.convert("RGB")
    small.thumbnail((SIDE, SIDE), Image.Resampling.BOX)
    mask, values = subject_mask(small), to_pixels(small)
    lightness = rgb_to_lab(values)[..., 0]
    return Measurements(
        subject=typical_colour(values, mask),
        backdrop=typical_colour(values, 1 - mask),
        light=np.array([np.percentile(lightness, 99), lightness.mean()], np.float32),
        sharpness=sharpness(image),
        size=float(mask.mean()),
        place=centroid(mask),
        mask=mask,
    )


def _luminance(lightness: float) -> float:
    """Relative luminance, 0 to 1, of a lightness, 0 to 100 (CIE's cube law, approximately)."""
    return float(((lightness + 16) / 116) ** 3)


def _scale_light(colour: Floats, gain: float) -> Floats:
    """An sRGB colour under `gain` times the light."""
    linear = (colour / 255) ** 2.2 * gain
    scaled: Floats = (255 * np.clip(linear, 0, 1) ** (1 / 2.2)).astype(np.float32)
    return scaled


@dataclass(frozen=True)
class Attention:
    """Where a heatmap lies.

    Attributes:
        kind: "subject", "part" (of the subject), "background", "other" (on both alike), or "unknown" without a heatmap.
        mass: share of the heatmap on the subject, 0 to 1.
        area: the subject's share of what the model saw, 0 to 1.
    """

    kind: str = "unknown"
    mass: float = 0.0
    area: float = 0.0


def measure_attention(explanation: Explanation | None, mask: Floats) -> Attention:
    """Compares the heatmap's share on the subject (`mask`, h w, 0 to 1) with the subject's share of the area.

    Their odds must differ by a factor of 1.5: a flat heatmap over a large subject is no evidence that the model looked
    at it. The heatmap is on a part if half of its mass on the subject lies on less than a sixth of the subject.
    """
    if explanation is None or explanation.degenerate:
        return Attention()
    seen, heat = _resize_heatmap(explanation, mask.shape)
    weight, total = heat * seen, float((heat * seen).sum())
    if total <= 0:
        return Attention()
    mass, area = float((weight * mask).sum()) / total, float((seen * mask).sum() / seen.sum())
    lift = _log_odds(mass) - _log_odds(area)
    if abs(lift) < np.log(1.5):
        return Attention("other", mass, area)
    if lift < 0:
        return Attention("background", mass, area)
    return Attention("part" if _concentration(weight * mask, seen * mask) < 1 / 6 else "subject", mass, area)


def _resize_heatmap(explanation: Explanation, shape: tuple[int, ...]) -> tuple[Floats, Floats]:
    """The share of each pixel of the small image that the model saw, and the heat there, ≥ 0: h w each."""
    finite = np.isfinite(explanation.heatmap)
    heat = np.where(finite, np.maximum(explanation.heatmap - explanation.floor, 0), 0)
    size = (shape[1], shape[0])
    seen, small = (
        np.asarray(Image.fromarray(values.astype(np.float32)).resize(size, Image.Resampling.BOX))
        for values in (finite, heat)
    )
    return seen, small / np.maximum(seen, 1e-6)


def _log_odds(share: float) -> float:
    share = min(max(share, 1e-3), 1 - 1e-3)
    return float(np.log(share / (1 - share)))


def _concentration(weight: Floats, area: Floats) -> float:
    """The smallest share of the area that holds half of the weight, 0 to 1."""
    order = np.argsort(weight, axis=None)[::-1]
    held = np.cumsum(weight.ravel()[order])
    half = int(np.searchsorted(held, held[-1] / 2)) + 1
    return float(area.ravel()[order][:half].sum() / max(float(area.sum()), 1e-9))
