"""Trains a classifier: one arm with one seed is one unit of work."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ..arms import effort
from ..errors import DataError, PluginError, RunStopped, UnsupportedRecipeError, name_some
from ..interfaces import Checkpoints, Classifier, Context
from ..records import JSON, History, Progress, Recipe, Sample, digest
from ..records.training_method import PLAIN
from ..store import UnfinishedWork
from ..store.schema import fit_stage
from .chunks import Item, Stage, complete_all, plugin_key
from .lazy import Lazy
from .plugin_guard import blame_plugin, check_plain
from .runtime import Fitted, StageRuntime
from .stage_work import Monitor

CURVE, EARLY = "curve", "early"  # folders in a model's folder
RESUMES = "rerun the same command to resume"
BEGINS_ANEW = "rerun the same command to resume; this training then starts again"


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
        masks: what the masks of the training images depend on, JSON-plain; None where they have none.
    """

    arm: str
    seed: int
    recipe: Recipe | None
    train: Sequence[Sample]
    validation: Sequence[Sample]
    start: Fitted | None = None
    masks: JSON = None


@dataclass(frozen=True)
class WhatToKeep:
    """What a training keeps besides its last weights.

    Attributes:
        checkpoint_steps: optimiser steps between two checkpoints; None: a killed training starts again.
        curve: whether the weights at each point of its curves are kept, for the test split to be measured later.
        early: whether the weights at half of the training are kept.
    """

    checkpoint_steps: int | None = None
    curve: bool = False
    early: bool = False


class StepWatch:
    """Tells the run which step a training has reached, and the training when the run was asked to stop.

    Args:
        monitor: of the run.
        title: what progress calls the training.
    """

    def __init__(self, monitor: Monitor, title: str) -> None:
        self._monitor, self._title = monitor, title
        self._step = self._steps = 0
        self._told = False

    def on_step(self, step: int, steps: int, resumed_at: int = 0) -> bool:
        """Passes the step on; returns whether the training has to stop: not after its last step, when it is done."""
        self._step, self._steps = step, steps
        self._monitor.watch(Progress(self._title, step, steps, earlier=resumed_at))
        self._told = step < steps and self._monitor.stopping()
        return self._told

    def check(self, end: str) -> None:
        """Refuses a training that was told to stop, and so has not done all of its steps, whatever it returned.

        Raises:
            RunStopped: it was.
        """
        if self._told:
            raise RunStopped(f"stopped in {self._title} at step {self._step} of {self._steps}: {end}")


@dataclass(frozen=True, eq=False)
class _Task:
    """A training, and where it keeps itself.

    Attributes:
        training: what it needs.
        title: what progress calls it.
        steps: that progress counts.
        place: where its model will lie, below the run folder.
        logs: where trackers keep files.
        unfinished: where it keeps checkpoints, snapshots and the model until that is committed.
        keeping: what it keeps besides its last weights.
    """

    training: Training
    title: str
    steps: int
    place: str
    logs: Path
    unfinished: UnfinishedWork
    keeping: WhatToKeep

    @property
    def checkpoints(self) -> Checkpoints:
        """Where and how often it saves itself."""
        return Checkpoints(self.unfinished.folder, self.keeping.checkpoint_steps)

    @property
    def snapshots(self) -> Path | None:
        """Where the weights at the points of its curves go; None where they are not wanted."""
        return self.unfinished.folder / CURVE if self.keeping.curve or self.keeping.early else None


