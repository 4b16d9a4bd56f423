"""How a classifier is trained, and how its training went."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from ..errors import RecordError
from .json import JSON

SCHEDULES = ("cosine", "linear", "constant")
SET_BY_ARM = ("sampling", "adapter", "augment")  # the fields of a recipe that are an arm's, not a user's


@dataclass(frozen=True)
class Recipe:
    """How to train. Steps, batch size and schedule are equal for every trained arm of a run.

    Attributes:
        steps: optimiser steps, ≥ 1; the weights after the last one are used.
        batch_size: images a step, ≥ 1.
        learning_rate: peak learning rate, > 0.
        adapter_learning_rate: likewise, of an arm that trains adapters; None: ten times `learning_rate`.
        schedule: "cosine", "linear" or "constant", after a warm-up of a twentieth of the steps.
        weight_decay: decoupled weight decay, ≥ 0.
        class_weights: weight of each class in the loss, in the order of the labels; None: all equal; "balanced": a loop
            puts the inverse of each class's share of the training images in its place.
        sampling: "uniform" over images, or "balanced" over classes; set by the arm.
        adapter: None or "lora"; set by the arm.
        augment: name of the augmentation; set by the arm.
        trainer: further arguments for the trainer behind the classifier.

    Raises:
        RecordError: a number out of its range or an unknown schedule.
    """

    steps: int = 500
    batch_size: int = 32
    learning_rate: float = 1e-4
    schedule: str = "cosine"
    weight_decay: float = 0.05
    class_weights: tuple[float, ...] | Literal["balanced"] | None = None
    sampling: str = "uniform"
    adapter: str | None = None
    augment: str = "default"
    trainer: Mapping[str, JSON] = field(default_factory=dict)
    adapter_learning_rate: float | None = None

    def __post_init__(self) -> None:
        for name, least in (("steps", 1), ("batch_size", 1), ("weight_decay", 0)):
            if getattr(self, name) < least:
                raise RecordError(f"Recipe: {name} must be at least {least}, got {getattr(self, name)}")
        for name in ("learning_rate", "adapter_learning_rate"):
            if (rate := getattr(self, name)) is not None and not rate > 0:
                raise RecordError(f"Recipe: {name} must be > 0, got {rate}")
        if isinstance(self.class_weights, str) and self.class_weights != "balanced":
            raise RecordError(f"Recipe: class_weights must be numbers or 'balanced', got {self.class_weights!r}")
        if self.schedule not in SCHEDULES:
            raise RecordError(f"Recipe: schedule must be one of {', '.join(SCHEDULES)}, got {self.schedule!r}")


@dataclass(frozen=True)
class History:
    """The curves of one training: tuples of one length.

    Attributes:
        steps: optimiser steps done at each point.
        train_loss: mean loss on the training batches since the point before.
        train_accuracy: share of those training images, as augmented, that were classified right.
        validation_loss: mean loss on the validation split; empty list of points when there is none.
        validation_accuracy: share of the validation split that was classified right.

    Raises:
        RecordError: the tuples differ in length.
    """

    steps: tuple[int, ...] = ()
    train_loss: tuple[float, ...] = ()
    train_accuracy: tuple[float, ...] = ()
    validation_loss: tuple[float, ...] = ()
    validation_accuracy: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        lengths = {name: len(values) for name, values in vars(self).items()}
        if len(set(lengths.values())) > 1:
            raise RecordError(f"History: all curves must have one length, got {lengths}")
