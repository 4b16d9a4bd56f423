"""A check: a law that plugins keep, its name, and whom it concerns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...errors import CheckFailedError
from ...interfaces import Plugin
from ...registry import KINDS

if TYPE_CHECKING:
    from .bench import Bench

CHECKS: list[Check] = []


class NotApplicableError(Exception):
    """Raised by a check that finds out that it does not concern this plugin, with the reason."""


@dataclass(frozen=True)
class Check:
    """One law.

    Attributes:
        name: in lower case with hyphens, such as "keeps-order".
        law: what must hold, in one sentence.
        kinds: of the plugins it concerns.
        applies: whether it concerns plugins of a class, by what the class declares.
        run: raises CheckFailedError where the law does not hold.
    """

    name: str
    law: str
    kinds: tuple[str, ...]
    applies: Callable[[type[Plugin]], bool]
    run: Callable[[Bench], None]


def check(
    *kinds: str, when: Callable[[type[Plugin]], bool] = lambda _: True
) -> Callable[[Callable[[Bench], None]], Callable[[Bench], None]]:
    """Makes a function a check: its name is the check's, the first line of its docstring the law.

    Args:
        *kinds: that it concerns; none: every kind.
        when: whether it concerns plugins of a class.
    """

    def add(run: Callable[[Bench], None]) -> Callable[[Bench], None]:
        law = (run.__doc__ or "").strip().splitlines()[0]
        CHECKS.append(Check(run.__name__.replace("_", "-"), law, kinds or tuple(KINDS), when, run))
        return run

    return add


def expect(condition: object, message: str) -> None:
    """Raises CheckFailedError unless the condition holds."""
    if not condition:
        raise CheckFailedError(message)
