"""Synthesizers by diffusion in a run: what critic and synthesizer are told, what is kept, and going on after a stop."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes import ColourCritic, NearestColour, Ramp, paint_folder

from xaiaug import FeedbackLoop, Recipe, Result, Splits
from xaiaug.errors import RunStopped
from xaiaug.interfaces import Context
from xaiaug.plugins.synthesizers.sdxl import SdxlSynthesizer
from xaiaug.plugins.synthesizers.sdxl_inpaint import SdxlInpaintSynthesizer
from xaiaug.records import Critique, Progress

pytestmark = pytest.mark.ci  # real pipelines on tiny weights take long

Pipelines = Callable[..., Path]


class ToldCritic(ColourCritic):
    """Says in each cause how many tokens its prompt takes of those that are read."""

    def prepare(self, context: Context) -> None:
        self.context = context

    def critique(self, cases):
        count, limit = self.context.count_tokens, self.context.token_limit
        prompts = [f"a photo of a {case.label}" for case in cases]
        return [
            Critique(cause=f"{count and count(prompt)} of {limit}", prompt=prompt, attended="subject")
            for prompt in prompts
        ]


def loop(synthesizer: SdxlSynthesizer) -> FeedbackLoop:
    return FeedbackLoop(
        NearestColour(),
        Ramp(),
        ToldCritic(),
        synthesizer,
        arms=["baseline", "generated+training"],
        recipe=Recipe(steps=2, batch_size=8),
        images_per_mistake=2,
        settings={"mistakes": {"max": 3}, "experiment": {"primary": ["generated+training", "baseline"]}},
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return paint_folder(tmp_path_factory.mktemp("painted"), {"train": 8, "guide": 24, "validation": 4, "test": 6})


@pytest.fixture(scope="module")
def untroubled(folder: Path, pipelines: Pipelines, tmp_path_factory: pytest.TempPathFactory) -> Result:
    synthesizer = SdxlSynthesizer(str(pipelines("sdxl")), steps=2, batch_size=2)
    return loop(synthesizer).run(Splits.from_folder(folder), tmp_path_factory.mktemp("runs") / "first")


def files(run_dir: Path) -> dict[str, bytes]:
    root = run_dir / "synthetic"
    return {str(file.relative_to(root)): file.read_bytes() for file in sorted(root.rglob("*")) if file.is_file()}


def test_a_run_that_was_stopped_while_drawing_ends_with_the_same_images(
    untroubled: Result, folder: Path, pipelines: Pipelines, tmp_path: Path
) -> None:
    weights = str(pipelines("sdxl"))

    def stop(step: Progress) -> None:
        if step.stage == "make images" and step.done:
            raise RunStopped("enough")

    with pytest.raises(RunStopped):
        loop(SdxlSynthesizer(weights, steps=2, batch_size=2)).run(Splits.from_folder(folder), tmp_path, watch=stop)
    loop(SdxlSynthesizer(weights, steps=2, batch_size=2)).run(Splits.from_folder(folder), tmp_path)
    assert len(files(tmp_path)) > 3
    assert files(tmp_path) == files(untroubled.run_dir)


def test_another_batch_size_draws_the_same_images(
    untroubled: Result, folder: Path, pipelines: Pipelines, tmp_path: Path
) -> None:
    synthesizer = SdxlSynthesizer(str(pipelines("sdxl")), steps=2, batch_size=5)
    loop(synthesizer).run(Splits.from_folder(folder), tmp_path, until="images")
    made, before = files(tmp_path), files(untroubled.run_dir)
    assert made.pop("metadata.jsonl") != before.pop("metadata.jsonl")  # it tells the batch size
    assert made == before


def test_the_critic_is_told_how_much_of_a_prompt_is_read(folder: Path, pipelines: Pipelines, tmp_path: Path) -> None:
    synthesizer = SdxlSynthesizer(str(pipelines("sdxl")), chunked=False)
    cut = loop(synthesizer).run(Splits.from_folder(folder), tmp_path, until="critique")
    causes = {case.critique.cause for case in cut.mistakes if case.critique}
    letters = {len(f"aphotoofa{case.label}") for case in cut.mistakes}
    assert causes == {f"{count} of 75" for count in letters}


def test_each_image_tells_its_weights_and_the_report_their_licence(untroubled: Result) -> None:
    lines = (untroubled.run_dir / "synthetic" / "metadata.jsonl").read_text(encoding="utf-8").splitlines()
    for line in map(json.loads, lines):
        assert json.loads(line["details"])["weights"] == "sdxl"
        assert line["prompt"] == f"a photo of a {line['label']}"
        assert line["dropped"] == []
    assert untroubled.report.plugins.synthesizer.licence == "openrail++"
    page = untroubled.report_path.read_text(encoding="utf-8")
    assert "licence of the weights: openrail++" in page


def test_the_synthesizer_is_told_what_the_model_looked_at(folder: Path, pipelines: Pipelines, tmp_path: Path) -> None:
    told: list[str | None] = []

    class Listening(SdxlInpaintSynthesizer):
        def synthesize(self, requests):
            told.extend(request.attended for request in requests)
            return super().synthesize(requests)

    synthesizer = Listening(str(pipelines("sdxl")), steps=2)
    loop(synthesizer).run(Splits.from_folder(folder), tmp_path, until="images")
    assert set(told) == {"subject"}
