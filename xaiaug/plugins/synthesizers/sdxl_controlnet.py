"""Stable Diffusion XL with a ControlNet for the edges of the misclassified image."""

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
    """Keeps the outlines of the misclassified image and generates the rest by the prompt (arXiv:2302.05543).

    Args:
        weights: of the pipeline, as in all variants.
        controlnet: folder or name of a ControlNet for Canny edges; None: the preset's.
        conditioning_scale: strength of the outlines, ≥ 0.
        sigma: blur before edge detection, in pixels of the generated image; larger values give fewer edges.
        options: as in all variants.
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

    def _open(self, setup: PipelineSetup) -> Mapping[str, BatchGenerator]:
        pipe = open_pipeline("Text2Image", self._weights(), setup, controlnet=self._net(setup))
        self._native = self._side or native_side(pipe)
        return {"text": self._generator(pipe, controlnet_conditioning_scale=self.conditioning_scale)}

    def _inputs(self, request: SynthesisRequest) -> dict[str, Any] | Failure:
        if request.source is None:
            return Failure("no-source", "sdxl-controlnet needs the misclassified image, and this arm does not use it")
        outlines = detect_edges(to_working_size(request.source, self._native), self.sigma)
        return {"arguments": {"image": outlines}, "size": outlines.size}

    def _net(self, setup: PipelineSetup) -> Any:
        weights = self._controlnet()
        with silence_diffusers():
            try:
                return diffusers_package().ControlNetModel.from_pretrained(
                    weights.place, dtype=setup.dtype, variant=weights.variant, **weights.options()
                )
            except (OSError, ValueError) as error:
                raise unreadable(weights, error) from error

    def _controlnet(self) -> Weights:
        weights = self._extra_weights(self.controlnet, self.preset.controlnet, "controlnet")
        return weights if weights.local else replace(weights, variant=self.preset.variant)

    def _all_weights(self) -> dict[str, Weights]:
        return {**super()._all_weights(), "controlnet": self._controlnet()}

    def _check(self) -> None:
        super()._check()
        for name in ("conditioning_scale", "sigma"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{type(self).__name__}: {name} must be at least 0, got {getattr(self, name)}")


def detect_edges(photo: Image.Image, sigma: float) -> Image.Image:
    """White edges on black, RGB, by Canny (1986), per channel: colours may differ where lightness does not."""
    from skimage.feature import canny

    channels = np.asarray(photo.convert("RGB"), np.float32).transpose(2, 0, 1) / 255
    edges = np.any([canny(channel, sigma=sigma) for channel in channels], axis=0)  # type: ignore[no-untyped-call]
    return Image.fromarray(np.where(edges, 255, 0).astype(np.uint8)).convert("RGB")
