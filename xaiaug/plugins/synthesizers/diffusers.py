"""Any text-to-image pipeline of diffusers, by folder or name."""

from __future__ import annotations

from typing import Unpack

from ._diffusion import DiffusionSynthesizer
from ._presets import PRESETS, Options


class DiffusersSynthesizer(DiffusionSynthesizer):
    """Any text-to-image pipeline that diffusers' AutoPipelineForText2Image opens: SD 3.5, FLUX, SANA, Z-Image, …

    Args:
        weights: a folder that save_pretrained wrote, or a name on the model hub.
        options: as in all variants; their defaults are the pipeline's own.
    """

    preset = PRESETS["diffusers"]

    def __init__(self, weights: str, **options: Unpack[Options]) -> None:
        super().__init__(weights, **options)
