"""Stable Diffusion XL inpainting: repaints what the model looked at, everything but the subject, or the hot region."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Unpack

import numpy as np
from PIL import Image

from ...errors import ConfigError
from ...interfaces import Context
from ...records import JSON, Failure, SynthesisRequest
from .._segmentation import create_segmenter, key_by_segmenter
from ._batch_generation import BatchGenerator, GenerationJob
from ._mask_folder import MaskFolder
from ._pipelines import PipelineSetup, open_pipeline
from ._presets import PRESETS, Options
from ._repaint import REPAINTS, blend_repaint
from ._resolution import native_side, to_working_size, working_size
from .sdxl_img2img import SdxlImageToImageSynthesizer


class SdxlInpaintSynthesizer(SdxlImageToImageSynthesizer):
    """Repaints what misled the model according to the critic; all other pixels are unchanged.

    If the model looked at the background, what it looked at outside the subject is repainted. If it looked at the
    subject or a part of it, or without a critic, everything but the subject is repainted. Images have the size of
    their source.

    Args:
        weights: as in all variants.
        repaint: "attended", as above, or "hot-region": the region that `saliency-edit` would edit, whatever the critic
            found.
        strength: how far the part is changed, above 0 to 1; None: the preset's.
        masks: a folder of subject masks, `ID.png`, as in `remix`; other images are segmented.
        segmenter: as in `remix`; None: our own segmentation.
        options: as in all variants.
    """

    uses = frozenset({"prompt", "image", "guidance", "map"})
    needs = frozenset({"image"})
    preset = PRESETS["sdxl-inpaint"]

    def __init__(
        self,
        weights: str | None = None,
        *,
        repaint: str = "attended",
        strength: float | None = None,
        masks: str | None = None,
        segmenter: str | dict[str, JSON] | None = None,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(weights, strength=strength, **options)
        if repaint not in REPAINTS:
            raise ConfigError(f"SdxlInpaintSynthesizer: repaint must be one of {', '.join(REPAINTS)}, got {repaint!r}")
        self.repaint = repaint
        self.masks = masks
        self.segmenter = segmenter
        self._segmenter = None if segmenter is None else create_segmenter(segmenter, type(self).__name__)

    def identity(self) -> dict[str, JSON]:
        """As in all variants, and digests of the masks and of the segmenter's files."""
        masks = self._masks()
        return {**key_by_segmenter(super().identity(), self._segmenter), "masks": masks.digest() if masks else None}

    def check(self) -> None:
        """Raises ConfigError if the segmenter's file is missing, MissingExtraError if its package is."""
        super().check()
        if self._segmenter is not None:
            self._segmenter.check()

    def prepare(self, context: Context) -> None:
        """Checks the settings, opens the segmenter and loads the weights, unless they are loaded."""
        if self._segmenter is not None:
            self._segmenter.prepare(context)
        super().prepare(context)

    def _open(self, setup: PipelineSetup) -> Mapping[str, BatchGenerator]:
        pipe = open_pipeline("Inpainting", self._weights(), setup)
        self._native = self._side or native_side(pipe)
        return {"image": self._generator(pipe, strength=self._strength)}

    def _inputs(self, request: SynthesisRequest) -> dict[str, Any] | Failure:
        if request.source is None:
            return Failure("no-source", "sdxl-inpaint needs the misclassified image, and this arm does not use it")
        photo = request.source.convert("RGB")
        repaint = REPAINTS[self.repaint](request, photo, self._masks(), self._segmenter)
        if isinstance(repaint, Failure):
            return repaint
        size = working_size(photo, self._native)
        stencil = Image.fromarray(np.where(repaint.mask, 255, 0).astype(np.uint8)).resize(
            size, Image.Resampling.NEAREST
        )
        details = {
            "strength": self._strength,
            "attended": request.attended,
            "subject": repaint.found_by,
            "repainted": round(float(repaint.mask.mean()), 3),
        }
        arguments = {"image": to_working_size(photo, self._native), "mask_image": stencil}
        return {"pipeline": "image", "arguments": arguments, "size": size, "repaint": repaint.mask, "details": details}

    def _finish(self, job: GenerationJob, image: Image.Image) -> Image.Image:
        if job.request.source is None or job.repaint is None:
            return image
        return blend_repaint(job.request.source, image, job.repaint)

    def _pixels(self) -> int:
        return 0  # as many as the source has

    def _check(self) -> None:
        super()._check()
        self._masks()  # reports a missing folder early

    def _masks(self) -> MaskFolder | None:
        return MaskFolder(self.masks, type(self).__name__) if self.masks else None
