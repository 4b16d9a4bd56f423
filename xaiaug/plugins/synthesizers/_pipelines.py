"""Loads pipelines of diffusers: on a device, in a dtype, with a scheduler, LoRA weights and a memory preset."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from ...errors import ConfigError, MissingExtraError, nearest
from ..classifiers._isolation import silence_transformers
from ._weights import Weights, diffusers_package, unreadable

MEMORY = ("fast", "balanced", "tiny")
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class PipelineSetup:
    """How a pipeline is set up once it is loaded.

    Attributes:
        device: where it computes.
        dtype: of its weights.
        memory: "fast": all on the device; "balanced": one model at a time, decoding image by image; "tiny": one layer
            at a time, and decoding in tiles.
        scheduler: name of a class of diffusers; None: the pipeline's own.
        spacing: of the timesteps; None: as the scheduler has it.
        loras: weights and scale of each.
        unet: other weights for the UNet.
        compiled: whether the denoiser is compiled.
    """

    device: torch.device
    dtype: torch.dtype
    memory: str
    scheduler: str | None
    spacing: str | None
    loras: Sequence[tuple[Weights, float]]
    unet: Weights | None
    compiled: bool


def dtype_for(wish: str, device: torch.device) -> torch.dtype:
    """The dtype for a wish; "auto": bfloat16 where a GPU has it, else float16, and float32 on a processor.

    Raises:
        ConfigError: there is no such dtype.
    """
    if wish != "auto":
        if wish not in DTYPES:
            raise ConfigError(f"dtype = {wish!r}: there is no such dtype. {nearest(wish, (*DTYPES, 'auto'))}")
        return DTYPES[wish]
    if device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.bfloat16
    return torch.float32 if device.type == "cpu" else torch.float16


def open_pipeline(task: str, weights: Weights, fitting: PipelineSetup, **parts: Any) -> Any:
    """A pipeline through one of diffusers' Auto classes, ready to draw.

    Args:
        task: "Text2Image", "Image2Image" or "Inpainting".
        weights: folder or name.
        fitting: how it is set up.
        parts: further parts, such as a ControlNet.

    Raises:
        ConfigError: the weights cannot be loaded, or are not of such a pipeline.
    """
    index = weights.index()
    told = {**weights.options(), "dtype": fitting.dtype, "variant": weights.variant, **parts}
    if "StableDiffusionXL" in index["_class_name"]:
        told["add_watermarker"] = False  # a watermark is a cue that only new images have
    with silence_diffusers():
        auto = getattr(diffusers_package(), f"AutoPipelineFor{task}")
        try:
            pipe = auto.from_pretrained(weights.place, **told)
        except (OSError, ValueError) as error:
            raise unreadable(weights, error) from error
        set_up(pipe, fitting)
    return pipe


def set_up(pipe: Any, fitting: PipelineSetup) -> None:
    """Sets a loaded pipeline up, in place."""
    pipe.set_progress_bar_config(disable=True)
    if fitting.unet is not None:
        _swap_unet(pipe, fitting.unet)
    _fuse(pipe, fitting.loras)
    _schedule(pipe, fitting.scheduler, fitting.spacing)
    _place(pipe, fitting)
    if fitting.compiled:
        _compile(denoiser(pipe))


def denoiser(pipe: Any) -> Any:
    """The part that takes nearly all the time."""
    return getattr(pipe, "unet", None) or getattr(pipe, "transformer", None)


@contextmanager
def silence_diffusers() -> Iterator[None]:
    """Keeps diffusers and transformers from writing bars and reports, and puts back their settings at the end."""
    from diffusers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with silence_transformers(), warnings.catch_warnings():
            # diffusers' schedulers hand numpy a tensor in a way that numpy is about to give up
            warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
            yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def _place(pipe: Any, fitting: PipelineSetup) -> None:
    if fitting.memory not in MEMORY:
        raise ConfigError(f"memory = {fitting.memory!r}: there is no such preset. {nearest(fitting.memory, MEMORY)}")
    vae: Any = getattr(pipe, "vae", None)
    if fitting.memory != "fast" and hasattr(vae, "enable_slicing"):
        vae.enable_slicing()
    if fitting.memory == "tiny" and hasattr(vae, "enable_tiling"):
        vae.enable_tiling()
    if fitting.memory == "fast" or fitting.device.type == "cpu":  # there is nowhere else to keep weights
        pipe.to(fitting.device)
    elif fitting.memory == "balanced":
        pipe.enable_model_cpu_offload(device=fitting.device)
    else:
        pipe.enable_sequential_cpu_offload(device=fitting.device)


def _schedule(pipe: Any, name: str | None, spacing: str | None) -> None:
    if name is None and spacing is None:
        return
    diffusers = diffusers_package()
    kind = type(pipe.scheduler) if name is None else getattr(diffusers, name, None)
    if kind is None or not hasattr(kind, "from_config"):
        known = [type_.__name__ for type_ in pipe.scheduler.compatibles]
        raise ConfigError(f"scheduler = {name!r}: diffusers has no such scheduler. {nearest(str(name), known)}")
    changed = {} if spacing is None else {"timestep_spacing": spacing}
    pipe.scheduler = kind.from_config(pipe.scheduler.config, **changed)


def _swap_unet(pipe: Any, weights: Weights) -> None:
    from safetensors.torch import load_file

    state = load_file(weights.single_file())
    try:
        pipe.unet.load_state_dict(state)
    except RuntimeError as error:
        raise ConfigError(f"{weights.file} holds no weights for the UNet of {type(pipe).__name__}: {error}") from error


def _fuse(pipe: Any, loras: Sequence[tuple[Weights, float]]) -> None:
    """Adds LoRA weights to those they adapt, for good: drawing then takes no longer than without."""
    if not loras:
        return
    if not hasattr(pipe, "load_lora_weights"):
        raise ConfigError(f"{type(pipe).__name__} takes no LoRA weights: leave loras out")
    names = [f"lora-{number}" for number in range(len(loras))]
    for name, (weights, _) in zip(names, loras, strict=True):
        try:
            pipe.load_lora_weights(weights.place, adapter_name=name, weight_name=weights.file, **weights.options())
        except (OSError, RuntimeError, ValueError) as error:
            if "PEFT" in str(error):
                raise MissingExtraError("LoRA weights need peft: pip install 'xaiaug[lora]'") from error
            raise unreadable(weights, error) from error
    if not pipe.get_active_adapters():
        raise ConfigError(f"the LoRA weights {loras[0][0].name!r} adapt nothing of {type(pipe).__name__}")
    pipe.set_adapters(names, [scale for _, scale in loras])
    pipe.fuse_lora(adapter_names=names)
    pipe.unload_lora_weights()


def _compile(part: Any) -> None:
    """Compiles the repeated blocks once for all sizes: minutes less than compiling the whole."""
    if getattr(part, "_repeated_blocks", None):
        part.compile_repeated_blocks(dynamic=True)
    else:
        part.compile(dynamic=True)


def parse_loras(given: Sequence[str | Mapping[str, Any]]) -> list[tuple[Weights, float]]:
    """LoRA weights as the settings name them: a folder, file or hub name, or a table with `weights`, `file`, `scale`.

    Raises:
        ConfigError: a table has other keys.
    """
    return [_parse_lora({"weights": entry} if isinstance(entry, str) else entry) for entry in given]


def _parse_lora(entry: Mapping[str, Any]) -> tuple[Weights, float]:
    known = ("weights", "file", "scale", "revision")
    for name in entry:
        if name not in known:
            raise ConfigError(f"loras: an entry has no key {name!r}. {nearest(name, known)}")
    if "weights" not in entry:
        raise ConfigError('loras: an entry needs weights = "…": a folder, a .safetensors file or a name on the hub')
    found = Weights.of(entry["weights"], None, entry.get("revision"), "loras")
    return Weights(found.place, found.revision, None, entry.get("file", found.file)), float(entry.get("scale", 1.0))
