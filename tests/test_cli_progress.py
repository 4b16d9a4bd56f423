"""Progress tells how fast work goes and how long the rest takes, on a terminal, in a notebook and in a pipe."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from fakes import ColourCritic, NearestColour, Ramp, paint_folder

from xaiaug import FeedbackLoop, Splits
from xaiaug.display import stage_bars
from xaiaug.display.stage_bars import NotebookBar, PlainLines, TerminalBar, format_pace, show_stages
from xaiaug.records import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Lets seconds pass."""
    now = [100.0]
    monkeypatch.setattr(stage_bars.time, "monotonic", lambda: now[0])

    def wait(seconds: float) -> None:
        now[0] += seconds

    return wait


def open_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Standard error as a terminal of 6 lines."""
    for name, value in {"TERM": "xterm-256color", "COLUMNS": "80", "LINES": "6"}.items():
        monkeypatch.setenv(name, value)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    return terminal


def lines(written: str) -> list[str]:
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written).replace("\r", "\n")
    return [line.rstrip() for line in plain.splitlines() if line.strip()]


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


def test_what_an_earlier_session_did_does_not_count(
    clock: Callable[[float], None], capsys: pytest.CaptureFixture[str]
) -> None:
    watch = PlainLines().watch
    watch(Progress("make images", 90, 120, earlier=90))
    clock(20)
    watch(Progress("make images", 100, 120, earlier=90))
    watch(Progress("export", 5, 5, earlier=5))
    first, second = capsys.readouterr().err.splitlines()
    assert first.split() == ["make", "images", "90/120"]
    assert second.endswith("100/120  2.0 s each, 0:00:40 left")


def test_the_first_item_takes_longer_and_no_longer_counts_when_others_are_done(
    clock: Callable[[float], None], capsys: pytest.CaptureFixture[str]
) -> None:
    watch = PlainLines().watch
    watch(Progress("train baseline", 0, 200))
    clock(30)
    watch(Progress("train baseline", 1, 200))
    assert capsys.readouterr().err.endswith("1/200\n"), "what the first step loads would be told 200 times"
    for step in range(2, 102):
        clock(0.5)
        watch(Progress("train baseline", step, 200))
    assert "2.0/s, 0:00:50 left" in capsys.readouterr().err.splitlines()[-1]


def test_a_stage_that_begins_again_has_a_pace_of_its_own(
    clock: Callable[[float], None], capsys: pytest.CaptureFixture[str]
) -> None:
    watch = PlainLines().watch
    for seconds in (10, 40):
        for step in (0, 50, 100):
            watch(Progress("predict", step, 100))
            clock(seconds)
    told = capsys.readouterr().err.splitlines()
    assert [line.rpartition("100/100  ")[2] for line in told if "100/100" in line] == ["5.0/s", "1.2/s"]


def test_a_note_alone_is_a_line_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    watch = PlainLines().watch
    watch(Progress("train baseline", 37, 200))
    watch(Progress("train baseline", 37, 200, "stopping after this step"))
    assert capsys.readouterr().err.splitlines()[1:] == ["stopping after this step"]


def test_on_a_terminal_each_stage_that_ended_leaves_a_line_however_many_there_are(
    monkeypatch: pytest.MonkeyPatch, clock: Callable[[float], None]
) -> None:
    terminal = open_terminal(monkeypatch)
    with show_stages(lines=False) as watch:
        for number in range(12):
            watch(Progress(f"stage {number}", 0, 40))
            clock(10)
            watch(Progress(f"stage {number}", 40, 40))
        watch(Progress("finished before", 7, 7, earlier=7))
        watch(Progress("settings changed", 1, 1, "seeds: 1 -> 3"))
    told = lines(terminal.getvalue())
    for number in range(12):
        assert f"stage {number:<22} 40/40  0:00:10  4.0/s" in told
    assert "seeds: 1 -> 3" in told and "finished before" not in terminal.getvalue()
    assert max(map(len, told)) <= 80


def test_a_terminal_shows_the_time_left(monkeypatch: pytest.MonkeyPatch, clock: Callable[[float], None]) -> None:
    terminal = open_terminal(monkeypatch)
    bar = TerminalBar()
    for step in (0, 10, 20):
        bar.watch(Progress("train baseline", step, 200))
        clock(5)
    bar.watch(Progress("train baseline", 30, 200))
    bar._bars.refresh()  # as its own thread does ten times a second
    shown = lines(terminal.getvalue())[-1]
    bar.close()
    assert re.fullmatch(r"train baseline [━╸╺]+ +30/200 2\.0/s, 0:01:25 left", shown)


def test_in_a_notebook_tqdm_shows_a_bar_a_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = open_terminal(monkeypatch)
    kernel = SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel=object()))
    monkeypatch.setitem(sys.modules, "IPython", kernel)
    with show_stages(lines=False) as watch:
        assert isinstance(watch.__self__, NotebookBar)
        for step in range(4):
            watch(Progress("explain\x1b[2J", 6 + step, 9, "a note\x07" if step == 2 else "", earlier=6))
    assert "9/9" in terminal.getvalue() and "a note\\x07" in terminal.getvalue()
    assert "\x1b[2J" not in terminal.getvalue()


@pytest.mark.parametrize(("progress", "shown"), [(None, False), (False, False), (True, True)])
def test_a_run_in_python_shows_progress_where_somebody_looks_or_where_it_is_asked_for(
    progress: bool | None, shown: bool, tmp_path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = paint_folder(tmp_path / "images", {"train": 6, "guide": 8, "validation": 2, "test": 2})
    loop = FeedbackLoop(NearestColour(), Ramp(), ColourCritic(), settings={"experiment": {"until": "mistakes"}})
    loop.run(Splits.from_folder(folder), tmp_path / "run", progress=progress)
    assert ("train baseline" in capsys.readouterr().err) is shown
    told = []
    loop.run(Splits.from_folder(folder), tmp_path / "run", watch=told.append, progress=progress)
    assert told and capsys.readouterr().err == ""
