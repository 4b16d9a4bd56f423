"""A run folder is looked after from outside: how far it is, whether it is whole, what can go."""

import io
import json
import os
import shutil
from contextlib import suppress

import numpy as np
import pytest
from fakes import ColourCritic, NearestColour, Painter, Ramp, paint_folder
from PIL import Image

from xaiaug import FeedbackLoop, Recipe, Splits, open_run
from xaiaug.errors import RunFolderError, RunLockedError
from xaiaug.files import Directory, seal_folder
from xaiaug.results.maintenance import collect_garbage, status, verify
from xaiaug.store import Blob, Store, open_reader
from xaiaug.store.blobs import Blobs
from xaiaug.store.references import references_in
from xaiaug.store.schema import CASES, IMAGES


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return paint_folder(tmp_path_factory.mktemp("painted"), {"train": 10, "guide": 24, "validation": 4, "test": 10})


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
    assert any(case.panel in line and "damaged" in line for line in lines)
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


def put(run_dir, name, data=b"x"):
    (run_dir / name).parent.mkdir(parents=True, exist_ok=True)
    (run_dir / name).write_bytes(data)


FOREIGN = ("notes.txt", "blobs/zz/evil.png", "models/mine/0/w", "models/baseline/0/adapter.json", "synthetic/red/x.png")


@pytest.mark.parametrize("name", [*FOREIGN, "mine/notes.txt", "blobs/00/" + "0" * 40 + ".png"])
def test_a_foreign_file_is_named_and_left_alone(copy, name):
    put(copy, name)
    (line,) = verify(copy)
    assert line.startswith(name.split("/")[0] if name.startswith("mine") else name) and "foreign" in line
    collect_garbage(copy)
    assert (copy / name).read_bytes() == b"x"


LEFT = ("blobs/ab/.0123456789abcdef.part", "models/a/.0.part/w", ".0123456789abcdef.part", "synthetic/.DS_Store")


@pytest.mark.parametrize("name", LEFT)
def test_what_a_killed_process_or_a_file_manager_left_is_no_problem(copy, name):
    put(copy, name)
    assert verify(copy) == []
    collect_garbage(copy)
    assert (copy / name).exists() == name.endswith(".DS_Store")


