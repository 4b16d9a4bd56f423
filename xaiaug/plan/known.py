"""What is known of a run before it begins, and what is assumed where nothing is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from ..config import Settings
from ..records.estimate import Range
from .spans import at_most

ERROR_RATE: Range = (0.02, 0.2)  # of a classifier worth mending, on the guide
MADE_EACH: Range = (0.9, 1.4)  # images made for one that is wanted: few labels are held back, some images made again
CALL_SECONDS: Range = (3 / 64, 15 / 8)  # three to fifteen seconds a call, with 64 or 8 of them in flight
BATCH_SECONDS: Range = (300, 24 * 3600)  # all questions of a turn together: services promise a day
BYTES_A_PIXEL: Range = (0.3, 2.5)  # of a PNG: a drawing, a noisy photograph


@dataclass(frozen=True)
class Known:
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
        return at_most(found, math.inf if most == "all" else most)
