"""Finds the price of a model: as the user gave it, or as genai-prices dates it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from decimal import ROUND_CEILING, Decimal, InvalidOperation
from importlib.metadata import version
from typing import Any

from ..errors import ConfigError, MissingExtraError, UnknownPriceError, suggest
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


_GIVEN = tuple(f"{unit}_usd_per_mtok" for unit in UNITS)


class Prices:
    """The prices of a run, each looked up once.

    Args:
        given: prices by model, which win over genai-prices: {"model": {"input_usd_per_mtok": 3,
            "output_usd_per_mtok": 15}}, with "cache_read_usd_per_mtok" and "cache_write_usd_per_mtok" where they
            differ from input; {"model": {"local": True}} for a model that runs here and costs nothing.
        on: the day whose prices count; None: today.

    Raises:
        ConfigError: a given price is incomplete, zero or unknown.
    """

    def __init__(self, given: Mapping[str, Mapping[str, JSON]] | None = None, *, on: date | None = None) -> None:
        self._on = on or datetime.now(UTC).date()
        self._known = {model: self._as_given(model, price) for model, price in (given or {}).items()}

    def of(self, model: str) -> Price:
        """The price of a model.

        Raises:
            UnknownPriceError: nobody knows it; an unknown price is never taken for zero.
            MissingExtraError: it was not given, and genai-prices is not installed.
        """
        if model not in self._known:
            self._known[model] = Price(
                model, f"genai-prices {_installed(model)}", str(self._on), self._published(model)
            )
        return self._known[model]

    def _as_given(self, model: str, price: Mapping[str, JSON]) -> Price:
        if price.get("local") is True:
            return Price(model, "local", str(self._on), {})
        unknown = set(price) - {*_GIVEN, "local"}
        if unknown:
            raise ConfigError(f"the price of {model!r} has no {unknown.pop()!r}. {suggest('', (*_GIVEN, 'local'))}")
        rates = {
            unit: Rate(_rate(model, name, price[name]))
            for unit, name in zip(UNITS, _GIVEN, strict=True)
            if name in price
        }
        if not all(unit in rates and rates[unit].usd > 0 for unit in ("input", "output")):
            raise ConfigError(
                f"the price of {model!r} needs input_usd_per_mtok and output_usd_per_mtok above 0, "
                "or local = true for a model that runs here and costs nothing"
            )
        return Price(model, "user", str(self._on), rates)

    def _published(self, model: str) -> dict[str, Rate]:
        from genai_prices.data_snapshot import get_snapshot

        try:
            _, info = get_snapshot().find_provider_model(model, None, None, None)
        except LookupError as error:
            raise _unknown(model) from error
        terms = vars(info.get_prices(datetime.combine(self._on, time(12), UTC)))
        rates = {
            unit: _published_rate(terms[f"{unit}_mtok"]) for unit in UNITS if terms.get(f"{unit}_mtok") is not None
        }
        if not all(unit in rates and rates[unit].usd > 0 for unit in ("input", "output")):
            raise _unknown(model)
        return rates


def _installed(model: str) -> str:
    try:
        import genai_prices  # noqa: F401  asked for here, so that its absence is told in our words
    except ImportError as error:
        raise MissingExtraError(
            f"the price of {model!r} is looked up in genai-prices: pip install 'xaiaug[claude]', or give the price"
        ) from error
    return version("genai-prices")


def _published_rate(value: Any) -> Rate:
    if isinstance(value, Decimal):
        return Rate(value)
    return Rate(value.base, tuple((tier.start, tier.price) for tier in value.tiers))


def _rate(model: str, name: str, value: JSON) -> Decimal:
    try:
        rate = Decimal(str(value))
    except InvalidOperation:
        rate = Decimal("NaN")
    if isinstance(value, bool) or not rate.is_finite() or rate < 0:
        raise ConfigError(f"the price of {model!r}: {name} must be dollars per million tokens, got {value!r}")
    return rate


def _unknown(model: str) -> UnknownPriceError:
    return UnknownPriceError(
        f"nobody knows what {model!r} costs, so it is not called: check its name, or give input_usd_per_mtok and "
        "output_usd_per_mtok, or local = true for a model that runs here"
    )
