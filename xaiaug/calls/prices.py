"""Prices of models: from the settings, or dated prices from genai-prices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from decimal import ROUND_CEILING, Decimal, InvalidOperation
from importlib.metadata import version
from typing import Any

from ..errors import ConfigError, MissingExtraError, UnknownPriceError, suggest
from ..records import JSON, PICO

# As in "input_tokens" and "input_usd_per_mtok"; those of images are counted among input and output too.
UNITS = ("input", "output", "cache_read", "cache_write", "input_image", "output_image")
_PER_TOKEN = Decimal(PICO) / 10**6
MOST_TOKENS = 2 * 10**7  # of one kind in one call; what is above that is no count of tokens


@dataclass(frozen=True)
class Rate:
    """Dollars per million tokens of one kind.

    Attributes:
        usd: the rate.
        tiers: (tokens, rate) in rising order: a request with more input tokens than that pays this rate for all tokens.
    """

    usd: Decimal
    tiers: tuple[tuple[int, Decimal], ...] = ()

    def at(self, input_tokens: int) -> Decimal:
        """The rate for a request with that many input tokens."""
        return next((usd for start, usd in reversed(self.tiers) if input_tokens > start), self.usd)


@dataclass(frozen=True)
class Price:
    """The dated price of a model.

    Attributes:
        model: its name in requests.
        source: "genai-prices 0.2.3", "user" or "local".
        date: the day of the look-up, ISO 8601.
        rates: by unit; a unit without a rate costs as much as input, or output. Empty for a local model, which is free.
    """

    model: str
    source: str
    date: str
    rates: Mapping[str, Rate]

    @property
    def free(self) -> bool:
        """Whether calls cost nothing: only for a model declared as local."""
        return not self.rates

    def cost(self, usage: Mapping[str, int]) -> int:
        """The cost of a request with that usage, in picodollars.

        Args:
            usage: as in `RawReply.usage`; input tokens include those read from and written to a cache. What is no
                count of tokens is left out.
        """
        if self.free:
            return 0
        counts = {unit: usage.get(f"{unit}_tokens", 0) for unit in UNITS}
        tokens = {unit: count if is_count(count) else 0 for unit, count in counts.items()}
        apart = tokens["cache_read"] + tokens["cache_write"] + tokens["input_image"]
        plain = {
            **tokens,
            "input": max(0, tokens["input"] - apart),
            "output": max(0, tokens["output"] - tokens["output_image"]),
        }
        total = sum(count * self._rate(unit).at(tokens["input"]) for unit, count in plain.items())
        return int((total * _PER_TOKEN).to_integral_value(ROUND_CEILING))

    def covers(self, usage: Mapping[str, int]) -> bool:
        """Whether the usage tells the whole cost: counts of tokens, each with a rate, and not all of them zero."""
        known = all(
            is_count(count) and (not count or name.removesuffix("_tokens") in UNITS) for name, count in usage.items()
        )
        return self.free or (known and any(usage.values()))

    def to_row(self) -> dict[str, JSON]:
        """JSON-plain, for a ledger; rates as text, to keep them exact."""
        rates: dict[str, JSON] = {
            unit: [str(rate.usd), *([start, str(usd)] for start, usd in rate.tiers)]
            for unit, rate in sorted(self.rates.items())
        }
        return {"model": self.model, "source": self.source, "date": self.date, "usd_per_mtok": rates}

    def half(self) -> Price:
        """Half the price, which both services charge for a call in a batch."""
        rates = {
            unit: Rate(rate.usd / 2, tuple((start, usd / 2) for start, usd in rate.tiers))
            for unit, rate in self.rates.items()
        }
        return replace(self, source=f"{self.source}, half in a batch", rates=rates)

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Price:
        """The price of a row written by `to_row`."""
        rates = {
            unit: Rate(Decimal(usd), tuple((start, Decimal(more)) for start, more in tiers))
            for unit, (usd, *tiers) in row["usd_per_mtok"].items()
        }
        return cls(row["model"], row["source"], row["date"], rates)

    def _rate(self, unit: str) -> Rate:
        return self.rates.get(unit, self.rates["output" if unit == "output_image" else "input"])


def is_count(value: Any) -> bool:
    """Whether a service may mean this as a number of tokens."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_TOKENS


