"""Runs the checks that apply to a plugin: one after another, or as parameters of a pytest test."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ..errors import CheckFailedError, ConfigError, MissingExtraError, suggest
from ..interfaces import Classifier, Plugin
from .checks import batching, classifiers, critics, every_plugin, explainers, remote, side_effects, synthesizers
from .checks.assertions import NotApplicableError
from .checks.bench import Bench, Factory, plugin_kind
from .checks.check_registry import CHECKS, Check

_MODULES = (every_plugin, batching, classifiers, explainers, critics, synthesizers, remote, side_effects)
_ORDER = [module.__name__ for module in _MODULES]
SECONDS = 120.0


@dataclass(frozen=True)
class CheckOutcome:
    """The outcome of one check.

    Attributes:
        check: its name.
        law: the rule it checks.
        state: "passed", "failed", "not applicable", "expected" (fails as declared) or "unexpected" (passes although
            declared to fail).
        reason: for the state; empty if it passed.
    """

    check: str
    law: str
    state: Literal["passed", "failed", "not applicable", "expected", "unexpected"]
    reason: str = ""

    @property
    def ok(self) -> bool:
        """Whether it passed, failed as declared, or does not apply."""
        return self.state not in ("failed", "unexpected")


def checks_for(plugin: type[Plugin]) -> list[Check]:
    """The checks that apply to plugins of a class, by its kind and what it declares."""
    kind = plugin_kind(plugin)
    checks = [check for check in CHECKS if kind in check.kinds and check.applies(plugin)]
    return sorted(checks, key=lambda check: _ORDER.index(check.run.__module__))


def run_checks(
    factory: Factory,
    *,
    classifier: Classifier | None = None,
    service: Any = None,
    expected_failures: Mapping[str, str] | None = None,
    seconds: float = SECONDS,
) -> Iterator[CheckOutcome]:
    """Yields the outcome of each check; needs no pytest.

    Args:
        factory: creates the plugin: its class, or a function. If the function has a parameter, it gets the `Loopback`
            that stands in for the services.
        classifier: for explainers; None: one without a network, or a tiny ViT if that is not supported.
        service: script of that `Loopback`.
        expected_failures: names of checks that fail, each with the reason, in addition to the class's own
            `expected_failures`.
        seconds: maximum duration of a check; a plugin that hangs is not checked further.

    Raises:
        ConfigError: an expected failure is not the name of a check.
        MissingExtraError: the plugin needs a package that is not installed.
    """
    bench = Bench(factory, classifier=classifier, service=service)
    expected = _expected_failures(bench.plugin_class, expected_failures)
    hung = ""
    for check in checks_for(bench.plugin_class):
        if hung:
            yield CheckOutcome(check.name, check.law, "not applicable", f"{hung} did not end")
            continue
        state, reason = _run_with_timeout(check, bench, seconds)
        if state == "missing extra":
            raise MissingExtraError(reason)
        if state == "hung":
            hung, state = check.name, "failed"
        yield _to_outcome(check, state, reason, expected.get(check.name))


def parametrize_checks(
    factory: Factory,
    *,
    classifier: Classifier | None = None,
    service: Any = None,
    expected_failures: Mapping[str, str] | None = None,
) -> Callable[[Any], Any]:
    """A decorator that turns a pytest test with the argument `check` into one test per check; it calls `check()`.

    Args:
        factory: as in `run_checks`.
        classifier: as in `run_checks`.
        service: as in `run_checks`.
        expected_failures: as in `run_checks`; the test of a check that passes unexpectedly fails.

    Raises:
        MissingExtraError: pytest is not installed.
        ConfigError: an expected failure is not the name of a check.
    """
    try:
        import pytest
    except ImportError as error:
        raise MissingExtraError("parametrize_checks needs pytest: pip install pytest, or use run_checks") from error
    bench = Bench(factory, classifier=classifier, service=service)
    expected = _expected_failures(bench.plugin_class, expected_failures)
    cases = []
    for check in checks_for(bench.plugin_class):
        marks = [pytest.mark.xfail(reason=expected[check.name], strict=True)] if check.name in expected else []
        cases.append(pytest.param(_BoundCheck(check, bench), id=check.name, marks=marks))
    return pytest.mark.parametrize("check", cases)


@dataclass(frozen=True)
class _BoundCheck:
    check: Check
    bench: Bench

    def __call__(self) -> None:
        """Raises CheckFailedError if the plugin breaks the rule; skips the test if the check does not apply."""
        __tracebackhide__ = True
        try:
            run_check(self.check, self.bench)
        except NotApplicableError as reason:
            import pytest

            pytest.skip(str(reason))


def run_check(check: Check, bench: Bench) -> None:
    """Runs one check.

    Raises:
        CheckFailedError: the plugin breaks the rule, or raised an unexpected error.
        NotApplicableError: the check does not apply to this plugin after all.
        MissingExtraError: the plugin needs a package that is not installed.
    """
    with bench.session():
        try:
            check.run(bench)
        except (CheckFailedError, NotApplicableError, MissingExtraError):
            raise
        except Exception as error:
            raise CheckFailedError(f"{check.name}: it raised {type(error).__name__}: {error}") from error


def _run_with_timeout(check: Check, bench: Bench, seconds: float) -> tuple[str, str]:
    """State and reason of one check; also "hung" after the time-out, or "missing extra" without a package."""
    states: list[tuple[str, str]] = []

    def run() -> None:
        try:
            run_check(check, bench)
            states.append(("passed", ""))
        except CheckFailedError as error:
            states.append(("failed", str(error)))
        except NotApplicableError as reason:
            states.append(("not applicable", str(reason)))
        except MissingExtraError as error:
            states.append(("missing extra", str(error)))

    # A daemon thread: a plugin that hangs must not keep the process from ending.
    thread = threading.Thread(target=run, name=check.name, daemon=True)
    thread.start()
    thread.join(seconds)
    return states[0] if states else ("hung", f"did not end within {seconds:g} s")


def _to_outcome(check: Check, state: Any, reason: str, declared: str | None) -> CheckOutcome:
    if declared is not None and state == "failed":
        return CheckOutcome(check.name, check.law, "expected", f"{declared} ({reason})")
    if declared is not None and state == "passed":
        return CheckOutcome(check.name, check.law, "unexpected", f"declared to fail: {declared}")
    return CheckOutcome(check.name, check.law, state, reason)


def _expected_failures(plugin: type[Plugin], more: Mapping[str, str] | None) -> dict[str, str]:
    expected = {**plugin.expected_failures, **(more or {})}
    known = {check.name for check in checks_for(plugin)}
    for name in expected:
        if name not in known:
            raise ConfigError(
                f"{plugin.__name__}: the expected failure {name!r} is not a check. {suggest(name, known)}"
            )
    return expected
