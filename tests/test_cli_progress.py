"""Progress tells how fast work goes and how long the rest takes."""

from __future__ import annotations

import pytest

from xaiaug.cli import progress_display
from xaiaug.cli.progress_display import format_pace, show_progress
from xaiaug.records import Progress


@pytest.mark.parametrize(
    ("done", "seconds", "left", "told"),
    [
        (50, 20.0, 200, "2.5/s, 0:01:20 left"),
        (2, 10.0, 30, "5.0 s each, 0:02:30 left"),
        (8, 4.0, 0, "2.0/s"),
        (0, 30.0, 10, ""),
        (3, 0.2, 10, ""),
    ],
)
def test_a_pace_is_told_once_it_is_known(done: int, seconds: float, left: int, told: str) -> None:
    assert format_pace(done, seconds, left) == told


def test_what_an_earlier_sitting_did_does_not_count(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter((100.0, 120.0))
    monkeypatch.setattr(progress_display.time, "monotonic", lambda: next(clock))
    with show_progress() as watch:
        watch(Progress("make images", 90, 120))
        watch(Progress("make images", 100, 120))
    first, second = capsys.readouterr().err.splitlines()
    assert first.split() == ["make", "images", "90/120"]
    assert second.endswith("100/120  2.0 s each, 0:00:40 left")
