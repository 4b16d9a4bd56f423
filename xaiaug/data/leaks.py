"""Finds images that are in two splits, the same or nearly the same."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from ..records import JSON, Sample
from .fingerprint import Fingerprint
from .near_duplicates import Pair, near_pairs

# Of two copies the one in the split named first is kept: what is measured on comes before what is learnt from.
KEEP_FIRST = ("test", "validation", "guide", "train", "reserve")


@dataclass(frozen=True)
class Place:
    """One readable image of a split.

    Attributes:
        split: name of the split.
        sample: the image.
        fingerprint: what it looks like.
    """

    split: str
    sample: Sample
    fingerprint: Fingerprint

    @property
    def file(self) -> str:
        """What it is called in messages."""
        return file_name(self.sample)


@dataclass(frozen=True)
class Leak:
    """Two images in two splits that are the same, or nearly.

    Attributes:
        kind: "bytes", "pixels" or "near".
        dropped: the file that is to be left out.
        dropped_split: the split it is in.
        kept: the file that stays.
        kept_split: the split that one is in.
        dropped_id: id of the sample to be left out.
        distance: bits in which the perceptual hashes differ, for "near".
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

    def to_json(self) -> dict[str, JSON]:
        """The attributes, by name."""
        return asdict(self)

    def __str__(self) -> str:
        how = {"bytes": "the same bytes as", "pixels": "the same pixels as", "near": "nearly the same image as"}
        return f"{self.dropped} ({self.dropped_split}) has {how[self.kind]} {self.kept} ({self.kept_split})"


def exact_leaks(places: Sequence[Place]) -> list[Leak]:
    """Every image whose pixels are in a split that comes first as well, once, in the order of the places."""
    first: dict[str, Place] = {}
    for place in sorted(places, key=lambda place: KEEP_FIRST.index(place.split)):
        first.setdefault(place.fingerprint.pixels, place)
    leaks = []
    for place in places:
        kept = first[place.fingerprint.pixels]
        if kept.split != place.split:
            same_bytes = content_of(kept.sample) == content_of(place.sample)
            leaks.append(leak_between("bytes" if same_bytes else "pixels", place, kept))
    return leaks


def near_leaks(places: Sequence[Place]) -> list[Leak]:
    """Every image that is nearly the same as one of a split that comes first, once.

    Test is compared with all the rest, and guide with validation.
    """
    by_split: defaultdict[str, list[Place]] = defaultdict(list)
    for place in places:
        by_split[place.split].append(place)
    rest = [place for place in places if place.split != "test"]
    leaks: dict[tuple[str, str], Leak] = {}
    for kept, dropped in ((by_split["test"], rest), (by_split["validation"], by_split["guide"])):
        for pair in _pairs(kept, dropped):
            place = dropped[pair.other]
            leak = leak_between("near", place, kept[pair.one], pair.distance, round(pair.correlation, 4))
            leaks.setdefault((place.split, place.sample.id), leak)
    return list(leaks.values())


def _pairs(ones: Sequence[Place], others: Sequence[Place]) -> Iterator[Pair]:
    return near_pairs(
        [place.fingerprint for place in ones],
        [place.fingerprint for place in others],
        lambda index: ones[index].sample.open(),
        lambda index: others[index].sample.open(),
    )


def conflicts(places: Sequence[Place]) -> Iterator[tuple[Place, Place]]:
    """Pairs of images with the same pixels and different labels."""
    by_pixels: defaultdict[str, list[Place]] = defaultdict(list)
    for place in places:
        by_pixels[place.fingerprint.pixels].append(place)
    for same in by_pixels.values():
        yield from ((same[0], other) for other in same[1:] if other.sample.label != same[0].sample.label)


def leak_between(
    kind: str, dropped: Place, kept: Place, distance: int | None = None, correlation: float | None = None
) -> Leak:
    """The leak record of two places."""
    return Leak(kind, dropped.file, dropped.split, kept.file, kept.split, dropped.sample.id, distance, correlation)


def content_of(sample: Sample) -> str:
    """The digest in a sample's id, without the number of its copy."""
    return sample.id.split("-")[0]


def file_name(sample: Sample) -> str:
    """What a sample is called in messages: the name its opener has, else its id."""
    return str(getattr(sample.opener, "name", sample.id))
