"""Groups of images: each combination of a class and of what the data say of an image, such as where it was taken."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..records.pipeline import SMALLEST_GROUP


@dataclass(frozen=True, eq=False)
class Grouping:
    """Images by group; those without attributes are in none.

    Attributes:
        numbers: n, the group of each image, -1 for none.
        classes: g, index of the class of each group.
        attributes: g, names and values of what else its images share.
        sizes: g, images of each.
        smallest: fewest images of a group that may be the worst.
    """

    numbers: NDArray[np.int64]
    classes: tuple[int, ...]
    attributes: tuple[tuple[tuple[str, str], ...], ...]
    sizes: tuple[int, ...]
    smallest: int

    @property
    def large(self) -> NDArray[np.int64] | None:
        """n: the numbers of images in groups that are large enough, -1 for the others; None where no group is."""
        is_large = np.array([*(size >= self.smallest for size in self.sizes), False])  # the last one is for -1
        kept = np.where(is_large[self.numbers], self.numbers, -1)
        return kept if (kept >= 0).any() else None

    def describe(self, number: int, names: Sequence[str]) -> tuple[str, str]:
        """What a group is one by, and its values: "class × place" and "dog × indoor".

        Args:
            number: of the group.
            names: the classes.
        """
        attributes = self.attributes[number]
        return (
            " × ".join(["class", *(name for name, _ in attributes)]),
            " × ".join([names[self.classes[number]], *(value for _, value in attributes)]),
        )


def form_groups(
    labels: Sequence[int] | NDArray[Any], groups: Sequence[Mapping[str, str]] | None, smallest: int = SMALLEST_GROUP
) -> Grouping:
    """The groups of images: class and attributes crossed, as in Waterbirds (arXiv 1911.08731).

    Args:
        labels: n, indices of the true classes.
        groups: n, names and values of attributes, such as {"place": "indoor"}; None without any.
        smallest: fewest images of a group that may be the worst, at least 1.
    """
    keys = [
        (int(label), tuple(sorted(attributes.items()))) if attributes else None
        for label, attributes in zip(labels, groups or [{}] * len(labels), strict=True)
    ]
    sizes = Counter(key for key in keys if key is not None)
    known = sorted(sizes)
    place = {key: number for number, key in enumerate(known)}
    return Grouping(
        np.array([-1 if key is None else place[key] for key in keys], np.int64),
        tuple(label for label, _ in known),
        tuple(attributes for _, attributes in known),
        tuple(sizes[key] for key in known),
        smallest,
    )
