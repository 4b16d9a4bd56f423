"""Draws images with a pipeline: a generator an image, halves where memory runs out, a second try for broken ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from ...errors import PluginError
from ...records import JSON, SynthesisRequest
from ._pipelines import silence_diffusers
from ._prompt_length import FittedPrompt

FLAT = 2 / 255  # an image whose values differ by less shows nothing
SEEDS = 2**32
RETRY_OFFSET = 0x9E3779B9  # what is added to a seed whose image was broken


@dataclass(frozen=True, eq=False)
class GenerationJob:
    """One image to be drawn.

    Attributes:
        request: what was asked for.
        prompt: as it will be read.
        seed: of its noise.
        own: arguments of the pipeline that differ from image to image; tensors have one row.
        size: width and height; None: the pipeline's.
        way: name of the pipeline that draws it.
        repaint: h w, bool, of the source: what may change; None: everything.
        details: what is to be remembered of it.
    """

    request: SynthesisRequest
    prompt: FittedPrompt
    seed: int
    own: Mapping[str, Any] = field(default_factory=dict)
    size: tuple[int, int] | None = None
    way: str = "text"
    repaint: NDArray[np.bool_] | None = None
    details: Mapping[str, JSON] = field(default_factory=dict)

    @property
    def kin(self) -> tuple[Any, ...]:
        """Equal for images that may be drawn together: rows of one shape."""
        shapes = [(name, _shape(value)) for name, value in sorted(self.own.items())]
        return (self.size, *shapes)

    def again(self) -> GenerationJob:
        """The same with another seed."""
        return replace(self, seed=(self.seed + RETRY_OFFSET) % SEEDS)


@dataclass(frozen=True, eq=False)
class GeneratedImage:
    """An image, and the seed it was drawn with.

    Attributes:
        image: RGB; None where both tries gave a broken one.
        seed: of its noise.
        flaw: what was wrong with the first try, or with both; empty where nothing was.
    """

    image: Image.Image | None
    seed: int
    flaw: str = ""


class BatchGenerator:
    """Draws jobs with a pipeline.

    Args:
        call: the pipeline, or what stands for it: keyword arguments in, images n h w c out, 0 to 1.
        shared: arguments of the pipeline that are the same for all images.
        most: images drawn at once.
    """

    def __init__(self, call: Callable[..., Any], shared: Mapping[str, Any], most: int) -> None:
        self._call, self._shared, self._most = call, shared, most

    def __call__(self, jobs: Sequence[GenerationJob]) -> list[GeneratedImage]:
        """One a job, in order."""
        first = self._pixels(jobs)
        flaws = [find_flaw(pixels) for pixels in first]
        again = [job.again() for job, found in zip(jobs, flaws, strict=True) if found]
        second = iter(zip(again, self._pixels(again), strict=True))
        return [
            _retry_result(*next(second), found) if found else GeneratedImage(to_image(pixels), job.seed)
            for job, pixels, found in zip(jobs, first, flaws, strict=True)
        ]

    def _pixels(self, jobs: Sequence[GenerationJob]) -> list[NDArray[np.float32]]:
        """h w c of each, in order; those of one shape are drawn together."""
        kin: dict[Any, list[int]] = {}
        for place, job in enumerate(jobs):
            kin.setdefault(job.kin, []).append(place)
        found: dict[int, NDArray[np.float32]] = {}
        for places in kin.values():
            found.update(zip(places, self._portions([jobs[place] for place in places]), strict=True))
        return [found[place] for place in range(len(jobs))]

    def _portions(self, jobs: Sequence[GenerationJob]) -> Iterable[NDArray[np.float32]]:
        """As many at once as fit; where memory runs out half as many, from then on."""
        done = 0
        while done < len(jobs):
            portion = jobs[done : done + self._most]
            try:
                made = self._batch(portion)
            except (torch.OutOfMemoryError, RuntimeError) as error:
                if not _out_of_memory(error):
                    raise
                made = None  # the error holds on to the memory of its frames until it is gone
            if made is None:
                self._halve(len(portion))
                continue
            yield from made
            done += len(portion)

    def _batch(self, jobs: Sequence[GenerationJob]) -> Iterable[NDArray[np.float32]]:
        # Noise is drawn on the processor, one generator an image: every device and batch then starts from the same.
        generators = [torch.Generator("cpu").manual_seed(job.seed) for job in jobs]
        told: dict[str, Any] = {**self._shared, **stack_columns([job.own for job in jobs])}
        if jobs[0].size is not None:
            told["width"], told["height"] = jobs[0].size
        with silence_diffusers(), torch.no_grad():
            return list(self._call(generator=generators, **told))

    def _halve(self, tried: int) -> None:
        if tried == 1:
            raise PluginError(
                'one image alone does not fit into memory: set memory = "balanced" or "tiny", or a smaller size'
            )
        self._most = tried // 2
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def find_flaw(pixels: NDArray[np.float32]) -> str:
    """What is wrong with an image, h w c, 0 to 1: "not-finite", "constant" or nothing."""
    if not np.isfinite(pixels).all():
        return "not-finite"
    return "constant" if float(np.ptp(pixels)) < FLAT else ""


def to_image(pixels: NDArray[np.float32]) -> Image.Image:
    """The picture of h w c, 0 to 1."""
    return Image.fromarray((np.clip(pixels, 0, 1) * 255).round().astype(np.uint8)).convert("RGB")


def _retry_result(job: GenerationJob, pixels: NDArray[np.float32], first: str) -> GeneratedImage:
    return GeneratedImage(None if find_flaw(pixels) else to_image(pixels), job.seed, first)


def stack_columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One list, or stacked tensor, an argument."""
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
