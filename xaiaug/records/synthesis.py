"""A wish for a training image, and the image made for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from PIL import Image

from .explanation import Explanation
from .json_type import JSON


@dataclass(frozen=True, eq=False)
class SynthesisRequest:
    """One training image to be made.

    Attributes:
        case_id: id of the guide image it is made for.
        index: number of the image among those of its case, from 0.
        prompt: what it should show; empty where its source uses none.
        guidance: as in `Critique.guidance`.
        label: name of the class it will be trained as.
        source: the guide image; None where its source must not see it.
        explanation: the heatmap of that image, where there is one.
        seed: 0 to 2**32 - 1; the same request with the same seed gives the same image, whatever the batch.
        attended: as in `Critique.attended`; None where no critic was asked.
    """

    case_id: str
    index: int
    prompt: str
    label: str
    seed: int
    guidance: Mapping[str, str | float] = field(default_factory=dict)
    source: Image.Image | None = None
    explanation: Explanation | None = None
    attended: str | None = None


@dataclass(frozen=True, eq=False)
class SyntheticImage:
    """One image a synthesizer made.

    Attributes:
        image: h w c, RGB.
        seed: the seed it was made with.
        prompt: the prompt as used.
        dropped: words of the prompt that were cut.
        details: whatever else its maker wants to be remembered, JSON-plain.
    """

    image: Image.Image
    seed: int
    prompt: str
    dropped: tuple[str, ...] = ()
    details: Mapping[str, JSON] = field(default_factory=dict)
