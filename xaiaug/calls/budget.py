"""The budget of a run: a call is sent only while its worst-case cost still fits."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from fractions import Fraction

from ..errors import BudgetSpentError, ConfigError
from ..records import PICO, Spending
from .circuit_breaker import CircuitBreaker

# Dollars. Sums of amounts within these fit the integers of the ledger's file.
MOST_A_CALL = 10_000
MOST_A_RUN = 1_000_000


@dataclass
class _ModelAccount:
    """Calls of one model: the worst cases that their plugin stated, and how far the bills were above them."""

    reserved: int = 0
    unknown: int = 0
    over: int = 0
    ratio: Fraction = Fraction(1)

    def scale(self, stated: int) -> int:
        """What calls with that stated worst case may cost, as far as is known."""
        return math.ceil(stated * self.ratio)


class Budget:
    """Splits the money of a run into settled, reserved (calls in flight) and unknown (calls without a reply).

    At any moment settled + reserved + unknown ≤ budget, with any number of threads, as long as no call costs more
    than its worst case. Once a service bills more, all worst cases of that model are multiplied by the largest ratio
    seen of a bill to its worst case, also those of calls in flight and of later sessions.

    Args:
        budget: picodollars.
        spending: what earlier sessions of the run paid.
        breaker: ends all waiting.
    """

    def __init__(self, budget: int, spending: Spending, breaker: CircuitBreaker) -> None:
        self.budget = budget
        self.settled = spending.settled
        self._models: dict[str, _ModelAccount] = defaultdict(_ModelAccount)
        for one in spending.models:
            self._models[one.model] = _ModelAccount(unknown=one.stated, over=one.over, ratio=one.ratio)
        self._breaker = breaker
        self._changed = breaker.condition()

    @property
    def reserved(self) -> int:
        """What the calls in flight may cost."""
        with self._changed:
            return self._sum_reserved()

    def reserve(self, model: str, worst: int) -> None:
        """Reserves the stated worst case of a call; waits while calls in flight may still free enough for it.

        Raises:
            BudgetSpentError: the calls in flight cannot free enough.
        """
        with self._changed:
            while not self._has_room(model, worst):
                if self.settled + self._sum_unknown() + self._models[model].scale(worst) > self.budget:
                    raise BudgetSpentError(self._spent_message(model, worst))
                self._changed.wait()
                self._breaker.check()
            self._models[model].reserved += worst

    def try_reserve(self, model: str, worst: int) -> bool:
        """Like `reserve`, without waiting: False if the amount is not available now."""
        with self._changed:
            if not self._has_room(model, worst):
                return False
            self._models[model].reserved += worst
            return True

    def reopen(self, model: str, worst: int) -> None:
        """Moves a call of an earlier session from unknown to reserved: it may still be answered."""
        with self._changed:
            self._models[model].unknown -= worst
            self._models[model].reserved += worst

    def assumed_cost(self, model: str, worst: int) -> int:
        """The cost of a call whose bill is not known: its worst case, times the largest ratio seen."""
        with self._changed:
            return math.floor(worst * self._models[model].ratio)  # rounded up it would raise the ratio

    def settle(self, model: str, worst: int, cost: int) -> None:
        """Replaces the reservation of a call by its cost."""
        with self._changed:
            account = self._models[model]
            account.over += max(0, cost - worst)
            if worst:
                account.ratio = max(account.ratio, Fraction(cost, worst))
            self.settled += cost
            self._close(account, worst)

    def release(self, model: str, worst: int) -> None:
        """Frees the reservation of a call that cost nothing."""
        with self._changed:
            self._close(self._models[model], worst)

    def mark_unknown(self, model: str, worst: int) -> None:
        """Keeps the reservation of a call that may have cost anything up to its worst case."""
        with self._changed:
            self._models[model].unknown += worst
            self._close(self._models[model], worst)

    def check(self) -> None:
        """Raises BudgetSpentError if more is billed than the budget: a service billed more than the worst case."""
        with self._changed:
            if self.settled > self.budget:
                raise BudgetSpentError(
                    f"the budget of {format_usd(self.budget)} is exceeded by {format_usd(self.settled - self.budget)}: "
                    f"{format_usd(self.settled)} is billed{self._overruns()}. All replies are kept; rerun the same "
                    "command to continue with them, with a higher budget_usd (--budget-usd) if more calls are needed"
                )

    def _has_room(self, model: str, worst: int) -> bool:
        committed = self.settled + self._sum_unknown() + self._sum_reserved()
        return committed + self._models[model].scale(worst) <= self.budget

    def _sum_reserved(self) -> int:
        return sum(account.scale(account.reserved) for account in self._models.values())

    def _sum_unknown(self) -> int:
        return sum(account.scale(account.unknown) for account in self._models.values())

    def _close(self, account: _ModelAccount, worst: int) -> None:
        account.reserved -= worst
        self._changed.notify_all()

    def _spent_message(self, model: str, worst: int) -> str:
        owed = self._sum_unknown()
        unknown = f" and {format_usd(owed)} may be due for calls without a reply" if owed else ""
        return (
            f"the budget of {format_usd(self.budget)} is spent: {format_usd(self.settled)} is paid{unknown}, and the "
            f"next call may cost {format_usd(self._models[model].scale(worst))}{self._overruns()}; raise budget_usd "
            "(--budget-usd) and rerun the same command to resume"
        )

    def _overruns(self) -> str:
        return "".join(
            f"; calls of {model!r} were billed up to {format_ratio(account.ratio)} times their worst case, "
            f"{format_usd(account.over)} above it in total"
            for model, account in self._models.items()
            if account.over
        )


def cost_to_picodollars(usd: float | Decimal) -> int:
    """The worst case of a call in picodollars, rounded up.

    Raises:
        ConfigError: the amount is negative, not a number, or more than a call can cost.
    """
    return int((_parse_amount(usd, MOST_A_CALL) * PICO).to_integral_value(ROUND_CEILING))


def budget_to_picodollars(usd: float | Decimal) -> int:
    """A budget in picodollars, rounded down.

    Raises:
        ConfigError: the amount is negative, not a number, or more than a million dollars.
    """
    return int((_parse_amount(usd, MOST_A_RUN) * PICO).to_integral_value(ROUND_FLOOR))


def picodollars_to_usd(pico: int) -> float:
    """An amount in dollars, for reports and files."""
    return pico / PICO


def format_usd(pico: int) -> str:
    """An amount for display: to the cent, or three significant digits below a dollar."""
    usd = Decimal(pico) / PICO
    return f"${usd:.2f}" if usd == 0 or usd >= 1 else f"${usd:.3g}"


def format_ratio(ratio: Fraction) -> str:
    """A ratio for display: three significant digits, rounded up, so that one above 1 never reads 1."""
    digits = 2 if ratio < 10 else 1 if ratio < 100 else 0
    return f"{math.ceil(ratio * 10**digits) / 10**digits:,.{digits}f}"


def _parse_amount(usd: float | Decimal, most: int) -> Decimal:
    amount = Decimal(str(usd))
    if not amount.is_finite() or not 0 <= amount <= most:
        raise ConfigError(f"an amount of money must be a number of dollars, 0 to {most:,} here, got {usd!r}")
    return amount
