"""Stable Diffusion XL on a part of the failed image: where the model looked, or all but the subject."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...records import JSON, Explanation, Failure, SynthesisRequest
from ._batch_generation import BatchGenerator, GenerationJob
from ._cutout import Cutout, cut_by_mask, segment
from ._mask_folder import BadMaskError, MaskFolder
from ._pipelines import PipelineSetup, open_pipeline
from ._presets import PRESETS, Options
from ._resolution import native_side, to_working_size, working_size
from .sdxl_img2img import SdxlImageToImageSynthesizer

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


def find_repaint(request: SynthesisRequest, photo: Image.Image, masks: MaskFolder | None) -> Repaint | Failure:
    """Where to repaint, by what the critic says the model looked at.

    "background" and "other": what was attended outside the subject. "subject", "part", and where no critic was asked:
    all but the subject. "unknown" is a failure, as are a photo without a clear subject and one with nothing to repaint.
    """
    if request.attended == "unknown":
        return Failure("attended-unknown", "the critic could not say what the model looked at: no part to repaint")
    found = _subject(request, photo, masks)
    if isinstance(found, Failure):
        return found
    changed = ~_kept_mask(found, photo)
    if request.attended in ("background", "other"):
        heat = _attended_mask(request.explanation)
        if heat is None:
            return Failure("no-heatmap", "the model looked at the background, but there is no heatmap that says where")
        changed &= heat
    if changed.mean() < SMALLEST:
        return Failure("nothing-to-repaint", "nearly all of the image belongs to what is kept")
    return Repaint(changed, found.found_by)


def blend_repaint(photo: Image.Image, painted: Image.Image, mask: Mask) -> Image.Image:
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
        return cut_by_mask(photo, mask)
    heatmap = request.explanation.heatmap if request.explanation else None
    return segment(photo, heatmap) or Failure("no-subject", "no subject stands out clearly from this image's backdrop")


def _kept_mask(cutout: Cutout, photo: Image.Image) -> Mask:
    from scipy.ndimage import binary_dilation

    left, top, right, bottom = cutout.box
    whole = np.zeros(photo.size[::-1], bool)
    whole[top:bottom, left:right] = cutout.alpha > OPAQUE
    kept: Mask = binary_dilation(whole, iterations=max(1, max(photo.size) // RIM))
    return kept


def _attended_mask(explanation: Explanation | None) -> Mask | None:
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


class SdxlInpaintSynthesizer(SdxlImageToImageSynthesizer):
    """Repaints what misled the model, by what the critic says it looked at; keeps every other pixel as it was.

    It looked at the background: what was attended outside the subject is repainted. At the subject or a part of it:
    the subject is kept and the rest is repainted, as where no critic was asked. Images have the size of their source.

    Args:
        weights: as every variant takes them.
        strength: how far the part is changed, above 0 to 1; None: the preset's.
        masks: a folder of masks of subjects, `ID.png`, as `remix` takes it; images without one are looked at.
        options: as every variant takes them.
    """

    uses = frozenset({"prompt", "image", "guidance"})
    needs = frozenset({"image"})
    preset = PRESETS["sdxl-inpaint"]

    def __init__(
        self,
        weights: str | None = None,
        *,
        strength: float | None = None,
        masks: str | None = None,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(weights, strength=strength, **options)
        self.masks = masks

    def identity(self) -> dict[str, JSON]:
        """As every variant's, and the content of the masks."""
        masks = self._masks()
        return {**super().identity(), "masks": masks.digest() if masks else None}

    def _open(self, fitting: PipelineSetup) -> Mapping[str, BatchGenerator]:
        pipe = open_pipeline("Inpainting", self._weights(), fitting)
        self._native = self._side or native_side(pipe)
        return {"image": self._drawing(pipe, strength=self._strength)}

    def _inputs(self, request: SynthesisRequest) -> dict[str, Any] | Failure:
        if request.source is None:
            return Failure("no-source", "sdxl-inpaint changes the failed image, and this arm may not see it")
        photo = request.source.convert("RGB")
        found = find_repaint(request, photo, self._masks())
        if isinstance(found, Failure):
            return found
        size = working_size(photo, self._native)
        stencil = Image.fromarray(np.where(found.mask, 255, 0).astype(np.uint8)).resize(size, Image.Resampling.NEAREST)
        details = {
            "strength": self._strength,
            "attended": request.attended,
            "subject": found.found_by,
            "repainted": round(float(found.mask.mean()), 3),
        }
        own = {"image": to_working_size(photo, self._native), "mask_image": stencil}
        return {"way": "image", "own": own, "size": size, "repaint": found.mask, "details": details}

    def _finished(self, job: GenerationJob, drawn: Image.Image) -> Image.Image:
        if job.request.source is None or job.repaint is None:
            return drawn
        return blend_repaint(job.request.source, drawn, job.repaint)

    def _pixels(self) -> int:
        return 0  # as many as the source has

    def _check(self) -> None:
        super()._check()
        self._masks()  # a folder that is not there is told now

    def _masks(self) -> MaskFolder | None:
        return MaskFolder(self.masks, type(self).__name__) if self.masks else None
