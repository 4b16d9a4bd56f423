"""Runs the checks that concern a plugin: one after another, or as parameters of a pytest test."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ..errors import CheckFailedError, ConfigError, MissingExtraError, suggest
from ..interfaces import Classifier, Plugin
from .checks import batching, classifiers, critics, every_plugin, explainers, remote, side_effects, synthesizers
from .checks.bench import Bench, Factory, kind_of
from .checks.check_registry import CHECKS, Check, NotApplicableError

_MODULES = (every_plugin, batching, classifiers, explainers, critics, synthesizers, remote, side_effects)
_ORDER = [module.__name__ for module in _MODULES]
SECONDS = 120.0


@dataclass(frozen=True)
class Outcome:
    """What became of one check.

    Attributes:
        check: its name.
        law: what must hold.
        state: "passed", "failed", "not applicable", "expected" (it fails, as declared) or "unexpected" (it was declared
            to fail, and passes).
        reason: why; empty where it passed.
    """

    check: str
    law: str
    state: Literal["passed", "failed", "not applicable", "expected", "unexpected"]
    reason: str = ""

    @property
    def fine(self) -> bool:
        """Whether nothing is to be done about it."""
        return self.state not in ("failed", "unexpected")


def checks_for(plugin: type[Plugin]) -> list[Check]:
    """The checks that concern plugins of a class, by its kind and what it declares."""
    kind = kind_of(plugin)
    found = [check for check in CHECKS if kind in check.kinds and check.applies(plugin)]
    return sorted(found, key=lambda check: _ORDER.index(check.run.__module__))


def run_checks(
    factory: Factory,
    *,
    classifier: Classifier | None = None,
    service: Any = None,
    expected_failures: Mapping[str, str] | None = None,
    seconds: float = SECONDS,
) -> Iterator[Outcome]:
    """The outcome of each check, as it is done; needs no pytest.

    Args:
        factory: makes the plugin: its class, or a function. A function with a parameter is handed the `Loopback` that
            plays the services.
        classifier: what an explainer explains; None: one that shows no network where that will do, else a tiny ViT.
        service: script of that `Loopback`.
        expected_failures: names of checks that fail, each with the reason; those in the class's own
            `expected_failures` count too.
        seconds: most that one check may take; a plugin that hangs is not checked further.

    Raises:
        ConfigError: an expected failure is no check.
        MissingExtraError: the plugin needs a package that is not installed.
    """
    bench = Bench(factory, classifier=classifier, service=service)
    expected = _expected(bench.kind_of_plugin, expected_failures)
    hung = ""
    for check in checks_for(bench.kind_of_plugin):
        if hung:
            yield Outcome(check.name, check.law, "not applicable", f"{hung} did not end")
            continue
        state, reason = _judge(check, bench, seconds)
        if state == "lacking":
            raise MissingExtraError(reason)
        if state == "hung":
            hung, state = check.name, "failed"
        yield _outcome(check, state, reason, expected.get(check.name))


def parametrize_checks(
    factory: Factory,
    *,
    classifier: Classifier | None = None,
    service: Any = None,
    expected_failures: Mapping[str, str] | None = None,
) -> Callable[[Any], Any]:
    """Makes a pytest test with the argument `check` one test for each check; the test calls `check()`.

    Args:
        factory: as in `run_checks`.
        classifier: likewise.
        service: likewise.
        expected_failures: likewise; a check that passes though it is expected to fail fails.

    Raises:
        MissingExtraError: pytest is not installed.
        ConfigError: an expected failure is no check.
    """
    try:
        import pytest
    except ImportError as error:
        raise MissingExtraError("parametrize_checks needs pytest: pip install pytest, or use run_checks") from error
    bench = Bench(factory, classifier=classifier, service=service)
    expected = _expected(bench.kind_of_plugin, expected_failures)
    cases = []
    for check in checks_for(bench.kind_of_plugin):
        marks = [pytest.mark.xfail(reason=expected[check.name], strict=True)] if check.name in expected else []
        cases.append(pytest.param(_Bound(check, bench), id=check.name, marks=marks))
    return pytest.mark.parametrize("check", cases)


@dataclass(frozen=True)
class _Bound:
    check: Check
    bench: Bench

    def __call__(self) -> None:
        """Raises CheckFailedError where the law does not hold; skips where the check does not apply."""
        __tracebackhide__ = True
        try:
            perform(self.check, self.bench)
        except NotApplicableError as reason:
            import pytest

            pytest.skip(str(reason))


def perform(check: Check, bench: Bench) -> None:
    """Runs one check.

    Raises:
        CheckFailedError: the law does not hold, or the plugin raised where it must not.
        NotApplicableError: the check does not concern this plugin after all.
        MissingExtraError: the plugin needs a package that is not installed.
    """
    with bench.at_work():
        try:
            check.run(bench)
        except (CheckFailedError, NotApplicableError, MissingExtraError):
            raise
        except Exception as error:
            raise CheckFailedError(f"{check.name}: it raised {type(error).__name__}: {error}") from error


def _judge(check: Check, bench: Bench, seconds: float) -> tuple[str, str]:
    """State and reason of one check, "hung" where it does not end, "lacking" where a package is not installed."""
    found: list[tuple[str, str]] = []

    def judge() -> None:
        try:
            perform(check, bench)
            found.append(("passed", ""))
        except CheckFailedError as error:
            found.append(("failed", str(error)))
        except NotApplicableError as reason:
            found.append(("not applicable", str(reason)))
        except MissingExtraError as error:
            found.append(("lacking", str(error)))

    # A daemon: what hangs must not keep the process from ending.
    thread = threading.Thread(target=judge, name=check.name, daemon=True)
    thread.start()
    thread.join(seconds)
    return found[0] if found else ("hung", f"did not end within {seconds:g} s")


def _outcome(check: Check, state: Any, reason: str, declared: str | None) -> Outcome:
    if declared is not None and state == "failed":
        return Outcome(check.name, check.law, "expected", f"{declared} ({reason})")
    if declared is not None and state == "passed":
        return Outcome(check.name, check.law, "unexpected", f"declared to fail: {declared}")
    return Outcome(check.name, check.law, state, reason)


def _expected(plugin: type[Plugin], further: Mapping[str, str] | None) -> dict[str, str]:
    expected = {**plugin.expected_failures, **(further or {})}
    known = {check.name for check in checks_for(plugin)}
    for name in expected:
        if name not in known:
            raise ConfigError(f"{plugin.__name__}: expected failure {name!r} is no check of it. {suggest(name, known)}")
    return expected
