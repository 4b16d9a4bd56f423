"""The classifier: what is trained, explained and improved."""

from __future__ import annotations

import functools
import inspect
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import DataError
from ..records import History, Recipe, Sample
from .plugin import Plugin

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class Checkpoints:
    """Where a training saves checkpoints, and finds those of an earlier attempt.

    Attributes:
        folder: of this training alone; made when needed, removed by the loop once the training is complete.
        every: optimiser steps between two checkpoints; None: one is saved when the training is stopped, and no other.
    """

    folder: Path
    every: int | None


class TrainingMonitor(Protocol):
    """Follows a training step by step, and may stop it."""

    def on_step(self, step: int, steps: int, resumed_at: int = 0) -> bool:
        """Takes note of a finished step, or of the beginning; returns whether the training has to stop now.

        A training that has to stop saves a checkpoint, where it was given a place for them, and raises RunStopped.

        Args:
            step: how many steps are done: before the first one, 0 or `resumed_at`.
            steps: how many there will be.
            resumed_at: the step that an earlier attempt had reached.
        """
        ...


class Classifier(Plugin):
    """An image classifier that can be trained, copied, saved to a folder and asked for predictions.

    Attributes:
        labels: names of the classes, in the order of its outputs; empty until `prepare`, `fit` or `load` sets them.
        trainable: whether `fit` can train it; if not, a run that would is refused before any work.
        training_methods: names of the training methods (`records.METHODS`), and of the ways of sampling, that `fit` can
            do besides plain training with uniform or class-balanced sampling; a run leaves out arms that need others.
        notes: what the reader of a report must know about how `prepare` treated the data, such as a trained head with
            other classes that is not used.
    """

    labels: tuple[str, ...] = ()
    trainable: bool = True
    training_methods: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "predict_proba" in vars(cls):  # so that all classifiers refuse alike, and none has to think of it
            cls.predict_proba = _refuse_paths(cls.predict_proba)  # type: ignore[method-assign]

    def complete_labels(self, labels: Sequence[str]) -> tuple[str, ...]:
        """The classes of a run that does not train it: those of the data, then others that it knows.

        Args:
            labels: classes of the data.
        """
        return tuple(labels)

    @abstractmethod
    def fit(self, train: Sequence[Sample], validation: Sequence[Sample], *, recipe: Recipe, seed: int) -> History:
        """Trains in place, from the present weights, and returns the curves.

        A classifier may declare four more keywords, each with None as its default. A loop passes one only where `fit`
        declares it, `snapshots` and periodic checkpoints only where its user asked for them:

        - `checkpoints: Checkpoints | None`: save a checkpoint every so many steps, resume from the newest one there,
          and end with the same weights as without. Beside `monitor`, `every` may be None.
        - `logs: Path | None`: a folder of the run for the files of a tracker that the recipe names; made when needed.
        - `monitor: TrainingMonitor | None`: call its `on_step` after each step, and stop when it says so.
        - `snapshots: Path | None`: a folder for the weights at each point of the curves, as `save` writes them, in
          folders named by their step.

        Args:
            train: images to train on; their `weight` counts in the loss. They have masks (`Sample.subject`) where the
                recipe's method reads them.
            validation: images for the curves only; may be empty.
            recipe: how to train; the weights after its last step are kept.
            seed: decides order, augmentation and new weights.

        Raises:
            UnsupportedRecipeError: before training, when the recipe cannot be followed.
            RunStopped: the monitor asked it to stop.
        """

    @classmethod
    def fit_options(cls) -> frozenset[str]:
        """Which of the optional keywords, "checkpoints", "logs", "monitor" and "snapshots", `fit` declares."""
        return frozenset({"checkpoints", "logs", "monitor", "snapshots"} & inspect.signature(cls.fit).parameters.keys())

    @abstractmethod
    def predict_proba(self, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        """Class probabilities: n k, float32, rows sum to 1.

        Args:
            images: PIL images; n.

        Raises:
            NotFittedError: there is no trained head.
            DataError: paths, or a single image, were given in place of a list of images.
        """

    @abstractmethod
    def save(self, folder: str | Path) -> None:
        """Writes everything that `load` needs into `folder`."""

    @classmethod
    @abstractmethod
    def load(cls, folder: str | Path) -> Self:
        """The classifier that was saved in `folder`, ready to predict."""

    @abstractmethod
    def fork(self) -> Self:
        """An independent copy with the same weights: training one does not change the other."""

    def embed(self, images: Sequence[Image.Image]) -> NDArray[np.float32] | None:  # noqa: ARG002
        """Features of the images: n d, float32; None where the classifier has none."""
        return None


_Predict = Callable[..., NDArray[np.float32]]


def _refuse_paths(predict: _Predict) -> _Predict:
    """The method, which refuses what is no list of images."""

    @functools.wraps(predict)
    def check(self: Classifier, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        require_images("predict_proba", images)
        return predict(self, images)

    return check


def require_images(who: str, images: object) -> None:
    """Refuses what is no list of PIL images; other sequences pass, since they may open an image whenever one is read.

    Args:
        who: to name in errors.
        images: what was given.

    Raises:
        DataError: it is one image, or holds paths or arrays.
    """
    if isinstance(images, Image.Image):
        raise DataError(f"{who} takes a list of images, got one image: write [image]")
    if isinstance(images, list | tuple):
        other = next((one for one in images if not isinstance(one, Image.Image)), None)
    else:
        other = images if isinstance(images, str | bytes | PathLike | np.ndarray) else None
    if isinstance(other, str | bytes | PathLike):
        raise DataError(
            f"{who} takes a list of PIL images, got the path {other!r}. How a file is rotated, cropped and converted "
            "affects the prediction, so open it yourself, as runs do: "
            "ImageOps.exif_transpose(Image.open(path)).convert('RGB')"
        )
    if other is not None:
        shape = getattr(other, "shape", None)
        hint = f" of shape {tuple(shape)}; Image.fromarray makes an image of an array h w 3, uint8" if shape else ""
        raise DataError(f"{who} takes a list of PIL images, got {type(other).__name__}{hint}")


@dataclass(frozen=True)
class Prepared:
    """Images as a model sees them.

    Attributes:
        pixels: n c h w, float32.
        boxes: n 4, float32: x0 y0 x1 y1 of what the model saw, in pixels of the original image.
    """

    pixels: Tensor
    boxes: Tensor


@runtime_checkable
class TorchModel(Protocol):
    """What gradient and attention explainers need of a classifier."""

    @property
    def module(self) -> nn.Module:
        """The network, in evaluation mode; returns logits, bare or as the attribute `logits` of its output."""
        ...

    def preprocess(self, images: Sequence[Image.Image]) -> Prepared:
        """The images as the network sees them."""
        ...


@runtime_checkable
class PartialViewer(Protocol):
    """A classifier without a network to show, which still tells what it sees of an image."""

    def find_box(self, image: Image.Image) -> tuple[float, float, float, float]:
        """What the model sees of the image: x0 y0 x1 y1 in its pixels; padding lies outside it."""
        ...