@dataclass(frozen=True)
class _Work:
    classifier: Classifier
    context: Context
    monitor: Monitor

    def __call__(self, tasks: list[_Task]) -> list[Any]:
        return [self._train(task) for task in tasks]

    def _train(self, task: _Task) -> dict[str, Any]:
        """A `FitRow` whose model is still to be put in its place."""
        classifier, told = self._start(task)
        began = time.monotonic()
        history = self._fit(classifier, task)
        seconds = time.monotonic() - began
        model = task.unfinished.save_model(task.place, lambda folder: _keep(classifier, task, folder))
        curves = check_plain(f"{type(classifier).__name__}.fit", asdict(history))
        notes = [*told, *(f"{task.training.arm}: {note}" for note in curves.pop("notes"))]
        row = {"history": curves, "model": model, "seconds": seconds}
        return {**row, "notes": notes} if notes else row

    def _fit(self, classifier: Classifier, task: _Task) -> History:
        training = task.training
        if training.recipe is None:
            _check_labels(classifier, self.context.labels)
            return History()
        _check_method(classifier, training.recipe)
        if self.monitor.stopping():  # preparing may have taken long
            raise RunStopped(f"stopped before {task.title}: {RESUMES}")
        train: Callable[..., object] = classifier.fit
        steps, wanted = StepWatch(self.monitor, task.title), classifier.fit_options()
        # Only a training that can be stopped knows what to do with checkpoints that nobody asked for.
        resumable = task.checkpoints.every is not None or "monitor" in wanted
        options = {
            "checkpoints": task.checkpoints if resumable else None,
            "logs": task.logs,
            "monitor": steps,
            "snapshots": task.snapshots,
        }
        given = {name: options[name] for name in wanted if options[name] is not None}
        history: object = None
        with blame_plugin(f"{type(classifier).__name__}.fit"), suppress(RunStopped):
            history = train(training.train, training.validation, recipe=training.recipe, seed=training.seed, **given)
        steps.check(RESUMES if "checkpoints" in given and not training.recipe.how.head_only else BEGINS_ANEW)
        if not isinstance(history, History):
            raise PluginError(f"{type(classifier).__name__}.fit must return a History, got {type(history).__name__}")
        return history

    def _start(self, task: _Task) -> tuple[Classifier, tuple[str, ...]]:
        """The classifier to train, and what the reader must know of how it took the data."""
        name, start = type(self.classifier).__name__, task.training.start
        told: tuple[str, ...] = ()
        classifier = self.classifier if start is None else start.load()
        if start is None:
            with blame_plugin(f"{name}.prepare"):
                classifier.prepare(self.context)
            told = tuple(check_plain(f"{name}.notes", classifier.notes))
            for note in told:
                self.monitor.watch(Progress(task.title, 0, task.steps, note))
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
    (fitted,) = fit_all(runtime, classifier, [training], keeping)
    if isinstance(fitted, UnsupportedRecipeError):
        raise fitted
    return fitted


def fit_all(
    runtime: StageRuntime,
    classifier: Classifier,
    trainings: Sequence[Training],
    keeping: WhatToKeep | None = None,
) -> list[Fitted | UnsupportedRecipeError]:
    """The trained classifiers, as many at once as the engine has workers; see `fit`.

    Args:
        runtime: as of `fit`.
        classifier: likewise.
        trainings: of different arms or seeds.
        keeping: as of `fit`.

    Returns:
        For each training its classifier, or why it cannot be done.
    """
    keeping = keeping or WhatToKeep()
    keys = [digest(_key(classifier, runtime.context.labels, training, keeping)) for training in trainings]
    stages = [
        _cut_stage(runtime, classifier, training, key, keeping) for training, key in zip(trainings, keys, strict=True)
    ]
    work = _Work(classifier, runtime.context, runtime.monitor)
    found: list[Fitted | UnsupportedRecipeError] = []
    for key, rows in zip(keys, complete_all(runtime, stages, work), strict=True):
        if isinstance(rows, UnsupportedRecipeError):
            found.append(rows)
            continue
        runtime.store.unfinished(key).drop()
        found.append(Fitted(type(classifier), runtime.store.bring_back(rows[0]["model"]), key, classifier))
    return found


