"""What is known of a run before it begins, and what is assumed where nothing is."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from ..config import Settings
from ..records.estimate import Range, cap_range
from .record import Line

ERROR_RATE: Range = (0.02, 0.2)  # of a classifier worth mending, on the guide
MADE_EACH: Range = (0.9, 1.4)  # images made for one that is wanted: few labels are held back, some images made again
CALL_SECONDS: Range = (3 / 64, 15 / 8)  # three to fifteen seconds a call, with 64 or 8 of them in flight
BATCH_SECONDS: Range = (300, 24 * 3600)  # all questions of a turn together: services promise a day
BYTES_A_PIXEL: Range = (0.3, 2.5)  # of a PNG: a drawing, a noisy photograph


@dataclass(frozen=True)
class Assumptions:
    """What is known of a run before it begins.

    Attributes:
        images: images in each split.
        classes: how many there are.
        pixels: of an image of the guide, on average.
        map_predictions: what the classifier is asked about to test one heatmap.
        mistakes: what the baseline gets wrong in the guide; None where it was not asked yet.
        made_each: images made for one that is wanted; None where none was made yet.
        seconds: for one unit of "fit" and "predict" (an image), "explain" and "critique" (a case), "synthesize" (an
            image); a stage that is not there is not known.
        seconds_from: where those are from, in words.
        model_bytes: of one copy of the classifier; None where not known.
        image_bytes: of a new image; None where not known.
        paid_calls: calls paid for already.
        paid_usd: what they cost.
        finished: whether all is done.
    """

    images: Mapping[str, int]
    classes: int
    pixels: float
    map_predictions: int = 0
    mistakes: int | None = None
    made_each: Range | None = None
    seconds: Mapping[str, Range] = field(default_factory=dict)
    seconds_from: str = ""
    model_bytes: float | None = None
    image_bytes: float | None = None
    paid_calls: int = 0
    paid_usd: float = 0.0
    finished: bool = False

    def chosen(self, settings: Settings) -> Range:
        """Mistakes that steer the synthesis."""
        guide = self.images["guide"]
        found = (math.floor(guide * ERROR_RATE[0]), math.ceil(guide * ERROR_RATE[1]))
        if self.mistakes is not None:
            found = (self.mistakes, self.mistakes)
        most = settings.mistakes.max
        return cap_range(found, math.inf if most == "all" else most)


def sent(kind: str, uses: Collection[str]) -> str:
    """What a plugin of that kind sends, in words."""
    if kind == "synthesizer":
        return "prompts, and the failed images" if "image" in uses else "prompts"
    what = "the images" if kind in ("classifier", "explainer") else "each mistake's image and heatmap, the class names"
    return f"{what}; no file names and no metadata"


def assumptions(settings: Settings, known: Assumptions, lines: Sequence[Line]) -> tuple[str, ...]:
    """What the figures rest on, a sentence each."""
    said = [_mistakes(settings, known)]
    if any(line.images[1] for line in lines):
        said.append(_made(known))
    said += _hours(known, lines)
    if any(line.disk_bytes is None for line in lines):
        said.append("How large the classifier is nobody knows yet: no sum of the bytes on disk.")
    said.append("Images are counted as they are found: what the check drops as broken or doubled is still among them.")
    return tuple(said)


def _mistakes(settings: Settings, known: Assumptions) -> str:
    guide = known.images["guide"]
    if known.mistakes is not None:
        return f"The baseline gets {known.mistakes} of {guide} guide images wrong, says the run folder."
    low, high = (f"{100 * rate:g}" for rate in ERROR_RATE)
    return (
        f"Assumed: the baseline gets {low} to {high} % of {guide} guide images wrong (at most {settings.mistakes.max} "
        "are used). `xaiaug run CONFIG --until mistakes` finds out, and costs no money."
    )


def _made(known: Assumptions) -> str:
    low, high = known.made_each or MADE_EACH
    whence = "as in the run folder" if known.made_each else "assumed"
    return f"For each image that is wanted {low:.2g} to {high:.2g} are made ({whence}): rejected ones are made again."


def _hours(known: Assumptions, lines: Sequence[Line]) -> list[str]:
    said = [f"Speeds are from {known.seconds_from}."] if known.seconds else []
    if any(line.hours is None for line in lines):
        said.append("How fast this machine is nobody knows yet: --probe measures it on a few images.")
    if any(line.calls[1] for line in lines) and "critique" not in known.seconds:
        low, high = (f"{seconds:.2g}" for seconds in CALL_SECONDS)
        said.append(f"Assumed: {low} to {high} seconds a call, many of them at once.")
    return said
