"""Presets: the published weights of each variant and their settings; and the options of all variants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypedDict

from ...records import JSON

OPEN_RAIL = "CreativeML Open RAIL++-M"
NON_COMMERCIAL = "Stability AI non-commercial research community licence"


@dataclass(frozen=True)
class Source:
    """Where weights are published.

    Attributes:
        name: on the model hub.
        revision: commit.
        file: of a single file there; None: the whole folder.
    """

    name: str
    revision: str
    file: str | None = None


@dataclass(frozen=True)
class Preset:
    """The default settings of a variant; None leaves a setting to the pipeline.

    Attributes:
        source: its weights; None if the user must name some.
        licence: of all weights it uses.
        steps: denoising steps.
        guidance_scale: strength of the prompt; 0 for distilled models.
        size: pixels of a side.
        dtype: "auto": bfloat16 if the hardware has it; or a dtype's name.
        variant: of the weight files on the hub, if the dtype is not float32.
        scheduler: name of a class of diffusers.
        spacing: of its timesteps.
        strength: how far an image is changed, 0 to 1, by variants that start from one.
        unet: other weights for the UNet.
        controlnet: weights of the ControlNet.
        refiner: weights of the refiner.
    """

    source: Source | None = None
    licence: str = ""
    steps: int | None = None
    guidance_scale: float | None = None
    size: int | None = None
    dtype: str = "auto"
    variant: str | None = None
    scheduler: str | None = None
    spacing: str | None = None
    strength: float | None = None
    unet: Source | None = None
    controlnet: Source | None = None
    refiner: Source | None = None


BASE = Source("stabilityai/stable-diffusion-xl-base-1.0", "462165984030d82259a11f4367a4eed129e94a7b")
TURBO = Source("stabilityai/sdxl-turbo", "71153311d3dbb46851df1931d3ca6e939de83304")
INPAINTING = Source("diffusers/stable-diffusion-xl-1.0-inpainting-0.1", "115134f363124c53c7d878647567d04daf26e41e")
REFINER = Source("stabilityai/stable-diffusion-xl-refiner-1.0", "5d4cfe854c9a9a87939ff3653551c2b3c99a4356")
CANNY = Source("diffusers/controlnet-canny-sdxl-1.0", "eb115a19a10d14909256db740ed109532ab1483c")
LIGHTNING = Source(
    "ByteDance/SDXL-Lightning", "c9a24f48e1c025556787b0c58dd67a091ece2e44", "sdxl_lightning_4step_unet.safetensors"
)

_SDXL = Preset(
    source=BASE,
    licence=OPEN_RAIL,
    steps=30,
    guidance_scale=5.0,
    size=1024,
    variant="fp16",
    scheduler="EulerDiscreteScheduler",
)
PRESETS: Mapping[str, Preset] = {
    "sdxl": _SDXL,
    "sdxl-turbo": replace(
        _SDXL,
        source=TURBO,
        licence=NON_COMMERCIAL,
        steps=1,
        guidance_scale=0.0,
        size=512,
        scheduler="EulerAncestralDiscreteScheduler",
        spacing="trailing",
    ),
    "sdxl-lightning": replace(_SDXL, steps=4, guidance_scale=0.0, spacing="trailing", unet=LIGHTNING),
    "sdxl-refiner": replace(_SDXL, steps=40, refiner=REFINER),
    "sdxl-img2img": replace(_SDXL, steps=40, strength=0.6),
    "sdxl-inpaint": replace(_SDXL, source=INPAINTING, guidance_scale=8.0, strength=0.99),
    "sdxl-controlnet": replace(_SDXL, controlnet=CANNY),
    "diffusers": Preset(),
}


def published_licence(name: str) -> str:
    """The licence of weights by their name on the hub; empty if no preset has them."""
    presets = (preset for preset in PRESETS.values() if preset.source is not None and preset.source.name == name)
    return next((preset.licence for preset in presets), "")


class Options(TypedDict, total=False):
    """The options of all variants, described in `DiffusionSynthesizer`."""

    revision: str | None
    steps: int | None
    guidance_scale: float | None
    true_cfg_scale: float | None
    size: int | None
    scheduler: str | None
    dtype: str | None
    variant: str | None
    config: str | None
    vae: str | None
    negative_prompt: str
    style: str
    chunked: bool
    too_long: str
    prompt_tokens: int | None
    ip_adapter: Mapping[str, JSON] | None
    loras: Sequence[str | Mapping[str, JSON]]
    memory: str
    compiled: bool
    batch_size: int
    exact: bool | None
