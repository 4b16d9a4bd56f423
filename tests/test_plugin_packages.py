"""Packages installed by pip: the examples and freshly written ones pass their checks and work in a loop by name."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from xaiaug.registry import KINDS
from xaiaug.testing import new_plugin, small_folder

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = sorted((ROOT / "examples" / "plugins").glob("xaiaug-*"))
pytestmark = pytest.mark.ci


class Installed:
    """A folder that packages are installed into, beside those of this environment."""

    def __init__(self, folder: Path):
        self.folder = folder

    def install(self, *packages: Path) -> None:
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
        copies = [self._copy(package) for package in packages]  # building leaves traces in a source folder
        subprocess.run([*command, "--target", str(self.folder), *map(str, copies)], check=True)

    def python(self, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        path = os.pathsep.join(map(str, (self.folder, ROOT)))
        environment = {**os.environ, "PYTHONPATH": path, "COLUMNS": "160"}
        command = [sys.executable, *arguments]
        return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment, check=False)

    def xaiaug(self, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        return self.python("-c", "from xaiaug.cli import main; main()", *arguments, cwd=cwd)

    def _copy(self, package: Path) -> Path:
        import shutil

        target = self.folder.with_name("sources") / package.name
        shutil.copytree(package, target, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
        return target


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    root = tmp_path_factory.mktemp("installed")
    made = Installed(root / "packages")
    made.install(*EXAMPLES, *(new_plugin(kind, f"my-{kind}", root / "new") for kind in KINDS))
    return made


@pytest.mark.parametrize("package", EXAMPLES, ids=lambda path: path.name)
def test_an_examples_own_tests_pass_when_it_is_installed(package, installed, tmp_path):
    options = ["-q", "-p", "no:cacheprovider", "--rootdir", str(package)]
    done = installed.python("-m", "pytest", *options, str(package / "tests"), cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    assert "no installed package registers it" not in done.stdout


@pytest.mark.parametrize("name", ["explainer/occlusion", "weather", *(f"my-{kind}" for kind in KINDS)])
def test_an_installed_plugin_passes_the_command_line_check(name, installed, tmp_path):
    done = installed.xaiaug("plugins", "check", name, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert ", 0 failed" in done.stdout and "import-is-light" in done.stdout


def settings(folder: Path, **names: str) -> str:
    chosen = {kind: f"my-{kind}" for kind in KINDS} | names
    tables = "".join(f'[{kind}]\nname = "{name}"\n' for kind, name in chosen.items())
    limits = "[limits]\nchunk_seconds = 120\n"
    steps = "[recipe]\nsteps = 2\nbatch_size = 8\n[experiment]\nimages_per_mistake = 1\n"
    return f'[data]\nfolder = "{folder.as_posix()}"\n{tables}{limits}{steps}'


@pytest.mark.parametrize("names", [{}, {"explainer": "occlusion", "synthesizer": "weather"}], ids=["new", "examples"])
def test_installed_plugins_of_all_kinds_work_in_a_loop_by_name(names, installed, tmp_path):
    folder = small_folder(tmp_path / "photos", seed=3)
    (tmp_path / "my.toml").write_text(settings(folder, **names))
    done = installed.xaiaug("run", "my.toml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "generated+training" in done.stdout
    assert (tmp_path / "runs" / "first" / "report.html").exists()


BROKEN = {
    "import": ("import no_such_package\n", "no_such_package"),
    "hook": (
        "import xaiaug\n@xaiaug.hookimpl\ndef register_critic(register): ...\n",
        "Did you mean 'register_critics'",
    ),
    "method": (
        "import xaiaug\nclass Bad(xaiaug.Critic):\n    def critic(self, cases): return []\n"
        "@xaiaug.hookimpl\ndef register_critics(register): register('broken', Bad)\n",
        "Bad has no method 'critique'. Is 'critic' misspelt?",
    ),
    "raises": (
        "import xaiaug\nclass Bad(xaiaug.Critic):\n    def critique(self, cases): raise ValueError('no idea')\n"
        "@xaiaug.hookimpl\ndef register_critics(register): register('broken', Bad)\n",
        "Bad.critique raised on all",
    ),
    "hangs": (
        "import time, xaiaug\nclass Bad(xaiaug.Critic):\n    def critique(self, cases): time.sleep(3600)\n"
        "@xaiaug.hookimpl\ndef register_critics(register): register('broken', Bad)\n",
        "Bad.critique did not end within 5 s",
    ),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_package_is_named_and_the_mended_one_goes_on(fault, installed, tmp_path):
    source, message = BROKEN[fault]
    (tmp_path / "broken_plugin.py").write_text(source)
    info = tmp_path / "broken_plugin-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-plugin\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[xaiaug]\nbroken = broken_plugin\n")
    broken = Installed(installed.folder)
    folder = small_folder(tmp_path / "photos", seed=3)
    (tmp_path / "my.toml").write_text(settings(folder, critic="broken").replace("= 120", "= 5"))
    done = broken.xaiaug("run", "my.toml", "--until", "critique", cwd=tmp_path)  # -c puts the folder on the path
    assert done.returncode == 1
    assert message in done.stderr and "Traceback" not in done.stderr
    checked = broken.xaiaug("plugins", "check", "critic/broken", "--seconds", "2", cwd=tmp_path)
    assert checked.returncode == 1
    listed = broken.xaiaug("plugins", "list", cwd=tmp_path)
    assert listed.returncode == 0 and "measured" in listed.stdout
    (tmp_path / "my.toml").write_text(settings(folder))
    again = broken.xaiaug("run", "my.toml", "--until", "critique", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