@pytest.mark.parametrize("name", ["run.toml", "report.json", "report.html", "status.json", "synthetic/metadata.jsonl"])
def test_every_text_file_of_a_run_is_compared_with_what_was_written(copy, name):
    whole = (copy / name).read_bytes()
    for torn in (whole[: len(whole) // 2], whole.replace(b"0", b"\xff", 1), None):
        (copy / name).unlink() if torn is None else (copy / name).write_bytes(torn)
        assert any(line.startswith(name) for line in verify(copy)), torn
        (copy / name).write_bytes(whole)
        assert verify(copy) == []


@pytest.mark.parametrize(
    "progress", ["[]", "{}", '{"state": 1, "at": ""}', '{"state": "s", "at": "a", "x": 1}', "[" * 99_999]
)
def test_instead_of_a_status_that_no_run_writes_the_ledger_is_told_with_a_note(copy, progress):
    (copy / "status.json").write_text(progress)
    told = status(copy)
    assert told["state"] == "finished" and told["stages"]
    assert told["note"].startswith("status.json cannot be read")


def test_a_checkpoint_of_an_unfinished_training_that_changed_is_named(copy):
    files, key = Directory(copy / "checkpoints" / ("0" * 16)), f"checkpoints/{'0' * 16}"
    files.write("checkpoint-3/w", b"weights")
    assert verify(copy) == [], "one that is not complete"
    seal_folder(files, "checkpoint-3")
    assert verify(copy) == []
    files.write("checkpoint-3/w", b"WEIGHTS")
    (line,) = verify(copy)
    assert line.startswith(f"{key}/checkpoint-3/w is not what was written") and "earlier checkpoint" in line


def test_what_earlier_settings_made_is_looked_at_too(copy, folder):
    known = set((copy / "blobs").rglob("*.png"))
    run(folder, copy, images_per_mistake=1)
    with open_reader(copy) as reader:
        rows = [row for stage in reader.stages() for row in reader.rows(stage)]
    (lost, *_) = sorted(known - {reader.blobs.path(name) for kind, name in references_in(rows) if kind == "blob"})
    lost.unlink()
    assert any(lost.name in line and line.startswith("earlier settings: ") for line in verify(copy))
    collect_garbage(copy)
    assert verify(copy) == []


HOSTILE = (
    {"blob": "../../../../etc/passwd"},
    {"blob": ["x"]},
    {"folder": "models/../../../outside", "files": {"mine": "0" * 64}},
    {"folder": "models/a", "files": {"../../../outside/mine": "0" * 64}},
    {"folder": "/etc", "files": {}},
    {"folder": "models/a", "files": {"w": "short"}},
    {"folder": 3, "files": []},
)


@pytest.mark.parametrize("row", HOSTILE)
def test_a_ledger_that_names_files_outside_is_refused_and_they_stay(copy, row):
    put(copy.parent, "outside/mine", b"irreplaceable")
    with Store(copy) as store:
        store.commit("hostile", CASES, [row])
    for act in (verify, collect_garbage):
        with pytest.raises(RunFolderError, match="no run writes such a name"):
            act(copy)
    assert (copy.parent / "outside/mine").read_bytes() == b"irreplaceable"


def test_a_ledger_whose_rows_have_another_shape_is_one_error(copy):
    with Store(copy) as store:
        store.commit("hostile", CASES, [["no", "case"]])
        store.begin(CASES, ["hostile"], 1)
    with pytest.raises(RunFolderError, match="holds what no run writes"):
        _ = open_run(copy).report


def test_blobs_that_fit_their_names_and_are_no_arrays_or_images_are_one_error(tmp_path):
    out = io.BytesIO()
    np.lib.format.write_array_header_1_0(out, {"descr": "<f4", "fortran_order": False, "shape": (10**12,)})
    blobs = Blobs(tmp_path)
    name = blobs.put(Blob(out.getvalue(), ".npy"))
    with pytest.raises(RunFolderError, match=f"{name} has 0 bytes of numbers, but its header says 4,000,000,000,000"):
        blobs.array(name)
    big = io.BytesIO()
    Image.new("1", (13_000, 13_000)).save(big, "PNG")
    with pytest.raises(RunFolderError, match=r"has 13,000 × 13,000 pixels, more than the 50,000,000"):
        blobs.image(blobs.put(Blob(big.getvalue(), ".png")))
    for read, data in ((blobs.json, b"[" * 100_000), (blobs.array, b"\x93NUMPY"), (blobs.image, b"no image")):
        name = blobs.put(Blob(data, ".x"))
        with pytest.raises(RunFolderError, match=name):
            read(name)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no FIFOs")
@pytest.mark.parametrize("name", [".lock", "ledger.sqlite", "ledger.sqlite-wal", "status.json", "report.json"])
def test_a_fifo_in_the_place_of_a_file_hangs_nothing(copy, folder, name):
    (copy / name).unlink(missing_ok=True)
    os.mkfifo(copy / name)
    for act in (verify, status, collect_garbage, open_run, lambda run_dir: run(folder, run_dir, images_per_mistake=2)):
        with suppress(RunFolderError):
            act(copy)
    with suppress(RunFolderError):
        assert verify(copy) == [], "a run that could write it made it good"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads everything")
@pytest.mark.parametrize("name", ["status.json", "synthetic", "blobs", "models/baseline/0/means.npz", "ledger.sqlite"])
def test_what_may_not_be_read_is_one_error_or_named(copy, name):
    (copy / name).chmod(0)
    try:
        assert any(name.split("/")[-1] in line for line in verify(copy))
    except RunFolderError as error:
        assert "ermission" in str(error) or "unable to open" in str(error)
    finally:
        (copy / name).chmod(0o755)
