"""A training reports to the trackers that the recipe names, and to no other."""

from __future__ import annotations

import importlib.util
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from xaiaug import FeedbackLoop, Splits
from xaiaug.errors import ConfigError, MissingExtraError
from xaiaug.interfaces import Context
from xaiaug.plugins.classifiers import _trackers
from xaiaug.plugins.classifiers.transformers import TransformersClassifier
from xaiaug.records import Recipe
from xaiaug.results.maintenance import verify
from xaiaug.testing import Loopback

WRITERS = [name for name in ("tensorboard", "tensorboardX") if importlib.util.find_spec(name)]
needs_writer = pytest.mark.skipif(not WRITERS, reason="neither tensorboard nor tensorboardX is installed")


@pytest.fixture(scope="module")
def fit(tiny_vit: Path, painted: Callable):
    def fit(trainer: dict[str, object], logs: Path | None = None):
        classifier = TransformersClassifier(str(tiny_vit))
        classifier.prepare(Context(labels=("cat", "dog"), device="cpu"))
        recipe = Recipe(steps=6, batch_size=4, learning_rate=3e-3, trainer=trainer)
        classifier.fit(painted(20), painted(6, seed=9), recipe=recipe, seed=5, logs=logs)
        return {name: value.clone() for name, value in classifier.module.state_dict().items()}

    return fit


def read_events(folder: Path) -> Iterator[bytes]:
    """The records of all event files: each has its length, two checksums and its bytes (TFRecord)."""
    for path in sorted(folder.glob("events.out.tfevents.*")):
        data, place = path.read_bytes(), 0
        while place < len(data):
            (length,) = struct.unpack_from("<Q", data, place)
            yield data[place + 12 : place + 12 + length]
            place += 16 + length


@needs_writer
def test_events_are_kept_in_the_folder_of_logs_and_the_training_is_the_same(fit, tmp_path, monkeypatch) -> None:
    monkeypatch.delenv("TENSORBOARD_LOGGING_DIR", raising=False)
    weights = fit({"report_to": "tensorboard"}, tmp_path / "logs")
    events = list(read_events(tmp_path / "logs"))
    for tag in (b"train/loss", b"train/learning_rate"):
        assert sum(tag in event for event in events) == 6
    plain = fit({})
    assert all(torch.equal(weights[name], plain[name]) for name in plain)
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path / "mine"))
    fit({"report_to": ["tensorboard"], "logging_steps": 3}, tmp_path / "other")
    assert sum(b"train/loss" in event for event in read_events(tmp_path / "mine")) == 3  # the first, and each third
    assert not (tmp_path / "other").exists()


@needs_writer
@pytest.mark.ci
def test_events_of_a_run_lie_by_arm_and_seed_and_are_no_foreign_files(tiny_vit, tmp_path) -> None:
    from fakes import ColourCritic, Painter, Ramp, paint_folder

    counts = {"train": 6, "guide": 8, "validation": 2, "test": 4}
    splits = Splits.from_folder(paint_folder(tmp_path / "images", counts, classes=("cat", "dog")))
    recipe = Recipe(steps=2, batch_size=4, trainer={"report_to": "tensorboard"})
    settings = {"classifier": {"name": "transformers", "checkpoint": str(tiny_vit)}}
    loop = FeedbackLoop("transformers", Ramp(), ColourCritic(), Painter(), recipe=recipe, settings=settings)
    result = loop.run(splits, tmp_path / "run")
    assert len(result.report.arms) == 4
    for arm in result.report.arms:
        assert any(b"train/loss" in event for event in read_events(tmp_path / "run/logs" / arm.name / "0")), arm.name
    assert verify(tmp_path / "run") == []
    (tmp_path / "run/logs/baseline/0/stranger.sh").write_text("")
    assert len(verify(tmp_path / "run")) == 1


@pytest.mark.parametrize("trainer", [{}, {"report_to": "none"}, {"report_to": []}])
def test_by_default_nothing_is_reported_even_where_the_environment_names_a_server(
    fit, trainer, tmp_path, monkeypatch
) -> None:
    with Loopback() as server:
        monkeypatch.setenv("KUBEFLOW_TRAINER_SERVER_URL", server.url)
        monkeypatch.setenv("KUBEFLOW_TRAINER_SERVER_CA_CERT", "none")
        monkeypatch.setenv("KUBEFLOW_TRAINER_SERVER_TOKEN", "none")
        fit(trainer, tmp_path / "logs")
        assert server.requests == []
    assert not (tmp_path / "logs").exists()


def test_a_tracker_that_is_unknown_or_not_installed_is_refused_before_training(fit, monkeypatch) -> None:
    with pytest.raises(ConfigError, match="no such tracker. Did you mean 'tensorboard'"):
        fit({"report_to": "tensorbord"})
    monkeypatch.setattr(_trackers.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="pip install tensorboard"):
        fit({"report_to": "tensorboard"})
