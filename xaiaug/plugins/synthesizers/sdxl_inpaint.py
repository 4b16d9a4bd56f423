"""Stable Diffusion XL on a part of the failed image: where the model looked, or all but the subject."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Unpack

import numpy as np
from PIL import Image

from ...records import JSON, Failure, SynthesisRequest
from ._drawing import Drawing, Job
from ._masks import MaskFolder
from ._options import Options
from ._pipelines import Fitting, open_pipeline
from ._presets import PRESETS
from ._repaint import repaint, repainted
from ._working_size import enlarged, native_side, working_size
from .sdxl_img2img import SdxlImageToImageSynthesizer


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

    def _open(self, fitting: Fitting) -> Mapping[str, Drawing]:
        pipe = open_pipeline("Inpainting", self._weights(), fitting)
        self._native = self._side or native_side(pipe)
        return {"image": self._drawing(pipe, strength=self._strength)}

    def _inputs(self, request: SynthesisRequest) -> dict[str, Any] | Failure:
        if request.source is None:
            return Failure("no-source", "sdxl-inpaint changes the failed image, and this arm may not see it")
        photo = request.source.convert("RGB")
        found = repaint(request, photo, self._masks())
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
        own = {"image": enlarged(photo, self._native), "mask_image": stencil}
        return {"way": "image", "own": own, "size": size, "repaint": found.mask, "details": details}

    def _finished(self, job: Job, drawn: Image.Image) -> Image.Image:
        if job.request.source is None or job.repaint is None:
            return drawn
        return repainted(job.request.source, drawn, job.repaint)

    def _pixels(self) -> int:
        return 0  # as many as the source has

    def _check(self) -> None:
        super()._check()
        self._masks()  # a folder that is not there is told now

    def _masks(self) -> MaskFolder | None:
        return MaskFolder(self.masks, type(self).__name__) if self.masks else None
