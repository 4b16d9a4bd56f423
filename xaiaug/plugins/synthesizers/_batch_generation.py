"""Generates batches: one seed per image, smaller batches if memory runs out, a retry for broken images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from ...errors import ConfigError, PluginError
from ...records import JSON, SynthesisRequest
from ._pipelines import silence_diffusers
from ._prompt_length import FittedPrompt

Pixels = NDArray[np.float32] | None  # h w c, 0 to 1; None: blacked out by a safety checker

FLAT = 2 / 255  # an image with a smaller range of values is broken
SEEDS = 2**32
RETRY_OFFSET = 0x9E3779B9  # added to the seed of a broken image


@dataclass(frozen=True, eq=False)
class GenerationJob:
    """One image to generate.

    Attributes:
        request: of the synthesizer.
        prompt: as the pipeline reads it.
        seed: of the noise.
        arguments: of the pipeline that differ between images; tensors have one row.
        size: width and height; None: the pipeline's.
        pipeline: name of the pipeline that generates it.
        repaint: h w, bool, of the source: what may change; None: everything.
        details: for the details of the result.
    """

    request: SynthesisRequest
    prompt: FittedPrompt
    seed: int
    arguments: Mapping[str, Any] = field(default_factory=dict)
    size: tuple[int, int] | None = None
    pipeline: str = "text"
    repaint: NDArray[np.bool_] | None = None
    details: Mapping[str, JSON] = field(default_factory=dict)

    @property
    def shape_key(self) -> tuple[Any, ...]:
        """Equal for images that can share a batch: rows of one shape."""
        shapes = [(name, _shape(value)) for name, value in sorted(self.arguments.items())]
        return (self.size, *shapes)

    def retry(self) -> GenerationJob:
        """The same job with another seed."""
        return replace(self, seed=(self.seed + RETRY_OFFSET) % SEEDS)


@dataclass(frozen=True, eq=False)
class GenerationResult:
    """An image and its seed.

    Attributes:
        image: RGB; None if both attempts are broken.
        seed: of the noise.
        flaw: of the first attempt, or of both; empty if there is none.
    """

    image: Image.Image | None
    seed: int
    flaw: str = ""


class BatchGenerator:
    """Generates the images of jobs with a pipeline.

    Args:
        call: generates with the pipeline: keyword arguments in, the pixels of each image out.
        shared: arguments of the pipeline that are the same for all images.
        batch_size: most images per batch.
    """

    def __init__(self, call: Callable[..., Any], shared: Mapping[str, Any], batch_size: int) -> None:
        self.call, self.shared = call, shared
        self._batch_size = batch_size

    def __call__(self, jobs: Sequence[GenerationJob]) -> list[GenerationResult]:
        """One result a job, in order."""
        first = self._generate(jobs)
        flaws = [find_flaw(pixels) for pixels in first]
        retries = [job.retry() for job, flaw in zip(jobs, flaws, strict=True) if flaw]
        second = iter(zip(retries, self._generate(retries), strict=True))
        return [
            GenerationResult(to_image(pixels), job.seed)
            if pixels is not None and not flaw
            else _retry_result(*next(second), flaw)
            for job, pixels, flaw in zip(jobs, first, flaws, strict=True)
        ]

    def _generate(self, jobs: Sequence[GenerationJob]) -> list[Pixels]:
        """The pixels of each job, h w c, in order; jobs of one shape share batches."""
        by_shape: dict[Any, list[int]] = {}
        for position, job in enumerate(jobs):
            by_shape.setdefault(job.shape_key, []).append(position)
        pixels: dict[int, Pixels] = {}
        for positions in by_shape.values():
            pixels.update(zip(positions, self._batches([jobs[i] for i in positions]), strict=True))
        return [pixels[position] for position in range(len(jobs))]

    def _batches(self, jobs: Sequence[GenerationJob]) -> Iterable[Pixels]:
        """In batches as large as fit; if memory runs out, half as large from then on."""
        done = 0
        while done < len(jobs):
            batch = jobs[done : done + self._batch_size]
            try:
                images = self._generate_batch(batch)
            except (torch.OutOfMemoryError, RuntimeError) as error:
                if not _out_of_memory(error):
                    raise
                images = None  # the error keeps the memory of its frames alive until it is deleted
            if images is None:
                self._halve(len(batch))
                continue
            yield from images
            done += len(batch)

    def _generate_batch(self, jobs: Sequence[GenerationJob]) -> Iterable[Pixels]:
        # Noise comes from the CPU, one generator per image: it is then equal for every device and batch size.
        generators = [torch.Generator("cpu").manual_seed(job.seed) for job in jobs]
        arguments: dict[str, Any] = {**self.shared, **stack_columns([job.arguments for job in jobs])}
        if jobs[0].size is not None:
            arguments["width"], arguments["height"] = jobs[0].size
        with silence_diffusers(), torch.no_grad():
            return list(self.call(generator=generators, **arguments))

    def _halve(self, tried: int) -> None:
        if tried == 1:
            raise PluginError(
                'a single image does not fit into memory: set memory = "balanced" or "tiny", or a smaller size'
            )
        self._batch_size = tried // 2
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def find_flaw(pixels: Pixels) -> str:
    """The flaw of an image: "blocked", "not-finite", "constant" or empty."""
    if pixels is None:
        return "blocked"
    if not np.isfinite(pixels).all():
        return "not-finite"
    return "constant" if float(np.ptp(pixels)) < FLAT else ""


def to_image(pixels: NDArray[np.float32]) -> Image.Image:
    """The RGB image of pixels h w c, 0 to 1."""
    return Image.fromarray((np.clip(pixels, 0, 1) * 255).round().astype(np.uint8)).convert("RGB")


def call_pipeline(pipe: Any, **arguments: Any) -> list[Pixels]:
    """The images of a pipeline, without those that its safety checker blacked out.

    Raises:
        ConfigError: it refuses the arguments, or makes no images.
    """
    try:
        output = pipe(**arguments)
    except ValueError as error:
        raise ConfigError(f"{type(pipe).__name__} refuses its settings: {error}") from error
    if not hasattr(output, "images"):
        raise ConfigError(f"{type(pipe).__name__} makes no images but {type(output).__name__}: use another pipeline")
    flags = getattr(output, "nsfw_content_detected", None) or getattr(output, "nsfw_detected", None)
    images = list(output.images)
    return [None if flag else image for image, flag in zip(images, flags or [False] * len(images), strict=True)]


def _retry_result(job: GenerationJob, pixels: Pixels, first: str) -> GenerationResult:
    flaw = find_flaw(pixels)
    return GenerationResult(None if flaw or pixels is None else to_image(pixels), job.seed, first)


def stack_columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One list, or one stacked tensor, per argument."""
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    return {
        name: torch.cat(values) if isinstance(values[0], torch.Tensor) else values for name, values in columns.items()
    }


def _shape(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return tuple(value.shape[1:])
    return value.size if isinstance(value, Image.Image) else type(value).__name__


def _out_of_memory(error: Exception) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or "out of memory" in str(error).lower()
