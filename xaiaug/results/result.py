"""Result: what a run folder holds, read when asked for."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from PIL import Image

from ..display.notebook_html import format_list, format_table, format_text, format_title, wrap
from ..errors import ConfigError
from ..records import Explanation
from ..records.failure import PASSING
from ..records.pipeline import BASELINE, Stop, reaches
from ..report import Report
from ..report.arm_table import format_table as format_arms
from ..report.arm_table import list_cells
from ..report.conclusion import list_limits, write_conclusion
from ..report.page import render
from ..report.paths import remove_paths, shows_paths
from ..report.resources import format_resources
from ..report.schema_cases import CaseRow
from ..report.schema_causes import TestedCauseRow
from ..report.schema_slices import SliceRow
from ..store import Reader, Store, blame_run_folder, open_reader, to_run_folder
from ..store.schema import SNAPSHOT, TESTED
from .arm_plot import plot_arms
from .build import build
from .case_pictures import read_case_image, read_explanation
from .image_export import export_images
from .lookup import look_up
from .mistake_table import list_arms, list_mistakes, write_tables
from .predictions import PredictionsOfTest, read_predictions
from .run_comparison import RunComparison, compare_runs

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class Mistakes(Sequence[CaseRow]):
    """The mistakes that a run analysed, read when they are asked for."""

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
        """The entire run as one record, as in report.json."""
        with open_reader(self.run_dir) as reader:
            return build(reader)

    @property
    def mistakes(self) -> Sequence[CaseRow]:
        """The mistakes that the run analysed, each with its heatmap, critique and images."""
        return Mistakes(self)

    @property
    def slices(self) -> Sequence[SliceRow]:
        """The slices of the mistakes that hold, those with most mistakes first; empty without a search for slices."""
        return self.report.slices.slices if self.report.slices else ()

    @property
    def causes(self) -> Sequence[TestedCauseRow]:
        """The results of the tests of stated causes, one per slice; empty if causes were not tested."""
        return self.report.causes

    @property
    def conclusion(self) -> str:
        """The conclusion of the run in sentences, and what limits it in a few words."""
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
        """Draws the test accuracy of each arm: a dot for each seed, the mean, and the interval if there is one.

        Args:
            axes: of matplotlib, to draw on; None makes a figure.

        Raises:
            ConfigError: the run has no test accuracies yet.
        """
        return plot_arms(self.report, axes)

    @property
    def unanswered(self) -> int:
        """How many critiques and images lack an answer, perhaps temporarily; the next session asks again."""
        stages = [failure.kind for case in self.report.cases for failure in case.failures]
        images = [image.check for case in self.report.cases for image in case.images if image.blob is None]
        return sum(kind in PASSING for kind in (*stages, *images))

    def list_mistakes(self, *, paths: bool = True) -> list[dict[str, Any]]:
        """The rows of mistakes.csv.

        Args:
            paths: whether each has the file it lies in.

        Raises:
            RunFolderError: splits.csv was changed, and files are to be named.
        """
        report = self.report
        with open_reader(self.run_dir) as reader:
            return list_mistakes(reader, report, paths=paths)

    def look_up(self, query: str) -> dict[str, Any]:
        """Details of one image: why a mistake failed, or where a synthetic image comes from.

        Args:
            query: an id or its first characters, a file of the data, or a synthetic image.

        Raises:
            DataError: nothing fits, or several images do.
            RunFolderError: splits.csv was changed.
        """
        report = self.report
        with open_reader(self.run_dir) as reader:
            return look_up(reader, report, query)

    def compare(self, other: Result) -> RunComparison:
        """Compares another run with this one, arm by arm, on the same test images if both have them.

        Args:
            other: of another folder.

        Raises:
            ConfigError: it is of the same folder.
            RunFolderError: one of the runs did not look at test, or they have no arm in common.
        """
        if self.run_dir.resolve() == other.run_dir.resolve():
            raise ConfigError(f"compare: {self.run_dir} and {other.run_dir} are the same run; give two")
        with open_reader(self.run_dir) as one, open_reader(other.run_dir) as second:
            return compare_runs(one, second)

    @property
    def snapshot(self) -> Mapping[str, Any]:
        """The settings, plugins and digest of the data of the last session, as two sessions are compared."""
        with open_reader(self.run_dir) as reader:
            return reader.get_fact(SNAPSHOT) or {}

    def export(self, into: str | Path, format: str = "imagefolder", arm: str | None = None) -> int:  # noqa: A002
        """Writes the new images that arms train on into a new folder; returns how many.

        Args:
            into: the folder; it must not exist, or be empty.
            format: "imagefolder", "huggingface" or "csv".
            arm: name of an arm, for its images alone; None: those of all arms.

        Raises:
            ConfigError: the format or the arm is unknown, or the folder has files.
            RunFolderError: the run has no such images, or one is damaged.
            MissingExtraError: `datasets` is not installed, and the format needs it.
        """
        with open_reader(self.run_dir) as reader:
            return export_images(reader, Path(into).expanduser(), format, arm)

    def list_arms(self) -> list[dict[str, Any]]:
        """The rows of arms.csv."""
        return list_arms(self.report)

    @property
    def report_path(self) -> Path:
        """Where `write_report` puts the page."""
        return self.run_dir / ("look.html" if self.is_look else "report.html")

    @functools.cached_property
    def is_look(self) -> bool:
        """Whether the newest session stopped before the test split, in a folder with a finished report.

        Its page is look.html, and the finished report stays.
        """
        with open_reader(self.run_dir) as reader:
            return reader.get_fact(TESTED) is not None and not reaches(self.report.until, Stop.REPORT)

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

    def write_report(self, *, paths: bool | None = None) -> Path:
        """Writes report.json, report.html, mistakes.csv and arms.csv into the run folder; returns the page's path.

        If `is_look`, it only writes look.json and look.html.

        Args:
            paths: whether they name files and folders of this machine; None: as `[report] paths` of the settings.

        Raises:
            RunLockedError: another process is writing the run.
            RunFolderError: splits.csv was changed, and files are to be named.
        """
        named = shows_paths(self.report) if paths is None else paths
        report = self.report if named else remove_paths(self.report)
        mistakes, look = self.list_mistakes(paths=named), self.is_look
        with blame_run_folder(self.run_dir), Store(self.run_dir) as store:
            if not look:
                write_tables(store, mistakes, report)
            store.write_text(self.report_path.with_suffix(".json").name, report.dump())
            return store.write_text(self.report_path.name, render(report, store.blobs.read))

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
