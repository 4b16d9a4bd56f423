"""Groups mistakes into the slices that are tested: one pair of classes, and one mechanism."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

from ..records import Cause
from .photo import Photo
from .trial import Slice, StatedCause

MOST_POOL = 100  # correct images of a class that donors are drawn from


@dataclass(frozen=True, eq=False)
class DiagnosedMistake:
    """A mistake and what is stated of it.

    Attributes:
        photo: the image.
        label, predicted: indices of the true and the predicted class.
        cause: the stated cause; None where none can be tested.
        group: mistakes of different groups are tested apart.
    """

    photo: Photo
    label: int
    predicted: int
    cause: Cause | None
    group: Hashable = None


def group_mistakes(mistakes: Sequence[DiagnosedMistake], correct: Mapping[int, Sequence[Photo]]) -> list[Slice]:
    """The slices to test, the largest first: mistakes of one group, pair of classes and mechanism.

    Args:
        mistakes: those without a cause are left out.
        correct: images that are classified correctly, by class; at most 100 of each are used, by their ids.
    """
    pools = {label: sorted(photos, key=lambda photo: photo.id)[:MOST_POOL] for label, photos in correct.items()}
    groups: dict[Hashable, list[DiagnosedMistake]] = {}
    for one in mistakes:
        if one.cause is not None:
            groups.setdefault((one.group, one.label, one.predicted, one.cause.mechanism), []).append(one)
    return [
        Slice(
            members[0].label,
            members[0].predicted,
            [StatedCause(one.photo, one.cause) for one in members if one.cause is not None],
            pools.get(members[0].label, ()),
            pools.get(members[0].predicted, ()),
        )
        for members in sorted(groups.values(), key=lambda members: -len(members))
    ]
