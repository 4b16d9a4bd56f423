"""The run folder keeps what was committed, whole or not at all."""

import json
import multiprocessing
import os
import sqlite3

import numpy as np
import pytest
from PIL import Image

from xaiaug.errors import RunFolderError, RunLockedError
from xaiaug.results.maintenance import collect_garbage
from xaiaug.store import Blob, Reader, Store
from xaiaug.store.blobs import Blobs, write_atomically
from xaiaug.store.integrity import problems, sweep
from xaiaug.store.schema import CASES, EXPLAIN, SETTINGS, UNTIL, fit_stage


def test_rows_come_back_as_they_were_with_blobs_by_name(tmp_path):
    image = Image.new("RGB", (3, 2), (1, 2, 3))
    with Store(tmp_path) as store:
        store.begin(CASES, ["k"], 1)
        store.commit("k", CASES, [{"a": [1, {"b": Blob.image(image)}], "c": Blob.array(np.arange(3.0))}])
        (row,) = store.rows("k")
        assert store.blobs.image(row["a"][1]["b"]["blob"]).getpixel((0, 0)) == (1, 2, 3)
    reader = Reader(tmp_path)
    (row,) = reader.rows(CASES)
    assert reader.blobs.array(row["c"]["blob"]).tolist() == [0, 1, 2]
    reader.close()


def test_a_reader_sees_the_stages_that_another_process_begins_meanwhile(tmp_path):
    with Store(tmp_path) as store:
        store.begin(CASES, ["k"], 1)
    reader = Reader(tmp_path)
    assert list(reader.stages()) == [CASES]
    with Store(tmp_path) as store:
        store.begin(EXPLAIN, ["n"], 1)
    assert list(reader.stages()) == [EXPLAIN]
    reader.close()


def test_the_first_committed_rows_stand(tmp_path):
    with Store(tmp_path) as store:
        store.commit("k", CASES, [1])
        store.commit("k", CASES, [2])
        assert store.rows("k") == [1]


def test_a_chunk_whose_blob_is_lost_counts_as_not_done(tmp_path):
    with Store(tmp_path) as store:
        (row,) = store.commit("k", CASES, [{"x": Blob(b"hello", ".txt")}])
        store.blobs.path(row["x"]["blob"]).unlink()
        assert store.rows("k") is None
        store.commit("k", CASES, [{"x": Blob(b"hello", ".txt")}])
        assert store.rows("k") == [row]


def test_a_torn_blob_is_told_when_it_is_read(tmp_path):
    blobs = Blobs(tmp_path)
    name = blobs.put(Blob(b"whole", ".txt"))
    blobs.path(name).write_bytes(b"who")
    with pytest.raises(RunFolderError, match="is damaged"):
        blobs.read(name)
    with pytest.raises(RunFolderError, match="cannot be read"):
        blobs.read("0" * 40 + ".txt")
    for name in ("00nothing.txt", "../../../etc/passwd", "", None, 3, "0" * 40 + ".\n", "0" * 39 + "/.txt"):
        with pytest.raises(RunFolderError, match="is not the name of a blob"):
            blobs.read(name)


def test_equal_bytes_are_kept_once(tmp_path):
    blobs = Blobs(tmp_path)
    assert blobs.put(Blob(b"same", ".txt")) == blobs.put(Blob(b"same", ".txt"))
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 1