def _cut_stage(
    runtime: StageRuntime, classifier: Classifier, training: Training, key: str, keeping: WhatToKeep
) -> tuple[Stage, Sequence[Item]]:
    """The stage of a training, whose only item it is; its key, which names every image, is not held."""
    recipe, sizes = training.recipe, (len(training.train), len(training.validation))
    stage = Stage(
        fit_stage(training.arm, training.seed),
        f"train {training.arm}" + (f", seed {training.seed}" if training.seed else ""),
        None,
        1,
        spread=True,
        plugin=type(classifier),
        who=f"{type(classifier).__name__}.fit",
        training=True,
        effort=effort(recipe, *sizes) if recipe else 0,
        steps=_count_steps(classifier, training),
    )
    place = runtime.model_folder(training.arm, training.seed)
    logs = runtime.log_folder(training.arm, training.seed)
    task = _Task(training, stage.title, stage.steps, place, logs, runtime.store.unfinished(key), keeping)
    return stage, Lazy(1, lambda _: Item(_key(classifier, runtime.context.labels, training, keeping), task))


def _keep(classifier: Classifier, task: _Task, folder: Path) -> None:
    """Saves what a training keeps."""
    _save(classifier, folder)
    if task.snapshots is None:
        return
    if task.keeping.curve:
        task.unfinished.copy(task.snapshots, folder / CURVE)
    if task.keeping.early and (early := _find_early(task.snapshots)) is not None:
        task.unfinished.copy(early, folder / EARLY)


def _count_steps(classifier: Classifier, training: Training) -> int:
    """The steps that a training tells of: of the network, or, of a last layer alone, the images that it embeds."""
    if training.recipe is None or "monitor" not in classifier.fit_options():
        return 1
    if training.recipe.how.head_only:
        return max(1, len(training.train) + len(training.validation))
    return training.recipe.steps


def snapshots(fitted: Fitted) -> dict[int, Fitted]:
    """The classifier at each point of its training's curves, by step; none where they were not kept."""
    folders = _list_steps(fitted.folder / CURVE)
    return {step: replace(fitted, folder=folders[step], key=digest([fitted.key, step])) for step in sorted(folders)}


def early_weights(fitted: Fitted) -> Fitted | None:
    """The classifier at half of its training; None where that was not kept."""
    folder = fitted.folder / EARLY
    return replace(fitted, folder=folder, key=digest([fitted.key, EARLY])) if folder.is_dir() else None


def _list_steps(folder: Path) -> dict[int, Path]:
    return {int(inner.name): inner for inner in folder.glob("*") if inner.name.isdecimal()}


def _find_early(snapshots: Path) -> Path | None:
    """The last snapshot of the first half of a training, or the first one; None without any."""
    folders = _list_steps(snapshots)
    first_half = [step for step in folders if 2 * step <= max(folders)]
    return folders[max(first_half, default=min(folders))] if folders else None


def _key(classifier: Classifier, labels: Sequence[str], training: Training, keeping: WhatToKeep) -> JSON:
    return {
        **({"curve": True} if keeping.curve else {}),
        **({"early": True} if keeping.early else {}),
        "classifier": plugin_key(classifier),
        "labels": list(labels),
        "arm": training.arm,
        "seed": training.seed,
        "recipe": _recipe_key(training.recipe) if training.recipe else None,
        "train": [[sample.id, sample.label, sample.weight] for sample in training.train],
        "validation": [[sample.id, sample.label] for sample in training.validation],
        "start": training.start.key if training.start else None,
        **({"groups": [dict(sample.groups) for sample in training.train]} if _reads_groups(training) else {}),
        **({"masks": training.masks} if training.masks is not None else {}),
    }


def _recipe_key(recipe: Recipe) -> dict[str, JSON]:
    """Its fields; a factor of 1 is left out, as in runs from before there was one."""
    fields = asdict(recipe)
    return fields if recipe.head_factor != 1 else {key: value for key, value in fields.items() if key != "head_factor"}


def _reads_groups(training: Training) -> bool:
    return training.recipe is not None and training.recipe.reads_groups


def _check_method(classifier: Classifier, recipe: Recipe) -> None:
    """Refuses a method that the classifier does not name: it could train plainly, and nobody would know."""
    unknown = sorted({recipe.method, recipe.sampling} - PLAIN - classifier.training_methods)
    if unknown:
        raise UnsupportedRecipeError(f"{type(classifier).__name__} does not train by {name_some(unknown)}")


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
