"""The example of the README runs as its users run it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from critic_cases import ANSWER
from fakes import paint_folder

from xaiaug import open_run
from xaiaug.testing import Loopback, Reply

pytestmark = pytest.mark.ci

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = ROOT / "examples" / "cats_vs_dogs.py"
CRITIC = ("--critic", "claude", "--allow-upload", "--budget-usd", "1")
KEYS = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "OPENAI_API_KEY")


def run(folder, *arguments, **environment):
    """The example in its own process, in that folder, with no keys but the given ones."""
    inherited = {name: value for name, value in os.environ.items() if name not in KEYS}
    command = [sys.executable, str(EXAMPLE), *map(str, arguments)]
    environment = {**inherited, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )


def one_line(process):
    assert process.returncode == 1 and process.stdout == ""
    (line,) = process.stderr.splitlines()
    return line


def test_without_a_key_or_permission_one_line_names_what_is_missing(tmp_path):
    pytest.importorskip("anthropic")
    assert "set the environment variable ANTHROPIC_API_KEY" in one_line(run(tmp_path, *CRITIC))
    assert "allow_upload" in one_line(run(tmp_path, "--critic", "claude", "--budget-usd", "1"))


def test_without_the_extra_one_line_shows_how_to_install_it(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util, sys\n"
        "found = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *more: None if name == 'anthropic' else found(name, *more)\n"
    )
    process = run(tmp_path, *CRITIC, PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT}", ANTHROPIC_API_KEY="any")
    assert "pip install 'xaiaug[claude]'" in one_line(process)


def test_against_a_server_it_runs_to_the_end_with_no_code_changed(tmp_path, tiny_vit):
    pytest.importorskip("anthropic")
    counts = {"train": 24, "guide": 16, "validation": 4, "test": 12}
    paint_folder(tmp_path / "photos", counts, classes=("cat", "dog"))

    def script(request):
        (label,) = re.findall(r"The true class is “(\w+)”", request.text)
        return Reply(json={**ANSWER, "prompt": f"a {label} on a sofa"})

    with Loopback(script) as server:
        small = (
            "--classifier",
            tiny_vit,
            "--passes",
            32,
            "--arm-passes",
            32,
            "--mistakes",
            4,
            "--synthesizer",
            "petworld",
        )
        process = run(tmp_path, *CRITIC, *small, **server.environment())
        assert process.returncode == 0, process.stderr
        result = open_run(tmp_path / "runs" / "cats-vs-dogs")
        assert server.bill.requests == result.report.run.costs.calls == len(result.mistakes) > 0
    assert "report:" in process.stdout and result.report.complete
    assert "generated+training" in [arm.name for arm in result.report.arms], process.stdout
