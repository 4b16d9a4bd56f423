"""Finds images that are in two splits, as exact copies or near-duplicates."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from ..records import JSON, Sample
from .fingerprint import Fingerprint
from .near_duplicates import Pair, find_near_duplicates

# Of two copies, the one in the split listed first is kept: evaluation data comes before training data.
KEEP_FIRST = ("test", "validation", "guide", "train", "reserve")


@dataclass(frozen=True)
class SplitImage:
    """A readable image, its split and its fingerprint.

    Attributes:
        split: name of the split.
        sample: the image.
        fingerprint: for comparison with other images.
    """

    split: str
    sample: Sample
    fingerprint: Fingerprint

    @property
    def file(self) -> str:
        """Its name in messages."""
        return display_name(self.sample)


@dataclass(frozen=True)
class Leak:
    """An image that is in two splits.

    Attributes:
        kind: what is equal: "bytes" or "pixels"; "near" for near-duplicates.
        dropped: the file to leave out.
        dropped_split: its split.
        kept: the file to keep.
        kept_split: its split.
        dropped_id: id of the sample to leave out.
        distance: differing bits of the perceptual hashes, for "near".
        correlation: of the grey values at 64 x 64 pixels, for "near".
    """

    kind: str
    dropped: str
    dropped_split: str
    kept: str
    kept_split: str
    dropped_id: str
    distance: int | None = None
    correlation: float | None = None

    @classmethod
    def between(
        cls,
        kind: str,
        dropped: SplitImage,
        kept: SplitImage,
        distance: int | None = None,
        correlation: float | None = None,
    ) -> Leak:
        """The leak of two images."""
        return cls(kind, dropped.file, dropped.split, kept.file, kept.split, dropped.sample.id, distance, correlation)

    def to_json(self) -> dict[str, JSON]:
        """The attributes, by name."""
        return asdict(self)

    def __str__(self) -> str:
        how = {"bytes": "the same bytes as", "pixels": "the same pixels as", "near": "nearly the same pixels as"}
        return f"{self.dropped} ({self.dropped_split}) has {how[self.kind]} {self.kept} ({self.kept_split})"


def find_exact_leaks(images: Sequence[SplitImage]) -> list[Leak]:
    """Each image whose pixels are also in a split earlier in `KEEP_FIRST`, in the given order."""
    first: dict[str, SplitImage] = {}
    for image in sorted(images, key=lambda image: KEEP_FIRST.index(image.split)):
        first.setdefault(image.fingerprint.pixels, image)
    leaks = []
    for image in images:
        kept = first[image.fingerprint.pixels]
        if kept.split != image.split:
            same_bytes = content_digest(kept.sample) == content_digest(image.sample)
            leaks.append(Leak.between("bytes" if same_bytes else "pixels", image, kept))
    return leaks


def find_near_leaks(images: Sequence[SplitImage]) -> list[Leak]:
    """Each image, once, that is a near-duplicate of one in a split earlier in `KEEP_FIRST`.

    Test is compared with all other splits, and guide with validation.
    """
    by_split: defaultdict[str, list[SplitImage]] = defaultdict(list)
    for image in images:
        by_split[image.split].append(image)
    rest = [image for image in images if image.split != "test"]
    leaks: dict[tuple[str, str], Leak] = {}
    for kept, dropped in ((by_split["test"], rest), (by_split["validation"], by_split["guide"])):
        for pair in _find_pairs(kept, dropped):
            image = dropped[pair.other]
            leak = Leak.between("near", image, kept[pair.one], pair.distance, round(pair.correlation, 4))
            leaks.setdefault((image.split, image.sample.id), leak)
    return list(leaks.values())


def _find_pairs(ones: Sequence[SplitImage], others: Sequence[SplitImage]) -> Iterator[Pair]:
    return find_near_duplicates(
        [image.fingerprint for image in ones],
        [image.fingerprint for image in others],
        lambda index: ones[index].sample.open(),
        lambda index: others[index].sample.open(),
    )


def find_label_conflicts(images: Sequence[SplitImage]) -> Iterator[tuple[SplitImage, SplitImage]]:
    """Pairs of images with the same pixels and different labels."""
    by_pixels: defaultdict[str, list[SplitImage]] = defaultdict(list)
    for image in images:
        by_pixels[image.fingerprint.pixels].append(image)
    for same in by_pixels.values():
        yield from ((same[0], other) for other in same[1:] if other.sample.label != same[0].sample.label)


def find_copies(images: Sequence[SplitImage]) -> Iterator[list[SplitImage]]:
    """The images of one split and label that have the same pixels, where there are several."""
    by_pixels: defaultdict[tuple[str, int, str], list[SplitImage]] = defaultdict(list)
    for image in images:
        by_pixels[image.split, image.sample.label, image.fingerprint.pixels].append(image)
    yield from (same for same in by_pixels.values() if len(same) > 1)


def content_digest(sample: Sample) -> str:
    """The digest in a sample's id, without the copy number."""
    return sample.id.split("-")[0]


def display_name(sample: Sample) -> str:
    """A sample's name in messages: that of its opener, else its id."""
    return str(getattr(sample.opener, "name", sample.id))
