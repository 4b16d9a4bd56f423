"""Finds slices among images of one's own: no run folder, no training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..causes import create_ask
from ..data.label_names import to_class_indices
from ..errors import DataError
from ..imaging.image_stats import digest_image
from ..interfaces import Classifier
from ..interfaces.classifier import require_images
from ..plugins._superpixels import subject_mask
from ..records import Explanation, Failure, Sample, Slices
from ..slices import GuideImage, Segment, Traits, find_obstacle, measure_traits, search_slices

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
        embeddings: n d, similar for similar images; None: the classifier's, where it has any.
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
    if not samples:
        require_images("find_slices", images)
    classes = tuple(names or (classifier.labels if classifier else ()))
    given = labels if labels is not None else [sample.label for sample in samples]
    targets = to_class_indices("find_slices", given, classes)
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
    nothing = [None] * len(images)
    embedded = nothing if vectors is None else vectors
    rows = zip(images, targets, predicted, explanations or nothing, embedded, strict=True)
    guide = []
    for index, (one, label, guess, explanation, vector) in enumerate(rows):
        key, traits = _measure(one, explanation, segment or subject_mask)
        guide.append(GuideImage(key, label, guess, traits, vector, None if samples else str(index)))
    return search_slices(guide, classes, seed)


def _measure(one: Any, explanation: Explanation | Failure | None, segment: Segment) -> tuple[str, Traits]:
    """What the image is known by, and its measurements."""
    image = _open(one)
    shown = explanation if isinstance(explanation, Explanation) else None
    return one.id if isinstance(one, Sample) else digest_image(image), measure_traits(image, segment, shown)


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
    ask = create_ask(f"{type(predictions).__name__}.predict_proba", predictions.predict_proba, len(predictions.labels))
    predicted: list[int] = []
    parts: list[NDArray[np.float32]] = []
    for start in range(0, len(images), BATCH):
        opened = [_open(one) for one in images[start : start + BATCH]]
        predicted += ask(opened).argmax(axis=1).tolist()
        vectors = predictions.embed(opened)
        if vectors is not None:
            parts.append(np.asarray(vectors, np.float32))
    return predicted, np.concatenate(parts) if parts else None


def _open(one: Any) -> Image.Image:
    image: Image.Image = one.open() if isinstance(one, Sample) else one
    return image.convert("RGB")


def _check_length(what: str, values: Sequence[Any] | NDArray[Any], images: Sequence[Any]) -> None:
    if len(values) != len(images):
        raise DataError(f"find_slices: needs one of {what} per image, got {len(values)} for {len(images)} images")
