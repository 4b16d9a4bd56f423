"""Which labels look wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import MissingExtraError

CRITIC, CONFIDENT = "critic", "confident-learning"
METHODS = (CRITIC, CONFIDENT)


def flag_by_confident_learning(labels: NDArray[np.integer[Any]], probabilities: NDArray[np.floating[Any]]) -> list[int]:
    """Places of the images whose given label the model's own confidence speaks against (arXiv 1911.00068, cleanlab).

    It takes confident mistakes for wrong labels. A model that follows a shortcut makes just such mistakes, and then it
    names them, too: a hint for a person, no proof.

    Args:
        labels: n, as given.
        probabilities: n k, of a model that was not trained on these images.

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
    own = probabilities[:, present].astype(np.float64)
    own /= np.maximum(own.sum(axis=1, keepdims=True), np.finfo(float).tiny)
    found = find_label_issues(np.searchsorted(present, labels), own, n_jobs=1)
    return [int(place) for place in np.flatnonzero(found)]


def format_methods(flagged: Sequence[str]) -> str:
    """By whom a label was flagged, in words for a table: "critic + confident-learning"."""
    return " + ".join(way for way in METHODS if way in flagged)
