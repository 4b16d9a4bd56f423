"""Any damage to any file of a finished run is named, comes to the right result or one clear error, and never hangs."""

import json
import os
import shutil
import signal
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest
from fakes import paint_folder
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nursery import run

from xaiaug import open_run
from xaiaug.errors import XaiaugError
from xaiaug.results.maintenance import collect_garbage, status, verify
from xaiaug.store.text_files import RESULT_TABLES, SPLITS_TABLE

HANGS_S = 60  # a watchdog, many times what any case takes
LOCK = ".lock"  # has no content
COUNT = 200  # of damages in the slow test


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return paint_folder(tmp_path_factory.mktemp("painted"), {"train": 8, "guide": 14, "validation": 2, "test": 4})


@pytest.fixture(scope="module")
def finished(folder, tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("runs") / "finished"
    run(folder, run_dir, images=1)
    return run_dir


def names(run_dir):
    paths = (path for path in sorted(run_dir.rglob("*")) if path.is_file())
    return [name for path in paths if (name := path.relative_to(run_dir).as_posix()) != LOCK]


def told(run_dir):
    report = json.loads((run_dir / "report.json").read_text())
    del report["run"]
    return report


def drop_paths(value):
    if isinstance(value, dict):
        return {key: drop_paths(inner) for key, inner in value.items() if key != "path"}
    return [drop_paths(inner) for inner in value] if isinstance(value, list) else value


@contextmanager
def watchdog():
    def bark(*_):
        raise AssertionError(f"it hangs: more than {HANGS_S} s")

    before = signal.signal(signal.SIGALRM, bark) if hasattr(signal, "SIGALRM") else None
    signal.alarm(HANGS_S) if before is not None else None
    try:
        yield
    finally:
        if before is not None:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, before)


def flip(path, share):
    data = bytearray(path.read_bytes())
    data[int(share * (len(data) - 1))] ^= 1 + int(share * 254)
    path.write_bytes(data)


def cut(path, share):
    path.write_bytes(path.read_bytes()[: int(share * (path.stat().st_size - 1))])


def lengthen(path, share):
    path.write_bytes(path.read_bytes() + bytes([int(share * 255)]))


def remove(path, _):
    path.unlink()


def put_folder(path, share):
    path.unlink()
    path.mkdir()
    if share > 0.5:
        (path / "inner").write_bytes(b"mine")


def put_fifo(path, _):
    path.unlink()
    os.mkfifo(path)


def put_link(path, _):
    path.rename(path.with_name("elsewhere"))
    path.symlink_to(path.with_name("elsewhere"))


def enlarge(path, _):
    os.truncate(path, 200 << 30)  # sparse


DAMAGES = [flip, flip, cut, lengthen, remove, put_folder, put_link, enlarge]
DAMAGES += [put_fifo] if hasattr(os, "mkfifo") else []


def survives(act):
    """What an act comes to, or the one error of ours."""
    with watchdog():
        try:
            return act(), None
        except XaiaugError as error:
            assert str(error)
            return None, str(error)


def read_all(run_dir):
    result = open_run(run_dir)
    return result.report.model_dump(mode="json"), result.table(), result.conclusion


def check(finished, folder, name, damage, share, *, swept):
    with tempfile.TemporaryDirectory() as place:
        run_dir = shutil.copytree(finished, Path(place, "run"))
        before = told(finished)
        damage(run_dir / name, share)
        case = f"{damage.__name__} {share} {name}"
        lines, error = survives(lambda: verify(run_dir))
        named = Path(name).name
        # status.json is replaced every second, so its digest is not kept: only what no run writes is named.
        plausible = name == "status.json" and damage in (flip, cut, lengthen)
        # A table may be changed or deleted by a person; the next report writes it again.
        plausible = plausible or (name in RESULT_TABLES and damage in (flip, cut, lengthen, remove))
        plausible = plausible or name.startswith("ledger")  # has bytes that mean nothing; what is read must be right
        assert error or plausible or any(named in line for line in lines), f"{case}: not named in {lines}"
        survives(lambda: status(run_dir))
        report, error = survives(lambda: read_all(run_dir))
        # Paths come from splits.csv: where it was changed they are left out.
        hide = drop_paths if name == SPLITS_TABLE else dict
        assert error or hide({k: v for k, v in report[0].items() if k != "run"}) == hide(before), f"{case}: {report[0]}"
        survives(lambda: open_run(run_dir).write_report())
        if swept:
            survives(lambda: collect_garbage(run_dir))
        _, error = survives(lambda: run(folder, run_dir, images=1))
        if error is None:
            assert told(run_dir) == before, case
            assert verify(run_dir) == [], case
        else:
            refused = damage in (put_folder, put_fifo, put_link) or (damage is enlarge and name in RESULT_TABLES)
            assert refused or name.startswith("ledger"), f"{case}: {error}"


def damages(run_dir):
    return st.tuples(st.sampled_from(names(run_dir)), st.sampled_from(DAMAGES), st.floats(0, 1), st.booleans())


def test_an_untouched_copy_is_whole(finished, tmp_path):
    shutil.copytree(finished, tmp_path / "run")
    assert verify(tmp_path / "run") == []


FEW = ["run.toml", "status.json", "report.json", "report.html", "synthetic/metadata.jsonl"]


def examples(count):
    return settings(max_examples=count, derandomize=True, suppress_health_check=list(HealthCheck), print_blob=False)


@examples(8)
@given(st.data())
def test_damage_is_named_and_made_good_or_refused(finished, folder, data):
    name, damage, share, swept = data.draw(damages(finished))
    check(finished, folder, name, damage, share, swept=swept)


@pytest.mark.slow
@examples(COUNT)
@given(st.data())
def test_much_more_damage(finished, folder, data):
    name, damage, share, swept = data.draw(damages(finished))
    check(finished, folder, name, damage, share, swept=swept)


@pytest.mark.slow
def test_every_damage_to_every_kind_of_file(finished, folder):
    kinds = {}
    for name in names(finished):
        kinds.setdefault((name.split("/")[0], Path(name).suffix), name)
    assert len(kinds) == 14  # with the ledger, images in blobs and synthetic, metadata.jsonl and three tables
    for name in kinds.values():
        for damage in dict.fromkeys(DAMAGES):
            for share in (0.0, 0.6, 1.0) if damage in (flip, cut, put_folder) else (0.5,):
                check(finished, folder, name, damage, share, swept=share > 0.5)
