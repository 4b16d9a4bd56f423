"""The base class of diffusion synthesizers: prompts, generation and the details of each image."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Unpack

import torch
from PIL import Image

from ...errors import ConfigError
from ...interfaces import Context
from ...records import JSON, Failure, SynthesisRequest, SyntheticImage, label_to_words
from .._device import resolve_device
from ._batch_generation import BatchGenerator, GenerationJob, GenerationResult, call_pipeline
from ._conditioning import LONGEST, PromptReader, confirm_limit
from ._diffusion_settings import DiffusionSettings
from ._long_prompts import LongPromptEncoder, accepts_embeddings
from ._pipelines import PipelineSetup, open_pipeline
from ._presets import Options
from ._prompt_length import FittedPrompt, TokenLimit, add_style, check_style, names_class
from ._read_length import load_token_limit
from ._resolution import native_side

IP_IMAGE = "ip_adapter_image"  # of the pipelines' arguments


class DiffusionSynthesizer(DiffusionSettings):
    """Generates images from prompts with a pipeline of diffusers.

    Args:
        weights: a folder that save_pretrained wrote, a name on the model hub, or a single .safetensors file.
        options: as in `DiffusionSettings`.
    """

    def __init__(self, weights: str | None = None, **options: Unpack[Options]) -> None:
        super().__init__(weights, **options)
        self._device: torch.device | None = None
        self._generators: Mapping[str, BatchGenerator] = {}
        self._token_limit: TokenLimit | None = None
        self._long_prompts: LongPromptEncoder | None = None
        self._negative = self.negative_prompt
        self._details: Mapping[str, JSON] = {}

    def check(self) -> None:
        """Checks settings and weights, as far as they are on this machine, before anything is loaded.

        Raises:
            ConfigError: a value out of its range, a missing or cut-off file, a scheduler, size or LoRA that does not
                fit, a style or negative prompt that is too long.
            MissingExtraError: a package is not installed.
        """
        super().check()
        check_style(self._load_token_limit(), self.style, self.negative_prompt)

    def token_budget(self) -> tuple[Callable[[str], int], int] | None:
        """Counts the tokens of a prompt, and how many are read beside the style; None: prompts of any length."""
        limit = self._load_token_limit()
        if limit.tokens is None or limit.tokens >= LONGEST or (self.chunked and self._accepts_embeddings()):
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
        self.check()
        self._generators = self._open(self._setup(device))
        self._device, self._details = device, self._ancestry()

    def synthesize(self, requests: Sequence[SynthesisRequest]) -> list[SyntheticImage | Failure]:
        """One image a request, in order.

        A Failure if the prompt is too long and must not be cut ("prompt-too-long"), if cutting it would remove the
        class ("class-cut"), or if two seeds gave broken images ("broken-image") or images that the pipeline's safety
        checker blacked out ("safety-checker").
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
            "true_cfg_scale": self.true_cfg_scale,
            "height": side,
            "width": side,
        }

    def _finish(self, job: GenerationJob, image: Any) -> Any:  # noqa: ARG002
        """The image to keep, from the generated one."""
        return image

    # Prompts.

    def _load_token_limit(self) -> TokenLimit:
        if self._token_limit is None:
            limit = load_token_limit(self._weights())
            self._token_limit = limit if self.prompt_tokens is None else limit.at_most(self.prompt_tokens)
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
        if self.ip_adapter is not None and request.source is None:
            return Failure("no-source", "ip_adapter shows the misclassified image, and this arm does not use it")
        shown = {} if self.ip_adapter is None or request.source is None else {IP_IMAGE: request.source.convert("RGB")}
        arguments = self._prompt_arguments(prompt.text) | inputs.get("arguments", {}) | shown
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
        return {"prompt": text} | ({"negative_prompt": self._negative} if self._negative else {})

    # Generation.

    def _generator(self, pipe: Any, **extra: Any) -> BatchGenerator:
        """Generates with a pipeline; a setting that the pipeline does not take or use is an error."""
        guidance = self._guidance()
        guidance.check_names(pipe)
        self._negative = guidance.negative(pipe)
        if self.chunked and accepts_embeddings(type(pipe).__name__, pipe.components):
            self._long_prompts = LongPromptEncoder(pipe, self.negative_prompt)
        generator = self._generator_by(partial(call_pipeline, pipe), pipe, **extra)
        arguments = {**generator.shared, **self._probe_arguments(pipe)}
        if self._long_prompts is None:
            self._token_limit = self._confirm_length(PromptReader(pipe, generator.call, arguments))
        guidance.check_effect(pipe, generator.call, arguments)
        return generator

    def _generator_by(self, call: Callable[..., Any], pipe: Any, **extra: Any) -> BatchGenerator:
        """Generates with a function in place of a pipeline, which takes the same arguments."""
        one_by_one = pipe._execution_device.type == "cpu" if self.exact is None else self.exact
        # Of several images an adapter makes one prompt for the whole batch.
        one_by_one = one_by_one or self.ip_adapter is not None
        return BatchGenerator(call, self._shared_arguments(pipe, **extra), 1 if one_by_one else self.batch_size)

    def _probe_arguments(self, pipe: Any) -> dict[str, Any]:
        """Arguments besides the prompt with which a loaded pipeline is tried: a grey image, if it starts from one."""
        if "image" not in self.uses:
            return {}
        side, known = self._side or native_side(pipe), inspect.signature(pipe.__call__).parameters
        names = ("image", "mask_image", *([] if self.ip_adapter is None else [IP_IMAGE]))
        return {name: [Image.new("RGB", (side, side), "grey")] for name in names if name in known}

    def _shared_arguments(self, pipe: Any, **extra: Any) -> dict[str, Any]:
        known = inspect.signature(pipe.__call__).parameters
        wanted = {name: value for name, value in {**self._arguments(), **extra}.items() if value is not None}
        return {"output_type": "np", **{name: value for name, value in wanted.items() if name in known}}

    def _confirm_length(self, reader: PromptReader) -> TokenLimit:
        """How many tokens the loaded pipeline reads.

        Raises:
            ConfigError: that cannot be found out.
        """
        limit = confirm_limit(self._load_token_limit(), reader)
        if limit is None:
            raise ConfigError(
                f"{type(self).__name__}: how much of a prompt {reader.name} reads cannot be determined, and what it"
                " cuts would be lost silently: set prompt_tokens to the number of tokens that it reads, or use another"
                " pipeline"
            )
        return limit

    def _to_image(self, job: GenerationJob, result: GenerationResult) -> SyntheticImage | Failure:
        if result.flaw == "blocked" and result.image is None:
            blocked = "the safety checker of the pipeline blacked out the images of two seeds"
            return Failure("safety-checker", f"{blocked}; reword the prompt, or use weights without a checker")
        if result.image is None:
            flaw = f"two seeds gave images that are {result.flaw.replace('-', ' ')}"
            return Failure("broken-image", f'{flaw}; in float16 try dtype = "bfloat16" or "float32"')
        image = self._finish(job, result.image)
        details = {**self._details, "tokens": job.prompt.tokens, **job.details}
        side = self._side if job.pipeline == "text" else None
        wanted = job.size or (None if side is None else (side, side))
        if wanted is not None and result.image.size != wanted:
            details["size_refused"] = list(wanted)  # the pipeline makes other sizes of it
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
            **({} if self.true_cfg_scale is None else {"true_cfg_scale": self.true_cfg_scale}),
        }
