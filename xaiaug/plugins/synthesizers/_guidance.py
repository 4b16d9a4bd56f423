"""Settings of guidance: passed on as a pipeline names them, and refused where they would do nothing."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ...errors import ConfigError
from ._pipelines import denoiser, silence_diffusers

PROBE_STEPS = 2
PROBE_PROMPT = "a photo of a cat"
MORE = 4.0  # added to a scale, to see whether it counts
SMALLEST = 1e-4  # difference of two images, of the range of values, that counts


@dataclass(frozen=True)
class Guidance:
    """What the user set; None and "" leave a setting to the pipeline.

    Attributes:
        guidance_scale: strength of the prompt.
        true_cfg_scale: the same, in pipelines that were distilled with a guidance scale, or have no other.
        negative_prompt: what images should not show.
    """

    guidance_scale: float | None
    true_cfg_scale: float | None
    negative_prompt: str

    def check_names(self, pipe: Any) -> None:
        """Checks that a loaded pipeline takes the settings, and uses them as far as its class tells.

        Raises:
            ConfigError: it does not.
        """
        known, who = inspect.signature(pipe.__call__).parameters, type(pipe).__name__
        for name in ("guidance_scale", "true_cfg_scale", "negative_prompt"):
            if getattr(self, name) not in (None, "") and name not in known:
                raise ConfigError(f"{who} takes no {name}: leave it out")
        if "true_cfg_scale" not in known:
            return
        default = known["true_cfg_scale"].default
        scale = self.true_cfg_scale if self.true_cfg_scale is not None else default
        if self.negative_prompt and scale <= 1:
            raise ConfigError(
                f"{who} reads negative_prompt only if true_cfg_scale is above 1, and it is {scale}: set true_cfg_scale"
                " (4 is usual; images take twice as long), or leave negative_prompt out"
            )
        embeds = getattr(getattr(denoiser(pipe), "config", None), "guidance_embeds", True)
        if self.guidance_scale is not None and not embeds:
            raise ConfigError(
                f"{who} takes guidance_scale, unused with these weights: set true_cfg_scale, or leave it out"
            )

    def negative(self, pipe: Any) -> str:
        """The negative prompt to pass on: true_cfg_scale works only with one, if only a space."""
        known = inspect.signature(pipe.__call__).parameters
        if not self.negative_prompt and (self.true_cfg_scale or 0) > 1 and "negative_prompt" in known:
            return " "
        return self.negative_prompt

    def check_effect(self, pipe: Any, call: Callable[..., Any], arguments: Mapping[str, Any]) -> None:
        """Checks that each setting changes what the pipeline generates, in images of two steps.

        Args:
            pipe: loaded.
            call: generates with it: keyword arguments in, images n h w c out, 0 to 1.
            arguments: of `call`, besides prompt, negative prompt and generator.

        Raises:
            ConfigError: one does not.
        """
        who, known = type(pipe).__name__, inspect.signature(pipe.__call__).parameters
        if who.startswith("StableDiffusion") and "unet" in pipe.components and not _is_distilled(pipe.unet):
            return  # these use what they take, and a scale of 1 or less is refused with a negative prompt
        others = {
            name: {name: value + MORE}
            for name in ("guidance_scale", "true_cfg_scale")
            if (value := getattr(self, name)) is not None
        }
        if self.negative_prompt:
            others["negative_prompt"] = {"negative_prompt": [""]}
        if not others:
            return
        own = {**arguments, **self._prompts(pipe)}
        if "num_inference_steps" in known:
            own["num_inference_steps"] = PROBE_STEPS
        image = _generate(call, own)
        for name, change in others.items():
            other = _generate(call, {**own, **change})
            if image is None or other is None or image.shape != other.shape:
                continue
            if np.abs(image - other).max() <= SMALLEST:
                also = " with this guidance_scale" if name == "negative_prompt" else ""
                raise ConfigError(f"{who} takes {name}, but it changes nothing in its images{also}: leave it out")

    def _prompts(self, pipe: Any) -> dict[str, list[str]]:
        negative = self.negative(pipe)
        return {"prompt": [PROBE_PROMPT], **({"negative_prompt": [negative]} if negative else {})}


def _is_distilled(unet: Any) -> bool:
    """Whether a UNet reads the guidance scale itself, as latent consistency models do: no negative prompt is read."""
    return getattr(unet.config, "time_cond_proj_dim", None) is not None


def _generate(call: Callable[..., Any], arguments: Mapping[str, Any]) -> Any:
    generator = [torch.Generator("cpu").manual_seed(0)]
    with silence_diffusers(), torch.no_grad():
        image = next(iter(call(**arguments, generator=generator)))
    return None if image is None else np.asarray(image, np.float32)
