"""Groups mistakes into the slices that are tested: one pair of classes, and one mechanism."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from ..records import Cause

MOST_POOL = 60  # correct images of a class that are edited, and that donors are drawn from


@dataclass(frozen=True)
class CauseOfMistake:
    """What is stated of one mistake.

    Attributes:
        label, predicted: indices of the true and the predicted class.
        cause: the stated cause; None where none can be tested.
        group: mistakes of different groups are tested apart.
    """

    label: int
    predicted: int
    cause: Cause | None
    group: Hashable = None


def group_causes(mistakes: Sequence[CauseOfMistake]) -> list[list[int]]:
    """Positions of the mistakes of each slice, the largest first: one group, pair of classes and mechanism.

    Mistakes without a cause are in none.
    """
    groups: dict[Hashable, list[int]] = {}
    for place, one in enumerate(mistakes):
        if one.cause is not None:
            groups.setdefault((one.group, one.label, one.predicted, one.cause.mechanism), []).append(place)
    return sorted(groups.values(), key=lambda places: -len(places))
