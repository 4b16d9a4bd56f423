"""Which images are looked at where nothing is trained, and what a run that stops early needs."""

import pytest
from fakes import ColourCritic, NearestColour, Painter, Ramp
from images_on_disk import write_classes, write_splits
from typer.testing import CliRunner

from xaiaug import DataError, FeedbackLoop, Splits
from xaiaug.cli.app import app
from xaiaug.errors import ConfigError, OfflineError
from xaiaug.loop.diagnose import _as_guide
from xaiaug.testing.loopback import Loopback, Reply


def test_a_paid_critic_is_allowed_paid_and_given_its_key_as_in_a_run(tiny_vit, tmp_path, monkeypatch):
    photos = write_classes(tmp_path / "photos", {"cat": 4, "dog": 4})
    reply = Reply("A: a wall\nB: a cat before a red wall")
    line = ["diagnose", str(photos), "--checkpoint", str(tiny_vit), "--critic", "openai", "--limit", "1"]
    allowed = ["--allow-upload", "--budget-usd", "5"]

    def invoke(name, *options):
        return CliRunner().invoke(app, [*line, "--run-dir", str(tmp_path / name), *options])

    with Loopback(reply) as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("XAIAUG_TRUSTED_HOSTS", "")
        # Another spelling of this machine, which is a host as unknown as any.
        monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1".replace("127.0.0.1", "127.1"))
        monkeypatch.setenv("NO_PROXY", "127.1")
        monkeypatch.setenv("no_proxy", "127.1")
        assert isinstance(invoke("none").exception, OfflineError)
        assert isinstance(invoke("unpaid", "--allow-upload").exception, ConfigError)
        assert isinstance(invoke("offline", *allowed, "--offline").exception, OfflineError)
        refused = invoke("refused", *allowed)
        assert isinstance(refused.exception, ConfigError) and "--trust-host 127.1" in str(refused.exception)
        assert not server.bill.requests
        done = invoke("trusted", *allowed, "--trust-host", "127.1")
        assert done.exception is None, done.output
        assert server.bill.requests and "OPENAI_BASE_URL" in done.output


@pytest.mark.parametrize("splits", [("train",), ("train", "test"), ("train", "reserve")])
def test_neither_train_nor_test_is_taken_for_guide(tmp_path, splits):
    root = write_splits(tmp_path, dict.fromkeys(splits, 4))
    with pytest.raises(
        DataError, match=rf"has the splits {', '.join(sorted(splits))}, but neither guide nor validation"
    ):
        _as_guide(root)


def test_guide_then_validation_then_a_plain_folder_is_looked_at(tmp_path):
    both = write_splits(tmp_path / "both", {"train": 4, "guide": 3, "validation": 2, "test": 2})
    splits = _as_guide(both)
    assert (len(splits.train), len(splits.guide), len(splits.validation), len(splits.test)) == (8, 6, 0, 0)
    validation = write_splits(tmp_path / "validation", {"train": 4, "val": 2})
    assert len(_as_guide(validation).guide) == 4
    plain = write_classes(tmp_path / "plain", {"cat": 3, "dog": 3})
    assert (len(_as_guide(plain).guide), len(_as_guide(plain).train)) == (6, 0)


def test_a_run_that_stops_before_test_needs_no_test_split(tmp_path):
    root = write_splits(tmp_path, {"train": 6, "guide": 4})
    loop = FeedbackLoop(NearestColour(), Ramp(), ColourCritic(), Painter(), settings={"data": {"folder": str(root)}})
    assert not loop.splits("images").test
    for until in ("report", None):
        with pytest.raises(DataError, match="but no test"):
            loop.splits(until)
    assert Splits.from_folder(root, require_test=False).given == ("guide", "train")
