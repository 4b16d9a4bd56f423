"""Confusion of classes: a matrix for few classes, the most confused pairs for many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .arm_table import scores_by_seed
from .schema_arms import ArmResult
from .schema_report import Report

MOST_CLASSES = 12
MOST_PAIRS = 12


@dataclass(frozen=True)
class Cell:
    """A count, and its shade from 0 (none of the row) to 5 (all of it)."""

    count: int
    shade: int


@dataclass(frozen=True)
class Confusion:
    """One arm's confusion on test, summed over its seeds: `matrix` for few classes, else the worst `pairs`.

    Attributes:
        pairs: label, predicted, count; most frequent first.
        pair_count: how many different pairs were confused.
    """

    arm: str
    seeds: int
    matrix: tuple[tuple[Cell, ...], ...] = ()
    pairs: tuple[tuple[str, str, int], ...] = ()
    pair_count: int = 0


def confusion_tables(report: Report) -> tuple[Confusion, ...]:
    """One for each arm that has a confusion matrix."""
    tables = (_confusion(arm, report.data.labels) for arm in report.arms)
    return tuple(table for table in tables if table is not None)


def _confusion(arm: ArmResult, labels: Sequence[str]) -> Confusion | None:
    matrices = [score.confusion for score in scores_by_seed(arm).values() if len(score.confusion) == len(labels)]
    if not matrices:
        return None
    total = [[sum(cells) for cells in zip(*rows, strict=True)] for rows in zip(*matrices, strict=True)]
    if len(labels) <= MOST_CLASSES:
        return Confusion(arm.name, len(matrices), matrix=tuple(_shade(row) for row in total))
    pairs = [
        (labels[true], labels[predicted], count)
        for true, row in enumerate(total)
        for predicted, count in enumerate(row)
        if true != predicted and count
    ]
    worst = sorted(pairs, key=lambda pair: -pair[2])[:MOST_PAIRS]
    return Confusion(arm.name, len(matrices), pairs=tuple(worst), pair_count=len(pairs))


def _shade(row: Sequence[int]) -> tuple[Cell, ...]:
    size = sum(row) or 1
    # Rounded up, so that one image in ten thousand is still visible.
    return tuple(Cell(count, -(-5 * count // size)) for count in row)
