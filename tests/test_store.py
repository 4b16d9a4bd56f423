"""The run folder keeps what was committed, whole or not at all."""

import multiprocessing
import sqlite3

import numpy as np
import pytest
from PIL import Image

from xaiaug.errors import RunFolderError, RunLockedError
from xaiaug.store import Blob, Reader, Store
from xaiaug.store.blobs import Blobs, write_atomically
from xaiaug.store.integrity import sweep
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
    with pytest.raises(RunFolderError, match="is torn"):
        blobs.read(name)
    with pytest.raises(RunFolderError, match="cannot be read"):
        blobs.read("00nothing.txt")


def test_equal_bytes_are_kept_once(tmp_path):
    blobs = Blobs(tmp_path)
    assert blobs.put(Blob(b"same", ".txt")) == blobs.put(Blob(b"same", ".txt"))
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 1


def test_a_write_that_fails_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch):
    write_atomically(tmp_path / "a.txt", b"old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(RunFolderError, match="No space left on device"):
        write_atomically(tmp_path / "a.txt", b"new")
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
    assert (tmp_path / "synthetic/metadata.jsonl").read_text() == '{"file_name": "dog/b.png", "seed": 2}\n'


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
    with pytest.raises(RunFolderError, match="has format 99; this version of xaiaug reads format 2"):
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
