"""Requests for synthetic training images, and the images made for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from PIL import Image

from .explanation import Explanation
from .json_type import JSON


@dataclass(frozen=True, eq=False)
class SynthesisRequest:
    """A request for one synthetic training image.

    Attributes:
        case_id: id of the image behind it: the case, of guide or train.
        index: number of the image within its case, from 0.
        prompt: what it should show; empty if its source uses no prompt.
        guidance: as in `Critique.guidance`.
        label: name of the class it will be trained as.
        source: the image of the case; None if the source is not image-guided.
        explanation: the heatmap of that image, or a control in its place; None if its source shows none, or the
            synthesizer does not list "map" in `uses`.
        seed: 0 to 2**32 - 1; the same request and seed give the same image in any batch.
        attended: as in `Critique.attended`; None without a critic.
        source_label: name of the class of `source`; empty if not known.
        base: an image of class `label` that is edited with parts of `source`; None: `source` itself is edited.
        base_id: id of that image; empty without one.
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
    source_label: str = ""
    base: Image.Image | None = None
    base_id: str = ""


@dataclass(frozen=True, eq=False)
class SyntheticImage:
    """One image made by a synthesizer.

    Attributes:
        image: h w c, RGB.
        seed: the seed it was made with.
        prompt: the prompt as used.
        dropped: words of the prompt that were cut.
        details: further facts to record, plain JSON.
    """

    image: Image.Image
    seed: int
    prompt: str
    dropped: tuple[str, ...] = ()
    details: Mapping[str, JSON] = field(default_factory=dict)
