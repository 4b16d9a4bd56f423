"""What the requests cost: tokens by a plain rule, dollars exactly."""

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
Price = tuple[Amount, Amount]
Prices = Price | Mapping[str, Price]


@dataclass(frozen=True)
class Bill:
    """How many requests were billed, their tokens, and what they cost in dollars."""

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
    """One token for every four characters begun."""
    return -(-len(text) // CHARACTERS_PER_TOKEN)


class PriceList:
    """Dollars for a million tokens, of input and of output: one price, or one for each model."""

    def __init__(self, prices: Prices) -> None:
        models = prices if isinstance(prices, Mapping) else {"": prices}
        self._any = not isinstance(prices, Mapping)
        self._prices = {model: _exact(price) for model, price in models.items()}

    def knows(self, model: str) -> bool:
        """Whether the model has a price."""
        return self._any or model in self._prices

    def charge(self, model: str, input_tokens: int, output_tokens: int) -> Bill:
        """The bill of one request."""
        of_input, of_output = self._prices["" if self._any else model]
        usd = (of_input * input_tokens + of_output * output_tokens) / MILLION
        return Bill(1, input_tokens, output_tokens, usd)


def _exact(price: Price) -> tuple[Decimal, Decimal]:
    try:
        of_input, of_output = (Decimal(str(amount)) for amount in price)
    except (ArithmeticError, TypeError, ValueError):
        raise ConfigError(
            f"Loopback: a price is two numbers, dollars for a million tokens of input and of output, not {price!r}."
        ) from None
    return of_input, of_output


class Book:
    """Keeps what was billed and what was lost on the way; safe to use from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bill, self._lost = Bill(), Bill()
        self._statuses: Counter[int] = Counter()

    @property
    def bill(self) -> Bill:
        """Successful replies with usage that were handed over whole."""
        with self._lock:
            return self._bill

    @property
    def lost(self) -> Bill:
        """Successful replies with usage that were made but never handed over whole."""
        with self._lock:
            return self._lost

    @property
    def statuses(self) -> Counter[int]:
        """How many replies of each HTTP status were handed over whole."""
        with self._lock:
            return self._statuses.copy()

    def hand_over(self, status: int, charge: Bill) -> None:
        """Count a reply as handed over."""
        with self._lock:
            self._bill += charge
            self._statuses[status] += 1

    def take_back(self, status: int, charge: Bill) -> None:
        """Undo `hand_over`: sending failed after all."""
        with self._lock:
            self._bill -= charge
            self._statuses[status] -= 1

    def lose(self, charge: Bill) -> None:
        """Count a reply that was made and did not arrive whole."""
        with self._lock:
            self._lost += charge
