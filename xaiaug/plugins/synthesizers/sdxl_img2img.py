"""Stable Diffusion XL, image to image: changes the misclassified image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Unpack

from ...errors import ConfigError
from ...records import Failure, SynthesisRequest
from ._batch_generation import BatchGenerator
from ._diffusion import DiffusionSynthesizer
from ._pipelines import PipelineSetup, open_pipeline
from ._presets import PRESETS, Options
from ._resolution import native_side, to_working_size
from ._weights import diffusers_package


class SdxlImageToImageSynthesizer(DiffusionSynthesizer):
    """Adds noise to the misclassified image and denoises it by the prompt (SDEdit, arXiv:2108.01073).

    Without a source image, which some arms must not use, the same weights generate from the prompt only.

    Args:
        weights: as in all variants.
        strength: how far the image is changed, and the share of steps that run, above 0 to 1; None: the preset's.
        options: as in all variants.
    """

    uses = frozenset({"prompt", "image"})
    preset = PRESETS["sdxl-img2img"]

    def __init__(
        self, weights: str | None = None, *, strength: float | None = None, **options: Unpack[Options]
    ) -> None:
        super().__init__(weights, **options)
        self.strength = strength
        self._native = 0

    def _open(self, setup: PipelineSetup) -> Mapping[str, BatchGenerator]:
        pipe = open_pipeline("Image2Image", self._weights(), setup)
        self._native = self._side or native_side(pipe)
        plain = diffusers_package().AutoPipelineForText2Image.from_pipe(pipe)
        plain.set_progress_bar_config(disable=True)
        return {"image": self._generator(pipe, strength=self._strength), "text": self._generator(plain)}

    def _inputs(self, request: SynthesisRequest) -> dict[str, Any] | Failure:
        if request.source is None:
            return {}
        details = {"strength": self._strength}
        return {
            "pipeline": "image",
            "arguments": {"image": to_working_size(request.source, self._native)},
            "details": details,
        }

    @property
    def _strength(self) -> float:
        return (self.preset.strength or 1.0) if self.strength is None else self.strength

    def _check(self) -> None:
        super()._check()
        who = type(self).__name__
        if not 0 < self._strength <= 1:
            raise ConfigError(f"{who}: strength must be above 0 and at most 1, got {self._strength}")
        if self._steps is not None and int(self._steps * self._strength) < 1:
            raise ConfigError(
                f"{who}: {self._steps} steps at strength {self._strength} leave no step to run: raise one of them"
            )
