"""Searches the cause of a slice of mistakes by experiment: found on one half of its images, judged on the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ...causes import MOST_POOL, JudgedCause, Photo, Segment, Slice, StatedCause, judge_trials, run_trial
from ...causes.judgement import FEWEST, SMALLEST_EFFECT
from ...causes.trial import Ask, Trial
from ...imaging.image_stats import lab_to_hex
from ...records import Case, Cause
from ._shared_regions import Look

PROMISING = 0.2  # p-value, on the half that searches, from which a cause is judged on the other
MOST_MISTAKES = 60  # of a slice, that are edited
KINDS: dict[str, Callable[[Photo], Cause]] = {
    "colour": lambda photo: Cause("colour", colour=lab_to_hex(photo.subject)),
    "backdrop": lambda photo: Cause("backdrop", colour=lab_to_hex(photo.backdrop)),
    "tint": lambda photo: Cause("tint", colour=lab_to_hex(photo.tint)),
    "light": lambda _: Cause("light"),
    "sharpness": lambda _: Cause("sharpness"),
    "size": lambda _: Cause("size"),
    "place": lambda _: Cause("place"),
}


@dataclass(frozen=True, eq=False)
class CauseOfSlice:
    """The cause that was found for a slice.

    Attributes:
        state: the cause of one of its images.
        judged: what the half that did not search shows of it.
    """

    state: Callable[[Photo], Cause]
    judged: JudgedCause


class CauseSearch:
    """Searches among all kinds of causes, and the looks that maps share.

    Args:
        explained: mistakes and correct images.
        labels: names of the classes.
        ask: the classifier: images to probabilities, n k.
        segment: finds subjects.
        looks: what maps share off the subject.
        seed: of the edits.
    """

    def __init__(
        self,
        explained: Sequence[Case],
        labels: Sequence[str],
        ask: Ask,
        segment: Segment,
        looks: Sequence[Look],
        seed: int,
    ) -> None:
        self._photos: dict[tuple[str, str], list[Photo]] = {}
        for case in explained:
            self._photos.setdefault((case.label, case.predicted), []).append(Photo(case.id, case.image, segment))
        for photos in self._photos.values():
            photos.sort(key=lambda photo: photo.id)
        self._labels, self._ask, self._looks, self._seed = tuple(labels), ask, looks, seed

    def search(self) -> dict[tuple[str, str], CauseOfSlice]:
        """The most promising cause of each slice, by names of true and predicted class; none where none promises."""
        pairs = [pair for pair, photos in self._photos.items() if pair[0] != pair[1] and len(photos) >= 2 * FEWEST]
        found = {pair: state for pair in pairs if (state := self._promising(pair)) is not None}
        trials = [self._try(pair, state, half=0) for pair, state in found.items()]
        judged = judge_trials(trials, self._labels)
        return {pair: CauseOfSlice(state, one) for (pair, state), one in zip(found.items(), judged, strict=True)}

    def _promising(self, pair: tuple[str, str]) -> Callable[[Photo], Cause] | None:
        candidates = [
            *KINDS.values(),
            *(_state_look(look, present) for look in self._looks for present in (True, False)),
        ]
        best, chosen = SMALLEST_EFFECT, None
        for state in candidates:
            trial = self._try(pair, state, half=1)
            (judged,) = judge_trials([trial], self._labels)
            verdict = judged.verdict
            enough = min(verdict.tested, verdict.correct) >= FEWEST
            if enough and verdict.p <= PROMISING and (verdict.effect or 0) > best:
                best, chosen = verdict.effect or 0, state
        return chosen

    def _try(self, pair: tuple[str, str], state: Callable[[Photo], Cause], half: int) -> Trial:
        label, predicted = (self._labels.index(name) for name in pair)
        halves = [
            self._photos.get(names, [])[:most][half::2]
            for names, most in ((pair, MOST_MISTAKES), ((pair[0], pair[0]), MOST_POOL), ((pair[1], pair[1]), MOST_POOL))
        ]
        stated = [StatedCause(photo, state(photo)) for photo in halves[0]]
        return run_trial(self._ask, Slice(label, predicted, stated, halves[1], halves[2]), self._seed, 0, halve=False)


def _state_look(look: Look, present: bool) -> Callable[[Photo], Cause]:
    cause = Cause("region", present, lab_to_hex(look.colour), round(look.share, 4))
    return lambda _: cause
