"""Finds slices among images of one's own: no run folder, no training."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import DataError, PluginError
from ..interfaces import Classifier
from ..plugins._superpixels import subject_mask
from ..records import Explanation, Failure, Sample, Slices
from ..slices import GuideImage, Segment, find_obstacle, measure_traits, search_slices

BATCH = 64


def find_slices(
    images: Sequence[Image.Image] | Sequence[Sample],
    predictions: Classifier | NDArray[Any] | Sequence[Any],
    labels: Sequence[str] | Sequence[int] | None = None,
    *,
    names: Sequence[str] | None = None,
    embeddings: NDArray[Any] | None = None,
    explanations: Sequence[Explanation | Failure | None] | None = None,
    segment: Segment | None = None,
    seed: int = 0,
) -> Slices:
    """The groups of images on which a classifier fails more often than on others of their class, each with a name.

    Images are compared by measured attributes (colours, tint, light, sharpness, the subject's size and place), by spots
    off the subject that return in many of them, present or absent, by where their heatmaps lie, and by the classifier's
    embedding. Slices are found on one half of the images by an error-aware mixture (Domino, arXiv 2203.14960) and
    scored on the other; the digest of an image decides its half. Their order does not matter.

    Args:
        images: n samples, or n images, RGB: correct ones and mistakes, of held-out data.
        predictions: a classifier that is ready to predict, and is left as it was; or its answers: n k probabilities,
            or n indices of the predicted classes.
        labels: n, the true classes, names or indices; None: those of the samples.
        names: of the classes; None: those of the classifier.
        embeddings: n d, what alike images have alike; None: the classifier's, where it has any.
        explanations: n heatmaps of the predicted classes; None, or a Failure, for an image without.
        segment: finds the subject: image to h w, 0 to 1; None: the library's own.
        seed: the same arguments give the same slices.

    Returns:
        The slices that hold, those with most mistakes first. Images are listed by their samples' ids, or by their
        positions where images were given. `.reason` says why there are none; with fewer than 20 mistakes there never
        are.

    Raises:
        DataError: lengths differ, a label is unknown, or values are not finite.
        PluginError: the classifier returned no probabilities.
    """
    classifier = predictions if isinstance(predictions, Classifier) else None
    samples = [one for one in images if isinstance(one, Sample)]
    if samples and len(samples) < len(images):
        raise DataError("find_slices: images must be all samples or all images, got both")
    classes = tuple(names or (classifier.labels if classifier else ()))
    targets = _to_indices(labels if labels is not None else [sample.label for sample in samples], classes)
    _check_length("labels", targets, images)
    predicted, vectors = _answer(images, predictions)
    if embeddings is not None:
        vectors = np.asarray(embeddings, np.float32)
    classes = classes or tuple(str(index) for index in range(max([*targets, *predicted], default=0) + 1))
    for what, values in (("predictions", predicted), ("embeddings", vectors), ("explanations", explanations)):
        if values is not None:
            _check_length(what, values, images)
    if vectors is not None and (vectors.ndim != 2 or not np.isfinite(vectors).all()):
        raise DataError(f"find_slices: embeddings must be finite and n d, got shape {vectors.shape}")
    mistakes = sum(label != guess for label, guess in zip(targets, predicted, strict=True))
    if reason := find_obstacle(mistakes, len(targets)):
        return Slices(images=len(targets), mistakes=mistakes, reason=reason)
    guide = []
    for index, one in enumerate(images):
        explanation = explanations[index] if explanations is not None else None
        guide.append(
            _measure(
                one,
                index,
                (targets[index], predicted[index]),
                None if vectors is None else vectors[index],
                explanation if isinstance(explanation, Explanation) else None,
                segment or subject_mask,
            )
        )
    return search_slices(guide, classes, seed)


def _measure(
    one: Any,
    index: int,
    classes: tuple[int, int],
    embedding: NDArray[np.float32] | None,
    explanation: Explanation | None,
    segment: Segment,
) -> GuideImage:
    image = _open(one)
    key, name = (one.id, None) if isinstance(one, Sample) else (_digest(image), str(index))
    return GuideImage(key, *classes, measure_traits(image, segment, explanation), embedding, name)


def _answer(images: Sequence[Any], predictions: Any) -> tuple[list[int], NDArray[np.float32] | None]:
    """The predicted classes, and the classifier's embeddings where one was given and has any."""
    if not isinstance(predictions, Classifier):
        values = np.asarray(predictions)
        if values.ndim not in (1, 2) or (values.ndim == 1 and not np.issubdtype(values.dtype, np.integer)):
            raise DataError(
                "find_slices: predictions must be a classifier, n k probabilities or n indices of classes, got "
                f"{values.dtype} of shape {values.shape}"
            )
        if not np.isfinite(values).all():
            raise DataError("find_slices: predictions must be finite")
        return (values if values.ndim == 1 else values.argmax(axis=1)).tolist(), None
    predicted: list[int] = []
    parts: list[NDArray[np.float32]] = []
    for start in range(0, len(images), BATCH):
        opened = [_open(one) for one in images[start : start + BATCH]]
        predicted += _predict(predictions, opened)
        vectors = predictions.embed(opened)
        if vectors is not None:
            parts.append(np.asarray(vectors, np.float32))
    return predicted, np.concatenate(parts) if parts else None


def _predict(classifier: Classifier, images: Sequence[Image.Image]) -> list[int]:
    answers = np.asarray(classifier.predict_proba(images), float)
    expected = (len(images), len(classifier.labels))
    if answers.shape != expected or not np.isfinite(answers).all():
        raise PluginError(
            f"{type(classifier).__name__}.predict_proba must return finite probabilities of shape {expected} (n k), "
            f"got {answers.shape}"
        )
    predicted: list[int] = answers.argmax(axis=1).tolist()
    return predicted


def _open(one: Any) -> Image.Image:
    image: Image.Image = one.open() if isinstance(one, Sample) else one
    return image.convert("RGB")


def _to_indices(labels: Sequence[Any], names: Sequence[str]) -> list[int]:
    indices = []
    for label in labels:
        if isinstance(label, str) and label in names:
            indices.append(list(names).index(label))
        elif not isinstance(label, str) and int(label) == label and 0 <= int(label) < (len(names) or np.inf):
            indices.append(int(label))
        else:
            raise DataError(f"find_slices: labels must be of {', '.join(names)}, or their indices; got {label!r:.80}")
    return indices


def _check_length(what: str, values: Sequence[Any] | NDArray[Any], images: Sequence[Any]) -> None:
    if len(values) != len(images):
        raise DataError(f"find_slices: needs one of {what} per image, got {len(values)} for {len(images)} images")


def _digest(image: Image.Image) -> str:
    return hashlib.sha256(f"{image.size}".encode() + image.tobytes()).hexdigest()[:32]
