"""Trains a classifier: one arm with one seed is one unit of work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ..errors import DataError, PluginError
from ..interfaces import Checkpoints, Classifier, Context
from ..records import History, Recipe, Sample
from ..store import digest
from .blame import blamed, plain
from .chunks import Item, Stage, complete, plugin_key
from .desk import Desk, Fitted


@dataclass(frozen=True, eq=False)
class Training:
    """What one training needs.

    Attributes:
        arm: name of the arm.
        seed: decides order, augmentation and new weights.
        recipe: how to train; None takes the classifier as it is.
        train: images to train on.
        validation: images for the curves.
        start: the fitted classifier to fork; None trains a new one.
    """

    arm: str
    seed: int
    recipe: Recipe | None
    train: Sequence[Sample]
    validation: Sequence[Sample]
    start: Fitted | None = None


@dataclass(frozen=True)
class _Work:
    desk: Desk
    classifier: Classifier
    context: Context
    checkpoints: Checkpoints | None

    def __call__(self, trainings: list[Training]) -> list[Any]:
        return [self._train(training) for training in trainings]

    def _train(self, training: Training) -> Any:
        classifier = self._start(training.start)
        history = self._fit(classifier, training)
        folder = self.desk.folder(f"models/{training.arm}/{training.seed}")
        name = type(classifier).__name__
        curves = plain(f"{name}.fit", asdict(history))
        return {"history": curves, "model": self.desk.store.write_model(folder, partial(_save, classifier)).to_row()}

    def _fit(self, classifier: Classifier, training: Training) -> History:
        if training.recipe is None:
            _check_labels(classifier, self.context.labels)
            return History()
        classifier.checkpoints = self.checkpoints
        with blamed(f"{type(classifier).__name__}.fit"):
            history = classifier.fit(training.train, training.validation, recipe=training.recipe, seed=training.seed)
        if not isinstance(history, History):
            raise PluginError(f"{type(classifier).__name__}.fit must return a History, got {type(history).__name__}")
        return history

    def _start(self, start: Fitted | None) -> Classifier:
        name = type(self.classifier).__name__
        classifier = self.classifier if start is None else start.load()
        if start is None:
            with blamed(f"{name}.prepare"):
                classifier.prepare(self.context)
        with blamed(f"{name}.fork"):
            return classifier.fork()


def fit(
    desk: Desk, classifier: Classifier, context: Context, training: Training, checkpoint_steps: int | None = None
) -> Fitted:
    """The trained classifier; its curves stand in the ledger.

    Args:
        desk: where it is kept.
        classifier: not yet prepared; trained where the training starts from nothing else.
        context: what it may know.
        training: what the training needs.
        checkpoint_steps: optimiser steps between two checkpoints; None: a training that was cut off begins anew.

    Raises:
        UnsupportedRecipeError: before training, when the classifier cannot follow the recipe.
        PluginError: the classifier broke its contract.
    """
    key = _key(classifier, context, training)
    who = f"{type(classifier).__name__}.fit"
    stage = Stage(f"fit/{training.arm}/{training.seed}", f"train {training.arm}", None, 1, who=who, training=True)
    unfinished = desk.store.unfinished(digest(key))
    checkpoints = None if checkpoint_steps is None else Checkpoints(unfinished, checkpoint_steps)
    rows = complete(desk, stage, [Item(key, training)], _Work(desk, classifier, context, checkpoints))
    desk.store.drop_unfinished(digest(key))
    folder = Path(desk.store.folder, rows[0]["model"]["folder"])
    return Fitted(type(classifier), folder, digest(key))


def _key(classifier: Classifier, context: Context, training: Training) -> Any:
    return {
        "classifier": plugin_key(classifier),
        "labels": list(context.labels),
        "arm": training.arm,
        "seed": training.seed,
        "recipe": asdict(training.recipe) if training.recipe else None,
        "train": [[sample.id, sample.label, sample.weight] for sample in training.train],
        "validation": [[sample.id, sample.label] for sample in training.validation],
        "start": training.start.key if training.start else None,
    }


def _save(classifier: Classifier, folder: Path) -> None:
    try:
        with blamed(f"{type(classifier).__name__}.save"):
            classifier.save(folder)
    except PluginError as error:
        if isinstance(error.__cause__, OSError):
            raise error.__cause__ from None  # the disk is to blame, which the store tells
        raise


def _check_labels(classifier: Classifier, labels: tuple[str, ...]) -> None:
    if tuple(classifier.labels) != labels:
        raise DataError(
            f"{type(classifier).__name__} tells apart {', '.join(classifier.labels) or 'nothing yet'}, the data have "
            f"{', '.join(labels)}: name the folders as the classifier names its classes, or let it be trained"
        )
