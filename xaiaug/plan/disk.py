"""How many bytes a part leaves in the run folder."""

from __future__ import annotations

from ..records import Estimate
from ..records.estimate import Range
from .known import BYTES_A_PIXEL, Known
from .parts import Part
from .spans import added, times, times_known

MAP_BYTES_A_PIXEL: Range = (4, 8)  # float32, one map or one for each of two classes
PANEL_PIXELS: Range = (0, 250_000)  # the picture for the critic, 512 pixels wide; not kept where it does not look
SHOWN_PIXELS = 384 * 384  # the copy for the report, at most
ANSWER_BYTES: Range = (1_000, 8_000)


def disk_bytes(part: Part, known: Known, synthesizer: Estimate, classifier: Estimate) -> Range | None:
    """Bytes; None where nobody knows how large the classifier is.

    Args:
        part: what is done.
        known: sizes that were seen.
        synthesizer: what it says of the part.
        classifier: what it says of itself.
    """
    shown = times((min(known.pixels, SHOWN_PIXELS),) * 2, BYTES_A_PIXEL)
    maps = added((times((known.pixels,) * 2, MAP_BYTES_A_PIXEL), shown))
    cases = added((times(PANEL_PIXELS, BYTES_A_PIXEL), ANSWER_BYTES))
    weights = known.model_bytes or classifier.disk_bytes[1]
    models = times_known(part.copies, (weights, weights) if weights else None)
    if models is None:
        return None
    return added((times(part.maps, maps), times(part.cases, cases), _images(part, known, synthesizer), models))


def _images(part: Part, known: Known, synthesizer: Estimate) -> Range:
    """Each kept image lies there twice: among the blobs, and in the image folder for others to use."""
    images = synthesizer.disk_bytes
    if known.image_bytes is not None:  # what was seen counts more than what a plugin supposes
        images = times(part.images, times((known.image_bytes,) * 2, (0.8, 1.25)))
    elif not images[1]:
        images = times(part.images, times((known.pixels,) * 2, BYTES_A_PIXEL))
    return times(images, (1, 2))
