"""The doctor reports problems and how to fix them, and never shows a key."""

import json
import subprocess
import sys
from importlib import metadata
from importlib.metadata import version

import pytest

from xaiaug.doctor import examine
from xaiaug.doctor.examination import (
    check_device,
    check_packages,
    check_plugins,
    check_torchvision,
    check_variables,
    find_installed_extras,
)
from xaiaug.registry import Registry

CANARY = "sk-canary-0123456789"


@pytest.mark.parametrize(
    ("requirements", "state", "text", "todo"),
    [
        (["numpy>=2.0"], "ok", "the core: 1 package, all compatible", ""),
        (["numpy>=99"], "wrong", f"the core has numpy {version('numpy')}, needs >=99", "pip install --upgrade xaiaug"),
        (["no-such-thing>=1"], "wrong", "the core lacks no-such-thing", "pip install xaiaug"),
        (
            ['no-such-thing>=1; extra == "claude"', 'numpy>=2; extra == "claude"'],
            "missing",
            "the extra claude lacks no-such-thing",
            "pip install 'xaiaug[claude]'",
        ),
        (
            ['numpy>=99; extra == "openai"'],
            "wrong",
            f"the extra openai has numpy {version('numpy')}, needs >=99",
            "pip install --upgrade 'xaiaug[openai]'",
        ),
    ],
)
def test_a_package_is_installed_missing_or_incompatible(requirements, state, text, todo):
    (finding,) = check_packages(requirements)
    assert (finding.state, finding.text, finding.todo) == (state, text, todo)


def test_an_extra_is_installed_when_all_of_its_packages_are_there_and_fit():
    extra = "; extra == "
    requirements = [f"numpy>=1{extra}'here'", f"numpy>=1{extra}'half'", f"no-such{extra}'half'", f"numpy<1{extra}'old'"]
    assert find_installed_extras(requirements) == {"here"}


def test_every_extra_of_the_package_has_a_finding():
    text = " ".join(finding.text for finding in check_packages())
    extras = set(metadata.metadata("xaiaug").get_all("Provides-Extra")) - {"all", "dev", "captum"}  # captum is empty
    assert extras >= {"claude", "ray"}
    for extra in extras:
        assert f"the extra {extra}" in text
    assert "the extra dev" not in text and "the extra all" not in text


def test_a_torchvision_that_cannot_be_imported_is_a_trap(tmp_path, monkeypatch):
    assert list(check_torchvision()) == []
    (tmp_path / "torchvision.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')")
    monkeypatch.syspath_prepend(tmp_path)
    (finding,) = check_torchvision()
    assert finding.state == "wrong" and "pip uninstall torchvision" in finding.todo


def test_a_broken_plugin_is_reported_with_its_error(monkeypatch):
    from importlib.metadata import EntryPoint

    broken = Registry()
    broken.add_entry_points([EntryPoint("broken", "no_such_module", "xaiaug")])
    monkeypatch.setattr("xaiaug.doctor.examination.available", broken.available)
    _, finding = check_plugins()
    assert finding.state == "wrong" and "ModuleNotFoundError" in finding.text and "no_such_module" in finding.todo


def test_keys_are_set_or_not_and_never_shown():
    findings = list(check_variables({"ANTHROPIC_API_KEY": CANARY, "OPENAI_API_KEY": "", "HF_HUB_OFFLINE": "1"}))
    assert [(finding.text, finding.state) for finding in findings] == [
        ("ANTHROPIC_API_KEY is set", "ok"),
        ("OPENAI_API_KEY is not set", "missing"),
        ("HF_HUB_OFFLINE is set", "ok"),
    ]
    assert CANARY not in repr(findings)


def test_the_device_is_named():
    assert check_device().state == "ok" and "torch" in check_device().text


def test_this_installation_is_examined_by_the_command(monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", CANARY)
    code = "from xaiaug.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code, "doctor", "--json"], capture_output=True, text=True, check=False)
    findings = json.loads(done.stdout)
    assert {finding["topic"] for finding in findings} >= {"python", "packages", "device", "plugins", "keys"}
    assert done.returncode == any(finding["state"] == "wrong" for finding in findings)
    assert CANARY not in done.stdout + done.stderr
    assert [finding.topic for finding in examine({})][:2] == ["python", "packages"]
