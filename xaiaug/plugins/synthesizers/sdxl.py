"""Stable Diffusion XL from prompts: the base model and two distilled ones."""

from __future__ import annotations

from dataclasses import replace
from typing import Unpack

import torch

from ._diffusion import DiffusionSynthesizer
from ._pipelines import PipelineSetup
from ._presets import PRESETS, Options
from ._weights import Weights


class SdxlSynthesizer(DiffusionSynthesizer):
    """Stable Diffusion XL base 1.0 (arXiv:2307.01952), as the paper used it."""

    preset = PRESETS["sdxl"]


class SdxlTurboSynthesizer(DiffusionSynthesizer):
    """SDXL Turbo (arXiv:2311.17042): one step without guidance; the licence forbids commercial use."""

    preset = PRESETS["sdxl-turbo"]


class SdxlLightningSynthesizer(DiffusionSynthesizer):
    """SDXL Lightning (arXiv:2402.13929): SDXL base with another UNet, four steps without guidance.

    Args:
        weights: of SDXL base.
        unet: a .safetensors file with the UNet's weights; None: the preset's.
        options: as in all variants.
    """

    preset = PRESETS["sdxl-lightning"]

    def __init__(self, weights: str | None = None, *, unet: str | None = None, **options: Unpack[Options]) -> None:
        super().__init__(weights, **options)
        self.unet = unet

    def _setup(self, device: torch.device) -> PipelineSetup:
        return replace(super()._setup(device), unet=self._unet())

    def _unet(self) -> Weights:
        return self._extra_weights(self.unet, self.preset.unet, "unet")

    def _all_weights(self) -> dict[str, Weights]:
        return {**super()._all_weights(), "unet": self._unet()}
