"""Views: what slices are looked for in, each a few numbers an image, and which of them an image has."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..records.mistake_slice import SLICE_KINDS
from .looks import Look, find_looks, measure_presence
from .traits import Traits

Array = NDArray[np.float64]

MOST_FEATURES = 16  # directions of the embedding that are kept
CLIP = 6.0  # robust standard deviations beyond which a value counts as that far
NAMED = ("tint", "backdrop colour", "subject colour", "light", "sharpness", "size", "place", "heat")


@dataclass(frozen=True, eq=False)
class GuideImage:
    """One image that takes part.

    Attributes:
        id: an opaque digest of its content: decides its half and its place among equals.
        label: index of its class.
        predicted: index of the predicted class.
        traits: its measurements.
        embedding: d; None without.
        name: what a slice lists it as; its id if None.
    """

    id: str
    label: int
    predicted: int
    traits: Traits
    embedding: NDArray[np.float32] | None = None
    name: str | None = None

    @property
    def listed(self) -> str:
        """What a slice lists it as."""
        return self.id if self.name is None else self.name

    @property
    def wrong(self) -> bool:
        """Whether it is misclassified."""
        return self.label != self.predicted


@dataclass(frozen=True, eq=False)
class View:
    """One property of images.

    Attributes:
        kind: one of `SLICE_KINDS`.
        read: the values of images: n d.
        look: of the kind "mark"; else None.
    """

    kind: str
    read: Callable[[Sequence[GuideImage]], Array]
    look: Look | None = None


@dataclass(frozen=True, eq=False)
class Population:
    """The images among which a slice is looked for: one class, right or predicted as one other; or all.

    Attributes:
        images: of the half that slices are found on.
        label, predicted: indices of the classes; None where it spans classes.
    """

    images: Sequence[GuideImage]
    label: int | None
    predicted: int | None

    @cached_property
    def wrong(self) -> NDArray[np.bool_]:
        """n: the mistakes."""
        return np.array([one.wrong for one in self.images], bool)

    def has(self, image: GuideImage) -> bool:
        """Whether an image, of either half, belongs to it."""
        if self.label is None:
            return True
        return image.label == self.label and image.predicted in (self.label, self.predicted)


def list_views(images: Sequence[GuideImage], kinds: Collection[str] = SLICE_KINDS) -> list[View]:
    """The views of those kinds that all images have: attributes, marks, attributes together, and the embedding."""
    named = tuple(name for name in NAMED if all(name in one.traits.attributes for one in images))
    looks = find_looks([one.traits.windows for one in images]) if "mark" in kinds else []
    # A mark changes light and sharpness too: of equally clear slices the first is taken.
    views = [View("mark", _Presence(look), look) for look in looks]
    views += [View(name, _Attributes((name,))) for name in named if name in kinds]
    if "measurements" in kinds:
        views.append(View("measurements", _Attributes(named)))
    if "features" in kinds and all(one.embedding is not None for one in images):
        views.append(View("features", _Embedding(images)))
    return views


class Scale:
    """Brings values to a median of 0 and about unit variance, going by the images they were made from.

    Args:
        values: n d.
    """

    def __init__(self, values: Array) -> None:
        self.middle = np.median(values, axis=0)
        spread = np.quantile(values, 0.84, axis=0) - np.quantile(values, 0.16, axis=0)
        # A value that nearly all images share has no such spread, and its standard deviation is used.
        self.spread = np.maximum(np.where(spread > 1e-6, spread / 2, values.std(axis=0)), 1e-6)

    def __call__(self, values: Array) -> Array:
        """Values of any images, n d, on this scale."""
        scaled: Array = np.clip((values - self.middle) / self.spread, -CLIP, CLIP)
        return scaled


@dataclass(frozen=True)
class _Attributes:
    names: tuple[str, ...]

    def __call__(self, images: Sequence[GuideImage]) -> Array:
        rows = [np.concatenate([one.traits.attributes[name] for name in self.names]) for one in images]
        return np.stack(rows).astype(float)


@dataclass(frozen=True)
class _Presence:
    look: Look

    def __call__(self, images: Sequence[GuideImage]) -> Array:
        distances = np.array([[measure_presence(self.look, one.traits.windows)[0]] for one in images], float)
        logarithms: Array = np.log(distances + 3)
        return logarithms


class _Embedding:
    """The leading directions of the embedding over the images that slices are found on."""

    def __init__(self, images: Sequence[GuideImage]) -> None:
        from sklearn.decomposition import PCA

        values = self._stack(images)
        most = min(MOST_FEATURES, values.shape[1], max(1, len(values) // 10))
        self._directions = PCA(most, whiten=True, svd_solver="full").fit(values)

    def __call__(self, images: Sequence[GuideImage]) -> Array:
        directions: Array = self._directions.transform(self._stack(images))
        return directions

    @staticmethod
    def _stack(images: Sequence[GuideImage]) -> Array:
        rows = [one.embedding for one in images if one.embedding is not None]
        return np.stack(rows).astype(float)
