"""Trains a classifier: one arm with one seed is one unit of work."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import cast

from ..arms import effort
from ..errors import DataError, PluginError, name_some
from ..interfaces import Checkpoints, Classifier
from ..records import JSON, History, Progress, Recipe, Sample, digest
from ..store.schema import fit_stage
from ..store.stage_rows import FitRow
from .chunks import Item, Stage, complete, plugin_key
from .plugin_guard import blame_plugin, check_plain
from .runtime import Fitted, StageRuntime

CURVE = "curve"  # the folder in a model's folder


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
class WhatToKeep:
    """What a training keeps besides its last weights.

    Attributes:
        checkpoint_steps: optimiser steps between two checkpoints; None: a training that was cut off begins anew.
        curve: whether the weights at each point of its curves are kept, for the test split to be measured later.
    """

    checkpoint_steps: int | None = None
    curve: bool = False


@dataclass(frozen=True)
class _Work:
    runtime: StageRuntime
    classifier: Classifier
    checkpoints: Checkpoints | None
    snapshots: Path | None

    def __call__(self, trainings: list[Training]) -> list[FitRow]:
        return [self._train(training) for training in trainings]

    def _train(self, training: Training) -> FitRow:
        classifier, told = self._start(training.start, f"train {training.arm}")
        history = self._fit(classifier, training)
        folder = self.runtime.model_folder(training.arm, training.seed)
        model = self.runtime.store.write_model(folder, lambda place: self._keep(classifier, place))
        row = {"history": check_plain(f"{type(classifier).__name__}.fit", asdict(history)), "model": model.to_row()}
        return cast(FitRow, {**row, "notes": list(told)} if told else row)

    def _keep(self, classifier: Classifier, folder: Path) -> None:
        _save(classifier, folder)
        if self.snapshots is not None:
            self.runtime.store.copy_unfinished(self.snapshots, folder / CURVE)

    def _fit(self, classifier: Classifier, training: Training) -> History:
        if training.recipe is None:
            _check_labels(classifier, self.runtime.context.labels)
            return History()
        train: Callable[..., object] = classifier.fit
        options = {"checkpoints": self.checkpoints, "snapshots": self.snapshots}
        wanted = {name: options[name] for name in classifier.fit_options() if options[name] is not None}
        with blame_plugin(f"{type(classifier).__name__}.fit"):
            history = train(training.train, training.validation, recipe=training.recipe, seed=training.seed, **wanted)
        if not isinstance(history, History):
            raise PluginError(f"{type(classifier).__name__}.fit must return a History, got {type(history).__name__}")
        return history

    def _start(self, start: Fitted | None, title: str) -> tuple[Classifier, tuple[str, ...]]:
        """The classifier to train, and what the reader must know of how it took the data."""
        name = type(self.classifier).__name__
        told: tuple[str, ...] = ()
        classifier = self.classifier if start is None else start.load()
        if start is None:
            with blame_plugin(f"{name}.prepare"):
                classifier.prepare(self.runtime.context)
            told = tuple(check_plain(f"{name}.notes", classifier.notes))
            for note in told:
                self.runtime.watch(Progress(title, 0, 1, note))
        with blame_plugin(f"{name}.fork"):
            return classifier.fork(), told


def fit(
    runtime: StageRuntime,
    classifier: Classifier,
    training: Training,
    keeping: WhatToKeep | None = None,
) -> Fitted:
    """The trained classifier; its curves stand in the ledger.

    Args:
        runtime: where it is kept.
        classifier: not yet prepared; trained where the training starts from nothing else.
        training: what the training needs.
        keeping: what is kept besides the last weights.

    Raises:
        UnsupportedRecipeError: before training, when the classifier cannot follow the recipe.
        PluginError: the classifier broke its contract.
    """
    keeping = keeping or WhatToKeep()
    key = _key(classifier, runtime.context.labels, training, keeping)
    images = effort(training.recipe, len(training.validation)) if training.recipe else 0
    who, name = f"{type(classifier).__name__}.fit", fit_stage(training.arm, training.seed)
    stage = Stage(name, f"train {training.arm}", None, 1, who=who, training=True, effort=images)
    unfinished = runtime.store.unfinished(digest(key))
    every = keeping.checkpoint_steps
    checkpoints = None if every is None else Checkpoints(unfinished, every)
    work = _Work(runtime, classifier, checkpoints, unfinished / CURVE if keeping.curve else None)
    rows: Sequence[FitRow] = complete(runtime, stage, [Item(key, training)], work)
    runtime.store.drop_unfinished(digest(key))
    folder = runtime.store.bring_back(rows[0]["model"])
    return Fitted(type(classifier), folder, digest(key), classifier)


def snapshots(fitted: Fitted) -> dict[int, Fitted]:
    """The classifier at each point of its training's curves, by step; none where they were not kept."""
    folders = {int(folder.name): folder for folder in (fitted.folder / CURVE).glob("*") if folder.name.isdecimal()}
    return {step: replace(fitted, folder=folders[step], key=digest([fitted.key, step])) for step in sorted(folders)}


def _key(classifier: Classifier, labels: Sequence[str], training: Training, keeping: WhatToKeep) -> JSON:
    return {
        **({"curve": True} if keeping.curve else {}),
        "classifier": plugin_key(classifier),
        "labels": list(labels),
        "arm": training.arm,
        "seed": training.seed,
        "recipe": asdict(training.recipe) if training.recipe else None,
        "train": [[sample.id, sample.label, sample.weight] for sample in training.train],
        "validation": [[sample.id, sample.label] for sample in training.validation],
        "start": training.start.key if training.start else None,
    }


def _save(classifier: Classifier, folder: Path) -> None:
    try:
        with blame_plugin(f"{type(classifier).__name__}.save"):
            classifier.save(folder)
    except PluginError as error:
        if isinstance(error.__cause__, OSError):
            raise error.__cause__ from None  # the disk is to blame; the store reports that
        raise


def _check_labels(classifier: Classifier, labels: tuple[str, ...]) -> None:
    if tuple(classifier.labels) != labels:
        told = "".join(f" {note}" for note in classifier.notes)
        raise DataError(
            f"{type(classifier).__name__} has the classes {name_some(classifier.labels) or '(none yet)'}, the data have"
            f" {name_some(labels)}: name the folders as the classifier names its classes, or let it be trained.{told}"
        )
