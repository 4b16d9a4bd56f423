"""Loads pipelines of diffusers and sets them up: device, dtype, scheduler, LoRA weights and memory preset."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from ...errors import ConfigError, MissingExtraError, suggest
from ..classifiers._isolation import silence_transformers
from ._ip_adapter import IpAdapter
from ._pipeline_files import read_shapes
from ._schedulers import set_scheduler
from ._weights import Weights, diffusers_package, first_line, unreadable

NO_PEFT = "LoRA weights need peft: pip install 'xaiaug[lora]'"
MEMORY = ("fast", "balanced", "tiny")
# How tensors of parts begin in single-file checkpoints.
PREFIXES: Mapping[str, tuple[str, ...]] = {
    "text_encoder": ("cond_stage_model.", "conditioner.embedders.", "text_encoders."),
    "vae": ("first_stage_model.", "vae.", "encoder."),
}
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
        vae: other weights for the autoencoder.
        ip_adapter: shows the pipeline an image beside the prompt.
    """

    device: torch.device
    dtype: torch.dtype
    memory: str
    scheduler: str | None
    spacing: str | None
    loras: Sequence[tuple[Weights, float]]
    unet: Weights | None
    compiled: bool
    vae: Weights | None = None
    ip_adapter: IpAdapter | None = None


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
    """A pipeline for a task, ready to generate.

    Args:
        task: "Text2Image", "Image2Image" or "Inpainting", of diffusers' Auto classes; or the name of a pipeline class.
        weights: folder, name, or a single file.
        setup: of the pipeline.
        parts: further parts, such as a ControlNet.

    Raises:
        ConfigError: the weights cannot be loaded, or are not of such a pipeline.
    """
    name = weights.index()["_class_name"]
    options: dict[str, Any] = {"dtype": setup.dtype, **parts}
    if setup.vae is not None:
        options["vae"] = _load_vae(setup.vae, setup)
    if "StableDiffusionXL" in name:
        options["add_watermarker"] = False  # a watermark would be a cue that only new images have
    from diffusers.loaders.single_file_utils import SingleFileComponentError

    with silence_diffusers():
        try:
            pipe = _load(task, name, weights, options)
        except (OSError, ValueError, KeyError, RuntimeError, TypeError, SingleFileComponentError) as error:
            raise unreadable(weights, error) from error
        set_up(pipe, setup)
    return pipe


def _load(task: str, name: str, weights: Weights, options: Mapping[str, Any]) -> Any:
    package = diffusers_package()
    auto = getattr(package, f"AutoPipelineFor{task}", None)
    if weights.layout is not None and weights.file is not None:
        pipe = _load_single_file(getattr(package, name), weights, dict(options))
        return pipe if auto is None else auto.from_pipe(pipe)
    more = {**weights.options(), "variant": weights.variant, **options}
    if auto is None:
        return getattr(package, task).from_pretrained(weights.place, **more)
    try:
        return auto.from_pretrained(weights.place, **more)
    except ValueError as error:
        # diffusers has text-to-image pipelines that its Auto classes do not list, such as Kolors.
        if task != "Text2Image" or "can't find a pipeline" not in str(error) or not hasattr(package, name):
            raise
    return getattr(package, name).from_pretrained(weights.place, **more)


def _load_single_file(kind: Any, weights: Weights, options: dict[str, Any]) -> Any:
    """A pipeline from one file; autoencoder and text encoders that it lacks are taken from the folder beside."""
    file = Path(weights.place, weights.file or "")
    tensors = read_shapes(file)
    for name, entry in weights.index().items():
        prefixes = next((known for part, known in PREFIXES.items() if part in name), ())
        wanted = prefixes and isinstance(entry, list) and entry[0] is not None and name not in options
        if wanted and not any(tensor.startswith(prefixes) for tensor in tensors):
            options[name] = _load_part(weights, name, entry, options["dtype"])
    # Without the folder, diffusers would download configurations even where it is told to use local files only.
    return kind.from_single_file(str(file), config=weights.layout, local_files_only=True, **options)


def _load_part(weights: Weights, name: str, entry: Sequence[str], dtype: torch.dtype) -> Any:
    library = diffusers_package() if entry[0] == "diffusers" else import_module("transformers")
    options = {"dtype": dtype, "use_safetensors": True, "local_files_only": True}
    try:
        return getattr(library, entry[1]).from_pretrained(weights.layout, subfolder=name, **options)
    except (AttributeError, OSError, ValueError) as error:
        raise OSError(
            f"it holds no {name}, and {weights.layout} has no weights of it either: copy them there."
        ) from error


def _load_vae(weights: Weights, setup: PipelineSetup) -> Any:
    """Another autoencoder: a folder of its own, or the part `vae` of a pipeline's folder."""
    part = "vae" if weights.config("vae") else ""
    config = weights.config(part)
    kind = getattr(diffusers_package(), str(config.get("_class_name", "AutoencoderKL")), None)
    if kind is None:
        raise ConfigError(f"vae: {weights.place!r} is of the class {config['_class_name']}, which diffusers has not")
    with silence_diffusers():
        try:
            return kind.from_pretrained(weights.place, subfolder=part or None, dtype=setup.dtype, **weights.options())
        except (OSError, ValueError, RuntimeError) as error:
            raise unreadable(weights, error) from error


def set_up(pipe: Any, setup: PipelineSetup) -> None:
    """Sets a loaded pipeline up, in place."""
    pipe.set_progress_bar_config(disable=True)
    if setup.unet is not None:
        _swap_unet(pipe, setup.unet)
    _fuse(pipe, setup.loras)
    if setup.ip_adapter is not None:
        setup.ip_adapter.load(pipe)
    set_scheduler(pipe, setup.scheduler, setup.spacing)
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
            # and its combined pipelines call each other in deprecated ways
            warnings.filterwarnings("ignore", r".*will be removed in version", FutureWarning)
            yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def check_memory(name: str) -> None:
    """Raises ConfigError if there is no memory preset of that name."""
    if name not in MEMORY:
        raise ConfigError(f"memory = {name!r}: there is no such preset. {suggest(name, MEMORY)}")


def _place(pipe: Any, setup: PipelineSetup) -> None:
    check_memory(setup.memory)
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
        except (OSError, RuntimeError, ValueError, KeyError) as error:
            if "PEFT" in str(error):
                raise MissingExtraError(NO_PEFT) from error
            raise ConfigError(
                f"the LoRA weights {weights.name!r} cannot be loaded into {type(pipe).__name__}: {first_line(error)}"
                " They must be LoRA weights in a .safetensors file, made for this model"
            ) from error
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
