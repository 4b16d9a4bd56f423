"""The registry of checks: each is a rule that plugins follow, with its name and the plugins it applies to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ...interfaces import Plugin
from ...registry import KINDS
from .bench import Bench

CHECKS: list[Check] = []


@dataclass(frozen=True)
class Check:
    """One rule.

    Attributes:
        name: in lower case with hyphens, such as "keeps-the-order".
        law: the rule, in one sentence.
        kinds: of plugins it applies to.
        applies: whether it applies to plugins of a class, by what the class declares.
        run: raises CheckFailedError if a plugin breaks the rule.
    """

    name: str
    law: str
    kinds: tuple[str, ...]
    applies: Callable[[type[Plugin]], bool]
    run: Callable[[Bench], None]


def check(
    *kinds: str, when: Callable[[type[Plugin]], bool] = lambda _: True
) -> Callable[[Callable[[Bench], None]], Callable[[Bench], None]]:
    """Registers a function as a check: its name becomes the check's, the first line of its docstring the law.

    Args:
        *kinds: of plugins it applies to; none: every kind.
        when: whether it applies to plugins of a class.
    """

    def add(run: Callable[[Bench], None]) -> Callable[[Bench], None]:
        law = (run.__doc__ or "").strip().splitlines()[0]
        CHECKS.append(Check(run.__name__.replace("_", "-"), law, kinds or tuple(KINDS), when, run))
        return run

    return add
