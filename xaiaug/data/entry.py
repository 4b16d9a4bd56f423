"""What is found before anything is decoded: images, and files that are refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from PIL import Image

from ..records import JSON

SPLITS = ("train", "guide", "validation", "test", "reserve")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One labelled image that was found.

    Attributes:
        name: what it is called in messages: its path relative to the root of the data, or its row.
        digest: of its bytes, and of how they are read.
        label: name of its class.
        opener: returns the image.
        split: the split it was found in; None where splits are still to be drawn.
        groups: what else is known of it.
        weight: how much it counts in training, > 0.
    """

    name: str
    digest: str
    label: str
    opener: Callable[[], Image.Image]
    split: str | None = None
    groups: Mapping[str, str] = field(default_factory=dict)
    weight: float = 1.0


@dataclass(frozen=True)
class Refusal:
    """A file that is not used, and why.

    Attributes:
        file: its path relative to the root of the data.
        reason: why it is not used.
        split: the split it would be in, where that is known.
        label: the name of its class.
    """

    file: str
    reason: str
    split: str | None = None
    label: str | None = None

    def to_json(self) -> dict[str, JSON]:
        """The attributes, by name."""
        return dict(vars(self))


@dataclass(frozen=True)
class Found:
    """All that a folder, a manifest or a data set holds.

    Attributes:
        labels: names of the classes, sorted; also of classes without an image.
        entries: the images, in a stable order.
        splits: the splits it has itself; none where they are still to be drawn.
        refused: files that look like images but are not used.
        notes: what a person may want to know, a line each.
    """

    labels: tuple[str, ...]
    entries: tuple[Entry, ...]
    splits: tuple[str, ...] = ()
    refused: tuple[Refusal, ...] = ()
    notes: tuple[str, ...] = ()
