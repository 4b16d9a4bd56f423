"""The classifier for any function from images to probabilities."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...errors import ConfigError
from ...interfaces import Classifier, Context
from ...records import JSON, History, Recipe, Sample
from .._pixels import to_rgb
from ._probabilities import check_names, check_probabilities, complete_names, order_names, refuse_training
from ._saved_state import read_state, write_state

_PROBE_SIDE, _PROBES = 224, 3


class PredictClassifier(Classifier):
    """Any function from images to probabilities, as a classifier that can be diagnosed, not trained.

    `predict` may be a name, "package.module:function", which workers and resumed runs can import. A live function works
    only in the process that made it. Results are keyed by the function's source, the values it closes over, and its
    answers to three images of noise, rounded to four digits: so other weights behind it are noticed.

    Args:
        predict: called with a list of RGB images it returns their class probabilities, n k, rows sum to 1.
        labels: names of the k classes, in the order of its columns.
        batch_size: images per call.
    """

    trainable = False

    def __init__(
        self,
        predict: Callable[[list[Image.Image]], Any] | str,
        labels: Sequence[str],
        batch_size: int = 32,
    ) -> None:
        if batch_size < 1:
            raise ConfigError(f"PredictClassifier: batch_size must be 1 or more, got {batch_size}")
        self.labels = self._own_labels = check_names("PredictClassifier", labels)
        self.batch_size = batch_size
        self._function = _Function(predict)

    def parameters(self) -> dict[str, JSON]:
        """The function's name, or a description of a live one, from which it cannot be made again."""
        from ._callables import describe_part

        return {
            "predict": describe_part(self._function.source),
            "labels": list(self._own_labels),
            "batch_size": self.batch_size,
        }

    def identity(self) -> dict[str, JSON]:
        """Class, version, source and parameters, and a digest of the function's answers to noise."""
        from ._callables import LIVE_PARTS

        identity = {**super().identity(), "answers": self._function.digest_answers(self._own_labels)}
        if self._function.alive:
            LIVE_PARTS[_make_key(identity)] = self._function
        return identity

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles the function's name.

        Raises:
            ConfigError: it is live.
        """
        from ._callables import refuse_live_parts

        if self._function.alive:
            refuse_live_parts("PredictClassifier", ["predict"])
        return super().__reduce__()

    def complete_labels(self, labels: Sequence[str]) -> tuple[str, ...]:
        """The classes of the data, and others that the function knows."""
        return complete_names(self._own_labels, labels)

    def prepare(self, context: Context) -> None:
        """Orders the probabilities as the context's labels.

        Raises:
            ConfigError: these are not the function's, or its name leads nowhere.
        """
        self._function.resolve()
        self.labels = order_names("PredictClassifier", self._own_labels, context.labels or self.labels)

    def fit(self, train: Sequence[Sample], validation: Sequence[Sample], *, recipe: Recipe, seed: int) -> History:  # noqa: ARG002
        """Never trains.

        Raises:
            UnsupportedRecipeError: always.
        """
        refuse_training("PredictClassifier")

    def predict_proba(self, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        """Class probabilities: n k, float32, rows sum to 1; asks for `batch_size` images at a time.

        Raises:
            PluginError: the function returned something else.
        """
        parts = list(self._iter_probabilities(images))
        order = [self._own_labels.index(label) for label in self.labels]
        return np.concatenate(parts)[:, order] if parts else np.zeros((0, len(order)), np.float32)

    def fork(self) -> Self:
        """An independent copy, which calls the same function."""
        other = type(self)(self._function.source, self._own_labels, self.batch_size)
        other._function, other.labels = self._function, self.labels
        return other

    def save(self, folder: str | Path) -> None:
        """Writes the function's name. A live function is not written: `load` finds it in this process, and no other."""
        write_state(
            folder,
            {
                "parameters": self.parameters(),
                "labels": self.labels,
                "alive": self._function.alive,
                "key": _make_key(self.identity()),
            },
        )

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """The classifier that was saved in `folder`, ready to predict.

        Raises:
            ConfigError: its function was live, and this process does not hold it.
            DataError: the folder was not written by `save`.
        """
        from ._callables import LIVE_PARTS, refuse_live_parts

        state = read_state(folder, cls)
        classifier = cls(**state["parameters"])
        if state["alive"]:
            classifier._function = LIVE_PARTS.get(state["key"]) or refuse_live_parts(cls.__name__, ["predict"])
        classifier.prepare(Context(labels=tuple(state["labels"])))
        return classifier

    def _iter_probabilities(self, images: Sequence[Image.Image]) -> Iterator[NDArray[np.float32]]:
        remaining = iter(images)
        while batch := [to_rgb(image) for image in islice(remaining, self.batch_size)]:
            yield self._function(batch, self._own_labels)


class _Function:
    """The user's function, shared by the copies of a classifier.

    Attributes:
        source: the function, or its name.
    """

    def __init__(self, source: Any) -> None:
        self.source = source
        self._answers: str | None = None

    @property
    def alive(self) -> bool:
        """Whether it exists in this process alone."""
        return not isinstance(self.source, str)

    def resolve(self) -> Callable[[list[Image.Image]], Any]:
        """The function itself.

        Raises:
            ConfigError: its name leads nowhere, or to no function.
        """
        from ._callables import import_name

        found = import_name("PredictClassifier", self.source) if isinstance(self.source, str) else self.source
        if not callable(found):
            raise ConfigError(
                "PredictClassifier: predict must be a function from images to probabilities, or its name, got"
                f" {type(found).__name__}"
            )
        return found  # type: ignore[no-any-return]

    def __call__(self, images: list[Image.Image], labels: tuple[str, ...]) -> NDArray[np.float32]:
        return check_probabilities("PredictClassifier: predict", self.resolve()(images), len(images), labels)

    def digest_answers(self, labels: tuple[str, ...]) -> str:
        """A digest of what it answers to a few images of noise, asked once."""
        if self._answers is None:
            generator = np.random.default_rng(0)
            noise = generator.integers(0, 256, (_PROBES, 7, 7, 3), dtype=np.uint8)
            side = _PROBE_SIDE, _PROBE_SIDE
            images = [Image.fromarray(each).resize(side, Image.Resampling.BICUBIC) for each in noise]
            answers = np.round(self(images, labels), 4)
            self._answers = hashlib.sha256(answers.tobytes()).hexdigest()[:16]
        return self._answers


def _make_key(identity: dict[str, JSON]) -> str:
    return json.dumps(identity, sort_keys=True)
