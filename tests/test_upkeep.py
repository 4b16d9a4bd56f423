"""A run folder is looked after from outside: how far it is, whether it is whole, what can go."""

import json
import shutil

import pytest
from fakes import ColourCritic, NearestColour, Painter, Ramp, paint_folder

from xaiaug import FeedbackLoop, Recipe, Splits
from xaiaug.errors import RunFolderError, RunLockedError
from xaiaug.results.maintenance import collect_garbage, status, verify
from xaiaug.store import Store
from xaiaug.store.schema import IMAGES


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return paint_folder(tmp_path_factory.mktemp("painted"), {"train": 30, "guide": 40, "validation": 6, "test": 30})


def run(folder, run_dir, **changed):
    recipe = Recipe(steps=4, batch_size=8)
    loop = FeedbackLoop(NearestColour(), Ramp(), ColourCritic(), Painter(), recipe=recipe, **changed)
    return loop.run(Splits.from_folder(folder), run_dir)


@pytest.fixture(scope="module")
def finished(folder, tmp_path_factory):
    return run(folder, tmp_path_factory.mktemp("runs") / "first", images_per_mistake=2)


@pytest.fixture
def copy(finished, tmp_path):
    shutil.copytree(finished.run_dir, tmp_path / "run")
    return tmp_path / "run"


def test_a_finished_run_is_told_as_finished_and_whole(copy):
    told = status(copy)
    assert told["state"] == "finished"
    assert all(count["finished"] == count["chunks"] for count in told["stages"].values())
    assert verify(copy) == []


def test_a_run_that_was_ended_from_outside_is_told_so(copy):
    (copy / "status.json").write_text(
        json.dumps({"state": "running", "at": "2026-01-01", "stage": "s", "done": 1, "total": 2})
    )
    assert status(copy)["state"] == "ended from outside"


def test_a_run_that_is_being_written_tells_its_progress_alone(copy):
    with Store(copy):
        assert "stages" not in status(copy)
        with pytest.raises(RunLockedError):
            verify(copy)
        with pytest.raises(RunLockedError):
            collect_garbage(copy)


@pytest.mark.parametrize("look", [status, verify, collect_garbage])
def test_no_run_is_told_and_none_is_made(tmp_path, look):
    with pytest.raises(RunFolderError, match="there is no run"):
        look(tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()


def test_torn_blobs_lost_models_and_broken_ancestry_are_each_told(copy, finished):
    case = finished.mistakes[0]
    (copy / "blobs" / case.panel[:2] / case.panel).write_bytes(b"torn")
    (copy / "models" / "continued" / "0" / "means.npz").write_bytes(b"lost")
    with Store(copy) as store:
        images = store.ledger.get_fact(IMAGES)
        images[0]["used"].append("0" * 40 + ".png")
        store.ledger.set_fact(IMAGES, images)
    lines = verify(copy)
    assert any(case.panel in line and "torn" in line for line in lines)
    assert any("models/continued/0 is not what was written" in line for line in lines)
    assert any("which no synthesis made" in line for line in lines)
    assert any("metadata.jsonl does not list the images that arms train on" in line for line in lines)
    assert len(lines) == 4


def test_what_earlier_settings_left_goes_and_what_is_used_stays(copy, folder):
    before = collect_garbage(copy)
    assert before == 0
    run(folder, copy, images_per_mistake=1)
    assert collect_garbage(copy) > 0
    assert verify(copy) == []
    assert collect_garbage(copy) == 0
    again = run(folder, copy, images_per_mistake=1)
    assert again.report.complete


def test_the_chosen_metric_of_a_run_stands_in_its_table(folder, tmp_path):
    result = run(
        folder, tmp_path / "run", settings={"experiment": {"metric": "auroc", "arms": ["baseline", "continued"]}}
    )
    heads = result.table().splitlines()[0]
    assert "auroc" in heads
    for arm in result.report.arms:
        (seed,) = arm.seeds
        assert seed.chosen == pytest.approx(seed.metrics.roc_auc)
