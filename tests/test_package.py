"""What is built and installed holds all that runs."""

import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@dataclass(frozen=True)
class Installation:
    """A virtual environment that has the wheel, and of this environment's packages those of a core installation."""

    folder: Path

    @property
    def scripts(self) -> Path:
        return self.folder / ("Scripts" if os.name == "nt" else "bin")

    def run(self, command: str, *arguments: str) -> str:
        """Standard output of a command of this environment, run elsewhere than in the repository."""
        environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME")}
        words = [str(self.scripts / command), *arguments]
        done = subprocess.run(words, capture_output=True, text=True, cwd=self.folder, env=environment, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


def build(source: Path, target: Path, *options: str) -> Path:
    """Builds `source` with the hatchling of this environment; returns the only file in `target`."""
    command = [sys.executable, "-m", "build", "--no-isolation", *options, "--outdir", str(target), str(source)]
    subprocess.run(command, check=True, capture_output=True)
    (built,) = target.iterdir()
    return built


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    return build(ROOT, tmp_path_factory.mktemp("wheel"), "--wheel")


@pytest.fixture(scope="module")
def installation(wheel, tmp_path_factory) -> Installation:
    made = Installation(tmp_path_factory.mktemp("installed") / "venv")
    venv.EnvBuilder().create(made.folder)
    packages = Path(sysconfig.get_path("purelib", "venv", {"base": str(made.folder)}))
    (packages / "core.pth").write_text(f"{sysconfig.get_path('purelib')}\nimport hide_extras\n")
    (packages / "hide_extras.py").write_text(f"import sys\nsys.modules.update(dict.fromkeys({modules_of_extras()}))\n")
    python = str(made.scripts / "python")
    options = ["--quiet", "--no-deps", "--no-index", "--disable-pip-version-check", "--ignore-installed"]
    subprocess.run([sys.executable, "-m", "pip", "--python", python, "install", *options, str(wheel)], check=True)
    return made


def modules_of_extras() -> list[str]:
    """The modules that a core installation lacks; an import of one fails there."""
    extras = {name: group for name, group in PROJECT["optional-dependencies"].items() if name not in ("all", "dev")}
    names = {re.split(r"[\[<>=]", requirement)[0] for group in extras.values() for requirement in group}
    return sorted(name.replace("-", "_") for name in names)


@pytest.mark.ci
def test_the_wheel_holds_templates_weights_and_the_marker_of_types(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    for path in (ROOT / "xaiaug").rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            assert path.relative_to(ROOT).as_posix() in names
    assert "xaiaug/py.typed" in names
    assert not [name for name in names if name.startswith(("tests/", "benchmarks/"))]


@pytest.mark.ci
def test_the_source_distribution_builds_the_same_wheel(wheel, tmp_path):
    sources = build(ROOT, tmp_path / "sdist", "--sdist")
    with tarfile.open(sources) as archive:
        archive.extractall(tmp_path, filter="data")
    again = build(tmp_path / sources.name.removesuffix(".tar.gz"), tmp_path / "again", "--wheel")
    assert again.name == wheel.name
    assert again.read_bytes() == wheel.read_bytes()


@pytest.mark.ci
def test_a_core_installation_has_its_command_plugins_templates_and_the_drawn_world(installation):
    assert "diagnose" in installation.run("xaiaug", "--help")
    listed = installation.run("xaiaug", "plugins", "list")
    assert "measured" in listed and "grad-cam" in listed
    assert installation.run("python", "-c", "import importlib.util as u; print(u.find_spec('anthropic'))") == "None\n"
    code = (
        "import xaiaug; from xaiaug import petworld; from xaiaug.testing import new_plugin\n"
        "print(xaiaug.__file__, petworld.checkpoint(), new_plugin('critic', 'my-critic', '.'), sep='\\n')\n"
        "petworld.write_world('world', sizes={'train': 4}, seed=0)"
    )
    shown = installation.run("python", "-c", code).split()
    assert len(shown) == 3 and all(Path(path).resolve().is_relative_to(installation.folder) for path in shown[:2])
    assert len(list((installation.folder / "world").rglob("*.png"))) == 4


def test_every_extra_of_the_design_is_there_and_bounded():
    extras = PROJECT["optional-dependencies"]
    wanted = {"claude", "openai", "diffusion", "lora", "captum", "datasets", "evidence", "onnx", "ray", "all", "dev"}
    assert set(extras) == wanted
    for name in wanted - {"all", "dev"}:
        assert all("<" in requirement for requirement in extras[name])
    assert not any("torchvision" in requirement for group in extras.values() for requirement in group)


def test_the_constraints_pin_torch_without_a_build():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    (torch,) = [line for line in lines if line.startswith("torch==")]
    assert "+" not in torch