_SETTINGS = tuple(f"{unit}_usd_per_mtok" for unit in UNITS)


class Prices:
    """The prices of a run, each looked up once.

    Args:
        given: prices by model, which override genai-prices: {"model": {"input_usd_per_mtok": 3,
            "output_usd_per_mtok": 15}}, with "cache_read_usd_per_mtok", "cache_write_usd_per_mtok" and
            "input_image_usd_per_mtok" if they differ from input, and "output_image_usd_per_mtok" if it differs from
            output; {"model": {"local": True}} for a model that runs locally and is free.
        on: date of the prices; None: today.

    Raises:
        ConfigError: a given price is incomplete, zero or unknown.
    """

    def __init__(self, given: Mapping[str, Mapping[str, JSON]] | None = None, *, on: date | None = None) -> None:
        self._on = on or datetime.now(UTC).date()
        self._known = {model: self._parse_price(model, price) for model, price in (given or {}).items()}

    def of(self, model: str) -> Price:
        """The price of a model.

        Raises:
            UnknownPriceError: the price is not known; it is never assumed to be zero.
            MissingExtraError: the settings give no price, and genai-prices is not installed.
        """
        if model not in self._known:
            source = f"genai-prices {_genai_prices_version(model)}"
            self._known[model] = Price(model, source, str(self._on), self._look_up_rates(model))
        return self._known[model]

    def _parse_price(self, model: str, price: Mapping[str, JSON]) -> Price:
        if price.get("local") is True:
            return Price(model, "local", str(self._on), {})
        unknown = set(price) - {*_SETTINGS, "local"}
        if unknown:
            raise ConfigError(f"the price of {model!r} has no {unknown.pop()!r}. {suggest('', (*_SETTINGS, 'local'))}")
        rates = {
            unit: Rate(_parse_rate(model, name, price[name]))
            for unit, name in zip(UNITS, _SETTINGS, strict=True)
            if name in price
        }
        if not all(unit in rates and rates[unit].usd > 0 for unit in ("input", "output")):
            raise ConfigError(
                f"the price of {model!r} needs input_usd_per_mtok and output_usd_per_mtok above 0, "
                "or local = true for a model that runs locally and is free"
            )
        return Price(model, "user", str(self._on), rates)

    def _look_up_rates(self, model: str) -> dict[str, Rate]:
        from genai_prices.data_snapshot import get_snapshot

        try:
            _, info = get_snapshot().find_provider_model(model, None, None, None)
        except LookupError as error:
            raise _unknown_price(model) from error
        terms = vars(info.get_prices(datetime.combine(self._on, time(12), UTC)))
        rates = {unit: _to_rate(terms[f"{unit}_mtok"]) for unit in UNITS if terms.get(f"{unit}_mtok") is not None}
        if not all(unit in rates and rates[unit].usd > 0 for unit in ("input", "output")):
            raise _unknown_price(model)
        return rates


def _genai_prices_version(model: str) -> str:
    try:
        import genai_prices  # noqa: F401  imported to report its absence in our own words
    except ImportError as error:
        raise MissingExtraError(
            f"the price of {model!r} comes from genai-prices: pip install 'xaiaug[claude]', or set the price"
        ) from error
    return version("genai-prices")


def _to_rate(value: Any) -> Rate:
    if isinstance(value, Decimal):
        return Rate(value)
    return Rate(value.base, tuple((tier.start, tier.price) for tier in value.tiers))


def _parse_rate(model: str, name: str, value: JSON) -> Decimal:
    try:
        rate = Decimal(str(value))
    except InvalidOperation:
        rate = Decimal("NaN")
    if isinstance(value, bool) or not rate.is_finite() or rate < 0:
        raise ConfigError(f"the price of {model!r}: {name} must be dollars per million tokens, got {value!r}")
    return rate


def _unknown_price(model: str) -> UnknownPriceError:
    return UnknownPriceError(
        f"the price of {model!r} is not known, so it is not called: check its name, or set input_usd_per_mtok and "
        "output_usd_per_mtok, or local = true for a model that runs locally"
    )
