"""The example with a diffusion model, and the paper's experiment with substitutes for what is missing."""

from __future__ import annotations

import re
import runpy
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from xaiaug import arms, config, open_run, petworld
from xaiaug.plugins.synthesizers._presets import PRESETS
from xaiaug.plugins.synthesizers.sdxl import SdxlSynthesizer

ROOT = Path(__file__).resolve().parents[2]
SMALL = ["--passes", "32", "--arm-passes", "32", "--classifier"]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world") / "photos"
    petworld.write_world(folder, sizes={"train": 24, "guide": 40, "validation": 30, "test": 8}, seed=3)
    return folder


@pytest.fixture
def example(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Runs the example with these arguments; returns the run folder."""

    def run(*arguments: str) -> Path:
        run_dir = tmp_path / "run"
        usual = ["--data", str(photos), *SMALL, str(petworld.checkpoint()), "--run-dir", str(run_dir)]
        monkeypatch.setattr(sys, "argv", ["cats_vs_dogs.py", *usual, *arguments])
        runpy.run_path(str(ROOT / "examples" / "cats_vs_dogs.py"), run_name="__main__")
        return run_dir

    return run


@pytest.mark.ci  # ten seconds of trainings
def test_the_example_runs_whole_with_weights_in_a_folder(
    example: Callable[..., Path], pipelines: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    drawn = ["--synthesizer", "sdxl", "--weights", str(pipelines("sdxl")), "--steps", "2"]
    report = open_run(example(*drawn, "--mistakes", "2", "--images-per-mistake", "1")).report
    assert report.complete
    assert report.images.kept == 2
    assert report.plugins.synthesizer.licence == "openrail++"
    assert "generated+training" in capsys.readouterr().out


def test_the_paper_says_what_is_missing_and_what_stands_in(
    example: Callable[..., Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    report = open_run(example("--paper")).report
    out = capsys.readouterr().out
    assert "Using the critic measured instead of claude." in out
    assert "stabilityai/stable-diffusion-xl-base-1.0" in out
    assert "Using the synthesizer remix instead of sdxl." in out
    assert [arm.name for arm in report.arms] == list(arms.SETS["paper"])
    assert report.data.guide_is_validation
    assert (report.plugins.critic.name, report.plugins.synthesizer.name) == ("measured", "remix")


def test_the_papers_settings_are_valid() -> None:
    tables = tomllib.loads((ROOT / "examples" / "paper.toml").read_text(encoding="utf-8"))
    settings = config.parse_settings(tables)
    assert settings.data.guide == "validation"
    assert settings.mistakes.max == "all"
    assert (settings.experiment.arms, settings.experiment.images_per_mistake) == ("paper", 5)
    assert settings.experiment.test_curves
    assert (settings.critic.name, settings.critic.parameters) == ("claude", {"dialogue": "paper"})
    assert config.create_plugin("synthesizer", settings.synthesizer).preset.steps == 30


def test_the_page_on_synthesizers_is_true(
    pipelines: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (ROOT / "docs" / "synthesizers.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.S)
    (tmp_path / "tiny-sdxl").symlink_to(pipelines("sdxl"))
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "synthesizers.md", "exec"), {"__name__": "reader"})  # noqa: S102
    assert capsys.readouterr().out.count("a ginger cat on grass 17 tokens") == 2
    assert len(list(tmp_path.glob("cat-*.png"))) == 2
    tables = re.findall(r"```toml\n(.*?)```", page, re.S)
    settings, *_ = [config.parse_settings(tomllib.loads(table)) for table in tables]
    plugin = config.create_plugin("synthesizer", settings.synthesizer)
    assert (plugin.memory, plugin.loras[0]["scale"]) == ("balanced", 0.8)
    for name, preset in PRESETS.items():
        assert f"| `{name}` |" in page
        if preset.steps:
            row = next(line for line in page.splitlines() if line.startswith(f"| `{name}` |"))
            assert f"| {preset.steps}" in row and f"| {preset.guidance_scale:g} | {preset.size} |" in row
    for name in SdxlSynthesizer.parameter_names():
        assert f"`{name}`" in page
