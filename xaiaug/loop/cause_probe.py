"""Tests a stated cause on images of one's own: no run folder, no training."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..causes import (
    ALPHA,
    MOST_POOL,
    CauseOfMistake,
    JudgedCause,
    Photo,
    Slice,
    StatedCause,
    create_ask,
    group_causes,
    judge_trials,
    parse_cause,
    run_trial,
)
from ..data.label_names import to_class_indices
from ..errors import DataError
from ..imaging.image_stats import digest_image
from ..interfaces import Classifier
from ..plugins._segmentation import create_segmenter
from ..records import Cause, Critique

Stated = Cause | Critique | None
BATCH = 64


def probe_cause(
    classifier: Classifier,
    images: Sequence[Image.Image],
    labels: Sequence[str] | Sequence[int],
    cause: Stated | Sequence[Stated],
    *,
    slices: Sequence[Sequence[int]] | None = None,
    segment: Callable[[Image.Image], NDArray[Any]] | None = None,
    seed: int = 0,
    alpha: float = ALPHA,
) -> list[JudgedCause]:
    """Tests whether a stated cause is why a classifier fails, by interventions on the images.

    The cause is removed from every failed image (or added, if it states an absence), and added to correct images of
    the class. The effect must exceed that of the same edit elsewhere and that of the strongest of seven
    nuisance edits (flip, 5 % crop, JPEG, …), which half of the images choose and the other half decides. Sign-flip
    tests over the cases of a slice; Holm's method over slices.

    Args:
        classifier: ready to predict; left as it was.
        images: n images, RGB: failed ones, and correct ones of the same classes, at least 10 of each.
        labels: n, their true classes: names or indices.
        cause: a `Cause`, or a critic's `Critique`, whose words are read; one for all, or n of them, None for an image
            without. Those of images that are classified correctly are not read.
        slices: lists of indices of images whose mistakes are tested together; None: all of them. Within a slice,
            mistakes of different pairs of classes, and causes of different kinds, are tested separately.
        segment: finds the subject: image to h w, 0 to 1; None: the library's own. Give one where you know it.
        seed: of donors and places. The same arguments give the same result.
        alpha: probability of confirming any cause where none has an effect.

    Returns:
        One `JudgedCause` per slice, the largest first: `.verdict.outcome` ("confirmed", "refuted", "suggestive" or
        "untestable"), `.verdict.sentence`, counts, effect with interval, and images before and after.

    Raises:
        DataError: lengths differ, a label is unknown, or an image is in two slices.
        PluginError: the classifier returned no probabilities.
    """
    targets = _check(classifier, images, labels)
    stated = _spread(cause, len(images))
    groups = _group_indices(slices, len(images))
    who = f"{type(classifier).__name__}.predict_proba"
    ask = create_ask(who, classifier.predict_proba, len(classifier.labels))
    batches = [ask(images[start : start + BATCH]) for start in range(0, len(images), BATCH)]
    predicted = np.concatenate(batches).argmax(axis=1).tolist() if batches else []
    find = segment or create_segmenter(None, "probe_cause").mask
    photos = [Photo(digest_image(image), image, find) for image in images]
    failed = [i for i in range(len(images)) if targets[i] != predicted[i] and groups[i] is not None]
    causes = [CauseOfMistake(targets[i], predicted[i], _to_cause(stated[i]), groups[i]) for i in failed]
    right = sorted((i for i in range(len(images)) if targets[i] == predicted[i]), key=lambda i: photos[i].id)
    pools = {label: [photos[i] for i in right if targets[i] == label][:MOST_POOL] for label in set(targets)}
    trials = []
    for places in group_causes(causes):
        members = [StatedCause(photos[failed[place]], cause) for place in places if (cause := causes[place].cause)]
        label, other = causes[places[0]].label, causes[places[0]].predicted
        chosen = Slice(label, other, members, pools[label], pools.get(other, ()))
        trials.append(run_trial(ask, chosen, seed))
    return judge_trials(trials, classifier.labels, alpha)


def _check(classifier: Classifier, images: Sequence[Any], labels: Sequence[Any]) -> list[int]:
    """The indices of the labels."""
    names = classifier.labels
    if not names:
        raise DataError(f"probe_cause: {type(classifier).__name__} has no labels yet; prepare, fit or load it first")
    if len(images) != len(labels):
        raise DataError(f"probe_cause: needs one label per image, got {len(images)} images and {len(labels)} labels")
    return to_class_indices("probe_cause", labels, names)


def _spread(cause: Any, count: int) -> list[Stated]:
    if cause is None or isinstance(cause, Cause | Critique):
        return [cause] * count
    causes = list(cause) if isinstance(cause, Iterable) and not isinstance(cause, str) else [cause] * count
    if len(causes) != count:
        raise DataError(f"probe_cause: needs one cause, or one per image, got {len(causes)} for {count} images")
    for one in causes:
        if one is not None and not isinstance(one, Cause | Critique):
            raise DataError(f"probe_cause: a cause must be a Cause, a Critique or None, got {type(one).__name__}")
    return causes


def _to_cause(stated: Stated) -> Cause | None:
    return parse_cause(stated) if isinstance(stated, Critique) else stated


def _group_indices(slices: Sequence[Sequence[int]] | None, count: int) -> list[int | None]:
    """The slice of each image; None where it is in none."""
    if slices is None:
        return [0] * count
    groups: list[int | None] = [None] * count
    for number, members in enumerate(slices):
        for index in members:
            if not 0 <= index < count or groups[index] is not None:
                raise DataError(
                    f"probe_cause: slices must hold indices of {count} images, each once; got {index} in slice {number}"
                )
            groups[index] = number
    return groups
