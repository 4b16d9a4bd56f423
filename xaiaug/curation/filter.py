"""The filter between synthesis and training: which new images are kept."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property

from PIL import Image

from ..data import Splits
from ..errors import ConfigError, suggest
from ..records import JSON
from .checks import CHECKS, COMPARISONS, Candidate, ImageDescription, check_broken
from .duplicates import NearDuplicateIndex, RealImages
from .label_judge import Judge, JudgePredictions

DEFAULT = tuple(CHECKS)
VERSION = 2  # raise it when the same image may get another verdict: a resumed run then checks its images again


@dataclass(frozen=True)
class Verdict:
    """Whether an image is kept, and why not.

    Attributes:
        kept: whether it passed every check.
        check: name of the check it failed; None if it is kept.
        reason: what is wrong with it, in plain words; empty if it is kept.
        score: the measure behind the reason, if there is one.
        fingerprint: what later images are compared with; None unless it is kept and "repeat" or "alike" is among
            the checks.
    """

    kept: bool
    check: str | None = None
    reason: str = ""
    score: float | None = None
    fingerprint: str | None = None

    def to_json(self) -> dict[str, JSON]:
        """The attributes, by name."""
        return asdict(self)


class ImageFilter:
    """Checks synthetic images; the first check that an image fails rejects it.

    The same images in the same order get the same verdicts, in batches of any size.
    """

    def __init__(
        self, checks: Sequence[str] = DEFAULT, splits: Splits | None = None, judge: Judge | None = None
    ) -> None:
        """Stores what to check; the real images are read when the first image is checked.

        Args:
            checks: names from `CHECKS`, in the order they run; "broken" always runs first.
            splits: the real images a synthetic one must not repeat; None compares synthetic images only.
            judge: asked by "label" and "alike"; None disables them.

        Raises:
            ConfigError: an unknown check.
        """
        for name in checks:
            if name not in CHECKS:
                raise ConfigError(f"curation: unknown check {name!r}. {suggest(name, CHECKS)}")
        self.checks = tuple(dict.fromkeys(("broken", *checks)))
        self.splits, self.judge = splits, judge

    def check(
        self,
        images: Sequence[Image.Image],
        seen: Sequence[str] = (),
        labels: Sequence[str] | None = None,
        parents: Sequence[Collection[str]] | None = None,
    ) -> list[Verdict]:
        """One verdict an image, in order.

        Args:
            images: the new images.
            seen: as of `compare`.
            labels: as of `describe`.
            parents: likewise.
        """
        return self.compare(self.describe(images, labels, parents), seen)

    def describe(
        self,
        images: Sequence[Image.Image],
        labels: Sequence[str] | None = None,
        parents: Sequence[Collection[str]] | None = None,
    ) -> list[ImageDescription]:
        """What each image is like by itself, in order; nothing of it depends on the others.

        Args:
            images: the new images.
            labels: name of the class each was made for; None skips the label check.
            parents: ids of the images each was made from: an edit may resemble the training images among them, and no
                others; None: it may resemble none.
        """
        real = self._real_images if "duplicate" in self.checks else None
        predictions = JudgePredictions(self.judge, images, _is_readable) if self.judge else None
        targets = [None] * len(images) if labels is None else labels
        origins: Sequence[Collection[str]] = [()] * len(images) if parents is None else parents
        return [
            self._describe(Candidate(images[position], real, target, predictions, position, origins[position]))
            for position, target in enumerate(targets)
        ]

    def compare(self, described: Iterable[ImageDescription], seen: Sequence[str] = ()) -> list[Verdict]:
        """One verdict an image, in order, each compared with those that were kept before it.

        Args:
            described: the new images.
            seen: fingerprints from the verdicts on images that were kept before.
        """
        index = NearDuplicateIndex([entry for entry in seen if entry])
        return [self._compare(image, index) for image in described]

    def _describe(self, candidate: Candidate) -> ImageDescription:
        failed, rejection, reached = None, None, []
        for name in self.checks:
            reached.append(name)
            if name not in COMPARISONS and (rejection := CHECKS[name](candidate)):
                failed = name
                break
        signature = candidate.signature if "repeat" in reached else None
        return ImageDescription(failed, rejection, signature, candidate.embedding if "alike" in reached else None)

    def _compare(self, image: ImageDescription, index: NearDuplicateIndex) -> Verdict:
        for name in self.checks:
            rejection = image.rejection if name == image.failed else None
            if name in COMPARISONS:
                rejection = CHECKS[name](image, index, self.judge)
            if rejection is not None:
                return Verdict(False, name, rejection.reason, rejection.score)
        return Verdict(True, fingerprint=index.add(image.signature, image.embedding) or None)

    @property
    def active_checks(self) -> tuple[str, ...]:
        """The checks that can reject an image: "label" needs an admitted judge, "alike" one with embeddings."""
        judge = self.judge
        inactive = {
            "label": judge is None or not judge.admitted,
            "alike": judge is None or judge.near_duplicate_threshold is None,
        }
        return tuple(name for name in self.checks if not inactive.get(name))

    @cached_property
    def _real_images(self) -> RealImages | None:
        return RealImages(self.splits) if self.splits is not None else None

    def __getstate__(self) -> dict[str, object]:
        # A worker reads the real images itself: samples travel, their fingerprints do not.
        return {"checks": self.checks, "splits": self.splits, "judge": self.judge}


def _is_readable(image: Image.Image) -> bool:
    return check_broken(Candidate(image)) is None
