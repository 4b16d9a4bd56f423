"""What a model's tokens cost, and what a reply therefore cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, Decimal
from typing import Any

from ..records import JSON, PICO

UNITS = ("input", "output", "cache_read", "cache_write")  # as in "input_tokens" and "input_usd_per_mtok"
_PER_TOKEN = Decimal(PICO) / 10**6


@dataclass(frozen=True)
class Rate:
    """Dollars per million tokens of one kind.

    Attributes:
        usd: the rate.
        tiers: (tokens, rate) in rising order: a request with more input tokens than that pays this rate throughout.
    """

    usd: Decimal
    tiers: tuple[tuple[int, Decimal], ...] = ()

    def at(self, input_tokens: int) -> Decimal:
        """The rate for a request with so many input tokens."""
        return next((usd for start, usd in reversed(self.tiers) if input_tokens > start), self.usd)


@dataclass(frozen=True)
class Price:
    """The dated price of a model.

    Attributes:
        model: the name it is asked for by.
        source: who said so: "genai-prices 0.2.3", "user" or "local".
        date: the day it was looked up, ISO 8601.
        rates: by unit; a unit without one costs what plain input does. Empty: the model runs here and costs nothing.
    """

    model: str
    source: str
    date: str
    rates: Mapping[str, Rate]

    @property
    def free(self) -> bool:
        """Whether calls cost nothing: only a model declared as local does."""
        return not self.rates

    def cost(self, usage: Mapping[str, int]) -> int:
        """What a request with that usage costs, in picodollars.

        Args:
            usage: as in `RawReply.usage`; input tokens include those read from and written to a cache.
        """
        if self.free:
            return 0
        tokens = {unit: usage.get(f"{unit}_tokens", 0) for unit in UNITS}
        plain = {**tokens, "input": max(0, tokens["input"] - tokens["cache_read"] - tokens["cache_write"])}
        total = sum(count * self._rate(unit).at(tokens["input"]) for unit, count in plain.items())
        return int((total * _PER_TOKEN).to_integral_value(ROUND_CEILING))

    def covers(self, usage: Mapping[str, int]) -> bool:
        """Whether it knows a rate for all that was used."""
        return self.free or all(not count or name.removesuffix("_tokens") in UNITS for name, count in usage.items())

    def to_row(self) -> dict[str, JSON]:
        """JSON-plain, for a ledger; rates as text, so that they stay exact."""
        rates: dict[str, JSON] = {
            unit: [str(rate.usd), *([start, str(usd)] for start, usd in rate.tiers)]
            for unit, rate in sorted(self.rates.items())
        }
        return {"model": self.model, "source": self.source, "date": self.date, "usd_per_mtok": rates}

    def halved(self) -> Price:
        """What both services take for a call in a batch."""
        rates = {
            unit: Rate(rate.usd / 2, tuple((start, usd / 2) for start, usd in rate.tiers))
            for unit, rate in self.rates.items()
        }
        return replace(self, source=f"{self.source}, half in a batch", rates=rates)

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Price:
        """A price as `to_row` gave it."""
        rates = {
            unit: Rate(Decimal(usd), tuple((start, Decimal(more)) for start, more in tiers))
            for unit, (usd, *tiers) in row["usd_per_mtok"].items()
        }
        return cls(row["model"], row["source"], row["date"], rates)

    def _rate(self, unit: str) -> Rate:
        return self.rates.get(unit, self.rates["input"])
