"""The budget of a run: a call is sent only while its worst-case cost still fits."""

from __future__ import annotations

import math
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from fractions import Fraction

from ..errors import BudgetSpentError, ConfigError
from ..records import PICO, Spending
from .circuit_breaker import CircuitBreaker


class Budget:
    """Splits the money of a run into settled, reserved (calls in flight) and unknown (calls without a reply).

    At any moment settled + reserved + unknown ≤ budget, with any number of threads, as long as no call costs more
    than its worst case.

    Args:
        budget: picodollars.
        spending: what earlier sessions of the run paid.
        breaker: ends all waiting.
    """

    def __init__(self, budget: int, spending: Spending, breaker: CircuitBreaker) -> None:
        self.budget = budget
        self.settled, self.unknown, self.reserved = spending.settled, spending.open, 0
        self._margin = Fraction(1)
        self._breaker = breaker
        self._changed = breaker.condition()

    def reserve(self, worst: int) -> int:
        """Reserves the worst case of a call; waits while calls in flight may still free enough for it.

        Returns:
            The amount reserved: more than `worst` if an earlier call cost more than its worst case.

        Raises:
            BudgetSpentError: the calls in flight cannot free enough.
        """
        with self._changed:
            worst = math.ceil(worst * self._margin)
            while self.settled + self.unknown + self.reserved + worst > self.budget:
                if self.settled + self.unknown + worst > self.budget:
                    raise BudgetSpentError(self._spent_message(worst))
                self._changed.wait()
                self._breaker.check()
            self.reserved += worst
            return worst

    def try_reserve(self, worst: int) -> int | None:
        """Like `reserve`, without waiting: None if the amount is not available now."""
        with self._changed:
            worst = math.ceil(worst * self._margin)
            if self.settled + self.unknown + self.reserved + worst > self.budget:
                return None
            self.reserved += worst
            return worst

    def reopen(self, worst: int) -> None:
        """Moves a call of an earlier session from unknown to reserved: it may still be answered."""
        with self._changed:
            self.unknown -= worst
            self.reserved += worst

    def settle(self, worst: int, cost: int) -> None:
        """Replaces the reservation of a call by its cost."""
        if cost > worst > 0:  # its plugin estimated too low, and may do so again
            self._margin *= Fraction(cost, worst)
        self._close(worst, settled=cost)

    def release(self, worst: int) -> None:
        """Frees the reservation of a call that cost nothing."""
        self._close(worst)

    def mark_unknown(self, worst: int) -> None:
        """Keeps the reservation of a call that may have cost anything up to its worst case."""
        self._close(worst, unknown=worst)

    def _close(self, worst: int, *, settled: int = 0, unknown: int = 0) -> None:
        with self._changed:
            self.reserved -= worst
            self.settled += settled
            self.unknown += unknown
            self._changed.notify_all()

    def _spent_message(self, worst: int) -> str:
        unknown = f" and {format_usd(self.unknown)} may be due for calls without a reply" if self.unknown else ""
        return (
            f"the budget of {format_usd(self.budget)} is spent: {format_usd(self.settled)} is paid{unknown}, and the "
            f"next call may cost {format_usd(worst)}; raise budget_usd (--budget-usd) and rerun the same command to "
            "resume"
        )


def cost_to_picodollars(usd: float | Decimal) -> int:
    """A cost in picodollars, rounded up.

    Raises:
        ConfigError: the amount is negative, infinite or not a number.
    """
    return int((_parse_amount(usd) * PICO).to_integral_value(ROUND_CEILING))


def budget_to_picodollars(usd: float | Decimal) -> int:
    """A budget in picodollars, rounded down.

    Raises:
        ConfigError: the amount is negative, infinite or not a number.
    """
    return int((_parse_amount(usd) * PICO).to_integral_value(ROUND_FLOOR))


def picodollars_to_usd(pico: int) -> float:
    """An amount in dollars, for reports and files."""
    return pico / PICO


def format_usd(pico: int) -> str:
    """An amount for display: to the cent, or three significant digits below a dollar."""
    usd = Decimal(pico) / PICO
    return f"${usd:.2f}" if usd == 0 or usd >= 1 else f"${usd:.3g}"


def _parse_amount(usd: float | Decimal) -> Decimal:
    amount = Decimal(str(usd))
    if not amount.is_finite() or amount < 0:
        raise ConfigError(f"an amount of money must be a number of dollars, 0 or more, got {usd!r}")
    return amount
