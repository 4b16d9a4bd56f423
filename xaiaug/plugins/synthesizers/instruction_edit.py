"""Editors that follow an instruction: FLUX.1 Kontext, Qwen-Image-Edit and InstructPix2Pix change the failed image."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, ClassVar, Unpack

from ...errors import ConfigError
from ...records import Failure, SynthesisRequest, label_to_words
from ._batch_generation import BatchGenerator
from ._diffusion import DiffusionSynthesizer
from ._pipelines import PipelineSetup, open_pipeline
from ._presets import PRESETS, Options
from ._prompt_length import FittedPrompt
from ._resolution import LARGE, native_side, to_working_size, working_size

INSTRUCTION = "Keep the same {label} and change the picture to: {prompt}"
FIELDS = ("{label}", "{prompt}")


class InstructionEditSynthesizer(DiffusionSynthesizer):
    """Edits the misclassified image by an instruction made from the critic's prompt.

    Args:
        weights: a folder that save_pretrained wrote, or a name on the model hub; their licence is in their model card.
        instruction: how the prompt becomes one; {label} is the class, {prompt} what the critic wrote.
        options: as in all variants; their defaults are the pipeline's own.

    Attributes:
        pipeline: name of the class of diffusers that the weights must be of.
    """

    uses = frozenset({"prompt", "image"})
    needs = frozenset({"image"})
    preset = PRESETS["diffusers"]
    pipeline: ClassVar[str]

    def __init__(self, weights: str, *, instruction: str = INSTRUCTION, **options: Unpack[Options]) -> None:
        super().__init__(weights, **options)
        self.instruction = instruction
        self._native = 0

    def token_budget(self) -> tuple[Callable[[str], int], int] | None:
        """As in all variants, less the tokens of the instruction's own words."""
        budget = super().token_budget()
        if budget is None:
            return None
        count, tokens = budget
        return count, max(1, tokens - count(self.instruction.replace("{prompt}", "").replace("{label}", "class name")))

    def _open(self, setup: PipelineSetup) -> Mapping[str, BatchGenerator]:
        pipe = open_pipeline(self.pipeline, self._weights(), setup)
        self._native = self._side or native_side(pipe)
        self._takes_size = "height" in inspect.signature(pipe.__call__).parameters
        return {"image": self._generator(pipe)}

    def _arguments(self) -> dict[str, Any]:
        side = self._native
        # Sizes are ours; Kontext's own ones suit the size it was trained on, and no other.
        own = {"max_area": side * side, "_auto_resize": side >= LARGE}
        return {**super()._arguments(), **own, "height": None, "width": None}

    def _prompt(self, request: SynthesisRequest) -> FittedPrompt | Failure:
        label = label_to_words(request.label)
        text = request.prompt.strip() or f"a photo of a {label}"
        text = self.instruction.replace("{label}", label).replace("{prompt}", text)
        return super()._prompt(replace(request, prompt=text))

    def _inputs(self, request: SynthesisRequest) -> dict[str, Any] | Failure:
        if request.source is None:
            return Failure("no-source", f"{self.pipeline} edits the misclassified image, and this arm does not use it")
        photo = to_working_size(request.source, self._native)
        size = working_size(request.source, self._native) if self._takes_size else None
        return {"pipeline": "image", "arguments": {"image": photo}, "size": size}

    def _pixels(self) -> int:
        return self._side**2 if self._side else 0

    def _check(self) -> None:
        super()._check()
        who = type(self).__name__
        if missing := [field for field in FIELDS[1:] if field not in self.instruction]:
            raise ConfigError(f"{who}: instruction must hold {', '.join(missing)}, got {self.instruction!r}")
        name = str(self._weights().index()["_class_name"])
        if name != self.pipeline:
            raise ConfigError(f"{who}: the weights are of a {name}, not of a {self.pipeline}: use others")


class FluxKontextSynthesizer(InstructionEditSynthesizer):
    """FLUX.1 Kontext (arXiv:2506.15742)."""

    pipeline = "FluxKontextPipeline"


class QwenImageEditSynthesizer(InstructionEditSynthesizer):
    """Qwen-Image-Edit (arXiv:2508.02324)."""

    pipeline = "QwenImageEditPipeline"


class InstructPix2PixSynthesizer(InstructionEditSynthesizer):
    """InstructPix2Pix (arXiv:2211.09800), on Stable Diffusion 1.

    Args:
        weights: as in all editors.
        image_guidance_scale: how far the image is kept, ≥ 1; None: the pipeline's.
        options: as in all editors.
    """

    pipeline = "StableDiffusionInstructPix2PixPipeline"

    def __init__(
        self,
        weights: str,
        *,
        image_guidance_scale: float | None = None,
        instruction: str = INSTRUCTION,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(weights, instruction=instruction, **options)
        self.image_guidance_scale = image_guidance_scale

    def _arguments(self) -> dict[str, Any]:
        return {**super()._arguments(), "image_guidance_scale": self.image_guidance_scale}

    def _check(self) -> None:
        super()._check()
        if self.image_guidance_scale is not None and self.image_guidance_scale < 1:
            raise ConfigError(f"{type(self).__name__}: image_guidance_scale must be at least 1")
