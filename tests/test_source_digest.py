"""A plugin's key covers the sources its results depend on, and no others."""

from __future__ import annotations

import shutil
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

import pytest

import xaiaug

PACKAGE = Path(xaiaug.__file__).parent
IDENTITY = """
import {module} as m
print(m.{name}(**{parameters!r}).identity()['source'])
for path, text in {changes!r}:
    with open(path, "a") as file:
        file.write("\\n" + text + "\\n")
    print(m.{name}(**{parameters!r}).identity()['source'])
"""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The package's Python files, elsewhere."""
    shutil.copytree(PACKAGE, tmp_path / "xaiaug", ignore=shutil.ignore_patterns("*.safetensors", "__pycache__"))
    return tmp_path


def source(root: Path, module: str, name: str, changes: Sequence[tuple[str, str]] = (), **parameters: object) -> str:
    """The digest that a fresh process gives a plugin of the package below `root`; and another after each change.

    A change is the path of a file, and what is added to it.
    """
    command = IDENTITY.format(module=module, name=name, parameters=parameters, changes=changes)
    environment = {"PYTHONPATH": str(root), "PATH": "", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", command], cwd=root, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def append(path: Path, text: str) -> None:
    path.write_text(path.read_text(encoding="utf-8") + text, encoding="utf-8")


@pytest.mark.parametrize(
    ("module", "name", "sibling", "stranger"),
    [
        ("explainers.grad_cam", "GradCam", "plugins/explainers/_layers.py", "plugins/critics/measured.py"),
        ("explainers.grad_cam", "GradCam", "plugins/_logits.py", "stages/explain.py"),
        ("synthesizers.remix", "RemixSynthesizer", "plugins/synthesizers/_backdrop.py", "petworld/heads.py"),
        ("synthesizers.sdxl", "SdxlTurboSynthesizer", "plugins/synthesizers/_diffusion.py", "report/page.py"),
        ("synthesizers.petworld", "PetworldSynthesizer", "petworld/heads.py", "plugins/synthesizers/_backdrop.py"),
        ("critics.measured", "MeasuredCritic", "plugins/_superpixels.py", "plugins/explainers/_layers.py"),
    ],
)
def test_a_changed_sibling_changes_the_key_and_a_stranger_does_not(
    copy: Path, module: str, name: str, sibling: str, stranger: str
) -> None:
    # A process that lives on sees changes as a fresh one does: what it keeps of a file it keeps of that time alone.
    changes = [(str(copy / "xaiaug" / path), text) for path, text in ((stranger, "# a comment"), (sibling, "NEW = 1"))]
    before, with_stranger, with_sibling = source(copy, f"xaiaug.plugins.{module}", name, changes).split()
    assert before == with_stranger != with_sibling


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        path = folder / (name.replace("__", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")


CRITIC = """
    import xaiaug
    class Mine(xaiaug.Critic):
        def critique(self, cases): return []
"""


def test_a_third_party_plugin_is_keyed_by_its_whole_package(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "__init__.py").write_text("", encoding="utf-8")
    write(tmp_path, theirs__critic=CRITIC, theirs__tables="SIZES = [1]")
    root = f"{tmp_path}:{PACKAGE.parent}"
    before = source_of(root, "theirs.critic")
    write(tmp_path, theirs__tables="SIZES = [2]")
    assert source_of(root, "theirs.critic") != before


def test_a_plugin_that_is_one_file_is_keyed_by_that_file(tmp_path: Path) -> None:
    write(tmp_path, mine=CRITIC, other="x = 1")
    root = f"{tmp_path}:{PACKAGE.parent}"
    before = source_of(root, "mine")
    write(tmp_path, other="x = 2")
    assert source_of(root, "mine") == before
    append(tmp_path / "mine.py", "\nLIMIT = 3\n")
    assert source_of(root, "mine") != before


def source_of(path: str, module: str) -> str:
    command = IDENTITY.format(module=module, name="Mine", parameters={}, changes=())
    environment = {"PYTHONPATH": path, "PATH": "", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, "-c", command], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


SCRIPT = """
    import xaiaug
    LIMIT = {limit}
    def look(case): return LIMIT
    def draw(): return {unused}
    class Mine(xaiaug.Critic):
        def critique(self, cases): return [look(case) for case in cases]
    print(Mine().identity()["source"])
"""


def test_a_class_of_a_script_is_keyed_by_what_it_uses_of_the_script(tmp_path: Path) -> None:
    def digest(**values: int) -> str:
        write(tmp_path, script=SCRIPT.format(**values))
        environment = {"PYTHONPATH": str(PACKAGE.parent), "PATH": ""}
        done = subprocess.run(
            [sys.executable, str(tmp_path / "script.py")], env=environment, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    first = digest(limit=1, unused=1)
    assert digest(limit=1, unused=2) == first
    assert digest(limit=2, unused=1) != first


def test_classes_of_one_file_have_keys_of_their_own() -> None:
    from xaiaug.plugins.synthesizers.sdxl import SdxlLightningSynthesizer, SdxlTurboSynthesizer

    assert SdxlTurboSynthesizer().identity()["source"] != SdxlLightningSynthesizer().identity()["source"]
