"""Training of the last layer alone, on embeddings that are computed once: refit, or finetuned."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...errors import RunStopped, UnsupportedRecipeError, name_some
from ...interfaces import TrainingMonitor
from ...records import History, Recipe, Sample
from ...records.training_method import GROUP_BALANCED
from ._dataset import TrainingTask, draw_order, form_strata
from ._sparse_regression import fit_sparse_regression

Floats = NDArray[np.float64]

SUBSETS = 20  # balanced subsets that a refit is averaged over, as published with DFR
FEW = 20  # images of a class or group in a subset, below which the reader is told
# As the authors of SELF set them in their demonstration.
RATE, MOMENTUM, DECAY, STEPS, BATCH = 1e-2, 0.9, 1e-4, 250, 32
CHECKED, SLACK = 8, 1e-3  # images on which the layer is compared with the network, and largest difference


@dataclass(frozen=True, eq=False)
class Head:
    """A last layer.

    Attributes:
        weights: k d, rows in the order of the classes.
        biases: k.
    """

    weights: Floats
    biases: Floats

    def predict(self, features: Floats) -> Floats:
        """The probabilities of the classes: n k."""
        logits = features @ self.weights.T + self.biases
        scores = np.exp(logits - logits.max(axis=1, keepdims=True))
        probabilities: Floats = scores / scores.sum(axis=1, keepdims=True)
        return probabilities


@dataclass(frozen=True, eq=False)
class HeadNetwork:
    """A network whose last layer can be read and replaced, as functions.

    Attributes:
        embed: what the last layer reads of images: n d.
        predict: the network's probabilities for images: n k.
        read: returns the last layer.
        write: replaces it.
    """

    embed: Callable[[Sequence[Image.Image]], NDArray[np.float32]]
    predict: Callable[[Sequence[Image.Image]], NDArray[np.float32]]
    read: Callable[[], Head]
    write: Callable[[Head], None]


@dataclass(frozen=True, eq=False)
class EmbeddedImages:
    """Training images as the last layer reads them.

    Attributes:
        features: n d.
        labels: n.
        weights: n, in the loss.
        strata: n, the class or group that is balanced; all 0 where nothing is.
    """

    features: Floats
    labels: NDArray[np.int64]
    weights: Floats
    strata: NDArray[np.int64]


def refit(head: Head, images: EmbeddedImages, seed: int, factor: float = 1.0) -> Head:
    """A new last layer: sparse logistic regression on balanced subsets, averaged (arXiv 2204.02937).

    As published: standardised features, an L1 penalty with C = 1, and 20 subsets that have as many images of each
    stratum as the smallest one has. Without strata one regression on all images. A factor multiplies C.
    """
    mean, scale = images.features.mean(axis=0), images.features.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    features = (images.features - mean) / scale
    rng = np.random.default_rng(seed)
    found = np.zeros((len(head.biases), features.shape[1] + 1))
    total = np.zeros_like(found)
    subsets = list(_draw_subsets(images.strata, rng))
    for subset in subsets:
        found = fit_sparse_regression(features[subset], images.labels[subset], images.weights[subset], found, factor)
        total += found
    weights = total[:, :-1] / len(subsets) / scale
    return Head(weights, total[:, -1] / len(subsets) - weights @ mean)


def finetune(head: Head, images: EmbeddedImages, seed: int, factor: float = 1.0) -> Head:
    """The last layer after 250 steps of gradient descent on batches with balanced strata (arXiv 2309.08534).

    A factor multiplies the learning rate.
    """
    rng = np.random.default_rng(seed)
    order = draw_order(images.strata, STEPS * BATCH, "balanced", rng).reshape(STEPS, BATCH)
    weights, biases = head.weights.copy(), head.biases.copy()
    pace = np.zeros_like(weights), np.zeros_like(biases)
    for batch in order:
        share = images.weights[batch, None] / images.weights[batch].sum()
        errors = Head(weights, biases).predict(images.features[batch])
        errors[np.arange(BATCH), images.labels[batch]] -= 1
        slopes = (share * errors).T @ images.features[batch], (share * errors).sum(axis=0)
        pace = (
            MOMENTUM * pace[0] + slopes[0] + DECAY * weights,
            MOMENTUM * pace[1] + slopes[1] + DECAY * biases,
        )
        weights, biases = weights - factor * RATE * pace[0], biases - factor * RATE * pace[1]
    return Head(weights, biases)


HEAD_FITS: dict[str, Callable[[Head, EmbeddedImages, int, float], Head]] = {
    "last-layer": refit,
    "last-layer-finetune": finetune,
}


def train_head(network: HeadNetwork, task: TrainingTask, monitor: TrainingMonitor | None = None) -> History:
    """Trains the last layer of a network in place; images are not augmented, and the curves have one point.

    Args:
        network: the network.
        task: what is asked for, checked.
        monitor: told of each image that is embedded; may stop the training.

    Raises:
        UnsupportedRecipeError: the network changes what its last layer gives, or a class has no image.
        RunStopped: the monitor stopped it; the network is as before.
    """
    _check_classes(task)
    head = network.read()
    count = len(task.train) + len(task.validation)
    features = network.embed(_Images(task.train, monitor, 0, count)).astype(np.float64)
    _compare(network, head, task.train[:CHECKED], features[:CHECKED])
    images = _gather(features, task.train, task.recipe)
    fitted = HEAD_FITS[task.recipe.method](head, images, task.seed, task.recipe.head_factor)
    validation = _Images(task.validation, monitor, len(task.train), count)
    held_out = network.embed(validation).astype(np.float64) if len(validation) else features[:0]
    network.write(fitted)
    curves = (*_score(fitted, features, task.train), *_score(fitted, held_out, task.validation))
    return History((1,), *((value,) for value in curves), notes=_list_notes(images, task.recipe))


def _check_classes(task: TrainingTask) -> None:
    """Refuses images that say nothing of a class."""
    known = {sample.label for sample in task.train}
    missing = [label for number, label in enumerate(task.labels) if number not in known]
    if missing and (HEAD_FITS[task.recipe.method] is refit or len(known) < 2):
        raise UnsupportedRecipeError(
            f"{task.recipe.method} needs images of every class; without any: {name_some(missing)}"
        )


class _Images(Sequence[Image.Image]):
    """The images of samples, each opened when it is read.

    Args:
        samples: the images.
        monitor: told of each that is read.
        first: how many were read before these.
        count: of all images that are read in this training.
    """

    def __init__(self, samples: Sequence[Sample], monitor: TrainingMonitor | None, first: int, count: int) -> None:
        self._samples, self._monitor, self._first, self._count = samples, monitor, first, count

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: Any) -> Any:  # never asked for a slice
        image = self._samples[index].open()
        step = self._first + index + 1
        if self._monitor is not None and self._monitor.on_step(step, self._count):
            raise RunStopped(f"the training stopped after image {step} of {self._count}")
        return image


def _compare(network: HeadNetwork, head: Head, samples: Sequence[Sample], features: Floats) -> None:
    """Refuses a network whose probabilities are not those of its last layer."""
    expected = head.predict(features)
    found = network.predict([sample.open() for sample in samples])
    if found.shape != expected.shape or np.abs(found - expected).max() > SLACK:
        raise UnsupportedRecipeError(
            "the probabilities of this network are not the softmax of what its last linear layer gives, so that"
            " training this layer alone is not defined"
        )


def _gather(features: Floats, train: Sequence[Sample], recipe: Recipe) -> EmbeddedImages:
    labels = np.array([sample.label for sample in train], np.int64)
    weights = np.array([sample.weight for sample in train])
    if recipe.class_weights is not None:
        weights = weights * np.array(recipe.class_weights, float)[labels]
    return EmbeddedImages(features, labels, weights, form_strata(train, recipe.sampling))


def _draw_subsets(strata: NDArray[np.int64], rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """Places of the images of each subset; one subset, of all images, where there is one stratum."""
    members = [np.flatnonzero(strata == stratum) for stratum in np.unique(strata)]
    fewest = min(len(places) for places in members)
    for _ in range(SUBSETS if len(members) > 1 else 1):
        yield np.sort(np.concatenate([rng.permutation(places)[:fewest] for places in members]))


def _list_notes(images: EmbeddedImages, recipe: Recipe) -> tuple[str, ...]:
    strata, counts = np.unique(images.strata, return_counts=True)
    if recipe.method != "last-layer" or len(strata) < 2 or counts.min() >= FEW:
        return ()
    what = "group" if recipe.sampling == GROUP_BALANCED else "class"
    return (
        f"the smallest {what} has {counts.min()} images, and each of the {len(strata)} is cut to that number: few to"
        " refit a last layer on.",
    )


def _score(head: Head, features: Floats, samples: Sequence[Sample]) -> tuple[float, float]:
    """Mean loss and accuracy; NaN without images."""
    if not len(samples):
        return float("nan"), float("nan")
    labels = np.array([sample.label for sample in samples])
    probabilities = head.predict(features)
    likelihood = np.maximum(probabilities[np.arange(len(labels)), labels], 1e-12)
    return float(-np.log(likelihood).mean()), float((probabilities.argmax(axis=1) == labels).mean())
