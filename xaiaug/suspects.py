"""Finds labels that look wrong, by confident learning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import MissingExtraError

CRITIC, CONFIDENT = "critic", "confident-learning"
METHODS = (CRITIC, CONFIDENT)


def flag_by_confident_learning(labels: NDArray[np.integer[Any]], probabilities: NDArray[np.floating[Any]]) -> list[int]:
    """Indices of the images whose label the model confidently contradicts (arXiv 1911.00068, cleanlab).

    The method takes confident mistakes for wrong labels. A model that follows a shortcut also makes confident mistakes,
    so a flag is a hint for a human, not a proof.

    Args:
        labels: n, indices of the given classes.
        probabilities: n k, by a model that was not trained on these images.

    Raises:
        MissingExtraError: cleanlab is not installed.
    """
    try:
        from cleanlab.filter import find_label_issues  # type: ignore[import-untyped]
    except ImportError as error:
        raise MissingExtraError("confident learning needs cleanlab: pip install 'xaiaug[evidence]'") from error
    present = np.unique(labels)
    if len(present) < 2 or not len(labels):
        return []
    of_present = probabilities[:, present].astype(np.float64)
    of_present /= np.maximum(of_present.sum(axis=1, keepdims=True), np.finfo(float).tiny)
    issues = find_label_issues(np.searchsorted(present, labels), of_present, n_jobs=1)
    return [int(index) for index in np.flatnonzero(issues)]


def format_methods(flagged: Sequence[str]) -> str:
    """The methods that flagged a label, for a table: "critic + confident-learning"."""
    return " + ".join(method for method in METHODS if method in flagged)
