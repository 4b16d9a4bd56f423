"""What the work of a run costs: dollars, hours, and bytes on disk."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..calls import Prices
from ..errors import MissingExtraError, UnknownPriceError
from ..records import PICO, Estimate
from ..records.estimate import ZERO, Range, add_optional, add_ranges, multiply, multiply_optional
from ..records.pipeline import IMAGE_CRITIC, TIMED, WORK, StageKind
from .assumptions import BATCH_SECONDS, BYTES_A_PIXEL, CALL_SECONDS, Assumptions
from .permissions import Worker
from .workload import WorkItem

_TOKENS = ("input_tokens", "output_tokens", "input_image_tokens", "output_image_tokens")
_RANGES = ("calls", *_TOKENS, "upload_bytes", "disk_bytes")


@dataclass(frozen=True)
class Bill:
    """What a plugin's work takes.

    Attributes:
        estimate: its own.
        usd: dollars; None where they are not known.
    """

    estimate: Estimate
    usd: Range | None


def bill(worker: Worker, items: Range, prices: Prices, estimate_work: Callable[[int], Estimate] | None = None) -> Bill:
    """What work on so many items takes.

    Args:
        worker: that does it.
        items: how many.
        prices: what models cost.
        estimate_work: its estimate of such items, where these are not what `Worker.estimate` counts.
    """
    if items[1] == 0:
        return Bill(Estimate(), ZERO)
    ask = estimate_work or worker.estimate
    low, high = ask(math.floor(items[0])), ask(math.ceil(items[1]))
    ranges: dict[str, Any] = {name: (getattr(low, name)[0], getattr(high, name)[1]) for name in _RANGES}
    estimate = replace(high, **ranges)
    silent = worker.remote and not estimate.calls[1]
    return Bill(estimate, None if silent else _usd(estimate, prices))


def add_bills(one: Bill, other: Bill) -> Bill:
    """What two kinds of work of one plugin take."""
    first, second = (one, other) if one.estimate.calls[1] else (other, one)
    ranges: dict[str, Any] = {
        name: add_ranges((getattr(first.estimate, name), getattr(second.estimate, name))) for name in _RANGES
    }
    return Bill(replace(first.estimate, **ranges), add_optional((one.usd, other.usd)))


def _usd(estimate: Estimate, prices: Prices) -> Range | None:
    if estimate.model is None:
        return ZERO
    try:
        price = prices.of(estimate.model)
        price = price.half() if estimate.batched else price
    except (UnknownPriceError, MissingExtraError):
        return None

    def cost(end: int) -> float:
        """Priced call by call, since the rate of a long request differs from that of many short ones."""
        calls = estimate.calls[end]
        if not calls:
            return 0.0
        tokens = {name: getattr(estimate, name)[end] for name in _TOKENS}
        one = price.cost({name: math.ceil(count / calls) for name, count in tokens.items()})
        return calls * one / PICO

    return cost(0), cost(1)


MAP_BYTES_A_PIXEL: Range = (4, 8)  # float32, one map or one for each of two classes
PANEL_PIXELS: Range = (0, 250_000)  # the picture for the critic, 512 pixels wide; not kept where it does not look
SHOWN_PIXELS = 384 * 384  # the copy for the report, at most
ANSWER_BYTES: Range = (1_000, 8_000)


def disk_bytes(part: WorkItem, known: Assumptions, synthesizer: Estimate, classifier: Estimate) -> Range | None:
    """Bytes; None where the size of the classifier is not known.

    Args:
        part: what is done.
        known: sizes that were seen.
        synthesizer: its estimate of the part.
        classifier: its estimate of itself.
    """
    shown = multiply((min(known.pixels, SHOWN_PIXELS),) * 2, BYTES_A_PIXEL)
    maps = add_ranges((multiply((known.pixels,) * 2, MAP_BYTES_A_PIXEL), shown))
    cases = add_ranges((multiply(PANEL_PIXELS, BYTES_A_PIXEL), ANSWER_BYTES))
    weights = known.model_bytes or classifier.disk_bytes[1]
    models = multiply_optional(part.copies, (weights, weights) if weights else None)
    if models is None:
        return None
    return add_ranges(
        (
            multiply(part.maps, maps),
            multiply(add_ranges((part.cases, part.sheets)), cases),
            _images(part, known, synthesizer),
            models,
        )
    )


def _images(part: WorkItem, known: Assumptions, synthesizer: Estimate) -> Range:
    """Each kept image is stored twice: among the blobs, and in the image folder."""
    images = synthesizer.disk_bytes
    if known.image_bytes is not None:  # a size that was measured counts more than a plugin's estimate
        images = multiply(part.images, multiply((known.image_bytes,) * 2, (0.8, 1.25)))
    elif not images[1]:
        images = multiply(part.images, multiply((known.pixels,) * 2, BYTES_A_PIXEL))
    return multiply(images, (1, 2))


def stage_hours(part: WorkItem, known: Assumptions, remote: Mapping[str, Estimate]) -> dict[StageKind, Range | None]:
    """Hours of each kind of stage; None where a speed is not known.

    Args:
        part: what is done.
        known: holds the speeds, and how many workers there are.
        remote: what each plugin that works elsewhere estimates for the part, by kind: where no speed is known, its
            calls are assumed to last as long as calls do.
    """
    units = {
        StageKind.FIT: part.passes,
        StageKind.PREDICT: part.predicted,
        StageKind.EXPLAIN: part.maps,
        StageKind.CRITIQUE: add_ranges((part.cases, part.sheets)),
        StageKind.SYNTHESIZE: part.images,
    }
    seconds = {stage: multiply_optional(count, known.seconds.get(stage)) for stage, count in units.items()}
    calling = {stage: remote.get(TIMED[stage][-1], Estimate()) for stage in (StageKind.CRITIQUE, StageKind.SYNTHESIZE)}
    for stage, spent in seconds.items():
        if spent is not None and not calling.get(stage, Estimate()).calls[1]:
            counts = known.workers.get(WORK[stage], 1), known.measured_workers.get(WORK[stage], 1)
            seconds[stage] = _spread(spent, counts, part.at_once if stage == StageKind.FIT else math.inf)
    for stage, estimate in calling.items():
        if estimate.batched and estimate.calls[1]:
            turns = max(1, round(estimate.calls[0] / max(1.0, units[stage][0])))
            seconds[stage] = multiply(BATCH_SECONDS, turns)
        elif stage not in known.seconds and estimate.calls[1]:
            seconds[stage] = multiply(estimate.calls, CALL_SECONDS)
    checks = remote.get(IMAGE_CRITIC, Estimate())
    seconds[StageKind.VLM_CHECK] = BATCH_SECONDS if checks.batched else multiply(checks.calls, CALL_SECONDS)
    return {stage: None if spent is None else multiply(spent, 1 / 3600) for stage, spent in seconds.items()}


def _spread(seconds: Range, workers: tuple[int, int], at_once: float) -> Range:
    """What work of so many seconds takes with the workers there are.

    Where the speed was measured with another number of workers, the range goes from that number to this one: workers
    that share one machine may be no faster together than one was alone.

    Args:
        seconds: of one worker.
        workers: how many there are, and how many there were when the speed was measured.
        at_once: pieces of work that can be done at once.
    """
    counts = [max(1.0, min(count, at_once)) for count in workers]
    return seconds[0] / max(counts), seconds[1] / min(counts)
