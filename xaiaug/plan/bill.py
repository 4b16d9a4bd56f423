"""What plugins say their work takes, and what that costs."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from ..calls import Prices
from ..errors import MissingExtraError, UnknownPriceError
from ..records import PICO, Estimate
from ..records.estimate import Range
from .permission import Worker
from .spans import NOTHING

_RANGES = ("calls", "input_tokens", "output_tokens", "upload_bytes", "disk_bytes")


@dataclass(frozen=True)
class Bill:
    """What a plugin's work takes.

    Attributes:
        estimate: its own word.
        usd: dollars; None where nobody can say.
    """

    estimate: Estimate
    usd: Range | None


def bill(worker: Worker, items: Range, prices: Prices) -> Bill:
    """What work on so many items takes."""
    if items[1] == 0:
        return Bill(Estimate(), NOTHING)
    low, high = worker.estimate(math.floor(items[0])), worker.estimate(math.ceil(items[1]))
    ranges: dict[str, Any] = {name: (getattr(low, name)[0], getattr(high, name)[1]) for name in _RANGES}
    estimate = replace(high, **ranges)
    silent = worker.remote and not estimate.calls[1]
    return Bill(estimate, None if silent else _usd(estimate, prices))


def _usd(estimate: Estimate, prices: Prices) -> Range | None:
    if estimate.model is None:
        return NOTHING
    try:
        price = prices.of(estimate.model)
        price = price.halved() if estimate.batched else price
    except (UnknownPriceError, MissingExtraError):
        return None

    def cost(end: int) -> float:
        """Priced call by call, since the rate of a long request differs from that of many short ones."""
        calls = estimate.calls[end]
        if not calls:
            return 0.0
        tokens = {"input_tokens": estimate.input_tokens[end], "output_tokens": estimate.output_tokens[end]}
        one = price.cost({name: math.ceil(count / calls) for name, count in tokens.items()})
        return calls * one / PICO

    return cost(0), cost(1)
