"""An interrupted or stopped training resumes from its newest complete checkpoint and ends as if uninterrupted."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from xaiaug.errors import RunStopped
from xaiaug.files import Directory, seal_folder
from xaiaug.interfaces import Checkpoints, Context
from xaiaug.plugins.classifiers._resume import find_newest
from xaiaug.plugins.classifiers.transformers import TransformersClassifier
from xaiaug.records import Recipe, Sample

RECIPE = Recipe(steps=20, batch_size=4, learning_rate=3e-3)


class CutOffError(Exception):
    """As if the process had ended."""


class Cutting(list[Sample]):
    """Images of which so many can be opened."""

    def __init__(self, samples: list[Sample], left: int) -> None:
        super().__init__(samples)
        self.left = left

    def __getitem__(self, index):
        self.left -= 1
        if self.left < 0:
            raise CutOffError
        return super().__getitem__(index)


class StopAt:
    """Stops a training after a step."""

    def __init__(self, last: int) -> None:
        self.last = last
        self.heard: list[tuple[int, int, int]] = []

    def on_step(self, step: int, steps: int, resumed_at: int = 0) -> bool:
        self.heard.append((step, steps, resumed_at))
        return step == self.last


@pytest.fixture(scope="module")
def fit(tiny_vit: Path, painted: Callable):
    def fit(
        checkpoints: Checkpoints | None = None,
        left: int = 10_000,
        snapshots: Path | None = None,
        monitor: StopAt | None = None,
    ):
        classifier = TransformersClassifier(str(tiny_vit))
        classifier.prepare(Context(labels=("cat", "dog"), device="cpu"))
        options = {"recipe": RECIPE, "seed": 5, "checkpoints": checkpoints, "snapshots": snapshots, "monitor": monitor}
        history = classifier.fit(Cutting(painted(200), left), painted(6, seed=9), **options)
        return history, {name: value.clone() for name, value in classifier.module.state_dict().items()}

    return fit


@pytest.fixture(scope="module")
def uninterrupted(fit):
    return fit()


def equal(one, other) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def steps(folder: Path) -> list[int]:
    return sorted(int(path.name.rpartition("-")[2]) for path in folder.glob("checkpoint-*"))


def test_checkpoints_change_neither_weights_nor_curves(fit, uninterrupted, tmp_path) -> None:
    history, weights = uninterrupted
    kept_history, kept = fit(Checkpoints(tmp_path / "kept", 6))
    assert kept_history == history
    assert equal(kept, weights)
    assert steps(tmp_path / "kept")[-1] >= 18


def test_a_training_interrupted_anywhere_ends_as_one_that_was_not(fit, uninterrupted, tmp_path) -> None:
    history, weights = uninterrupted
    checkpoints = Checkpoints(tmp_path / "kept", 3)
    for left in (70, 60):  # two looks an image
        with pytest.raises(CutOffError):
            fit(checkpoints, left)
    assert steps(checkpoints.folder)
    resumed_history, resumed = fit(checkpoints)
    assert resumed_history == history
    assert equal(resumed, weights)


@pytest.mark.parametrize("every", [None, 6])
def test_a_training_that_is_stopped_again_and_again_ends_as_one_that_was_not(fit, uninterrupted, every, tmp_path):
    history, weights = uninterrupted
    checkpoints, curve, before = Checkpoints(tmp_path / "kept", every), tmp_path / "kept" / "curve", 0
    for last in (1, 8, 19):
        monitor = StopAt(last)
        with pytest.raises(RunStopped, match=f"after step {last} of 20"):
            fit(checkpoints, snapshots=curve, monitor=monitor)
        assert monitor.heard == [(step, 20, before) for step in range(before, last + 1)]
        assert steps(checkpoints.folder)[-1] == last
        before = last
    resumed_history, resumed = fit(checkpoints, snapshots=curve, monitor=StopAt(21))
    assert resumed_history == history
    assert equal(resumed, weights)
    assert sorted(int(path.name) for path in curve.iterdir()) == list(history.steps)


def test_a_monitor_changes_nothing_and_hears_every_step(fit, uninterrupted):
    monitor = StopAt(21)
    history, weights = fit(monitor=monitor)
    assert [step for step, _, _ in monitor.heard] == list(range(21))
    assert history == uninterrupted[0] and equal(weights, uninterrupted[1])


def test_a_training_that_is_stopped_before_it_begins_does_no_step(fit, tmp_path):
    with pytest.raises(RunStopped, match="before its first step"):
        fit(Checkpoints(tmp_path / "kept", None), left=0, monitor=StopAt(0))


def test_a_damaged_checkpoint_is_skipped_and_its_snapshots_are_made_again(fit, uninterrupted, tmp_path) -> None:
    history, weights = uninterrupted
    checkpoints, curve = Checkpoints(tmp_path / "kept", 3), tmp_path / "kept" / "curve"
    with pytest.raises(CutOffError):
        fit(checkpoints, 100, curve)
    older, newest = (checkpoints.folder / f"checkpoint-{step}" for step in steps(checkpoints.folder)[-2:])
    files = {path.name for path in newest.iterdir()}
    assert {"optimizer.pt", "rng_state.pth", "trainer_state.json", "weights.safetensors", "state.json"} <= files
    flip(newest / "optimizer.pt")
    assert find_newest(checkpoints.folder) == older
    assert not newest.exists()
    assert max(int(path.name) for path in curve.iterdir()) <= int(older.name.rpartition("-")[2])
    resumed_history, resumed = fit(checkpoints, snapshots=curve)
    assert resumed_history == history
    assert equal(resumed, weights)
    assert sorted(int(path.name) for path in curve.iterdir()) == list(history.steps)


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def put_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def put_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


DAMAGES = {
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "emptied": lambda path: path.write_bytes(b""),
    "flipped": flip,
    "gone": lambda path: path.unlink(),
    "folder": put_folder,
    "huge": lambda path: os.truncate(path, 200 << 30),
    "foreign": lambda path: path.with_name("foreign").write_bytes(b"mine"),
    **({"fifo": put_fifo} if hasattr(os, "mkfifo") else {}),
}


def write_checkpoints(folder: Path) -> None:
    for step in (3, 6):
        for name in (f"checkpoint-{step}/weights", f"checkpoint-{step}/state.json", f"curve/{step - 1}/weights"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(name.encode())
        seal_folder(Directory(folder), f"checkpoint-{step}", ["curve"])


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("file", ["weights", "state.json", "digests.json"])
def test_every_damage_to_any_file_goes_back_to_the_older_checkpoint_then_to_the_start(damage, file, tmp_path) -> None:
    write_checkpoints(tmp_path)
    assert find_newest(tmp_path).name == "checkpoint-6"
    DAMAGES[damage](tmp_path / "checkpoint-6" / file)
    assert find_newest(tmp_path).name == "checkpoint-3"
    kept = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert kept == {f"checkpoint-3/{name}" for name in ("weights", "state.json", "digests.json")} | {"curve/2/weights"}
    DAMAGES[damage](tmp_path / "checkpoint-3" / file)
    assert find_newest(tmp_path) is None
    assert list(tmp_path.iterdir()) == []  # nothing is in the way of the training


def test_a_checkpoint_whose_snapshots_are_damaged_is_of_no_use(tmp_path) -> None:
    write_checkpoints(tmp_path)
    flip(tmp_path / "curve/5/weights")
    assert find_newest(tmp_path).name == "checkpoint-3"
    flip(tmp_path / "curve/2/weights")
    assert find_newest(tmp_path) is None


def test_without_checkpoints_there_is_nothing_to_resume_from(tmp_path) -> None:
    assert find_newest(tmp_path) is None
