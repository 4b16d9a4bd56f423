"""Checks what a model outside of torch answers: class names, and probabilities in their order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from ...errors import ConfigError, PluginError, UnsupportedRecipeError, name_some

TOLERANCE = 1e-3  # of the sum of a row


def check_names(who: str, labels: Any) -> tuple[str, ...]:
    """The names of the classes.

    Raises:
        ConfigError: they are not two or more different texts.
    """
    if isinstance(labels, str) or not isinstance(labels, Sequence):
        raise ConfigError(f"{who}: labels must be a list of names, got {labels!r:.80}")
    if len(labels) < 2 or not all(isinstance(label, str) and label for label in labels):
        raise ConfigError(f"{who}: labels must name two classes or more, got {labels!r:.80}")
    doubled = sorted({label for label in labels if list(labels).count(label) > 1})
    if doubled:
        raise ConfigError(f"{who}: each label must name one class, and these name several: {name_some(doubled)}")
    return tuple(labels)


def complete_names(known: Sequence[str], wanted: Sequence[str]) -> tuple[str, ...]:
    """The wanted names, then others that are known beside them; the wanted ones alone where not all are known."""
    others = [name for name in known if name not in wanted] if set(wanted) <= set(known) else []
    return (*wanted, *others)


def order_names(who: str, known: tuple[str, ...], wanted: Sequence[str]) -> tuple[str, ...]:
    """The wanted order of the known names.

    Raises:
        ConfigError: the wanted names are others.
    """
    if set(wanted) != set(known):
        raise ConfigError(
            f"{who}: the model has {len(known)} labels, {name_some(known)}; the data have {len(set(wanted))},"
            f" {name_some(wanted)}: give labels= in the order of its outputs, spelt as the data spell them"
        )
    return tuple(wanted)


def refuse_training(who: str) -> NoReturn:
    """Raises UnsupportedRecipeError: it predicts only."""
    raise UnsupportedRecipeError(
        f"{who} cannot be trained: it only predicts. Diagnose it as it is (fit_baseline = false, until = 'critique'),"
        " or give the network itself as a TorchClassifier with fit="
    )


def check_probabilities(who: str, answer: Any, count: int, labels: Sequence[str]) -> NDArray[np.float32]:
    """What a model answered, as probabilities: n k, float32.

    Args:
        who: for messages.
        answer: an array, a list or a tensor.
        count: number of images, n.
        labels: k names.

    Raises:
        PluginError: the answer is of another shape, or holds no probabilities.
    """
    if hasattr(answer, "detach"):
        answer = answer.detach().cpu()
    try:
        values = np.asarray(answer, np.float64)
    except (TypeError, ValueError) as error:
        raise PluginError(f"{who} must return an array n k, got {type(answer).__name__}: {error}") from error
    expected = count, len(labels)
    if values.shape != expected:
        one = values.shape in {(count,), (count, 1)} and len(labels) == 2
        hint = "; of one probability p for an image make two, 1 - p and p" if one else ""
        raise PluginError(
            f"{who} must return shape {expected} (n k) for the labels {name_some(labels)}, got {values.shape}{hint}"
        )
    sums = values.sum(axis=1)
    if not np.isfinite(values).all():
        raise PluginError(f"{who} returned values that are not finite for {(~np.isfinite(values)).any(1).sum()} images")
    if values.min(initial=0) < -TOLERANCE or np.abs(sums - 1).max(initial=0) > TOLERANCE:
        raise PluginError(
            f"{who} must return probabilities, 0 or more in rows that sum to 1; got values from {values.min():.4g} to"
            f" {values.max():.4g} and sums from {sums.min():.4g} to {sums.max():.4g}. Of logits return the softmax; a"
            " model with several labels for an image is not supported"
        )
    return values.clip(0, 1).astype(np.float32)
