"""The classifier by histograms of oriented gradients and logistic regression."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...errors import DataError, NotFittedError, UnsupportedRecipeError
from ...interfaces import Classifier, Context
from ...metrics.groups import form_groups
from ...records import History, Recipe, Sample
from ...records.training_method import GROUP_BALANCED
from .._pixels import to_rgb
from ._saved_state import read_state, write_state

_WEIGHTS = "weights.npz"
# A side of 64 pixels is no better on photographs of cats and dogs (0.74 either way), and costs twice as much.
_SIDE, _CELL = 48, 8
_COLOURS = 4
_STRENGTH = 1e-3  # inverse of the regularisation; ten times more or less changes accuracy by less than a point
_ABSENT = -30.0  # logit of a class without training images


class HogClassifier(Classifier):
    """Histograms of oriented gradients (Dalal and Triggs 2005) and logistic regression: trains in seconds on a CPU.

    A weak classifier, but of another family than any network: it is deterministic, needs no weights, and its decision
    ignores colour, so that it cannot use a shortcut by colour. Its training has one optimum: the present weights, the
    steps and the seed do not matter.

    Args:
        most: maximum number of training images, balanced over the classes as far as possible; chosen by their digests.
    """

    training_methods = frozenset({GROUP_BALANCED})

    def __init__(self, most: int = 4000) -> None:
        self.most = most
        self._weights: dict[str, NDArray[np.float32]] = {}

    def prepare(self, context: Context) -> None:
        """Takes the labels of the context."""
        self.labels = context.labels or self.labels

    def fit(self, train: Sequence[Sample], validation: Sequence[Sample], *, recipe: Recipe, seed: int) -> History:  # noqa: ARG002
        """Fits the scaler and the regression; the curves have one point.

        Raises:
            UnsupportedRecipeError: the recipe has an adapter or an augmentation.
            DataError: there is no training image.
        """
        from sklearn.linear_model import LogisticRegression
        from sklearn.preprocessing import StandardScaler

        if recipe.adapter is not None or recipe.augment != "default":
            raise UnsupportedRecipeError(
                f"HogClassifier does not support adapters and augmentations; got adapter = {recipe.adapter!r}, "
                f"augment = {recipe.augment!r}"
            )
        chosen = _choose_evenly(train, self.most)
        if not chosen:
            raise DataError("HogClassifier.fit: the train split is empty")
        labels = np.array([sample.label for sample in chosen])
        values = _extract(chosen)
        scaler = StandardScaler().fit(values)
        self._weights = {"mean": scaler.mean_.astype(np.float32), "scale": scaler.scale_.astype(np.float32)}
        regression = LogisticRegression(C=_STRENGTH, max_iter=1000, class_weight=_class_weight(recipe))
        weights = _weigh(chosen, recipe)
        self._fit_regression(regression, self._drop_colours(self._scale(values)), labels, weights)
        train_scores = self._score(values, labels)
        held_out = np.array([sample.label for sample in validation])
        validation_scores = (
            self._score(_extract(validation), held_out) if len(held_out) else (float("nan"), float("nan"))
        )
        return History((recipe.steps,), *((value,) for value in (*train_scores, *validation_scores)))

    def predict_proba(self, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        """Class probabilities: n k, float32, rows sum to 1."""
        if not self._weights:
            raise NotFittedError("HogClassifier is not fitted; call fit first")
        if not len(images):
            return np.zeros((0, len(self.labels)), np.float32)
        return self._predict(self.embed(images))

    def embed(self, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        """Gradients, and colours at 4 x 4, each in standard deviations of the training images: n d, float32."""
        if not self._weights:
            raise NotFittedError("HogClassifier is not fitted; call fit first")
        return self._scale(np.stack([_extract_features(image) for image in images]))

    def fork(self) -> Self:
        """An independent copy with the same weights."""
        other = type(self)(self.most)
        other.labels, other._weights = self.labels, copy.deepcopy(self._weights)
        return other

    def save(self, folder: str | Path) -> None:
        """Writes the weights as plain arrays, and the rest as JSON."""
        write_state(folder, {"parameters": self.parameters(), "labels": self.labels})
        np.savez(Path(folder) / _WEIGHTS, allow_pickle=False, **self._weights)

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """The classifier that was saved in `folder`, ready to predict."""
        state = read_state(folder, cls)
        classifier = cls(**state["parameters"])
        classifier.labels = tuple(state["labels"])
        with np.load(Path(folder, _WEIGHTS), allow_pickle=False) as weights:
            classifier._weights = {name: weights[name] for name in weights.files}
        return classifier

    def _fit_regression(
        self, regression: Any, values: NDArray[np.float32], labels: NDArray[np.int64], weights: list[float]
    ) -> None:
        """Sets coefficients (k d) and intercepts (k); a class without training images gets a very low logit."""
        classes = len(self.labels) or int(labels.max()) + 1
        coefficients = np.zeros((classes, values.shape[1]), np.float32)
        intercepts = np.full(classes, _ABSENT, np.float32)
        seen = np.unique(labels)
        intercepts[seen] = 0
        if len(seen) > 1:
            regression.fit(values, labels, sample_weight=weights)
            rows = seen if len(seen) > 2 else seen[1:]  # of two classes the regression gives the second's logit
            coefficients[rows], intercepts[rows] = regression.coef_, regression.intercept_
        self._weights |= {"coefficients": coefficients, "intercepts": intercepts}

    def _predict(self, scaled: NDArray[np.float32]) -> NDArray[np.float32]:
        logits = self._drop_colours(scaled) @ self._weights["coefficients"].T + self._weights["intercepts"]
        scores = np.exp(logits - logits.max(axis=1, keepdims=True))
        probabilities: NDArray[np.float32] = (scores / scores.sum(axis=1, keepdims=True)).astype(np.float32)
        return probabilities

    def _scale(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        return (values - self._weights["mean"]) / self._weights["scale"]

    def _drop_colours(self, scaled: NDArray[np.float32]) -> NDArray[np.float32]:
        """The features without the colours."""
        return scaled[:, : -3 * _COLOURS**2]

    def _score(self, values: NDArray[np.float32], labels: NDArray[np.int64]) -> tuple[float, float]:
        """Mean loss and accuracy."""
        probabilities = self._predict(self._scale(values))
        likelihood = np.maximum(probabilities[np.arange(len(labels)), labels], 1e-9)
        return float(-np.log(likelihood).mean()), float((probabilities.argmax(axis=1) == labels).mean())


def _extract(samples: Sequence[Sample]) -> NDArray[np.float32]:
    return np.stack([_extract_features(sample.open()) for sample in samples])


def _extract_features(image: Image.Image) -> NDArray[np.float32]:
    from skimage.feature import hog

    small = to_rgb(image).resize((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    gradients = hog(
        np.asarray(small.convert("L")), orientations=9, pixels_per_cell=(_CELL, _CELL), cells_per_block=(2, 2)
    )
    colours = np.asarray(small.resize((_COLOURS, _COLOURS), Image.Resampling.BOX), np.float32).ravel() / 255
    return np.concatenate([gradients.astype(np.float32), colours])


def _choose_evenly(samples: Sequence[Sample], most: int) -> list[Sample]:
    """At most so many, the classes in turn, each in the order of its digests."""
    turns: Counter[int] = Counter()
    ranked = []
    for sample in sorted(samples, key=lambda sample: sample.id):
        ranked.append((turns[sample.label], sample.label, sample))
        turns[sample.label] += 1
    return [sample for *_, sample in sorted(ranked, key=lambda row: row[:2])[:most]]


def _weigh(samples: Sequence[Sample], recipe: Recipe) -> list[float]:
    """The weight of each image; with balanced groups these are divided by the sizes of their groups."""
    if recipe.sampling != GROUP_BALANCED:
        return [sample.weight for sample in samples]
    numbers = form_groups([sample.label for sample in samples], [sample.groups for sample in samples]).numbers
    # Images without attributes form one group a class.
    groups = [(int(number), sample.label) for number, sample in zip(numbers, samples, strict=True)]
    sizes = Counter(groups)
    return [
        sample.weight * len(samples) / (len(sizes) * sizes[group])
        for sample, group in zip(samples, groups, strict=True)
    ]


def _class_weight(recipe: Recipe) -> Any:
    if recipe.sampling == "balanced" or recipe.class_weights == "balanced":
        return "balanced"
    return None if recipe.class_weights is None else dict(enumerate(recipe.class_weights))
