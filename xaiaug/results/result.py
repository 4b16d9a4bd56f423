"""Result: what a run folder holds, read when asked for."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, overload

from PIL import Image

from ..display.notebook_html import format_list, format_table, format_text, format_title, wrap
from ..records import Explanation
from ..records.pipeline import BASELINE
from ..report import Report
from ..report.arm_table import format_table as format_arms
from ..report.arm_table import list_cells
from ..report.conclusion import list_limits, write_conclusion
from ..report.page import render
from ..report.resources import format_resources
from ..report.schema_cases import CaseRow
from ..report.schema_causes import TestedCauseRow
from ..report.schema_slices import SliceRow
from ..store import Reader, Store, blame_run_folder, open_reader, to_run_folder
from .arm_plot import plot_arms
from .build import build
from .case_pictures import read_case_image, read_explanation
from .predictions import PredictionsOfTest, read_predictions

if TYPE_CHECKING:
    from matplotlib.axes import Axes


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
        """What the run came to, in sentences that claim no more than it shows, and what limits them in a few words."""
        limits = list_limits(self.report)
        return " ".join((write_conclusion(self.report), *([f"Cautions: {', '.join(limits)}."] if limits else [])))

    @property
    def cautions(self) -> tuple[str, ...]:
        """What a reader has to know before believing the conclusion, in sentences."""
        return tuple(note.text for note in self.report.notes if note.kind == "warning")

    def predictions(self, arm: str = BASELINE, seed: int | None = None) -> PredictionsOfTest:
        """The predictions of one classifier for the test images, as `compare_predictions` takes them.

        Args:
            arm: its name in the table of arms.
            seed: of its training; None where there is one.

        Raises:
            ConfigError: there is no such arm or seed, or not one that is meant.
            RunFolderError: the test images were not predicted, or not all of them.
        """
        with open_reader(self.run_dir) as reader:
            return read_predictions(reader, arm, seed)

    def image(self, mistake: CaseRow) -> Image.Image:
        """The image of a mistake, as the run kept it: RGB, its longer side at most 384 pixels.

        Args:
            mistake: of `mistakes`.

        Raises:
            RunFolderError: the run has not explained it yet, or the picture is damaged.
        """
        with open_reader(self.run_dir) as reader:
            return read_case_image(reader, mistake)

    def explanation(self, mistake: CaseRow) -> Explanation:
        """The heatmap of a mistake, for the class that was predicted.

        Args:
            mistake: of `mistakes`.

        Raises:
            RunFolderError: the run has not explained it yet, or could not; the message says why.
        """
        with open_reader(self.run_dir) as reader:
            return read_explanation(reader, mistake)

    def plot(self, axes: Axes | None = None) -> Axes:
        """Draws the test accuracy of each arm: a dot a seed, the mean, and the interval where there is one.

        Args:
            axes: of matplotlib, to draw on; None makes a figure.

        Raises:
            ConfigError: the run has no test accuracies yet.
        """
        return plot_arms(self.report, axes)

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
        return format_arms(self.report, format)

    def resources(self) -> str:
        """What each arm used: labels, real and new images, dollars and minutes, as a table in text."""
        return format_resources(self.report)

    def write_report(self) -> Path:
        """Writes report.json and report.html into the run folder; returns the page's path.

        Raises:
            RunLockedError: another process is writing the run.
        """
        report = self.report
        with blame_run_folder(self.run_dir), Store(self.run_dir) as store:
            store.write_text("report.json", report.dump())
            return store.write_text("report.html", render(report, store.blobs.read))

    def __repr__(self) -> str:
        return f"Result({str(self.run_dir)!r})"

    def _repr_html_(self) -> str:
        heads, rows = list_cells(self.report)
        return wrap(
            format_title(self.run_dir.resolve().name),
            format_text(self.conclusion),
            format_table(heads, rows) if rows else "",
            format_list(self.cautions),
            format_text(f"report: {self.report_path}"),
        )


def open_run(run_dir: str | Path) -> Result:
    """The result in a run folder, finished or not.

    Raises:
        RunFolderError: there is no run in it.
    """
    return Result(run_dir)
