"""Which part of a photo is painted anew, and the photo with that part changed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...records import Explanation, Failure, SynthesisRequest
from ._cutout import Cutout, cut_along, cut_out
from ._masks import BadMaskError, MaskFolder

Mask = NDArray[np.bool_]

OPAQUE = 0.02  # a pixel that belongs to the subject by more than this is kept
RIM = 100  # the kept subject grows by one in so many of the photo's pixels: a rim of it repainted would show
SMALLEST = 0.01  # share of the photo below which there is nothing to repaint
FEATHER = 60  # the new part fades in over one in so many of the photo's pixels


@dataclass(frozen=True, eq=False)
class Repaint:
    """What may change of a photo.

    Attributes:
        mask: h w, true where it may.
        found_by: how the subject was found: "mask" or "segmentation".
    """

    mask: Mask
    found_by: str


def repaint(request: SynthesisRequest, photo: Image.Image, masks: MaskFolder | None) -> Repaint | Failure:
    """Where to repaint, by what the critic says the model looked at.

    "background" and "other": what was attended outside the subject. "subject", "part", and where no critic was asked:
    all but the subject. "unknown" is a failure, as are a photo without a clear subject and one with nothing to repaint.
    """
    if request.attended == "unknown":
        return Failure("attended-unknown", "the critic could not say what the model looked at: no part to repaint")
    found = _subject(request, photo, masks)
    if isinstance(found, Failure):
        return found
    changed = ~_kept(found, photo)
    if request.attended in ("background", "other"):
        heat = _attended(request.explanation)
        if heat is None:
            return Failure("no-heatmap", "the model looked at the background, but there is no heatmap that says where")
        changed &= heat
    if changed.mean() < SMALLEST:
        return Failure("nothing-to-repaint", "nearly all of the image belongs to what is kept")
    return Repaint(changed, found.found_by)


def repainted(photo: Image.Image, painted: Image.Image, mask: Mask) -> Image.Image:
    """The photo with `painted` where the mask is true, fading in from its edge; every other pixel as it was."""
    from scipy.ndimage import distance_transform_edt

    old = np.asarray(photo.convert("RGB"))
    new = np.asarray(painted.resize(photo.size, Image.Resampling.LANCZOS), np.float32)
    share = np.clip(distance_transform_edt(mask) / max(1.0, max(photo.size) / FEATHER), 0, 1)[..., None]
    blended = np.round(share * new + (1 - share) * old).astype(np.uint8)
    return Image.fromarray(np.where(mask[..., None], blended, old))


def _subject(request: SynthesisRequest, photo: Image.Image, masks: MaskFolder | None) -> Cutout | Failure:
    try:
        mask = masks.mask(request.case_id, photo.size) if masks else None
    except BadMaskError as error:
        return Failure("bad-mask", str(error))
    if mask is not None:
        return cut_along(photo, mask)
    heatmap = request.explanation.heatmap if request.explanation else None
    return cut_out(photo, heatmap) or Failure("no-subject", "no subject stands out clearly from this image's backdrop")


def _kept(cutout: Cutout, photo: Image.Image) -> Mask:
    from scipy.ndimage import binary_dilation

    left, top, right, bottom = cutout.box
    whole = np.zeros(photo.size[::-1], bool)
    whole[top:bottom, left:right] = cutout.alpha > OPAQUE
    kept: Mask = binary_dilation(whole, iterations=max(1, max(photo.size) // RIM))
    return kept


def _attended(explanation: Explanation | None) -> Mask | None:
    """Where the model looked: the heatmap's high values, told apart by Otsu's threshold (1979); None without any."""
    from skimage.filters import threshold_otsu

    if explanation is None or explanation.degenerate:
        return None
    heat = np.maximum(explanation.heatmap, explanation.floor)
    seen = np.isfinite(heat)
    if not seen.any() or np.ptp(heat[seen]) == 0:
        return None
    high: Mask = np.where(seen, heat, -np.inf) > threshold_otsu(heat[seen])  # type: ignore[no-untyped-call]
    return high
