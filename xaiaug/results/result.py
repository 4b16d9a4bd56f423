"""Result: what a run folder holds, read when asked for."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import overload

from ..report import Report
from ..report.arm_table import format_table
from ..report.conclusion import write_conclusion
from ..report.page import render
from ..report.resources import format_resources
from ..report.schema_cases import CaseRow
from ..report.schema_causes import TestedCauseRow
from ..report.schema_slices import SliceRow
from ..store import Reader, Store, blame_run_folder, open_reader, to_run_folder
from .build import build
from .mistake_table import list_mistakes, write_tables


class Mistakes(Sequence[CaseRow]):
    """The mistakes a run looked into, read when they are asked for."""

    def __init__(self, result: Result) -> None:
        self._result = result

    def __len__(self) -> int:
        return len(self._result.report.cases)

    @overload
    def __getitem__(self, index: int) -> CaseRow: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[CaseRow]: ...
    def __getitem__(self, index: int | slice) -> CaseRow | Sequence[CaseRow]:
        return self._result.report.cases[index]


class Result:
    """A run folder, finished or not.

    Args:
        run_dir: the run folder.

    Raises:
        RunFolderError: there is no run in it.
    """

    def __init__(self, run_dir: str | Path) -> None:
        self.run_dir = to_run_folder(run_dir)
        Reader(self.run_dir).close()

    @functools.cached_property
    def report(self) -> Report:
        """All of the run as one record; what report.json holds."""
        with open_reader(self.run_dir) as reader:
            return build(reader)

    @property
    def mistakes(self) -> Sequence[CaseRow]:
        """The mistakes the run looked into, each with its heatmap, critique and images."""
        return Mistakes(self)

    @property
    def slices(self) -> Sequence[SliceRow]:
        """The slices of the mistakes that hold, those with most mistakes first; empty where none were looked for."""
        return self.report.slices.slices if self.report.slices else ()

    @property
    def causes(self) -> Sequence[TestedCauseRow]:
        """What the tests of stated causes came to, one a slice; empty where causes were not tested."""
        return self.report.causes

    @property
    def conclusion(self) -> str:
        """What the run came to, in one or two sentences that claim no more than it shows."""
        return write_conclusion(self.report)

    @property
    def report_path(self) -> Path:
        """Where `write_report` puts the page."""
        return self.run_dir / "report.html"

    def table(self, format: str = "text") -> str:  # noqa: A002  (the name users know)
        """The table of arms.

        Args:
            format: "text", "markdown", "csv", "json" or "latex".

        Raises:
            ConfigError: an unknown format.
        """
        return format_table(self.report, format)

    def resources(self) -> str:
        """What each arm used: labels, real and new images, dollars and minutes, as a table in text."""
        return format_resources(self.report)

    def write_report(self, *, paths: bool = True) -> Path:
        """Writes report.json, report.html, mistakes.csv and arms.csv into the run folder; returns the page's path.

        Args:
            paths: whether they name the files of the images; without, they can be passed on.

        Raises:
            RunLockedError: another process is writing the run.
            RunFolderError: splits.csv was changed, and files are to be named.
        """
        report = self.report
        with open_reader(self.run_dir) as reader:
            mistakes = list_mistakes(reader, report, paths=paths)
        with blame_run_folder(self.run_dir), Store(self.run_dir) as store:
            write_tables(store, mistakes, report)
            store.write_text("report.json", report.dump())
            return store.write_text("report.html", render(report, store.blobs.read))

    def __repr__(self) -> str:
        return f"Result({str(self.run_dir)!r})"


def open_run(run_dir: str | Path) -> Result:
    """The result in a run folder, finished or not.

    Raises:
        RunFolderError: there is no run in it.
    """
    return Result(run_dir)
