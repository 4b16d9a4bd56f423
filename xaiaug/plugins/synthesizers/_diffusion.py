"""The base class of diffusion synthesizers: options, prompts, generation and the details of each image."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, ClassVar

import torch

from ...errors import ConfigError
from ...interfaces import Context, Synthesizer
from ...records import JSON, Estimate, Failure, SynthesisRequest, SyntheticImage, label_to_words
from .._device import resolve_device
from .._signature import expand_options
from ._batch_generation import BatchGenerator, GenerationJob, GenerationResult
from ._pipelines import PipelineSetup, dtype_for, open_pipeline, parse_loras
from ._presets import Preset, Source
from ._prompt_length import (
    FittedPrompt,
    LongPromptEncoder,
    TokenLimit,
    accepts_embeddings,
    add_style,
    check_style,
    load_token_limit,
    names_class,
)
from ._resolution import configured_pixels
from ._weights import Weights

TOO_LONG = ("cut", "refuse")
BYTES_PER_PIXEL = (0.3, 2.5)  # of a PNG: a smooth drawing, a noisy photograph


class DiffusionSynthesizer(Synthesizer):
    """Generates images from prompts with a pipeline of diffusers.

    Args:
        weights: a folder that save_pretrained wrote, or a name on the model hub; None: the preset's.
        revision: a commit on the hub; None: the preset's, or the newest of other weights.
        steps: denoising steps, ≥ 1; None: the preset's.
        guidance_scale: strength of the prompt, ≥ 0; None: the preset's.
        size: pixels of a side; None: the preset's, or the size that other weights were trained on.
        scheduler: name of a class of diffusers; None: the weights' own.
        dtype: "float32", "float16", "bfloat16"; None: bfloat16 if the GPU has it, float32 on a CPU.
        negative_prompt: what images should not show; needs guidance_scale > 1.
        style: appended to every prompt, such as "a photo taken with a phone".
        chunked: whether long prompts are read in chunks, if the pipeline allows it.
        too_long: what happens to them otherwise: "cut" at the end, or "refuse".
        loras: LoRA weights: folders, files, or tables with `weights`, `file`, `scale` and `revision`.
        memory: "fast", "balanced" or "tiny".
        compiled: whether the denoiser is compiled first: minutes once, then faster.
        batch_size: most images per batch, ≥ 1; halved if memory runs out.
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
        size: int | None = None,
        scheduler: str | None = None,
        dtype: str | None = None,
        negative_prompt: str = "",
        style: str = "",
        chunked: bool = True,
        too_long: str = "cut",
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
        self.size = size
        self.scheduler = scheduler
        self.dtype = dtype
        self.negative_prompt = negative_prompt
        self.style = style
        self.chunked = chunked
        self.too_long = too_long
        self.loras = loras
        self.memory = memory
        self.compiled = compiled
        self.batch_size = batch_size
        self.exact = exact
        self._device: torch.device | None = None
        self._generators: Mapping[str, BatchGenerator] = {}
        self._token_limit: TokenLimit | None = None
        self._long_prompts: LongPromptEncoder | None = None
        self._details: Mapping[str, JSON] = {}

    def identity(self) -> dict[str, JSON]:
        """Class, version, source and parameters, the preset, and digests of weights in folders."""
        digests = {name: weights.digest() for name, weights in self._all_weights().items()}
        return {**super().identity(), "preset": asdict(self.preset), "weights": digests}

    def estimate(self, items: int) -> Estimate:
        """Free of charge; gives the size of the images on disk and the licences of the weights."""
        low, high = (items * self._pixels() * size for size in BYTES_PER_PIXEL)
        return Estimate(licence="; ".join(dict.fromkeys(self._licences())), disk_bytes=(low, high))

    def token_budget(self) -> tuple[Callable[[str], int], int] | None:
        """Counts the tokens of a prompt, and how many are read beside the style; None: prompts of any length."""
        limit = self._load_token_limit()
        if limit.tokens is None or (self.chunked and self._accepts_embeddings()):
            return None
        return self.count_tokens, limit.tokens - (limit.count(add_style("a", self.style)) - limit.count("a"))

    def count_tokens(self, prompt: str) -> int:
        """Tokens of a prompt."""
        return self._load_token_limit().count(prompt)

    def prepare(self, context: Context) -> None:
        """Checks the settings and loads the weights, unless they are loaded."""
        device = resolve_device(context.device)
        if self._generators and device == self._device:
            return
        self._check()
        check_style(self._load_token_limit(), self.style, self.negative_prompt)
        self._generators = self._open(self._setup(device))
        self._device, self._details = device, self._ancestry()

    def synthesize(self, requests: Sequence[SynthesisRequest]) -> list[SyntheticImage | Failure]:
        """One image a request, in order.

        A Failure if the prompt is too long and must not be cut ("prompt-too-long"), if cutting it would remove the
        class ("class-cut"), or if two seeds gave broken images ("broken-image").
        """
        if not self._generators:
            self.prepare(Context())
        jobs = [self._job(request) for request in requests]
        results: dict[int, GenerationResult] = {}
        for name, generate in self._generators.items():
            chosen = {i: job for i, job in enumerate(jobs) if isinstance(job, GenerationJob) and job.pipeline == name}
            results.update(zip(chosen, generate(list(chosen.values())), strict=True))
        return [job if isinstance(job, Failure) else self._to_image(job, results[i]) for i, job in enumerate(jobs)]

    # Overridden by variants.

    def _open(self, setup: PipelineSetup) -> Mapping[str, BatchGenerator]:
        """The generators, by the name of their pipeline; loads the weights."""
        return {"text": self._generator(open_pipeline("Text2Image", self._weights(), setup))}

    def _inputs(self, request: SynthesisRequest) -> dict[str, Any] | Failure:  # noqa: ARG002
        """Fields of `GenerationJob` besides the prompt; `arguments` go to the pipeline."""
        return {}

    def _arguments(self) -> dict[str, Any]:
        """Arguments of the pipeline that all images share; None leaves one to the pipeline."""
        side = self._side
        return {
            "num_inference_steps": self._steps,
            "guidance_scale": self._guidance_scale,
            "height": side,
            "width": side,
        }

    def _finish(self, job: GenerationJob, image: Any) -> Any:  # noqa: ARG002
        """The image to keep, from the generated one."""
        return image

    def _all_weights(self) -> dict[str, Weights]:
        extra = {f"lora-{number}": weights for number, (weights, _) in enumerate(parse_loras(self.loras))}
        return {"weights": self._weights()} | extra

    # Settings, with the preset as default.

    @property
    def _steps(self) -> int | None:
        return self.preset.steps if self.steps is None else self.steps

    @property
    def _guidance_scale(self) -> float | None:
        return self.preset.guidance_scale if self.guidance_scale is None else self.guidance_scale

    @property
    def _side(self) -> int | None:
        return self.preset.size if self.size is None and self.weights is None else self.size

    def _pixels(self) -> int:
        """Pixels of an image; 0 if unknown before the weights are loaded."""
        return self._side**2 if self._side else configured_pixels(self._weights())

    def _weights(self) -> Weights:
        variant = self.preset.variant if self.weights is None else None
        weights = Weights.of(self.weights, self.preset.source, self.revision, type(self).__name__)
        return Weights(weights.place, weights.revision, variant, weights.file)

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
        )

    def _check(self) -> None:
        who = type(self).__name__
        for name, least in (("steps", 1), ("guidance_scale", 0), ("size", 16), ("batch_size", 1)):
            if (value := getattr(self, name)) is not None and value < least:
                raise ConfigError(f"{who}: {name} must be at least {least}, got {value}")
        if self.too_long not in TOO_LONG:
            raise ConfigError(f"{who}: too_long must be one of {', '.join(TOO_LONG)}, got {self.too_long!r}")
        scale = self._guidance_scale
        if self.negative_prompt and scale is not None and scale <= 1:
            raise ConfigError(f"{who}: negative_prompt needs guidance_scale > 1, got {scale}; leave it out")

    # Prompts.

    def _load_token_limit(self) -> TokenLimit:
        if self._token_limit is None:
            self._token_limit = load_token_limit(self._weights())
        return self._token_limit

    def _accepts_embeddings(self) -> bool:
        index = self._weights().index()
        return accepts_embeddings(str(index.get("_class_name", "")), index)

    def _job(self, request: SynthesisRequest) -> GenerationJob | Failure:
        prompt = self._prompt(request)
        if isinstance(prompt, Failure):
            return prompt
        inputs = self._inputs(request)
        if isinstance(inputs, Failure):
            return inputs
        arguments = self._prompt_arguments(prompt.text) | inputs.get("arguments", {})
        return GenerationJob(request=request, prompt=prompt, seed=request.seed, **{**inputs, "arguments": arguments})

    def _prompt(self, request: SynthesisRequest) -> FittedPrompt | Failure:
        """The prompt as the pipeline reads it."""
        prompt = request.prompt.strip() or f"a photo of a {label_to_words(request.label)}"
        full, limit = add_style(prompt, self.style), self._load_token_limit()
        if self._long_prompts is not None:
            return FittedPrompt(full, limit.count(full))
        fitted = limit.fit(prompt, self.style)
        if fitted.dropped and self.too_long == "refuse":
            counts = f"{limit.count(full)} tokens, the pipeline reads {limit.tokens}"
            return Failure("prompt-too-long", f'the prompt has {counts}; shorten it, or set too_long = "cut"')
        if fitted.dropped and names_class(prompt, request.label) and not names_class(fitted.text, request.label):
            cut = f"the prompt names {request.label!r} only after the {limit.tokens} tokens that the pipeline reads"
            return Failure("class-cut", f"{cut}; name the class first")
        return fitted

    def _prompt_arguments(self, text: str) -> dict[str, Any]:
        """The pipeline's arguments for a prompt: the text, or its embeddings if it is too long."""
        if self._long_prompts is not None and not self._load_token_limit().fits(text):
            return dict(self._long_prompts(text))
        return {"prompt": text} | ({"negative_prompt": self.negative_prompt} if self.negative_prompt else {})

    # Generation.

    def _generator(self, pipe: Any, **extra: Any) -> BatchGenerator:
        """Generates with a pipeline; a setting that the pipeline does not take is an error."""
        if self.chunked and accepts_embeddings(type(pipe).__name__, pipe.components):
            self._long_prompts = LongPromptEncoder(pipe, self.negative_prompt)
        return self._generator_by(lambda **arguments: pipe(**arguments).images, pipe, **extra)

    def _generator_by(self, call: Callable[..., Any], pipe: Any, **extra: Any) -> BatchGenerator:
        """Generates with a function in place of a pipeline, which takes the same arguments."""
        one_by_one = pipe._execution_device.type == "cpu" if self.exact is None else self.exact
        return BatchGenerator(call, self._shared_arguments(pipe, **extra), 1 if one_by_one else self.batch_size)

    def _shared_arguments(self, pipe: Any, **extra: Any) -> dict[str, Any]:
        known = inspect.signature(pipe.__call__).parameters
        wanted = {name: value for name, value in {**self._arguments(), **extra}.items() if value is not None}
        if self.guidance_scale is not None and "guidance_scale" not in known:
            raise ConfigError(f"{type(pipe).__name__} takes no guidance_scale: leave it out")
        if self.negative_prompt and "negative_prompt" not in known:
            raise ConfigError(f"{type(pipe).__name__} takes no negative_prompt: leave it out")
        return {"output_type": "np", **{name: value for name, value in wanted.items() if name in known}}

    def _to_image(self, job: GenerationJob, result: GenerationResult) -> SyntheticImage | Failure:
        if result.image is None:
            flaw = f"two seeds gave images that are {result.flaw.replace('-', ' ')}"
            return Failure("broken-image", f'{flaw}; in float16 try dtype = "bfloat16" or "float32"')
        image = self._finish(job, result.image)
        details = {**self._details, "tokens": job.prompt.tokens, **job.details}
        details |= {"first_try": result.flaw} if result.flaw else {}
        return SyntheticImage(image, result.seed, job.prompt.text, job.prompt.dropped, details)

    def _ancestry(self) -> dict[str, JSON]:
        """The weights, and the settings they were used with."""
        weights = self._weights()
        return {
            "weights": weights.name,
            **({"digest": weights.digest()} if weights.local else {"revision": weights.revision}),
            "steps": self._steps,
            "guidance_scale": self._guidance_scale,
        }
