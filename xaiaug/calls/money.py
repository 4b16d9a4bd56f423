"""Dollars as whole picodollars: sums are exact, and rounding never favours the spender."""

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from ..errors import ConfigError
from ..records import PICO


def cost(usd: float | Decimal) -> int:
    """What may have to be paid, in picodollars, rounded up.

    Raises:
        ConfigError: it is negative, infinite or not a number.
    """
    return int((_checked(usd) * PICO).to_integral_value(ROUND_CEILING))


def budget(usd: float | Decimal) -> int:
    """What may be spent, in picodollars, rounded down.

    Raises:
        ConfigError: it is negative, infinite or not a number.
    """
    return int((_checked(usd) * PICO).to_integral_value(ROUND_FLOOR))


def dollars(pico: int) -> float:
    """An amount for reports and files."""
    return pico / PICO


def told(pico: int) -> str:
    """An amount for people: cents, or three digits that count."""
    usd = Decimal(pico) / PICO
    return f"${usd:.2f}" if usd == 0 or usd >= 1 else f"${usd:.3g}"


def _checked(usd: float | Decimal) -> Decimal:
    amount = Decimal(str(usd))
    if not amount.is_finite() or amount < 0:
        raise ConfigError(f"an amount of money must be a number of dollars, 0 or more, got {usd!r}")
    return amount
