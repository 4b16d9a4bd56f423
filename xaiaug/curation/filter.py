"""The gate between synthesis and training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property

from PIL import Image

from ..data import Splits
from ..errors import ConfigError, suggest
from ..records import JSON
from .checks import CHECKS, Candidate, broken
from .duplicates import Held, Memory
from .label_judge import Judge, JudgePredictions

DEFAULT = tuple(CHECKS)
VERSION = 2  # raised when the same image may get another verdict: a run that goes on then judges anew


@dataclass(frozen=True)
class Verdict:
    """Whether an image is kept, and why not.

    Attributes:
        kept: whether it passed every check.
        check: name of the check it did not pass; None when it is kept.
        reason: what is wrong with it, for a person; empty when it is kept.
        score: the measure behind the reason, where there is one.
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
    """Judges synthetic images by the checks it is given, each in turn.

    The same images in the same order get the same verdicts, however they are cut into batches.
    """

    def __init__(self, checks: Sequence[str] = DEFAULT, held: Splits | None = None, judge: Judge | None = None) -> None:
        """Stores what to check; held images are looked at when the first image is judged.

        Args:
            checks: names from `CHECKS`, in the order they are made; "broken" is always made first.
            held: the real images a synthetic one must not repeat; None compares synthetic images alone.
            judge: who is asked by "label" and "alike"; None: they find nothing.

        Raises:
            ConfigError: an unknown check.
        """
        for name in checks:
            if name not in CHECKS:
                raise ConfigError(f"curation: unknown check {name!r}. {suggest(name, CHECKS)}")
        self.checks = tuple(dict.fromkeys(("broken", *checks)))
        self.held, self.asked = held, judge

    def judge(
        self, images: Sequence[Image.Image], seen: Sequence[str] = (), labels: Sequence[str] | None = None
    ) -> list[Verdict]:
        """One verdict an image, in order.

        Args:
            images: what was made.
            seen: fingerprints of the verdicts on the images that were kept before.
            labels: name of the class each was made for; None skips the label check.
        """
        memory = Memory(self._held_images if "duplicate" in self.checks else None, [text for text in seen if text])
        opinions = JudgePredictions(self.asked, images, _sound) if self.asked else None
        targets = [None] * len(images) if labels is None else labels
        return [
            self._judge(Candidate(images[place], memory, target, opinions, place))
            for place, target in enumerate(targets)
        ]

    def _judge(self, candidate: Candidate) -> Verdict:
        for name in self.checks:
            finding = CHECKS[name](candidate)
            if finding is not None:
                return Verdict(False, name, finding.reason, finding.score)
        portrait = candidate.portrait if "repeat" in self.checks else None
        embedding = candidate.embedding if "alike" in self.checks else None
        return Verdict(True, fingerprint=candidate.memory.remember(portrait, embedding) or None)

    @property
    def made(self) -> tuple[str, ...]:
        """The checks that can find something: without a judge whose word counts, "label" and "alike" are not made."""
        judge = self.asked
        off = {"label": judge is None or not judge.admitted, "alike": judge is None or judge.alike is None}
        return tuple(name for name in self.checks if not off.get(name))

    @cached_property
    def _held_images(self) -> Held | None:
        return Held(self.held) if self.held is not None else None

    def __getstate__(self) -> dict[str, object]:
        # A worker looks for itself: samples travel, what was made of them does not.
        return {"checks": self.checks, "held": self.held, "asked": self.asked}


def _sound(image: Image.Image) -> bool:
    return broken(Candidate(image, Memory(None, ()))) is None
