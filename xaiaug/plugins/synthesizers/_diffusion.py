"""What all synthesizers by diffusion share: settings, prompts, drawing, ancestry."""

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
from ._batch_generation import BatchGenerator, GeneratedImage, GenerationJob
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
BYTES_A_PIXEL = (0.3, 2.5)  # of a PNG: a smooth drawing, a noisy photograph


class DiffusionSynthesizer(Synthesizer):
    """Draws images from prompts with a pipeline of diffusers.

    Args:
        weights: a folder that save_pretrained wrote, or a name on the model hub; None: the preset's.
        revision: a commit on the hub; None: the preset's, or the newest of other weights.
        steps: denoising steps, ≥ 1; None: the preset's.
        guidance_scale: how much the prompt counts, ≥ 0; None: the preset's.
        size: pixels of a side; None: the preset's, or what other weights were trained on.
        scheduler: name of a class of diffusers; None: the weights' own.
        dtype: "float32", "float16", "bfloat16"; None: bfloat16 where a GPU has it, float32 on a processor.
        negative_prompt: what images should not show; needs guidance_scale > 1.
        style: put behind every prompt, such as "a photo taken with a phone".
        chunked: whether prompts that are too long are read chunk by chunk, where the pipeline allows it.
        too_long: what else becomes of them: "cut" at the end, or "refuse".
        loras: LoRA weights: folders, files, or tables with `weights`, `file`, `scale` and `revision`.
        memory: "fast", "balanced" or "tiny".
        compiled: whether the denoiser is compiled first: minutes once, then faster.
        batch_size: most images drawn at once, ≥ 1; halved where memory runs out.
        exact: whether images are drawn one by one, so that not a bit depends on the batch; None: on a processor only,
            where drawing together gains little.

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
        self._ways: Mapping[str, BatchGenerator] = {}
        self._budget: TokenLimit | None = None
        self._long: LongPromptEncoder | None = None
        self._told: Mapping[str, JSON] = {}

    def identity(self) -> dict[str, JSON]:
        """Class, version, source and parameters, the preset, and a digest of weights that lie in folders."""
        digests = {name: weights.digest() for name, weights in self._all_weights().items()}
        return {**super().identity(), "preset": asdict(self.preset), "weights": digests}

    def estimate(self, items: int) -> Estimate:
        """Nothing is paid; says how large the images are and under which licences the weights stand."""
        low, high = (items * self._pixels() * size for size in BYTES_A_PIXEL)
        return Estimate(licence="; ".join(dict.fromkeys(self._licences())), disk_bytes=(low, high))

    def token_budget(self) -> tuple[Callable[[str], int], int] | None:
        """How it counts the tokens of a prompt, and how many it reads beside the style; None: prompts of any length."""
        budget = self._read_budget()
        if budget.limit is None or (self.chunked and self._reads_embeddings()):
            return None
        return self.count_tokens, budget.limit - (budget.count(add_style("a", self.style)) - budget.count("a"))

    def count_tokens(self, prompt: str) -> int:
        """Tokens of a prompt."""
        return self._read_budget().count(prompt)

    def prepare(self, context: Context) -> None:
        """Checks the settings and loads the weights; does nothing when they are loaded."""
        device = resolve_device(context.device)
        if self._ways and device == self._device:
            return
        self._check()
        check_style(self._read_budget(), self.style, self.negative_prompt)
        self._ways = self._open(self._fitting(device))
        self._device, self._told = device, self._ancestry()

    def synthesize(self, requests: Sequence[SynthesisRequest]) -> list[SyntheticImage | Failure]:
        """One image a request, in order.

        A Failure where the prompt is too long and is not to be cut ("prompt-too-long"), where cutting it would lose
        the class ("class-cut"), and where two seeds gave images that show nothing ("broken-image").
        """
        if not self._ways:
            self.prepare(Context())
        jobs = [self._job(request) for request in requests]
        drawn: dict[int, GeneratedImage] = {}
        for way, drawing in self._ways.items():
            own = {place: job for place, job in enumerate(jobs) if isinstance(job, GenerationJob) and job.way == way}
            drawn.update(zip(own, drawing(list(own.values())), strict=True))
        return [job if isinstance(job, Failure) else self._made(job, drawn[place]) for place, job in enumerate(jobs)]

    # What variants change.

    def _open(self, fitting: PipelineSetup) -> Mapping[str, BatchGenerator]:
        """The ways to draw, by name; loads the weights."""
        return {"text": self._drawing(open_pipeline("Text2Image", self._weights(), fitting))}

    def _inputs(self, request: SynthesisRequest) -> dict[str, Any] | Failure:  # noqa: ARG002
        """What a job gets besides its prompt: fields of `GenerationJob`, `own` being arguments of the pipeline."""
        return {}

    def _arguments(self) -> dict[str, Any]:
        """Arguments of the pipeline that are the same for all images; None leaves one to the pipeline."""
        side = self._side
        return {
            "num_inference_steps": self._steps,
            "guidance_scale": self._guidance_scale,
            "height": side,
            "width": side,
        }

    def _finished(self, job: GenerationJob, drawn: Any) -> Any:  # noqa: ARG002
        """The image to keep of what was drawn."""
        return drawn

    def _all_weights(self) -> dict[str, Weights]:
        further = {f"lora-{number}": weights for number, (weights, _) in enumerate(parse_loras(self.loras))}
        return {"weights": self._weights()} | further

    # Settings, and the preset where they say nothing.

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
        """Of an image; 0 where nobody knows before the weights are loaded."""
        return self._side**2 if self._side else configured_pixels(self._weights())

    def _weights(self) -> Weights:
        variant = self.preset.variant if self.weights is None else None
        found = Weights.of(self.weights, self.preset.source, self.revision, type(self).__name__)
        return Weights(found.place, found.revision, variant, found.file)

    def _other(self, given: str | None, source: Source | None, name: str) -> Weights:
        return Weights.of(given, source, None, f"{type(self).__name__}: {name}")

    def _licences(self) -> list[str]:
        main, *further = self._all_weights().values()
        first = self.preset.licence if self.weights is None else main.licence
        return [licence for licence in (first, *(weights.licence for weights in further)) if licence]

    def _fitting(self, device: torch.device) -> PipelineSetup:
        own = self.weights is None
        return PipelineSetup(
            device=device,
            dtype=dtype_for(self.dtype or self.preset.dtype, device),
            memory=self.memory,
            scheduler=self.scheduler or (self.preset.scheduler if own else None),
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
            raise ConfigError(
                f"{who}: negative_prompt counts only where guidance_scale > 1, and it is {scale}; leave it out"
            )

    # Prompts.

    def _read_budget(self) -> TokenLimit:
        if self._budget is None:
            self._budget = load_token_limit(self._weights())
        return self._budget

    def _reads_embeddings(self) -> bool:
        index = self._weights().index()
        return accepts_embeddings(str(index.get("_class_name", "")), index)

    def _job(self, request: SynthesisRequest) -> GenerationJob | Failure:
        prompt = self._prompt(request)
        if isinstance(prompt, Failure):
            return prompt
        inputs = self._inputs(request)
        if isinstance(inputs, Failure):
            return inputs
        own = self._said(prompt.text) | inputs.get("own", {})
        return GenerationJob(request=request, prompt=prompt, seed=request.seed, **{**inputs, "own": own})

    def _prompt(self, request: SynthesisRequest) -> FittedPrompt | Failure:
        """The prompt as it will be read."""
        asked = request.prompt.strip() or f"a photo of a {label_to_words(request.label)}"
        whole, budget = add_style(asked, self.style), self._read_budget()
        if self._long is not None:
            return FittedPrompt(whole, budget.count(whole))
        fitted = budget.fitted(asked, self.style)
        if fitted.dropped and self.too_long == "refuse":
            told = f"takes {budget.count(whole)} tokens, and {budget.limit} are read"
            return Failure("prompt-too-long", f'the prompt {told}; shorten it, or set too_long = "cut"')
        if fitted.dropped and names_class(asked, request.label) and not names_class(fitted.text, request.label):
            told = f"the prompt names {request.label!r} behind the {budget.limit} tokens that are read"
            return Failure("class-cut", f"{told}: its image would show something else; name the class first")
        return fitted

    def _said(self, text: str) -> dict[str, Any]:
        """The pipeline's arguments that say a prompt: the text itself, or the embeddings of one that is too long."""
        if self._long is not None and not self._read_budget().fits(text):
            return dict(self._long(text))
        return {"prompt": text} | ({"negative_prompt": self.negative_prompt} if self.negative_prompt else {})

    # BatchGenerator.

    def _drawing(self, pipe: Any, **further: Any) -> BatchGenerator:
        """Draws with a pipeline; whatever it does not take is refused where the user asked for it."""
        if self.chunked and accepts_embeddings(type(pipe).__name__, pipe.components):
            self._long = LongPromptEncoder(pipe, self.negative_prompt)
        return self._drawing_by(lambda **told: pipe(**told).images, pipe, **further)

    def _drawing_by(self, call: Callable[..., Any], pipe: Any, **further: Any) -> BatchGenerator:
        """Draws with a function that stands for a pipeline and takes its arguments."""
        one_by_one = pipe._execution_device.type == "cpu" if self.exact is None else self.exact
        return BatchGenerator(call, self._accepted(pipe, **further), 1 if one_by_one else self.batch_size)

    def _accepted(self, pipe: Any, **further: Any) -> dict[str, Any]:
        known = inspect.signature(pipe.__call__).parameters
        wanted = {name: value for name, value in {**self._arguments(), **further}.items() if value is not None}
        if self.guidance_scale is not None and "guidance_scale" not in known:
            raise ConfigError(f"{type(pipe).__name__} takes no guidance_scale: leave it out")
        if self.negative_prompt and "negative_prompt" not in known:
            raise ConfigError(f"{type(pipe).__name__} takes no negative_prompt: leave it out")
        return {"output_type": "np", **{name: value for name, value in wanted.items() if name in known}}

    def _made(self, job: GenerationJob, drawn: GeneratedImage) -> SyntheticImage | Failure:
        if drawn.image is None:
            told = f"two seeds gave images that are {drawn.flaw.replace('-', ' ')}"
            return Failure("broken-image", f'{told}; in float16 try dtype = "bfloat16" or "float32"')
        image = self._finished(job, drawn.image)
        details = {**self._told, "tokens": job.prompt.tokens, **job.details}
        details |= {"first_try": drawn.flaw} if drawn.flaw else {}
        return SyntheticImage(image, drawn.seed, job.prompt.text, job.prompt.dropped, details)

    def _ancestry(self) -> dict[str, JSON]:
        """Which weights, and how they were used."""
        weights = self._weights()
        return {
            "weights": weights.name,
            **({"digest": weights.digest()} if weights.local else {"revision": weights.revision}),
            "steps": self._steps,
            "guidance_scale": self._guidance_scale,
        }
