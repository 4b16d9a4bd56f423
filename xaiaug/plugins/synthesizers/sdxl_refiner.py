"""Stable Diffusion XL with its refiner: two models share the denoising steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Unpack

from ...errors import ConfigError
from ._batch_generation import BatchGenerator, stack_columns
from ._diffusion import DiffusionSynthesizer
from ._long_prompts import LongPromptEncoder
from ._pipelines import PipelineSetup, open_pipeline
from ._presets import PRESETS, Options
from ._weights import Weights


class SdxlRefinerSynthesizer(DiffusionSynthesizer):
    """SDXL base for the first steps, the refiner for the last (arXiv:2307.01952, section 2.5).

    Args:
        weights: of SDXL base.
        refiner: folder or name of the refiner; None: the preset's.
        handover: share of the steps that the base runs, above 0 and below 1.
        options: as in all variants.
    """

    preset = PRESETS["sdxl-refiner"]

    def __init__(
        self,
        weights: str | None = None,
        *,
        refiner: str | None = None,
        handover: float = 0.8,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(weights, **options)
        self.refiner = refiner
        self.handover = handover

    def _open(self, setup: PipelineSetup) -> Mapping[str, BatchGenerator]:
        base = open_pipeline("Text2Image", self._weights(), setup)
        refiner = open_pipeline("Image2Image", self._refiner(), replace(setup, loras=(), spacing=None))
        self._generator(base)  # encodes long prompts for the base, and rejects unsupported settings
        return {"text": self._generator_by(_BaseAndRefiner(base, refiner, self.handover, self.negative_prompt), base)}

    def _prompt_arguments(self, text: str) -> dict[str, Any]:
        return {**super()._prompt_arguments(text), "refined": text}

    def _refiner(self) -> Weights:
        weights = self._extra_weights(self.refiner, self.preset.refiner, "refiner")
        return weights if weights.local else replace(weights, variant=self.preset.variant)

    def _all_weights(self) -> dict[str, Weights]:
        return {**super()._all_weights(), "refiner": self._refiner()}

    def _check(self) -> None:
        super()._check()
        if not 0 < self.handover < 1:
            raise ConfigError(f"{type(self).__name__}: handover must lie between 0 and 1, got {self.handover}")


class _BaseAndRefiner:
    """Base and refiner, called as one pipeline."""

    def __init__(self, base: Any, refiner: Any, handover: float, negative_prompt: str) -> None:
        self._base, self._refiner, self._handover = base, refiner, handover
        self._negative = negative_prompt
        self._long_prompts = LongPromptEncoder(refiner, negative_prompt)

    def __call__(self, refined: Sequence[str], **arguments: Any) -> Any:
        """Images n h w c, 0 to 1, for the arguments of the base; `refined` are the prompts for the refiner."""
        latents = self._base(**{**arguments, "output_type": "latent"}, denoising_end=self._handover).images
        shared = ("generator", "num_inference_steps", "guidance_scale", "output_type")
        prompts = self._prompt_arguments(refined, as_text="prompt" in arguments)
        more = {name: arguments[name] for name in shared} | prompts
        return self._refiner(image=latents, denoising_start=self._handover, **more).images

    def _prompt_arguments(self, prompts: Sequence[str], as_text: bool) -> dict[str, Any]:
        if as_text:
            negative = {"negative_prompt": [self._negative] * len(prompts)} if self._negative else {}
            return {"prompt": list(prompts), **negative}
        return stack_columns([self._long_prompts(prompt) for prompt in prompts])
