"""The mixing ratio: how many images an arm adds for each real one, in the passes of its training."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from ..records import Arm, ImageSource

MISTAKES, TRAIN = "for mistakes", "of train"  # families of sources: those of one make equally many images
# Most images added for each real one, where an arm states no ratio. Chosen by benchmarks/dose.py: see "The dose" in
# docs/results.md. Edits of training images helped at up to 1, and none of their arms can have more than 2 (one erased
# and one transplanted an image), so they have no limit.
DEFAULT_LIMIT = 1.0
LIMITS: dict[str, float | None] = {MISTAKES: DEFAULT_LIMIT, TRAIN: None}
# The ratio beyond which an arm's own is warned of, and why.
WARNED = {
    MISTAKES: (DEFAULT_LIMIT, "have cost accuracy where they were measured"),
    TRAIN: (1.0, "have not been measured"),
}


def family(source: ImageSource) -> str:
    """The family of a source: "for mistakes", or "of train", which are edits."""
    return TRAIN if source.cases == "train-correct" else MISTAKES


@dataclass(frozen=True)
class Addition:
    """The images that arms which are compared with each other add to the real ones.

    Attributes:
        count: how many of each class there are to add.
        limit: most of them for each real image in the passes; None: as many as there are.
    """

    count: Mapping[int, int]
    limit: float | None = None


def binding_limit(arm: Arm, real: int, added: int, limit: float | None) -> float | None:
    """The limit of an arm that has more images to add than the limit allows; None where it makes no difference.

    Args:
        arm: the row; its own ratio, or probability of replacing real images, is kept as it is.
        real: real images that nothing is added to.
        added: images to add: new, repeated or further real ones.
        limit: most images added for each real one; None: no limit.
    """
    own = arm.images is not None and _read_ratio(arm) is not None
    return None if own or limit is None or added <= limit * real or not real else limit


def added_share(arm: Arm, real: int, added: int, limit: float | None) -> float:
    """The share of the passes that shows added images, 0 to 1; where nothing is limited, that of the images.

    Args:
        arm, real, added, limit: as of `binding_limit`.
    """
    if not real or not added:
        return float(bool(added))
    ratio = (_read_ratio(arm) if arm.images else None) or binding_limit(arm, real, added, limit) or added / real
    return _share(ratio)


def count_added(passes: int, ratio: float) -> int:
    """How many of the passes show an added image, at so many added images for each real one."""
    return round(passes * _share(ratio))


def warn_of_ratio(arm: Arm) -> str:
    """That an arm's own ratio is beyond what is known to be safe, and why that is; empty where it is not."""
    ratio = _read_ratio(arm)
    if arm.images is None or ratio is None:
        return ""
    safe, why = WARNED[family(arm.images)]
    amount = "new images alone" if math.isinf(ratio) else f"{ratio:.3g} new images for each real one"
    return (
        f"{arm.name} trains on {amount}, {_share(ratio):.0%} of its passes: more than {safe:g} for each real one {why}."
        if ratio > safe
        else ""
    )


def _share(ratio: float) -> float:
    return 1.0 if math.isinf(ratio) else ratio / (1 + ratio)


def _read_ratio(arm: Arm) -> float | None:
    """New images for each real one, where the row states it; infinite where every real image is replaced."""
    if arm.replace_probability:
        rest = 1 - arm.replace_probability
        return arm.replace_probability / rest if rest else math.inf
    return arm.synthetic_ratio
