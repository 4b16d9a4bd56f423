"""Which part of a photo is repainted, by what the model looked at, and how the new part is put into the photo."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...records import Explanation, Failure, SynthesisRequest
from .._hot_region import Region, RegionOptions, draw_region, find_region
from .._segmentation import Segmenter
from ._cutout import Cutout, cut_subject
from ._mask_folder import MaskFolder

Mask = NDArray[np.bool_]

OPAQUE = 0.02  # a pixel with a higher opacity of the subject is kept
RIM = 100  # the kept region grows by 1/RIM of the photo's side: a repainted rim would be visible
SMALLEST = 0.01  # share of the photo below which there is nothing to repaint
FEATHER = 60  # the new part fades in over 1/FEATHER of the photo's side


@dataclass(frozen=True, eq=False)
class Repaint:
    """The part of a photo that may change.

    Attributes:
        mask: h w, true where it may change.
        found_by: how the subject was found: "mask", "segmenter" or "segmentation".
    """

    mask: Mask
    found_by: str


def find_hot_region(
    request: SynthesisRequest, photo: Image.Image, masks: MaskFolder | None, segmenter: Segmenter | None = None
) -> Repaint | Failure:
    """The region that `saliency-edit` would edit: the smallest window with half of the heat off the subject.

    Without an explanation it is drawn at random off the subject. A photo without a clear subject, and a map that is
    flat or lies on the subject, are failures.
    """
    subject = cut_subject(request, photo, masks, segmenter)
    if isinstance(subject, Failure):
        return subject
    kept = _kept_mask(subject, photo)
    shares = kept.astype(np.float32)
    if request.explanation is None:
        region: Region | Failure = draw_region(shares, RegionOptions(), request.seed)
    else:
        region = find_region(request.explanation, shares, RegionOptions())
    if isinstance(region, Failure):
        return region
    left, top, right, bottom = region.box(photo.size)
    changed = np.zeros_like(kept)
    changed[top:bottom, left:right] = ~kept[top:bottom, left:right]
    if changed.mean() < SMALLEST:
        return Failure("map-on-subject", "almost all of the hot region is the subject, which is kept")
    return Repaint(changed, subject.found_by)


def find_repaint(
    request: SynthesisRequest, photo: Image.Image, masks: MaskFolder | None, segmenter: Segmenter | None = None
) -> Repaint | Failure:
    """Where to repaint, depending on what the model looked at according to the critic.

    "background" and "other": what the model looked at outside the subject. "subject", "part" and None (no critic):
    everything but the subject. "unknown", a photo without a clear subject and nothing to repaint are failures.
    """
    if request.attended == "unknown":
        return Failure("attended-unknown", "the critic did not say what the model looked at: nothing to repaint")
    subject = cut_subject(request, photo, masks, segmenter)
    if isinstance(subject, Failure):
        return subject
    changed = ~_kept_mask(subject, photo)
    if request.attended in ("background", "other"):
        heat = _attended_mask(request.explanation)
        if heat is None:
            return Failure("no-heatmap", "the model looked at the background, but no heatmap shows where")
        changed &= heat
    if changed.mean() < SMALLEST:
        return Failure("nothing-to-repaint", "almost all of the image is kept")
    return Repaint(changed, subject.found_by)


def blend_repaint(photo: Image.Image, painted: Image.Image, mask: Mask) -> Image.Image:
    """The photo with `painted` where the mask is true, fading in from its edge; all other pixels are unchanged."""
    from scipy.ndimage import distance_transform_edt

    old = np.asarray(photo.convert("RGB"))
    new = np.asarray(painted.resize(photo.size, Image.Resampling.LANCZOS), np.float32)
    share = np.clip(distance_transform_edt(mask) / max(1.0, max(photo.size) / FEATHER), 0, 1)[..., None]
    blended = np.round(share * new + (1 - share) * old).astype(np.uint8)
    return Image.fromarray(np.where(mask[..., None], blended, old))


def _kept_mask(cutout: Cutout, photo: Image.Image) -> Mask:
    from scipy.ndimage import binary_dilation

    left, top, right, bottom = cutout.box
    subject = np.zeros(photo.size[::-1], bool)
    subject[top:bottom, left:right] = cutout.alpha > OPAQUE
    kept: Mask = binary_dilation(subject, iterations=max(1, max(photo.size) // RIM))
    return kept


def _attended_mask(explanation: Explanation | None) -> Mask | None:
    """Where the model looked: the heatmap above Otsu's threshold (1979); None without a usable map."""
    from skimage.filters import threshold_otsu

    if explanation is None or explanation.degenerate:
        return None
    heat = np.maximum(explanation.heatmap, explanation.floor)
    seen = np.isfinite(heat)
    if not seen.any() or np.ptp(heat[seen]) == 0:
        return None
    high: Mask = np.where(seen, heat, -np.inf) > threshold_otsu(heat[seen])  # type: ignore[no-untyped-call]
    return high


REPAINTS = {"attended": find_repaint, "hot-region": find_hot_region}
