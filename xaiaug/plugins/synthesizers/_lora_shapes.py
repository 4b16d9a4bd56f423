"""Whether LoRA weights fit a pipeline: their shapes beside those of the weights they adapt, without loading either."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from ...errors import ConfigError
from ._pipeline_files import Shapes, part_shapes, read_shapes
from ._weights import Weights

PARTS = ("unet", "transformer", "text_encoder_2", "text_encoder", "text_encoder_3")
# diffusers and peft write lora_A/lora_B or lora.down/lora.up with dots; kohya's tools lora_down/lora_up, the rest
# joined by underscores.
DOWN = re.compile(r"^(?P<layer>.+?)\.?_?(lora_A(\.\w+)?|lora\.down|lora_down|lora_linear_layer\.down)\.weight$")
UP = re.compile(r"^(?P<layer>.+?)\.?_?(lora_B(\.\w+)?|lora\.up|lora_up|lora_linear_layer\.up)\.weight$")
PREFIX = re.compile(r"^lora_(unet|transformer|te\d?)_|^(unet|transformer|diffusion_model|text_encoder(_\d)?)\.")


def find_lora_file(weights: Weights) -> Path | None:
    """The file of LoRA weights on this machine; None for a name on the hub.

    Raises:
        ConfigError: there is no such file, or a folder holds none or several.
    """
    if not weights.local:
        return None
    folder = Path(weights.place)
    if weights.file is not None:
        if not (folder / weights.file).is_file():
            raise ConfigError(f"loras: there is no file {weights.file!r} in {str(folder)!r}")
        if not weights.file.endswith(".safetensors"):
            raise ConfigError(f"loras: {weights.file} is no safetensors file, and no others are read: convert it")
        return folder / weights.file
    files = sorted(folder.glob("*.safetensors"))
    if len(files) != 1:
        names = ", ".join(file.name for file in files) or "none"
        raise ConfigError(f"loras: {str(folder)!r} must hold one .safetensors file, or set file; it holds {names}")
    return files[0]


def check_lora(lora: Weights, weights: Weights) -> None:
    """Checks LoRA weights against those of a pipeline, as far as both are on this machine.

    Raises:
        ConfigError: there is no file, it holds no LoRA weights, or they are of other shapes.
    """
    file = find_lora_file(lora)
    if file is None:
        return
    shapes = read_shapes(file)
    down, up = _layers(shapes, DOWN), _layers(shapes, UP)
    if not down or not up:
        raise ConfigError(
            f"loras: {file.name} holds no LoRA weights: its first tensor is {next(iter(shapes), 'none')!r}"
        )
    base = {_plain(name): shape for part in PARTS for name, shape in part_shapes(weights, part).items()}
    for layer in down.keys() & up.keys() & base.keys():
        have, want = (up[layer][0], down[layer][1]), base[layer][:2]
        if len(want) == 2 and have != want:
            raise ConfigError(
                f"loras: {file.name} does not fit {weights.name}: its weights for {layer} are of a layer of"
                f" {have[1]} → {have[0]} values, here it is {want[1]} → {want[0]}. It was made for another model"
            )
    if base and not down.keys() & base.keys() and all("." in name.removesuffix(".weight") for name in shapes):
        known = ", ".join(sorted(down)[:2])
        raise ConfigError(f"loras: {file.name} does not fit {weights.name}: it has no layers such as {known}")


def _layers(shapes: Mapping[str, tuple[int, ...]], pattern: re.Pattern[str]) -> Shapes:
    return {_plain(match["layer"]): shape for name, shape in shapes.items() if (match := pattern.match(name))}


def _plain(name: str) -> str:
    """A layer's name without the prefix of its part, and with one separator: tools write either."""
    return PREFIX.sub("", name.removesuffix(".weight")).replace(".", "_")
