"""McNemar's test: which images one classifier gets right and another wrong. It describes two trainings only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Flips:
    """The images that two classifiers disagree on.

    Attributes:
        fixed: wrong before, correct after.
        broken: correct before, wrong after.
        p: of McNemar's exact test; it ignores how trainings vary.
    """

    fixed: int
    broken: int
    p: float


def count_flips(before: NDArray[np.bool_], after: NDArray[Any]) -> Flips:
    """The flips from one classifier to another.

    Args:
        before: n, whether the first is correct.
        after: n, whether the second is.
    """
    from scipy.special import bdtr  # scipy.stats would take 50 MB more

    fixed, broken = int((~before & after).sum()), int((before & ~after).sum())
    one_sided = float(bdtr(min(fixed, broken), fixed + broken, 0.5))
    return Flips(fixed, broken, 1.0 if fixed == broken else min(1.0, 2 * one_sided))
