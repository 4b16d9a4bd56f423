"""Stable Diffusion XL along the edges of the failed image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Unpack

import numpy as np
from PIL import Image

from ...errors import ConfigError
from ...records import Failure, SynthesisRequest
from ._batch_generation import BatchGenerator
from ._diffusion import DiffusionSynthesizer
from ._pipelines import PipelineSetup, open_pipeline, silence_diffusers
from ._presets import PRESETS, Options
from ._resolution import native_side, to_working_size
from ._weights import Weights, diffusers_package, unreadable


class SdxlControlNetSynthesizer(DiffusionSynthesizer):
    """Keeps the outlines of the failed image and draws what lies between them by the prompt (arXiv:2302.05543).

    Args:
        weights: of the pipeline, as every variant takes them.
        controlnet: folder or name of a ControlNet for Canny edges; None: the preset's.
        conditioning_scale: how much the outlines count, ≥ 0.
        sigma: blur before edges are looked for, in pixels of the drawn image; larger ones leave fewer edges.
        options: as every variant takes them.
    """

    uses = frozenset({"prompt", "image"})
    needs = frozenset({"image"})
    preset = PRESETS["sdxl-controlnet"]

    def __init__(
        self,
        weights: str | None = None,
        *,
        controlnet: str | None = None,
        conditioning_scale: float = 0.5,
        sigma: float = 3.0,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(weights, **options)
        self.controlnet = controlnet
        self.conditioning_scale = conditioning_scale
        self.sigma = sigma
        self._native = 0

    def _open(self, fitting: PipelineSetup) -> Mapping[str, BatchGenerator]:
        pipe = open_pipeline("Text2Image", self._weights(), fitting, controlnet=self._net(fitting))
        self._native = self._side or native_side(pipe)
        return {"text": self._drawing(pipe, controlnet_conditioning_scale=self.conditioning_scale)}

    def _inputs(self, request: SynthesisRequest) -> dict[str, Any] | Failure:
        if request.source is None:
            return Failure("no-source", "sdxl-controlnet follows the failed image, and this arm may not see it")
        outlines = detect_edges(to_working_size(request.source, self._native), self.sigma)
        return {"own": {"image": outlines}, "size": outlines.size}

    def _net(self, fitting: PipelineSetup) -> Any:
        weights = self._controlnet()
        with silence_diffusers():
            try:
                return diffusers_package().ControlNetModel.from_pretrained(
                    weights.place, dtype=fitting.dtype, variant=weights.variant, **weights.options()
                )
            except (OSError, ValueError) as error:
                raise unreadable(weights, error) from error

    def _controlnet(self) -> Weights:
        found = self._other(self.controlnet, self.preset.controlnet, "controlnet")
        return found if found.local else replace(found, variant=self.preset.variant)

    def _all_weights(self) -> dict[str, Weights]:
        return {**super()._all_weights(), "controlnet": self._controlnet()}

    def _check(self) -> None:
        super()._check()
        for name in ("conditioning_scale", "sigma"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{type(self).__name__}: {name} must be at least 0, got {getattr(self, name)}")


def detect_edges(photo: Image.Image, sigma: float) -> Image.Image:
    """White outlines on black, RGB, by Canny (1986), channel by channel: colours may differ where light is equal."""
    from skimage.feature import canny

    channels = np.asarray(photo.convert("RGB"), np.float32).transpose(2, 0, 1) / 255
    found = np.any([canny(channel, sigma=sigma) for channel in channels], axis=0)  # type: ignore[no-untyped-call]
    return Image.fromarray(np.where(found, 255, 0).astype(np.uint8)).convert("RGB")
