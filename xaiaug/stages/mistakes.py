"""Which of the guide's mistakes steer the synthesis."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..records import Sample
from ..store.schema import CASES
from ..store.stage_rows import CaseRow
from .chunks import Item, Stage, complete
from .lazy import Lazy
from .predict import CHUNK, Predictions
from .runtime import StageRuntime


@dataclass(frozen=True)
class Mistake:
    """One case: a misclassified guide image, or a correctly classified one of guide or train.

    Attributes:
        sample: the image.
        predicted: index of the predicted class.
        probabilities: of all classes.
    """

    sample: Sample
    predicted: int
    probabilities: tuple[float, ...]

    @property
    def is_right(self) -> bool:
        """Whether the prediction is the label."""
        return self.predicted == self.sample.label

    @property
    def key(self) -> Any:
        """What later results depend on."""
        return [self.sample.id, self.sample.label, self.predicted, list(self.probabilities)]


def choose(samples: Sequence[Sample], predictions: Predictions, most: int | Literal["all"]) -> Sequence[Mistake]:
    """The mistakes among `samples`, at most `most` of them, in the order of the samples.

    Where there are more, each pair of true and predicted class keeps its share (Webster's method); within a pair the
    choice follows the images' digests, so it neither depends on their names nor changes from run to run.
    """
    wrong = np.flatnonzero(predictions.predicted != predictions.labels)
    if most != "all" and len(wrong) > most:
        wrong = np.sort(_choose_stratified(samples, predictions, wrong.tolist(), most))
    return Lazy(len(wrong), lambda i: _mistake(samples, predictions, int(wrong[i])))


def choose_correct(samples: Sequence[Sample], predictions: Predictions, like: Sequence[Mistake]) -> list[Mistake]:
    """As many images of each class that are classified right as `like` has mistakes of it, where there are enough."""
    wanted = Counter(mistake.sample.label for mistake in like)
    found = []
    right: list[int] = np.flatnonzero(predictions.predicted == predictions.labels).tolist()
    for i in sorted(right, key=lambda i: samples[i].id):
        label = int(predictions.labels[i])
        if wanted[label]:
            wanted[label] -= 1
            found.append(i)
    return [_mistake(samples, predictions, i) for i in sorted(found)]


def choose_compared(samples: Sequence[Sample], predictions: Predictions, most: int) -> tuple[list[Mistake], float]:
    """The correctly classified images of classes that have mistakes, at most so many; and the share that these are.

    Where there are more, the choice follows the images' digests, as in `choose`.
    """
    classes = np.unique(predictions.labels[predictions.predicted != predictions.labels])
    right = np.flatnonzero((predictions.predicted == predictions.labels) & np.isin(predictions.labels, classes))
    chosen = sorted(right.tolist(), key=lambda i: samples[i].id)[:most]
    share = len(chosen) / len(right) if len(right) else 1.0
    return [_mistake(samples, predictions, i) for i in sorted(chosen)], share


def choose_donors(samples: Sequence[Sample], predictions: Predictions, most: int | Literal["all"]) -> list[Mistake]:
    """The correctly classified training images, at most `most` of them and then equally many of each class.

    The choice follows the images' digests, as in `choose`.
    """
    by_class: dict[int, list[int]] = defaultdict(list)
    right_places: list[int] = np.flatnonzero(predictions.predicted == predictions.labels).tolist()
    for i in sorted(right_places, key=lambda i: samples[i].id):
        by_class[int(predictions.labels[i])].append(i)
    in_turn = (i for turn in zip_longest(*(by_class[label] for label in sorted(by_class))) for i in turn)
    right = [i for i in in_turn if i is not None]
    return [_mistake(samples, predictions, i) for i in sorted(right if most == "all" else right[:most])]


def _mistake(samples: Sequence[Sample], predictions: Predictions, i: int) -> Mistake:
    return Mistake(samples[i], int(predictions.predicted[i]), _plain(predictions.probabilities[i]))


def _plain(values: NDArray[np.float32]) -> tuple[float, ...]:
    return tuple(float(value) for value in values)


def count_by_pair(predictions: Predictions) -> list[tuple[int, int, int]]:
    """True class, predicted class and number of all mistakes, in the order of the classes."""
    wrong = predictions.predicted != predictions.labels
    pairs = np.stack([predictions.labels[wrong], predictions.predicted[wrong]], axis=1)
    found, counts = np.unique(pairs, axis=0, return_counts=True)
    return [(int(label), int(predicted), int(n)) for (label, predicted), n in zip(found, counts, strict=True)]


def list_cases(runtime: StageRuntime, chosen: Sequence[Mistake]) -> None:
    """Keeps the chosen mistakes for the report."""
    items = Lazy(len(chosen), lambda i: Item.of(chosen[i]))
    complete(runtime, Stage(CASES, "list mistakes", None, CHUNK), items, _case_rows)


def _case_rows(mistakes: list[Mistake]) -> list[CaseRow]:
    return [
        CaseRow(id=m.sample.id, label=m.sample.label, predicted=m.predicted, probability=m.probabilities[m.predicted])
        for m in mistakes
    ]


def _choose_stratified(samples: Sequence[Sample], predictions: Predictions, wrong: list[int], most: int) -> list[int]:
    pairs: dict[tuple[int, int], list[int]] = defaultdict(list)
    for i in sorted(wrong, key=lambda i: samples[i].id):
        pairs[int(predictions.labels[i]), int(predictions.predicted[i])].append(i)
    # Round after round each pair gives the image by which it is furthest behind its share.
    taken = dict.fromkeys(pairs, 0)
    chosen: list[int] = []
    while len(chosen) < most:
        pair = max(
            sorted(pairs),
            key=lambda pair: len(pairs[pair]) / (taken[pair] + 0.5) if _has_left(pairs, taken, pair) else -1,
        )
        chosen.append(pairs[pair][taken[pair]])
        taken[pair] += 1
    return chosen


def _has_left(
    pairs: dict[tuple[int, int], list[int]], taken: dict[tuple[int, int], int], pair: tuple[int, int]
) -> bool:
    return taken[pair] < len(pairs[pair])
