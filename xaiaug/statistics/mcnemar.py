"""Which images one classifier gets right and another wrong: a description of two trainings, never a verdict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Flips:
    """Images on which two classifiers differ.

    Attributes:
        fixed: wrong before, right after.
        broken: right before, wrong after.
        p: of McNemar's exact test; it knows nothing of how trainings vary.
    """

    fixed: int
    broken: int
    p: float


def count_flips(before: NDArray[np.bool_], after: NDArray[Any]) -> Flips:
    """The flips from one classifier to another.

    Args:
        before: n, whether the one is right.
        after: n, whether the other is.
    """
    from scipy.stats import binomtest

    fixed, broken = int((~before & after).sum()), int((before & ~after).sum())
    p = float(binomtest(fixed, fixed + broken).pvalue) if fixed + broken else 1.0
    return Flips(fixed, broken, p)
