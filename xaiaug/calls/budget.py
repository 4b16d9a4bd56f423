"""The budget: no call is sent unless the worst that may come of it is still there."""

from __future__ import annotations

import math
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from fractions import Fraction

from ..errors import BudgetSpentError, ConfigError
from ..records import PICO, Spending
from .circuit_breaker import CircuitBreaker


def cost_picodollars(usd: float | Decimal) -> int:
    """What may have to be paid, in picodollars, rounded up.

    Raises:
        ConfigError: it is negative, infinite or not a number.
    """
    return int((_checked(usd) * PICO).to_integral_value(ROUND_CEILING))


def budget_picodollars(usd: float | Decimal) -> int:
    """What may be spent, in picodollars, rounded down.

    Raises:
        ConfigError: it is negative, infinite or not a number.
    """
    return int((_checked(usd) * PICO).to_integral_value(ROUND_FLOOR))


def dollars(pico: int) -> float:
    """An amount for reports and files."""
    return pico / PICO


def format_usd(pico: int) -> str:
    """An amount for people: cents, or three digits that count."""
    usd = Decimal(pico) / PICO
    return f"${usd:.2f}" if usd == 0 or usd >= 1 else f"${usd:.3g}"


def _checked(usd: float | Decimal) -> Decimal:
    amount = Decimal(str(usd))
    if not amount.is_finite() or amount < 0:
        raise ConfigError(f"an amount of money must be a number of dollars, 0 or more, got {usd!r}")
    return amount


class Budget:
    """What is settled, what is reserved for calls in flight, and what calls without a reply may have cost.

    At every moment settled + reserved + unknown ≤ budget, however many threads call, as long as no call costs more
    than its worst case.

    Args:
        budget: picodollars.
        spending: what the run paid before.
        halt: ends all waiting.
    """

    def __init__(self, budget: int, spending: Spending, halt: CircuitBreaker) -> None:
        self.budget = budget
        self.settled, self.unknown, self.reserved = spending.settled, spending.open, 0
        self._margin = Fraction(1)
        self._halt = halt
        self._changed = halt.condition()

    def reserve(self, worst: int) -> int:
        """Sets the worst case of a call aside; waits while calls in flight may still leave enough for it.

        Returns:
            What was set aside: more than `worst` where an earlier call cost more than its worst case.

        Raises:
            BudgetSpentError: they cannot.
        """
        with self._changed:
            worst = math.ceil(worst * self._margin)
            while self.settled + self.unknown + self.reserved + worst > self.budget:
                if self.settled + self.unknown + worst > self.budget:
                    raise BudgetSpentError(self._spent(worst))
                self._changed.wait()
                self._halt.check()
            self.reserved += worst
            return worst

    def take(self, worst: int) -> int | None:
        """As `reserve`, but waits for nobody: None where it is not left now."""
        with self._changed:
            worst = math.ceil(worst * self._margin)
            if self.settled + self.unknown + self.reserved + worst > self.budget:
                return None
            self.reserved += worst
            return worst

    def recover(self, worst: int) -> None:
        """A call of an earlier session, counted as unknown, may still be answered: it is reserved again."""
        with self._changed:
            self.unknown -= worst
            self.reserved += worst

    def settle(self, worst: int, cost: int) -> None:
        """A call cost that much."""
        if cost > worst > 0:  # its plugin reckoned too low, and may do so again
            self._margin *= Fraction(cost, worst)
        self._end(worst, settled=cost)

    def release(self, worst: int) -> None:
        """A call cost nothing."""
        self._end(worst)

    def lose(self, worst: int) -> None:
        """A call may have cost anything up to its worst case: nobody knows."""
        self._end(worst, unknown=worst)

    def _end(self, worst: int, *, settled: int = 0, unknown: int = 0) -> None:
        with self._changed:
            self.reserved -= worst
            self.settled += settled
            self.unknown += unknown
            self._changed.notify_all()

    def _spent(self, worst: int) -> str:
        unknown = f" and {format_usd(self.unknown)} may be due for calls without a reply" if self.unknown else ""
        return (
            f"the budget of {format_usd(self.budget)} is spent: {format_usd(self.settled)} is paid{unknown}, and the "
            f"next call may cost {format_usd(worst)}; raise budget_usd (--budget-usd) and run the same command to go on"
        )
