"""The checks of new images, by the names that `[curation] checks` takes."""

from __future__ import annotations

import base64
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..records import JSON
from .duplicates import NearDuplicateIndex, RealImages
from .label_judge import Judge, JudgePredictions
from .similarity import ImageSignature

_LEAST_SIDE = 8
# A wall in the dark still varies by 3 or more grey levels; a decoder that met NaN gives 0.
_LEAST_DEVIATION = 2.0
# A judge that is right on 80 % of the mistakes is wrong on a fifth: it counts only where it is confident.
_CONFIDENT = 0.8


@dataclass(frozen=True)
class Rejection:
    """Why an image fails a check.

    Attributes:
        reason: what is wrong, in plain words.
        score: the measure behind it, if there is one.
    """

    reason: str
    score: float | None = None


@dataclass(frozen=True, eq=False)
class Candidate:
    """A new image, with what several checks need of it.

    Attributes:
        image: the image.
        real: the real images, which it must not repeat; None for none.
        label: name of the class it was made for; None if unknown.
        predictions: of the judge, for the images of this batch; None without a judge.
        position: of the image in the batch.
        parents: ids of the images it was made from; it may resemble those of them that are training images.
    """

    image: Image.Image
    real: RealImages | None = None
    label: str | None = None
    predictions: JudgePredictions | None = None
    position: int = 0
    parents: Collection[str] = ()

    @cached_property
    def signature(self) -> ImageSignature:
        """The image's signature; only for images that are not broken."""
        return ImageSignature.of(self.image)

    @cached_property
    def embedding(self) -> NDArray[np.float32] | None:
        """The image's embedding by the judge, of length 1; None if the judge gives none."""
        if self.predictions is None or self.predictions.judge.near_duplicate_threshold is None:
            return None
        return self.predictions.embedding(self.position)


@dataclass(frozen=True, eq=False)
class ImageDescription:
    """What checks find in a new image by itself, and what comparing it with other new images needs.

    Attributes:
        failed: name of the first check that it fails by itself; None if it fails none.
        rejection: why; None if it fails none.
        signature: None where no comparison needs it.
        embedding: by the judge, of length 1; None where no comparison needs it, or the judge gives none.
    """

    failed: str | None = None
    rejection: Rejection | None = None
    signature: ImageSignature | None = None
    embedding: NDArray[np.float32] | None = None

    def to_json(self) -> dict[str, JSON]:
        """The attributes by name, JSON-plain; `from_json` has every bit of them back."""
        return {
            "failed": self.failed,
            "rejection": None if self.rejection is None else asdict(self.rejection),
            "signature": None if self.signature is None else self.signature.to_text(),
            "embedding": None
            if self.embedding is None
            else base64.b64encode(self.embedding.astype("<f4").tobytes()).decode(),
        }

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Self:
        """The description that `to_json` gave."""
        rejection, signature, embedding = row["rejection"], row["signature"], row["embedding"]
        return cls(
            row["failed"],
            rejection and Rejection(**rejection),
            signature and ImageSignature.from_text(signature),
            embedding and np.frombuffer(base64.b64decode(embedding), "<f4").astype(np.float32),
        )


def check_broken(candidate: Candidate) -> Rejection | None:
    """Whether it cannot be trained on: not RGB, tiny or not decodable."""
    image = candidate.image
    if not isinstance(image, Image.Image):
        return Rejection(f"not an image: {type(image).__name__}")
    try:
        image.load()
    except (OSError, ValueError, SyntaxError) as error:
        return Rejection(f"cannot be decoded ({error})")
    if image.mode != "RGB":
        return Rejection(f"mode {image.mode}, expected RGB")
    if min(image.size) < _LEAST_SIDE:
        return Rejection(
            f"{image.width} x {image.height} pixels, expected at least {_LEAST_SIDE}", float(min(image.size))
        )
    return None


def check_nan(candidate: Candidate) -> Rejection | None:
    """Whether it is black in every pixel, which a NaN in a decoder leads to."""
    if max(high for _, high in candidate.image.getextrema()) == 0:  # type: ignore[misc]  # RGB has three pairs
        return Rejection("every pixel is black, as after a NaN in the decoder", 0.0)
    return None


def check_constant(candidate: Candidate) -> Rejection | None:
    """Whether it is nearly one colour."""
    values = np.asarray(candidate.image, dtype=np.float32)
    deviation = float(values.std(axis=(0, 1)).max())
    if deviation < _LEAST_DEVIATION:
        return Rejection(f"nearly one colour: standard deviation {deviation:.2f} of 255", deviation)
    return None


def check_duplicate(candidate: Candidate) -> Rejection | None:
    """Whether it repeats a real image of any split, by hashes and colours: no model looks at the test images."""
    match = candidate.real.find(candidate.signature, candidate.parents) if candidate.real else None
    return Rejection(f"{match[0]} (similarity {match[1]:.2f})", match[1]) if match else None


def check_repeat(image: ImageDescription, index: NearDuplicateIndex, _: Judge | None) -> Rejection | None:
    """Whether it repeats a synthetic image that was kept before, by hashes and colours."""
    match = None if image.signature is None else index.find_synthetic(image.signature)
    return Rejection(f"duplicate of {match[0]} (similarity {match[1]:.2f})", match[1]) if match else None


def check_label(candidate: Candidate) -> Rejection | None:
    """Whether it shows another class than it was made for, according to a confident judge."""
    if candidate.predictions is None or not candidate.predictions.judge.admitted or candidate.label is None:
        return None
    judge, probabilities = candidate.predictions.judge, candidate.predictions.probabilities(candidate.position)
    best = int(probabilities.argmax())
    predicted, confidence = judge.labels[best], float(probabilities[best])
    if predicted == candidate.label or confidence < _CONFIDENT:
        return None
    reason = f"made as {candidate.label}, but {judge.name} predicts {predicted} ({100 * confidence:.0f} %)"
    return Rejection(reason, float(probabilities[judge.labels.index(candidate.label)]))


def check_near_duplicate(image: ImageDescription, index: NearDuplicateIndex, judge: Judge | None) -> Rejection | None:
    """Whether it is nearer to a synthetic image kept before than any two training images are, in embedding space."""
    if image.embedding is None or judge is None or judge.near_duplicate_threshold is None:
        return None
    match = index.find_similar(image.embedding, judge.near_duplicate_threshold)
    if match is None:
        return None
    return Rejection(f"near-duplicate of {match[0]} ({judge.name} embeddings, {match[1]:.2f})", match[1])


CHECKS: Mapping[str, Callable[..., Rejection | None]] = {
    "broken": check_broken,
    "nan": check_nan,
    "constant": check_constant,
    "duplicate": check_duplicate,
    "repeat": check_repeat,
    "label": check_label,
    "alike": check_near_duplicate,
}
# They take a description and the images kept before; the others a candidate by itself, in whatever process.
COMPARISONS = frozenset({"repeat", "alike"})
