"""What is built and installed holds all that runs."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.ci
def test_the_wheel_holds_templates_weights_and_the_marker_of_types(tmp_path):
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    for path in (ROOT / "xaiaug").rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            assert path.relative_to(ROOT).as_posix() in names
    assert "xaiaug/py.typed" in names
    assert not [name for name in names if name.startswith(("tests/", "benchmarks/"))]


def test_every_extra_of_the_design_is_there_and_bounded():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = {"claude", "openai", "diffusion", "lora", "captum", "datasets", "evidence", "onnx", "ray", "all", "dev"}
    assert set(extras) == wanted
    for name in wanted - {"all", "dev"}:
        assert all("<" in requirement for requirement in extras[name])
    assert not any("torchvision" in requirement for group in extras.values() for requirement in group)


def test_the_constraints_pin_torch_without_a_build():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    (torch,) = [line for line in lines if line.startswith("torch==")]
    assert "+" not in torch