def test_a_write_that_fails_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch):
    write_atomically(tmp_path, "a.txt", b"old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(RunFolderError, match="No space left on device"):
        write_atomically(tmp_path, "a.txt", b"new")
    assert (tmp_path / "a.txt").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_a_model_folder_is_whole_or_done_again(tmp_path):
    with Store(tmp_path) as store:
        model = store.write_model("models/a/0", lambda folder: (folder / "w").write_bytes(b"weights"))
        store.commit("k", fit_stage("arm", 0), [{"model": model.to_row()}])
        assert store.rows("k") is not None
        (tmp_path / "models/a/0/w").write_bytes(b"weight")
        assert store.rows("k") is None


def test_a_model_of_earlier_settings_is_found_again_and_goes_with_gc(tmp_path):
    with Store(tmp_path) as store:
        rows = {}
        for key in ("first", "second"):
            model = store.write_model("models/a/0", lambda folder, key=key: (folder / "w").write_text(key))
            rows[key] = {"model": model.to_row()}
            store.begin(fit_stage("a", 0), [key], 1)
            store.commit(key, fit_stage("a", 0), [rows[key]])
        for key in ("first", "second", "first"):
            assert store.rows(key) is not None
            assert (store.bring_back(rows[key]["model"]) / "w").read_text() == key
        assert len(list((tmp_path / "models/a").iterdir())) == 2
        store.begin(fit_stage("a", 0), ["first"], 1)
        sweep(store, keep_unfinished=False)
        assert [path.name for path in (tmp_path / "models/a").iterdir()] == ["0"]
        assert (tmp_path / "models/a/0/w").read_text() == "first"
        assert store.rows("second") is None


def test_a_model_that_cannot_be_saved_leaves_the_old_one(tmp_path):
    def broken(folder):
        (folder / "w").write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with Store(tmp_path) as store:
        store.write_model("models/a/0", lambda folder: (folder / "w").write_bytes(b"weights"))
        with pytest.raises(RunFolderError, match="No space left"):
            store.write_model("models/a/0", broken)
    assert (tmp_path / "models/a/0/w").read_bytes() == b"weights"


def test_stages_of_earlier_settings_are_forgotten_and_their_chunks_kept(tmp_path):
    with Store(tmp_path) as store:
        store.begin(CASES, ["k"], 1)
        store.commit("k", CASES, [1])
    with Store(tmp_path) as store:
        store.begin(EXPLAIN, ["n"], 1)
        store.finish()
        assert list(store.ledger.stages()) == [EXPLAIN]
        assert store.rows("k") == [1]


def test_the_synthetic_folder_drops_what_is_no_longer_used(tmp_path):
    with Store(tmp_path) as store:
        blobs = [store.blobs.put(Blob.image(Image.new("RGB", (2, 2), (value, 0, 0)))) for value in (1, 2)]
        store.write_synthetic([("cat/a.png", blobs[0], {"seed": 1}), ("dog/b.png", blobs[1], {"seed": 2})])
        store.write_synthetic([("dog/b.png", blobs[1], {"seed": 2})])
    assert [path.name for path in (tmp_path / "synthetic").rglob("*.png")] == ["b.png"]
    (line,) = (tmp_path / "synthetic/metadata.jsonl").read_text().splitlines()
    assert json.loads(line) == {"blob": blobs[1], "file_name": "dog/b.png", "seed": 2}


def _own(folder, holds, done):
    with Store(folder):
        holds.set()
        done.wait(20)


def test_a_second_process_is_told_at_once(tmp_path):
    spawn = multiprocessing.get_context("spawn")
    holds, done = spawn.Event(), spawn.Event()
    other = spawn.Process(target=_own, args=(tmp_path, holds, done))
    other.start()
    try:
        assert holds.wait(20)
        with pytest.raises(RunLockedError, match="belongs to another process"):
            Store(tmp_path)
        with pytest.raises(RunLockedError, match="being written by another process"):
            Reader(tmp_path)
    finally:
        done.set()
        other.join(20)
    Store(tmp_path).close()


def test_a_corrupt_ledger_and_one_of_another_version_are_named(tmp_path):
    Store(tmp_path / "a").close()
    (tmp_path / "a" / "ledger.sqlite").write_bytes(b"not a database at all, but long enough to be read as one" * 40)
    with pytest.raises(RunFolderError, match=r"ledger.sqlite cannot be used"):
        Store(tmp_path / "a")
    Store(tmp_path / "b").close()
    with sqlite3.connect(tmp_path / "b" / "ledger.sqlite") as connection:
        connection.execute("UPDATE facts SET value = '99' WHERE name = 'version'")
    connection.close()
    with pytest.raises(RunFolderError, match="has format 99; this version of xaiaug reads format 3"):
        Reader(tmp_path / "b")


def test_reading_changes_nothing(tmp_path):
    with Store(tmp_path) as store:
        store.ledger.set_fact(UNTIL, "report")
    before = sorted((path.name, path.stat().st_size) for path in tmp_path.iterdir())
    reader = Reader(tmp_path)
    assert reader.get_fact(UNTIL) == "report"
    assert reader.get_fact(SETTINGS) is None
    reader.close()
    assert sorted((path.name, path.stat().st_size) for path in tmp_path.iterdir()) == before


LINKED = (
    "blobs",
    "blobs/ab",
    "models",
    "models/baseline",
    "models/baseline/0",
    "checkpoints",
    "synthetic/cat",
    "run.toml",
)


@pytest.mark.parametrize("place", LINKED)
def test_a_link_inside_a_run_folder_is_refused_and_what_is_behind_it_stays(tmp_path, place):
    run, outside = tmp_path / "run", tmp_path / "photos"
    Store(run).close()
    outside.mkdir()
    (outside / "mine.png").write_bytes(b"irreplaceable")
    (run / place).parent.mkdir(parents=True, exist_ok=True)
    (run / place).symlink_to(outside / "mine.png" if place.endswith(".toml") else outside)
    with pytest.raises(RunFolderError, match=f"links inside \\({place}\\)"):
        Store(run)
    with pytest.raises(RunFolderError, match="links inside"):
        collect_garbage(run)
    reader = Reader(run)
    assert any(line.startswith(f"{place} is a link") for line in problems(reader))
    reader.close()
    assert [(path.name, path.read_bytes()) for path in outside.iterdir()] == [("mine.png", b"irreplaceable")]


def test_the_run_folder_itself_may_be_a_link(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "disk")
    with Store(tmp_path / "run") as store:
        store.commit("k", CASES, [{"x": Blob(b"hello", ".txt")}])
        assert store.rows("k") is not None


FOREIGN = (
    "blobs/notes.txt",
    "blobs/ab/cat.png",
    "models/mine/0/model.safetensors",
    "models/best.pt",
    "synthetic/x.png",
)


def test_only_what_the_run_wrote_is_removed(tmp_path):
    for name in (*FOREIGN, "checkpoints/my-vit/model.bin", "models/a/0/notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"mine")
    with Store(tmp_path) as store:
        (tmp_path / "models/a/0/notes.txt").rename(tmp_path / "kept.txt")
        model = store.write_model("models/a/0", lambda folder: (folder / "w").write_bytes(b"weights"))
        store.commit("old", CASES, [{"model": model.to_row(), "x": Blob(b"stale", ".txt")}])
        orphan = store.blobs.put(Blob(b"written, then the process was killed", ".txt"))
        (tmp_path / "kept.txt").rename(tmp_path / "models/a/0/notes.txt")
        (tmp_path / "models/a/.0.part").mkdir()
        (tmp_path / "models/a/.0.part/w").write_bytes(b"half")
        store.unfinished("0123456789abcdef" * 2).folder.mkdir(parents=True)
        store.write_synthetic([])
        assert sweep(store, keep_unfinished=False) == len(b"weights" + b"stale" + b"half") + 36
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert orphan not in str(left)
    assert left - {".lock", "ledger.sqlite"} == {
        *FOREIGN,
        "checkpoints/my-vit/model.bin",
        "models/a/0/notes.txt",
        "synthetic/metadata.jsonl",
    }


def test_a_model_never_replaces_a_file_the_run_did_not_write(tmp_path):
    with Store(tmp_path) as store:
        store.write_model("models/a/0", lambda folder: (folder / "w").write_bytes(b"weights"))
        store.write_model("models/a/0", lambda folder: (folder / "v").write_bytes(b"others"))
        (tmp_path / "models/a/0/.DS_Store").write_bytes(b"a file manager's")
        (tmp_path / "models/a/0/notes.txt").write_bytes(b"mine")
        with pytest.raises(RunFolderError, match="holds 'notes.txt', which this run did not write"):
            store.write_model("models/a/0", lambda folder: (folder / "w").write_bytes(b"weights"))
    assert (tmp_path / "models/a/0/notes.txt").read_bytes() == b"mine"


def test_litter_of_a_file_manager_does_not_make_a_model_unfit(tmp_path):
    with Store(tmp_path) as store:
        model = store.write_model("models/a/0", lambda folder: (folder / "w").write_bytes(b"weights"))
        store.commit("k", fit_stage("arm", 0), [{"model": model.to_row()}])
        for name in (".DS_Store", "Thumbs.db", "._w", "desktop.ini"):
            (tmp_path / "models/a/0" / name).write_bytes(b"")
        assert store.rows("k") is not None
        (tmp_path / "models/a/0/adapter_config.json").write_bytes(b"{}")
        assert store.rows("k") is None


def test_a_file_with_other_bytes_and_the_same_date_is_not_taken_for_what_was_written(tmp_path):
    with Store(tmp_path) as store:
        model = store.write_model("models/a/0", lambda folder: (folder / "w").write_bytes(b"weights"))
        store.commit("k", fit_stage("arm", 0), [{"model": model.to_row()}])
        file = tmp_path / "models/a/0/w"
        stat = file.stat()
        file.write_bytes(b"WEIGHTS")
        os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        assert store.rows("k") is None


def test_an_exported_image_is_mended_and_a_foreign_one_in_its_place_is_refused(tmp_path):
    with Store(tmp_path) as store:
        blob = store.blobs.put(Blob.image(Image.new("RGB", (2, 2))))
        store.write_synthetic([("cat/a.png", blob, {})])
        exported = tmp_path / "synthetic/cat/a.png"
        whole = exported.read_bytes()
        exported.write_bytes(b"torn")
        store.write_synthetic([("cat/a.png", blob, {})])
        assert exported.read_bytes() == whole
        (tmp_path / "synthetic/cat/b.png").write_bytes(b"mine")
        with pytest.raises(RunFolderError, match="is in the way"):
            store.write_synthetic([("cat/b.png", blob, {})])
        assert (tmp_path / "synthetic/cat/b.png").read_bytes() == b"mine"


def test_a_model_that_comes_back_adopts_no_file_the_run_did_not_write(tmp_path):
    with Store(tmp_path) as store:
        first = store.write_model("models/a/0", lambda folder: (folder / "w").write_bytes(b"weights"))
        store.commit("k", fit_stage("a", 0), [{"model": first.to_row()}])
        store.write_model("models/a/0", lambda folder: (folder / "w").write_bytes(b"others"))
        notes = tmp_path / "models/a/0/notes.txt"
        notes.write_bytes(b"mine")
        with pytest.raises(RunFolderError, match="holds 'notes.txt', which this run did not write"):
            store.bring_back(first.to_row())
        assert notes.read_bytes() == b"mine"
        notes.unlink()
        assert (store.bring_back(first.to_row()) / "w").read_bytes() == b"weights"
