"""What labels and further real images an arm uses: a remedy is only as cheap as what it needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..records import METHODS, Arm, Sample
from ..records.training_method import GROUP_BALANCED
from .training_sets import DISAGREEMENTS, RETRIEVED, pools_of

# Pools that are chosen by the labels of the whole guide split, or are that split.
BY_GUIDE_LABELS = frozenset({"failures", "guide", RETRIEVED})
FROM_RESERVE = frozenset({"reserve", RETRIEVED})


@dataclass(frozen=True)
class LabelsUsed:
    """What an arm used besides the labelled training images, as SubpopBench asks to disclose (arXiv 2302.12254).

    Attributes:
        guide_labels: guide images whose label it used, to train on them or to find mistakes among them.
        group_labels_in_training: images whose groups its training used.
        group_labels_in_selection: validation images whose groups chose among settings.
        reserve_images: distinct real images of the reserve that it trained on.
        settings_tried: settings of the method that were tried, on validation.
    """

    guide_labels: int = 0
    group_labels_in_training: int = 0
    group_labels_in_selection: int = 0
    reserve_images: int = 0
    settings_tried: int = 1


def count_labels(arm: Arm, pools: Mapping[str, Sequence[Sample]], real: Sequence[Sample]) -> LabelsUsed:
    """What an arm uses.

    Args:
        arm: the row.
        pools: real images by name, as in `build_training_set`.
        real: the real images it trains on.
    """
    names = set(pools_of(arm))
    taken = {sample.id for sample in real}
    reserve = {sample.id for name in names & FROM_RESERVE for sample in pools[name]}
    reads_groups = METHODS[arm.method].reads_groups or arm.sampling == GROUP_BALANCED
    return LabelsUsed(
        guide_labels=_count_guide_labels(arm, names, pools),
        group_labels_in_training=len({sample.id for sample in real if sample.groups}) if reads_groups else 0,
        reserve_images=len(taken & reserve),
    )


def _count_guide_labels(arm: Arm, names: set[str], pools: Mapping[str, Sequence[Sample]]) -> int:
    made_from_guide = arm.images is not None and arm.images.cases in ("mistakes", "correct")
    if made_from_guide or names & BY_GUIDE_LABELS:
        return len(pools["guide"])
    return len(pools[DISAGREEMENTS]) if DISAGREEMENTS in names else 0
