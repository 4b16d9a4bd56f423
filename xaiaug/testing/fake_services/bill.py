"""The bill of the stand-in services: tokens by a simple rule, dollars exactly."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from ...errors import ConfigError

CHARACTERS_PER_TOKEN = 4
MILLION = 1_000_000

Amount = Decimal | int | str | float
TokenPrices = tuple[Amount, Amount]
PriceTable = TokenPrices | Mapping[str, TokenPrices]


@dataclass(frozen=True)
class Bill:
    """The number of requests billed, their tokens, and their cost in dollars."""

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    usd: Decimal = Decimal(0)

    def __add__(self, other: Bill) -> Bill:
        return Bill(
            self.requests + other.requests,
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.usd + other.usd,
        )

    def __sub__(self, other: Bill) -> Bill:
        return Bill(
            self.requests - other.requests,
            self.input_tokens - other.input_tokens,
            self.output_tokens - other.output_tokens,
            self.usd - other.usd,
        )


def text_tokens(text: str) -> int:
    """One token for every four characters, rounded up."""
    return -(-len(text) // CHARACTERS_PER_TOKEN)


class PriceList:
    """Dollars per million tokens of input and of output: one pair for all models, or one per model."""

    def __init__(self, prices: PriceTable) -> None:
        models = prices if isinstance(prices, Mapping) else {"": prices}
        self._any = not isinstance(prices, Mapping)
        self._prices = {model: _to_decimals(price) for model, price in models.items()}

    def knows(self, model: str) -> bool:
        """Whether the model has a price."""
        return self._any or model in self._prices

    def charge(self, model: str, input_tokens: int, output_tokens: int) -> Bill:
        """The bill of one request."""
        input_price, output_price = self._prices["" if self._any else model]
        usd = (input_price * input_tokens + output_price * output_tokens) / MILLION
        return Bill(1, input_tokens, output_tokens, usd)


def _to_decimals(price: TokenPrices) -> tuple[Decimal, Decimal]:
    try:
        input_price, output_price = (Decimal(str(amount)) for amount in price)
    except (ArithmeticError, TypeError, ValueError):
        raise ConfigError(
            f"Loopback: a price is two numbers, dollars per million tokens of input and of output, got {price!r}."
        ) from None
    return input_price, output_price


class BillingRecord:
    """Records the replies that were delivered and those that were lost; threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bill, self._lost = Bill(), Bill()
        self._statuses: Counter[int] = Counter()

    @property
    def bill(self) -> Bill:
        """Successful replies with usage that were delivered completely."""
        with self._lock:
            return self._bill

    @property
    def lost(self) -> Bill:
        """Successful replies with usage that were not delivered completely."""
        with self._lock:
            return self._lost

    @property
    def statuses(self) -> Counter[int]:
        """Number of replies of each HTTP status that were delivered completely."""
        with self._lock:
            return self._statuses.copy()

    def record_delivered(self, status: int, charge: Bill) -> None:
        """Records a reply that was delivered."""
        with self._lock:
            self._bill += charge
            self._statuses[status] += 1

    def undo_delivered(self, status: int, charge: Bill) -> None:
        """Undoes `record_delivered`: sending failed after all."""
        with self._lock:
            self._bill -= charge
            self._statuses[status] -= 1

    def record_lost(self, charge: Bill) -> None:
        """Records a reply that was not delivered completely."""
        with self._lock:
            self._lost += charge
