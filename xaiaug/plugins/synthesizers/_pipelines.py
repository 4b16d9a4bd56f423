"""Loads pipelines of diffusers and sets them up: device, dtype, scheduler, LoRA weights and memory preset."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from ...errors import ConfigError, MissingExtraError, suggest
from ..classifiers._isolation import silence_transformers
from ._weights import Weights, diffusers_package, unreadable

MEMORY = ("fast", "balanced", "tiny")
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class PipelineSetup:
    """How a loaded pipeline is set up.

    Attributes:
        device: where it computes.
        dtype: of its weights.
        memory: "fast": all on the device; "balanced": one model at a time, decoding one image at a time; "tiny": one
            layer at a time, decoding in tiles.
        scheduler: name of a class of diffusers; None: the pipeline's own.
        spacing: of the timesteps; None: the scheduler's own.
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


def dtype_for(name: str, device: torch.device) -> torch.dtype:
    """The dtype by name; "auto": bfloat16 if the GPU has it, else float16, and float32 on a CPU.

    Raises:
        ConfigError: there is no such dtype.
    """
    if name != "auto":
        if name not in DTYPES:
            raise ConfigError(f"dtype = {name!r}: there is no such dtype. {suggest(name, (*DTYPES, 'auto'))}")
        return DTYPES[name]
    if device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.bfloat16
    return torch.float32 if device.type == "cpu" else torch.float16


def open_pipeline(task: str, weights: Weights, setup: PipelineSetup, **parts: Any) -> Any:
    """A pipeline from one of diffusers' Auto classes, ready to generate.

    Args:
        task: "Text2Image", "Image2Image" or "Inpainting".
        weights: folder or name.
        setup: of the pipeline.
        parts: further parts, such as a ControlNet.

    Raises:
        ConfigError: the weights cannot be loaded, or are not of such a pipeline.
    """
    index = weights.index()
    options = {**weights.options(), "dtype": setup.dtype, "variant": weights.variant, **parts}
    if "StableDiffusionXL" in index["_class_name"]:
        options["add_watermarker"] = False  # a watermark would be a cue that only new images have
    with silence_diffusers():
        auto = getattr(diffusers_package(), f"AutoPipelineFor{task}")
        try:
            pipe = auto.from_pretrained(weights.place, **options)
        except (OSError, ValueError) as error:
            raise unreadable(weights, error) from error
        set_up(pipe, setup)
    return pipe


def set_up(pipe: Any, setup: PipelineSetup) -> None:
    """Sets a loaded pipeline up, in place."""
    pipe.set_progress_bar_config(disable=True)
    if setup.unet is not None:
        _swap_unet(pipe, setup.unet)
    _fuse(pipe, setup.loras)
    _schedule(pipe, setup.scheduler, setup.spacing)
    _place(pipe, setup)
    if setup.compiled:
        _compile(denoiser(pipe))


def denoiser(pipe: Any) -> Any:
    """The UNet or transformer, which takes nearly all the time."""
    return getattr(pipe, "unet", None) or getattr(pipe, "transformer", None)


@contextmanager
def silence_diffusers() -> Iterator[None]:
    """Hides progress bars and log lines of diffusers and transformers; restores their settings at the end."""
    from diffusers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with silence_transformers(), warnings.catch_warnings():
            # diffusers' schedulers pass tensors to numpy in a deprecated way
            warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
            yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def _place(pipe: Any, setup: PipelineSetup) -> None:
    if setup.memory not in MEMORY:
        raise ConfigError(f"memory = {setup.memory!r}: there is no such preset. {suggest(setup.memory, MEMORY)}")
    vae: Any = getattr(pipe, "vae", None)
    if setup.memory != "fast" and hasattr(vae, "enable_slicing"):
        vae.enable_slicing()
    if setup.memory == "tiny" and hasattr(vae, "enable_tiling"):
        vae.enable_tiling()
    if setup.memory == "fast" or setup.device.type == "cpu":  # offloading needs a GPU
        pipe.to(setup.device)
    elif setup.memory == "balanced":
        pipe.enable_model_cpu_offload(device=setup.device)
    else:
        pipe.enable_sequential_cpu_offload(device=setup.device)


def _schedule(pipe: Any, name: str | None, spacing: str | None) -> None:
    if name is None and spacing is None:
        return
    diffusers = diffusers_package()
    kind = type(pipe.scheduler) if name is None else getattr(diffusers, name, None)
    if kind is None or not hasattr(kind, "from_config"):
        known = [type_.__name__ for type_ in pipe.scheduler.compatibles]
        raise ConfigError(f"scheduler = {name!r}: diffusers has no such scheduler. {suggest(str(name), known)}")
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
    """Merges LoRA weights into the weights they adapt, so that generation takes no longer."""
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
    """Compiles the repeated blocks once for all sizes: minutes faster than compiling everything."""
    if getattr(part, "_repeated_blocks", None):
        part.compile_repeated_blocks(dynamic=True)
    else:
        part.compile(dynamic=True)


def parse_loras(entries: Sequence[str | Mapping[str, Any]]) -> list[tuple[Weights, float]]:
    """Weights and scales from the setting `loras`: folders, files, hub names, or tables of `weights`, `file`, `scale`.

    Raises:
        ConfigError: a table has other keys.
    """
    return [_parse_lora({"weights": entry} if isinstance(entry, str) else entry) for entry in entries]


def _parse_lora(entry: Mapping[str, Any]) -> tuple[Weights, float]:
    known = ("weights", "file", "scale", "revision")
    for name in entry:
        if name not in known:
            raise ConfigError(f"loras: an entry has no key {name!r}. {suggest(name, known)}")
    if "weights" not in entry:
        raise ConfigError('loras: an entry needs weights = "…": a folder, a .safetensors file or a name on the hub')
    weights = Weights.of(entry["weights"], None, entry.get("revision"), "loras")
    file = entry.get("file", weights.file)
    return Weights(weights.place, weights.revision, None, file), float(entry.get("scale", 1.0))
