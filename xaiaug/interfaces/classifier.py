"""The classifier: what is mended."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..records import History, Recipe, Sample
from .plugin import Plugin

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class Checkpoints:
    """Where an unfinished training may keep itself, and find what an earlier one left.

    Attributes:
        folder: of this training alone; made when needed, removed by the loop when the training is kept.
        every: optimiser steps between two checkpoints.
    """

    folder: Path
    every: int


class Classifier(Plugin):
    """An image classifier that can be trained, copied, kept in a folder and asked.

    Attributes:
        labels: names of the classes, in the order of its outputs; empty until `prepare`, `fit` or `load` sets them.
        checkpoints: set by a loop before `fit` where the user asked for it. A classifier that heeds it goes on from
            the newest one, and ends with the same weights as without.
        snapshots: set by a loop before `fit` where the user asked for curves of the test split: a folder for the
            weights at each point of the curves, as `save` writes them, in folders named by their step.
    """

    labels: tuple[str, ...] = ()
    checkpoints: Checkpoints | None = None
    snapshots: Path | None = None

    @abstractmethod
    def fit(self, train: Sequence[Sample], validation: Sequence[Sample], *, recipe: Recipe, seed: int) -> History:
        """Trains in place, from the present weights, and returns the curves.

        Args:
            train: images to train on; their `weight` counts in the loss.
            validation: images for the curves only; may be empty.
            recipe: how to train; the weights after its last step are kept.
            seed: decides order, augmentation and new weights.

        Raises:
            UnsupportedRecipeError: before training, when the recipe cannot be followed.
        """

    @abstractmethod
    def predict_proba(self, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        """Class probabilities: n k, float32, rows sum to 1.

        Raises:
            NotFittedError: there is no trained head.
        """

    @abstractmethod
    def save(self, folder: str | Path) -> None:
        """Writes all that `load` needs into `folder`."""

    @classmethod
    @abstractmethod
    def load(cls, folder: str | Path) -> Self:
        """The classifier that was saved in `folder`, ready to predict."""

    @abstractmethod
    def fork(self) -> Self:
        """An independent copy with the same weights: training one leaves the other as it is."""

    def embed(self, images: Sequence[Image.Image]) -> NDArray[np.float32] | None:  # noqa: ARG002
        """Features of the images: n d, float32; None where the classifier has none to give."""
        return None


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
    """What explainers by gradient or attention need of a classifier."""

    @property
    def module(self) -> nn.Module:
        """The network, in evaluation mode; returns logits, bare or as the attribute `logits` of its output."""
        ...

    def preprocess(self, images: Sequence[Image.Image]) -> Prepared:
        """The images as the network sees them."""
        ...
