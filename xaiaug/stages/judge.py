"""Examines the classifier that checks new images: how many of the mistakes does it get right?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..curation import near_duplicate_threshold
from ..records import Sample
from ..store.schema import JUDGE, PREDICT_JUDGE
from ..store.stage_rows import JudgeRow
from .chunks import Item, Stage, complete
from .lazy import Lazy
from .mistakes import Mistake
from .predict import predict
from .runtime import Fitted, StageRuntime

MOST = 300  # training images that show how alike distinct images are


@dataclass(frozen=True)
class JudgeExam:
    """What came of it.

    Attributes:
        right: how many of the mistakes it gets right.
        of: how many mistakes it was asked about.
        alike: similarity of embeddings above which two images count as one; None where it gives none.
    """

    right: int
    of: int
    alike: float | None


@dataclass(frozen=True)
class _Work:
    fitted: Fitted

    def __call__(self, samples: list[Sample]) -> list[Any]:
        images = Lazy(len(samples), lambda i: samples[i].open())
        found = self.fitted.load().embed(images) if len(samples) > 1 else None
        return [{"alike": None if found is None else near_duplicate_threshold(np.asarray(found))}]


def examine_judge(
    runtime: StageRuntime,
    fitted: Fitted,
    mistakes: Sequence[Mistake],
    train: Sequence[Sample],
    classes: int,
    embeds: bool,
) -> JudgeExam:
    """Predicts the guide's mistakes with a judge, and measures how alike training images look to it.

    Args:
        runtime: where the answers are kept.
        fitted: the judge.
        mistakes: of the classifier that is diagnosed, without those whose label looks wrong.
        train: the training images.
        classes: number of classes.
        embeds: whether a check needs to know how alike images are.
    """
    samples = Lazy(len(mistakes), lambda i: mistakes[i].sample)
    found = predict(runtime, PREDICT_JUDGE, fitted, samples, classes)
    right = int((found.predicted == found.labels).sum())
    chosen = sorted(train, key=lambda sample: sample.id)[: MOST if embeds else 0]
    stage = Stage(
        JUDGE,
        "examine the judge",
        {"judge": fitted.key},
        max(1, len(chosen)),
        together=True,
        spread=True,
        plugin=fitted.kind,
    )
    rows: Sequence[JudgeRow] = complete(runtime, stage, [Item(sample.id, sample) for sample in chosen], _Work(fitted))
    return JudgeExam(right, len(mistakes), rows[0]["alike"] if len(rows) else None)
