"""Finds the price of a model: as the user gave it, or as genai-prices dates it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from importlib.metadata import version
from typing import Any

from ..errors import ConfigError, MissingExtraError, UnknownPriceError, nearest
from ..records import JSON
from .price import UNITS, Price, Rate

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
            raise ConfigError(f"the price of {model!r} has no {unknown.pop()!r}. {nearest('', (*_GIVEN, 'local'))}")
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
