"""What an arm needs to isolate what it is for, and which arms a run leaves out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from ..errors import ConfigError, name_some
from ..records import METHODS, Arm, ImageSource
from ..records.training_method import GROUP_BALANCED, PLAIN
from .rows import reads_train, uses_critic
from .training_sets import DISAGREEMENTS, pools_of


class Reads(Protocol):
    """What an arm needs to know of the synthesizer of its images; each `Synthesizer` has it."""

    @property
    def uses(self) -> frozenset[str]:
        """Which of "prompt", "guidance", "image" and "map" it reads."""
        ...

    @property
    def needs(self) -> frozenset[str]:
        """Which of them it requires."""
        ...


@dataclass(frozen=True)
class Available:
    """What a run has that arms need.

    Attributes:
        reserve: whether there is a reserve split.
        train: whether there are training images.
        marks: whether the data have masks of a planted mark.
        causes: whether the causes that the critic states are tested.
        slices: whether slices are looked for.
        groups: names of the splits in which groups divide a class.
        early: whether the baseline is trained here, and keeps weights on the way.
        classifier: name of the classifier.
        training_methods: what it can do besides plain training.
    """

    reserve: bool = False
    train: bool = True
    marks: bool = False
    causes: bool = True
    slices: bool = True
    groups: frozenset[str] = frozenset()
    early: bool = False
    classifier: str = ""
    training_methods: frozenset[str] = frozenset()


def missing_requirement(arm: Arm, synthesizer: Reads, available: Available) -> str:
    """Why an arm cannot isolate what it is for; empty if it can.

    Args:
        arm: the row.
        synthesizer: of its images.
        available: what the run has.
    """
    parts = (_missing_images, _missing_method, _missing_groups, _missing_tests)
    reason = next((reason for part in parts if (reason := part(arm, available))), "")
    return reason or ("" if arm.images is None else _unread(arm.images, synthesizer.uses, synthesizer.needs))


def _missing_images(arm: Arm, available: Available) -> str:
    pools = pools_of(arm)
    if {"reserve", "retrieved"} & set(pools) and not available.reserve:
        return "there are no reserve images: set [data] reserve"
    if reads_train(arm) and not available.train:
        return "there are no training images, and images of other splits may not take their place"
    if DISAGREEMENTS in pools and not available.early:
        return (
            "it compares the baseline with its own early weights: the baseline must be trained in this run, in one"
            " round, by a classifier that keeps weights while it trains"
        )
    return ""


def _missing_method(arm: Arm, available: Available) -> str:
    unknown = sorted({arm.method, arm.sampling} - PLAIN - available.training_methods)
    return f"the classifier {available.classifier} does not train by {name_some(unknown)}" if unknown else ""


def _missing_groups(arm: Arm, available: Available) -> str:
    if not (METHODS[arm.method].reads_groups or arm.sampling == GROUP_BALANCED):
        return ""
    split = next((pool for pool in pools_of(arm) if pool in ("train", "guide")), "train")
    if split in available.groups:
        return ""
    return f"no class of the {split} images has several groups: give a manifest with a column group:NAME"


def _missing_tests(arm: Arm, available: Available) -> str:
    source = arm.images
    if source is None:
        return ""
    if source.map == "oracle" and not available.marks:
        return "the true region is known only where a mark was planted: [data] marks names no folder with its masks"
    if source.causes == "confirmed" and not available.causes:
        return "no cause is confirmed, because none is tested: set [critic] test_causes = true"
    if source.budget == "slices" and not available.slices:
        return "slices are not searched for: set [mistakes] slices = true"
    return ""


def _unread(source: ImageSource, uses: Collection[str], needs: Collection[str]) -> str:
    """What the synthesizer would have to read, or to do without, for a source; empty where it does."""
    if not source.image_guided and "image" in needs:
        return "the synthesizer requires the failed image"
    if source.prompt == "critic":
        return ""
    if source.map != "explained" and not uses_critic(source) and "map" not in uses:
        return "the synthesizer does not read heatmaps"
    if source.guidance == "random":
        return "" if {"prompt", "guidance"} & set(uses) else "the synthesizer uses neither prompt nor guidance"
    if source.image_guided:
        return "" if "image" in uses else "the synthesizer does not start from an image"
    return "" if "prompt" in uses else "the synthesizer does not use prompts"


def select_runnable(
    arms: Sequence[Arm], by_name: bool, missing: Callable[[Arm], str]
) -> tuple[tuple[Arm, ...], dict[str, str]]:
    """The arms that can isolate what they are for, and the reasons why the others cannot.

    Args:
        arms: as resolved.
        by_name: whether the user named each of them.
        missing: `missing_requirement` for the synthesizers and images of the run.

    Raises:
        ConfigError: an arm that the user named cannot.
    """
    reasons = {arm.name: reason for arm in arms if (reason := missing(arm))}
    if by_name and reasons:
        name, reason = next(iter(reasons.items()))
        raise ConfigError(f"the arm {name!r} cannot be used here: {reason}")
    return tuple(arm for arm in arms if arm.name not in reasons), reasons
