"""Training recipes, and the learning curves of a training."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import inf
from numbers import Integral, Real
from typing import Literal

from ..errors import RecordError
from .json_type import JSON
from .training_method import GROUP_BALANCED, METHODS, TrainingMethod

SCHEDULES = ("cosine", "linear", "constant")
# The fields of a recipe that are an arm's, not a user's.
SET_BY_ARM = ("sampling", "adapter", "augment", "method", "head_factor")
WHOLE, NUMBER = (Integral, "a whole number"), (Real, "a number")
NUMBERS = (
    *((name, *WHOLE) for name in ("steps", "batch_size")),
    *((name, *NUMBER) for name in ("learning_rate", "adapter_learning_rate", "weight_decay", "head_factor")),
)


def check_numbers(who: str, record: object, numbers: Iterable[tuple[str, type, str]]) -> None:
    """Refuses fields of a record that must be numbers, or None, and are something else.

    Args:
        who: to name in errors.
        record: with the fields.
        numbers: name of each, its type, and the type in words.

    Raises:
        RecordError: a field is no number.
    """
    for name, kind, what in numbers:
        value = getattr(record, name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, kind)):
            raise RecordError(f"{who}: {name} must be {what}, got {value!r}")


@dataclass(frozen=True)
class Recipe:
    """How to train a classifier. Steps, batch size and schedule are equal for all trained arms of a run.

    Attributes:
        steps: optimiser steps, ≥ 1; the weights after the last one are used.
        batch_size: images per step, ≥ 1.
        learning_rate: peak learning rate, > 0.
        adapter_learning_rate: peak learning rate of an arm that trains adapters; None: ten times `learning_rate`.
        schedule: "cosine", "linear" or "constant", after a warm-up of a twentieth of the steps.
        weight_decay: decoupled weight decay, ≥ 0.
        class_weights: weight of each class in the loss, in the order of the labels; None: all equal; "balanced": the
            inverse of each class's share of the training images, which the loop fills in.
        sampling: "uniform" over images, "balanced" over classes, or "group-balanced": over groups, each a class crossed
            with its attributes (`Sample.groups`); set by the arm.
        adapter: None or "lora"; set by the arm.
        augment: name of the augmentation; set by the arm.
        method: name of the training method (`records.METHODS`); set by the arm.
        head_factor: of a method that trains the last layer alone, > 0: times its published inverse penalty or learning
            rate; set by tuning.
        trainer: additional arguments for the trainer behind the classifier.

    Raises:
        RecordError: a value of the wrong type, a number out of range, or an unknown schedule.
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
    method: str = "erm"
    head_factor: float = 1.0

    def __post_init__(self) -> None:
        check_numbers("Recipe", self, NUMBERS)
        if not isinstance(self.trainer, Mapping):
            raise RecordError(f"Recipe: trainer must be a table of arguments, got {self.trainer!r}")
        for name, least in (("steps", 1), ("batch_size", 1), ("weight_decay", 0)):
            if not getattr(self, name) >= least:
                raise RecordError(f"Recipe: {name} must be at least {least}, got {getattr(self, name)}")
        for name in ("learning_rate", "adapter_learning_rate"):
            if (rate := getattr(self, name)) is not None and not 0 < rate < inf:
                raise RecordError(f"Recipe: {name} must be > 0, got {rate}")
        if not self.head_factor > 0:
            raise RecordError(f"Recipe: head_factor must be > 0, got {self.head_factor}")
        if isinstance(self.class_weights, str) and self.class_weights != "balanced":
            raise RecordError(f"Recipe: class_weights must be numbers or 'balanced', got {self.class_weights!r}")
        if self.schedule not in SCHEDULES:
            raise RecordError(f"Recipe: schedule must be one of {', '.join(SCHEDULES)}, got {self.schedule!r}")
        if self.method not in METHODS:
            raise RecordError(f"Recipe: method must be one of {', '.join(METHODS)}, got {self.method!r}")

    @property
    def how(self) -> TrainingMethod:
        """The training method."""
        return METHODS[self.method]

    @property
    def reads_groups(self) -> bool:
        """Whether its training reads the groups of the training images."""
        return self.how.reads_groups or self.sampling == GROUP_BALANCED


@dataclass(frozen=True)
class History:
    """The learning curves of one training, tuples of equal length, and notes about it.

    Attributes:
        steps: optimiser steps at each point.
        train_loss: mean loss on the training batches since the previous point.
        train_accuracy: share of those (augmented) training images that were classified correctly.
        validation_loss: mean loss on the validation split; NaN without validation images.
        validation_accuracy: share of the validation split that was classified correctly; NaN without validation images.
        notes: what the reader of a report must know about this training.

    Raises:
        RecordError: the lengths differ.
    """

    steps: tuple[int, ...] = ()
    train_loss: tuple[float, ...] = ()
    train_accuracy: tuple[float, ...] = ()
    validation_loss: tuple[float, ...] = ()
    validation_accuracy: tuple[float, ...] = ()
    notes: tuple[str, ...] = field(default=(), kw_only=True)

    def __post_init__(self) -> None:
        lengths = {name: len(values) for name, values in vars(self).items() if name != "notes"}
        if len(set(lengths.values())) > 1:
            raise RecordError(f"History: all curves must have the same length, got {lengths}")
