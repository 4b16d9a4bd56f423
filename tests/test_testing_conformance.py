"""The checks find out what is broken, let alone what is not, and work without pytest."""

import subprocess
import sys
import time
import types

import pytest
from broken import BROKEN, MORE, Honest

from xaiaug.errors import CheckFailedError, ConfigError, MissingExtraError
from xaiaug.testing import NearestColour, PlainColour, Ramp, ScriptedCritic, checks_for, parametrize_checks, run_checks
from xaiaug.testing.checks.bench import Bench
from xaiaug.testing.checks.check_registry import CHECKS
from xaiaug.testing.conformance import run_check


def named(name):
    (found,) = [check for check in CHECKS if check.name == name]
    return found


def test_every_check_has_a_plugin_that_breaks_it_and_says_its_law_in_one_sentence():
    assert {check.name for check in CHECKS} == set(BROKEN)
    assert all(check.law.endswith(".") for check in CHECKS)


@pytest.mark.parametrize(
    ("name", "plugin"),
    [*((name, plugin) for name, plugin in BROKEN.items() if plugin), *MORE],
    ids=lambda v: str(v)[:60],
)
def test_a_plugin_broken_on_purpose_is_found_out(name, plugin):
    assert name in {check.name for check in checks_for(plugin)}
    with pytest.raises(CheckFailedError):
        run_check(named(name), Bench(plugin))


def test_a_package_that_loads_a_framework_to_list_its_plugins_is_found_out(tmp_path, monkeypatch):
    (tmp_path / "heavy_plugins.py").write_text(
        "import captum, xaiaug\nfrom xaiaug.testing import Ramp\nclass Heavy(Ramp): pass\n"
        "@xaiaug.hookimpl\ndef register_explainers(register): register('heavy', Heavy)\n"
    )
    (tmp_path / "captum.py").write_text("")
    info = tmp_path / "heavy_plugins-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: heavy-plugins\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[xaiaug]\nheavy = heavy_plugins\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, "captum", types.ModuleType("captum"))  # gone after the test
    import heavy_plugins

    with pytest.raises(CheckFailedError, match="importing heavy_plugins loads captum"):
        run_check(named("import-is-light"), Bench(heavy_plugins.Heavy))


def test_a_remote_plugin_that_keeps_the_rules_passes_against_the_server():
    outcomes = list(run_checks(Honest))
    assert [outcome for outcome in outcomes if outcome.state == "failed"] == []
    assert {"pays-through-the-context", "pays-only-once"} <= {o.check for o in outcomes if o.state == "passed"}


def test_checks_are_chosen_by_what_a_plugin_declares():
    names = {check.name for check in checks_for(PlainColour)}
    assert "ignores-an-undeclared-prompt" in names
    assert not names & {"ignores-undeclared-guidance", "pays-only-once", "critiques-have-text"}
    assert "pays-only-once" in {check.name for check in checks_for(Honest)}


class Odd(ScriptedCritic):
    expected_failures = {"prints-nothing": "it counts aloud"}  # noqa: RUF012

    def critique(self, cases):
        print(len(cases))  # noqa: T201
        return super().critique(cases)


def test_a_declared_failure_is_expected_and_one_that_passes_is_told():
    outcomes = {outcome.check: outcome for outcome in run_checks(Odd)}
    assert outcomes["prints-nothing"].state == "expected"
    assert "it counts aloud" in outcomes["prints-nothing"].reason
    assert all(outcome.ok for outcome in outcomes.values())
    outcomes = {
        outcome.check: outcome for outcome in run_checks(Ramp, expected_failures={"keeps-the-order": "why not"})
    }
    assert outcomes["keeps-the-order"].state == "unexpected" and not outcomes["keeps-the-order"].ok
    with pytest.raises(ConfigError, match="'keeps-order' is not a check. Did you mean 'keeps-the-order'"):
        list(run_checks(Ramp, expected_failures={"keeps-order": "a typing error"}))


class Hanging(ScriptedCritic):
    def critique(self, cases):
        time.sleep(3600)


def test_a_plugin_that_hangs_fails_and_is_not_checked_further():
    outcomes = list(run_checks(Hanging, seconds=0.5))
    failed = [outcome for outcome in outcomes if outcome.state == "failed"]
    assert [outcome.reason for outcome in failed] == ["did not end within 0.5 s"]
    assert outcomes[-1].state == "not applicable" and "did not end" in outcomes[-1].reason


def test_what_a_plugin_raises_is_told_with_the_check():
    class Raising(ScriptedCritic):
        def critique(self, cases):
            raise ZeroDivisionError("by nothing")

    with pytest.raises(CheckFailedError, match="keeps-the-order: it raised ZeroDivisionError: by nothing"):
        run_check(named("keeps-the-order"), Bench(Raising))


def test_a_class_of_no_kind_is_told():
    with pytest.raises(CheckFailedError, match="str must derive from one of Classifier"):
        checks_for(str)


def test_marks_of_expected_failures_are_strict():
    mark = parametrize_checks(Odd).mark
    marked = {case.id: case.marks for case in mark.args[1] if case.marks}
    assert list(marked) == ["prints-nothing"]
    assert marked["prints-nothing"][0].kwargs == {"reason": "it counts aloud", "strict": True}


def test_checks_run_without_pytest():
    code = (
        "import sys\nsys.modules['pytest'] = None\n"
        "from xaiaug.testing import PlainColour, parametrize_checks, run_checks\n"
        "print([o.check for o in run_checks(PlainColour) if not o.ok])\n"
        "try: parametrize_checks(PlainColour)\nexcept ImportError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", "parametrize_checks needs pytest: pip install pytest, or use run_checks"]


def test_a_given_classifier_is_explained_and_left_as_it_was():
    from xaiaug.testing.checks.bench import make_simple_classifier

    given = make_simple_classifier()
    before = given.means.copy()
    assert all(outcome.ok for outcome in run_checks(Ramp, classifier=given) if outcome.check != "import-is-light")
    assert (given.means == before).all()
    assert isinstance(given, NearestColour)


def test_a_package_that_is_not_installed_is_told_once():
    class Needy(PlainColour):
        def prepare(self, context):
            raise MissingExtraError("needy needs paint: pip install paint")

    with pytest.raises(MissingExtraError, match="^needy needs paint: pip install paint$"):
        list(run_checks(Needy))
