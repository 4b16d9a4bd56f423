"""The settings of diffusion synthesizers: their defaults, the weights they name, and checks before these are loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, ClassVar

import torch

from ...errors import ConfigError
from ...interfaces import Synthesizer
from ...records import JSON, Estimate
from .._signature import expand_options
from ._guidance import Guidance
from ._ip_adapter import IpAdapter, parse_ip_adapter
from ._pipeline_files import find_variant
from ._pipelines import PipelineSetup, check_memory, dtype_for, parse_loras
from ._preflight import check_before_loading
from ._presets import Preset, Source
from ._resolution import configured_pixels
from ._weights import Weights

TOO_LONG = ("cut", "refuse")
LEAST = {"steps": 1, "guidance_scale": 0, "true_cfg_scale": 1, "size": 16, "batch_size": 1, "prompt_tokens": 1}
BYTES_PER_PIXEL = (0.3, 2.5)  # of a PNG: a smooth drawing, a noisy photograph


class DiffusionSettings(Synthesizer):
    """A synthesizer with the settings that all pipelines of diffusers share.

    Args:
        weights: a folder that save_pretrained wrote, or a name on the model hub; None: the preset's.
        revision: a commit on the hub; None: the preset's, or the newest of other weights.
        steps: denoising steps, ≥ 1; None: the preset's.
        guidance_scale: strength of the prompt, ≥ 0; None: the preset's. Refused by pipelines that do not use it.
        true_cfg_scale: the same in pipelines that have it besides or instead: FLUX, Qwen-Image; ≥ 1.
        size: pixels of a side; None: the preset's, or the size that other weights were trained on.
        scheduler: name of a class of diffusers; None: the weights' own.
        dtype: "float32", "float16", "bfloat16"; None: bfloat16 if the GPU has it, float32 on a CPU.
        variant: of the weight files, such as "fp16"; None: the default files, or the only ones in a folder.
        config: for weights that are one .safetensors file: the folder with the configurations and tokenizers of its
            pipeline; None: the file's own folder.
        vae: folder or name of another autoencoder, such as one that does not overflow in float16.
        negative_prompt: what images should not show; needs guidance_scale > 1, or true_cfg_scale > 1.
        style: appended to every prompt, such as "a photo taken with a phone".
        chunked: whether long prompts are read in chunks, if the pipeline allows it.
        too_long: what happens to them otherwise: "cut" at the end, or "refuse".
        prompt_tokens: number of prompt tokens that a pipeline reads, if it does not state it; None: measured.
        ip_adapter: table that makes the failed image a second prompt (arXiv:2308.06721): `weights`, `file`, and if need
            be `subfolder`, `image_encoder`, `scale` 0.6 and `revision`. Such images are generated one by one.
        loras: LoRA weights: folders, files, or tables with `weights`, `file`, `scale` and `revision`.
        memory: "fast", "balanced" or "tiny".
        compiled: whether the denoiser is compiled first: minutes once, then faster.
        batch_size: largest number of images per batch, ≥ 1; halved if memory runs out.
        exact: whether images are generated one by one, so that no bit depends on the batch; None: on a CPU only, where
            batches gain little.

    Raises:
        ConfigError: in `prepare`: a value out of its range, or weights that cannot be loaded.
    """

    uses = frozenset({"prompt"})
    preset: ClassVar[Preset]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        expand_options(cls)

    def __init__(  # noqa: PLR0913  each is a key of the settings table
        self,
        weights: str | None = None,
        *,
        revision: str | None = None,
        steps: int | None = None,
        guidance_scale: float | None = None,
        true_cfg_scale: float | None = None,
        size: int | None = None,
        scheduler: str | None = None,
        dtype: str | None = None,
        variant: str | None = None,
        config: str | None = None,
        vae: str | None = None,
        negative_prompt: str = "",
        style: str = "",
        chunked: bool = True,
        too_long: str = "cut",
        prompt_tokens: int | None = None,
        ip_adapter: Mapping[str, JSON] | None = None,
        loras: Sequence[str | Mapping[str, JSON]] = (),
        memory: str = "fast",
        compiled: bool = False,
        batch_size: int = 4,
        exact: bool | None = None,
    ) -> None:
        self.weights = weights
        self.revision = revision
        self.steps = steps
        self.guidance_scale = guidance_scale
        self.true_cfg_scale = true_cfg_scale
        self.size = size
        self.scheduler = scheduler
        self.dtype = dtype
        self.variant = variant
        self.config = config
        self.vae = vae
        self.negative_prompt = negative_prompt
        self.style = style
        self.chunked = chunked
        self.too_long = too_long
        self.prompt_tokens = prompt_tokens
        self.ip_adapter = ip_adapter
        self.loras = loras
        self.memory = memory
        self.compiled = compiled
        self.batch_size = batch_size
        self.exact = exact
        if ip_adapter is not None:
            self.uses, self.needs = self.uses | {"image"}, self.needs | {"image"}

    def identity(self) -> dict[str, JSON]:
        """Class, version, source and parameters, the preset, and digests of weights in folders."""
        digests = {name: weights.digest() for name, weights in self._all_weights().items()}
        return {**super().identity(), "preset": asdict(self.preset), "weights": digests}

    def estimate(self, items: int) -> Estimate:
        """Free of charge; gives the size of the images on disk and the licences of the weights."""
        low, high = (items * self._pixels() * size for size in BYTES_PER_PIXEL)
        return Estimate(licence="; ".join(dict.fromkeys(self._licences())), disk_bytes=(low, high))

    def check(self) -> None:
        """Checks settings and weights, as far as they are on this machine, before anything is loaded.

        Raises:
            ConfigError: a value out of its range, a missing or cut-off file, a scheduler, size or LoRA that does not
                fit.
            MissingExtraError: a package is not installed.
        """
        self._check()
        setup = self._setup(torch.device("cpu"))
        apart = ("weights", "ip-adapter")
        extra = {name: part for name, part in self._all_weights().items() if name not in apart and "lora" not in name}
        who, side = type(self).__name__, self._fixed_side()
        check_before_loading(who, self._weights(), extra, setup, steps=self._steps, size=side)

    def _all_weights(self) -> dict[str, Weights]:
        extra = {f"lora-{number}": weights for number, (weights, _) in enumerate(parse_loras(self.loras))}
        vae, adapter = self._vae_weights(), self._ip_adapter()
        extra |= {} if vae is None else {"vae": vae}
        extra |= {} if adapter is None else {"ip-adapter": Weights(adapter.weights.place, adapter.weights.revision)}
        return {"weights": self._weights()} | extra

    @property
    def _steps(self) -> int | None:
        return self.preset.steps if self.steps is None else self.steps

    @property
    def _guidance_scale(self) -> float | None:
        return self.preset.guidance_scale if self.guidance_scale is None else self.guidance_scale

    @property
    def _side(self) -> int | None:
        return self.preset.size if self.size is None and self.weights is None else self.size

    def _fixed_side(self) -> int | None:
        """Pixels of a side of every image; None if they depend on the image that one starts from."""
        return self._side

    def _pixels(self) -> int:
        """Pixels of an image; 0 if unknown before the weights are loaded."""
        return self._side**2 if self._side else configured_pixels(self._weights())

    def _weights(self) -> Weights:
        who = type(self).__name__
        weights = Weights.of(self.weights, self.preset.source, self.revision, who).with_layout(self.config, who)
        variant = self.variant or (self.preset.variant if self.weights is None else None)
        if variant is None and weights.local and weights.layout is None:
            variant = find_variant(Path(weights.place))
        return replace(weights, variant=variant)

    def _vae_weights(self) -> Weights | None:
        return None if self.vae is None else self._extra_weights(self.vae, None, "vae")

    def _ip_adapter(self) -> IpAdapter | None:
        return parse_ip_adapter(self.ip_adapter, type(self).__name__)

    def _extra_weights(self, given: str | None, source: Source | None, name: str) -> Weights:
        return Weights.of(given, source, None, f"{type(self).__name__}: {name}")

    def _licences(self) -> list[str]:
        main, *extra = self._all_weights().values()
        first = self.preset.licence if self.weights is None else main.licence
        return [licence for licence in (first, *(weights.licence for weights in extra)) if licence]

    def _setup(self, device: torch.device) -> PipelineSetup:
        is_preset = self.weights is None
        return PipelineSetup(
            device=device,
            dtype=dtype_for(self.dtype or self.preset.dtype, device),
            memory=self.memory,
            scheduler=self.scheduler or (self.preset.scheduler if is_preset else None),
            spacing=self.preset.spacing,
            loras=parse_loras(self.loras),
            unet=None,
            compiled=self.compiled,
            vae=self._vae_weights(),
            ip_adapter=self._ip_adapter(),
        )

    def _check(self) -> None:
        who = type(self).__name__
        for name, least in LEAST.items():
            if (value := getattr(self, name)) is not None and value < least:
                raise ConfigError(f"{who}: {name} must be at least {least}, got {value}")
        if self.too_long not in TOO_LONG:
            raise ConfigError(f"{who}: too_long must be one of {', '.join(TOO_LONG)}, got {self.too_long!r}")
        if self.dtype is not None:
            dtype_for(self.dtype, torch.device("cpu"))
        check_memory(self.memory)
        scale = self._guidance_scale
        if self.negative_prompt and self.true_cfg_scale is None and scale is not None and scale <= 1:
            raise ConfigError(f"{who}: negative_prompt needs guidance_scale > 1, got {scale}; leave it out")

    def _guidance(self) -> Guidance:
        return Guidance(self.guidance_scale, self.true_cfg_scale, self.negative_prompt)
