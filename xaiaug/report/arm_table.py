"""The table of arms as text, Markdown, CSV, JSON or LaTeX."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..errors import ConfigError, suggest
from ..records.pipeline import CONTINUED
from ..tables import format_csv
from .schema_arms import ArmResult, Scores
from .schema_report import Report

HEADS = ("arm", "seeds", "new images", "real images", "accuracy", "balanced accuracy", "macro F1", f"Δ {CONTINUED}")
NONE = "–"
# Metrics of the settings that are columns in any case, and the scores that hold them.
ALWAYS_SHOWN = {"accuracy": "accuracy", "balanced-accuracy": "balanced_accuracy", "macro-f1": "f1"}

Cells = Sequence[Sequence[str]]


@dataclass(frozen=True)
class Spread:
    """Mean and sample standard deviation over seeds, of values in 0 to 1 or of their differences.

    Attributes:
        mean: None if there is no value yet.
        sd: None for fewer than two values.
    """

    mean: float | None = None
    sd: float | None = None

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        """The spread of the values; empty if there are none."""
        known = list(values)
        if not known:
            return cls()
        return cls(statistics.fmean(known), statistics.stdev(known) if len(known) > 1 else None)


@dataclass(frozen=True)
class ArmRow:
    """One arm in the table.

    Attributes:
        seeds: trainings with scores; 0 for an unfinished arm.
        synthetic: new images it trains on.
        real: real images it trains on.
        difference: of the metric of the settings to that of `continued`, seed by seed where both have the seed.
        metric: the metric of the settings, where that is none of the others; else empty.
        chosen: the score by it.
        compared: the score by the metric of the settings, whichever that is.
    """

    name: str
    seeds: int
    synthetic: int
    real: int
    accuracy: Spread
    balanced_accuracy: Spread
    macro_f1: Spread
    difference: Spread
    metric: str = ""
    chosen: Spread = Spread()
    compared: Spread = Spread()


def summarise_arms(report: Report) -> tuple[ArmRow, ...]:
    """One row an arm, in the order of the report."""
    reference = {arm.name: arm for arm in report.arms}.get(CONTINUED)
    metric = chosen_metric(report)
    return tuple(_row(arm, reference, metric) for arm in report.arms)


def chosen_metric(report: Report) -> str:
    """The metric of the settings."""
    experiment = report.settings.get("experiment")
    return str(experiment.get("metric", "accuracy")) if isinstance(experiment, Mapping) else "accuracy"


def scores_by_seed(arm: ArmResult) -> dict[int, Scores]:
    """The scores of the finished trainings of an arm, by seed."""
    return {seed.seed: seed.metrics for seed in arm.seeds if seed.metrics is not None}


def _row(arm: ArmResult, reference: ArmResult | None, metric: str) -> ArmRow:
    scores = scores_by_seed(arm)
    against = _by_metric(reference, metric) if reference is not None and reference.name != arm.name else {}
    return ArmRow(
        name=arm.name,
        seeds=len(scores),
        synthetic=sum(arm.synthetic.values()),
        real=arm.real,
        accuracy=Spread.of(score.accuracy for score in scores.values()),
        balanced_accuracy=Spread.of(score.balanced_accuracy for score in scores.values()),
        macro_f1=Spread.of(score.f1 for score in scores.values()),
        difference=_difference(arm.trained, _by_metric(arm, metric), against),
        metric="" if metric in ALWAYS_SHOWN else metric,
        chosen=Spread.of(seed.chosen for seed in arm.seeds if seed.chosen is not None),
        compared=Spread.of(_by_metric(arm, metric).values()),
    )


def _by_metric(arm: ArmResult, metric: str) -> dict[int, float]:
    """The scores of the finished trainings of an arm by one metric, by seed."""
    if metric not in ALWAYS_SHOWN:
        return {seed.seed: seed.chosen for seed in arm.seeds if seed.chosen is not None}
    return {seed: getattr(scores, ALWAYS_SHOWN[metric]) for seed, scores in scores_by_seed(arm).items()}


def _difference(trained: bool, scores: Mapping[int, float], against: Mapping[int, float]) -> Spread:
    if not trained and scores and against:
        # The baseline is one classifier, whatever seeds the others were trained with.
        baseline = statistics.fmean(scores.values())
        return Spread.of(baseline - score for score in against.values())
    return Spread.of(scores[seed] - against[seed] for seed in scores if seed in against)


def format_table(report: Report, format: str = "text") -> str:  # noqa: A002  (the public name)
    """The table of arms: one row an arm, means over seeds, ± the standard deviation for more than one seed.

    Args:
        report: any report; one without arms gives a table without rows.
        format: "text" (aligned), "markdown", "csv", "json" or "latex". Text, Markdown and LaTeX show percentages and
            differences in percentage points; CSV and JSON plain numbers in 0 to 1, with separate standard deviations.

    Raises:
        ConfigError: an unknown format.
    """
    if format not in FORMATS:
        raise ConfigError(f"table: unknown format {format!r}. {suggest(format, FORMATS)}")
    return FORMATS[format](summarise_arms(report))


def list_cells(report: Report) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """The heads of the table of arms, and its cells row by row."""
    rows = summarise_arms(report)
    return _heads(rows), _to_cells(rows)


def format_percent(spread: Spread) -> str:
    """A share in percent: "91.2 ± 0.4"."""
    if spread.mean is None:
        return NONE
    return f"{100 * spread.mean:.1f}" + ("" if spread.sd is None else f" ± {100 * spread.sd:.1f}")


def format_score(value: float | None) -> str:
    """A value between 0 and 1: "0.482"."""
    return NONE if value is None else f"{value:.3f}"


def format_difference(value: float | None) -> str:
    """A difference of such values, with its sign: "+0.110"."""
    return NONE if value is None else f"{round(value, 3) + 0.0:+.3f}".replace("-", "−")


def format_points(spread: Spread) -> str:
    """A difference in percentage points, with its sign: "+3.2 ± 0.4"."""
    if spread.mean is None:
        return NONE
    # Adding 0.0 turns the minus zero that rounding leaves into zero.
    mean = round(100 * spread.mean, 1) + 0.0
    return f"{mean:+.1f}".replace("-", "−") + ("" if spread.sd is None else f" ± {100 * spread.sd:.1f}")


def _to_cells(rows: Sequence[ArmRow]) -> list[tuple[str, ...]]:
    return [
        (
            " ".join(row.name.split()),
            str(row.seeds),
            str(row.synthetic),
            str(row.real),
            format_percent(row.accuracy),
            format_percent(row.balanced_accuracy),
            format_percent(row.macro_f1),
            *([format_percent(row.chosen)] if row.metric else ()),
            format_points(row.difference),
        )
        for row in rows
    ]


def _heads(rows: Sequence[ArmRow]) -> tuple[str, ...]:
    metric = [rows[0].metric] if rows and rows[0].metric else []
    return (*HEADS[:-1], *metric, HEADS[-1])


def _align(cells: Cells) -> list[list[str]]:
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    name, *numbers = widths
    return [
        [row[0].ljust(name), *(cell.rjust(width) for cell, width in zip(row[1:], numbers, strict=True))]
        for row in cells
    ]


def _to_text(rows: Sequence[ArmRow]) -> str:
    head, *body = _align([_heads(rows), *_to_cells(rows)])
    rule = ["─" * len(cell) for cell in head]
    return "\n".join("  ".join(row).rstrip() for row in (head, rule, *body)) + "\n"


def _to_markdown(rows: Sequence[ArmRow]) -> str:
    escaped = [[cell.replace("\\", "\\\\").replace("|", "\\|") for cell in row] for row in _to_cells(rows)]
    head, *body = _align([_heads(rows), *escaped])
    rule = ["-" * len(head[0]), *("-" * (len(cell) - 1) + ":" for cell in head[1:])]
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, rule, *body)) + "\n"


def _to_records(rows: Sequence[ArmRow]) -> list[dict[str, str | float | None]]:
    return [_to_record(row) for row in rows]


def _to_record(row: ArmRow) -> dict[str, str | float | None]:
    plain: dict[str, str | float | None] = {
        "arm": row.name,
        "seeds": row.seeds,
        "new_images": row.synthetic,
        "real_images": row.real,
    }
    spreads = {name: getattr(row, name) for name in ("accuracy", "balanced_accuracy", "macro_f1", "difference")}
    if row.metric:
        spreads[row.metric.replace("-", "_")] = row.chosen
    for name, spread in spreads.items():
        plain |= {name: _round(spread.mean), f"{name}_sd": _round(spread.sd)}
    return plain


def _round(value: float | None) -> float | None:
    # Six digits: far finer than any test set resolves, and free of rounding errors from subtraction.
    return None if value is None else round(value, 6)


def _to_csv(rows: Sequence[ArmRow]) -> str:
    empty = ArmRow("", 0, 0, 0, Spread(), Spread(), Spread(), Spread(), rows[0].metric if rows else "")
    return format_csv(_to_records(rows)) if rows else ",".join(_to_record(empty)) + "\n"


def _to_json(rows: Sequence[ArmRow]) -> str:
    return json.dumps(_to_records(rows), indent=2, ensure_ascii=False) + "\n"


_LATEX = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "−": "$-$",
    "Δ": r"$\Delta$",
    "–": "--",
}


def _to_latex(rows: Sequence[ArmRow]) -> str:
    head, *body = (" & ".join(map(_escape_latex, row)) + r" \\" for row in (_heads(rows), *_to_cells(rows)))
    lines = [r"\begin{tabular}{l" + "r" * (len(_heads(rows)) - 1) + "}", r"\hline", head, r"\hline", *body, r"\hline"]
    return "\n".join((*lines, r"\end{tabular}")) + "\n"


def _escape_latex(cell: str) -> str:
    return "".join(_LATEX.get(character, character) for character in cell)


FORMATS: dict[str, Callable[[Sequence[ArmRow]], str]] = {
    "text": _to_text,
    "markdown": _to_markdown,
    "csv": _to_csv,
    "json": _to_json,
    "latex": _to_latex,
}
