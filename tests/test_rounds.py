"""Rounds start from what the round before promoted, are kept apart, and end when mistakes no longer get fewer."""

import pytest
from fakes import ColourCritic, NearestColour, Painter, Ramp, paint_folder

from xaiaug import FeedbackLoop, Recipe, Splits
from xaiaug.errors import ConfigError
from xaiaug.results.maintenance import collect_garbage, verify


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return paint_folder(tmp_path_factory.mktemp("painted"), {"train": 10, "guide": 24, "validation": 4, "test": 10})


def go(folder, run_dir, **experiment):
    loop = FeedbackLoop(
        NearestColour(),
        Ramp(),
        ColourCritic(),
        Painter(),
        recipe=Recipe(steps=3, batch_size=8),
        images_per_mistake=2,
        settings={"experiment": experiment},
    )
    return loop.run(Splits.from_folder(folder), run_dir)


def test_one_round_is_the_usual_run(folder, tmp_path):
    assert go(folder, tmp_path / "run").report.rounds == ()


def test_each_round_starts_from_what_the_one_before_promoted(folder, tmp_path):
    run_dir = tmp_path / "run"
    result = go(folder, run_dir, rounds=2)
    (before,) = result.report.rounds
    assert (run_dir / "models/generated+training@round-1/0").is_dir()
    single = go(folder, tmp_path / "single")
    assert single.report.mistakes.found == before
    assert any(f"Mistakes on guide: {before} -> {result.report.mistakes.found}" in n.text for n in result.report.notes)
    stages = _stages(run_dir)
    assert {stage.part for stage in stages} == {"", "round-1"}
    assert [stage for stage in stages if stage.of_early_round and stage.is_test] == []
    assert verify(run_dir) == []
    collect_garbage(run_dir)
    assert verify(run_dir) == [] and (run_dir / "models/generated+training@round-1/0").is_dir()
    again = go(folder, run_dir, rounds=2)
    assert again.report.mistakes == result.report.mistakes


def test_rounds_end_when_mistakes_no_longer_get_fewer(folder, tmp_path):
    result = go(folder, tmp_path / "run", rounds=9)
    counts = [*result.report.rounds, result.report.mistakes.found]
    assert all(later < earlier for earlier, later in zip(result.report.rounds, result.report.rounds[1:], strict=False))
    assert len(counts) < 9


def test_an_arm_that_cannot_be_promoted_is_named(folder, tmp_path):
    with pytest.raises(ConfigError, match="promote = 'continued' must name an arm"):
        go(folder, tmp_path / "run", rounds=2, promote="continued")
    assert not (tmp_path / "run").exists()  # before any work


def _stages(run_dir):
    from xaiaug.store import Reader

    reader = Reader(run_dir)
    found = list(reader.stages())
    reader.close()
    return found
