"""Training conditions (arms) and the sources of their new images, as data."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import RecordError
from .recipe import NUMBER, check_numbers
from .training_method import METHODS, SAMPLINGS

REAL = (
    *("train", "none", "train+failures", "train+train-failures", "train+guide", "train+reserve", "train+retrieved"),
    *("guide", "disagreements"),
)
_CHOICES = {
    "cases": ("mistakes", "correct", "train-correct"),
    "map": ("explained", "none", "shuffled", "random", "oracle"),
    "prompt": ("critic", "class-name", "none"),
    "guidance": ("critic", "random", "none"),
    "real": REAL,
    "causes": ("all", "confirmed"),
    "budget": ("mistakes", "slices"),
    "sampling": SAMPLINGS,
    "method": tuple(METHODS),
    "adapter": (None, "lora"),
}


def _check_choices(record: object, *names: str) -> None:
    for name in names:
        value = getattr(record, name)
        if value not in _CHOICES[name]:
            known = ", ".join(repr(choice) for choice in _CHOICES[name])
            raise RecordError(f"{type(record).__name__}: {name} must be one of {known}, got {value!r}")


@dataclass(frozen=True)
class ImageSource:
    """How an arm's new images are made. Arms with equal sources share their images.

    Attributes:
        cases: the images they are made for: "mistakes" or "correct" predictions on guide, or "train-correct", correct
            ones on train.
        map: the heatmap that critic and synthesizer get: "explained", "none", "shuffled" (another case's), "random", or
            "oracle": the mask of a planted mark where the data have one (`[data] marks`), else as explained.
        prompt: where the prompt comes from: "critic", "class-name" or "none".
        guidance: where the guidance comes from: "critic", "random" or "none".
        image_guided: whether the synthesizer starts from the image of the case.
        curated: whether bad images are filtered out.
        synthesizer: name of the synthesizer; None: the run's.
        budget: "mistakes": the same number of images for each; "slices": the same for each slice of a class, and for
            the class's mistakes that are in none.
        causes: "all" cases, or those of slices whose stated cause is "confirmed" by experiment; only for mistakes.

    Raises:
        RecordError: a value that is not listed here.
    """

    cases: str = "mistakes"
    map: str = "explained"
    prompt: str = "critic"
    guidance: str = "critic"
    image_guided: bool = True
    curated: bool = True
    synthesizer: str | None = None
    causes: str = "all"
    budget: str = "mistakes"

    def __post_init__(self) -> None:
        _check_choices(self, "cases", "map", "prompt", "guidance", "causes", "budget")
        if self.causes == "confirmed" and self.cases != "mistakes":
            raise RecordError(f"ImageSource: causes are tested for mistakes alone, got cases = {self.cases!r}")
        if self.budget == "slices" and self.cases != "mistakes":
            raise RecordError(f"ImageSource: slices are groups of mistakes, got cases = {self.cases!r}")


@dataclass(frozen=True)
class Arm:
    """One training condition of an experiment.

    Attributes:
        name: its name in tables.
        isolates: one line: what a comparison with this arm isolates.
        images: how its new images are made; None without new images.
        real: the real images it trains on: "train", "none", "train+failures" (the mistakes on guide),
            "train+train-failures" (those on train), "train+guide", "train+reserve", "train+retrieved" (the reserve
            images nearest to the mistakes on guide), "guide", or "disagreements" (the guide images on which the
            baseline differs most from its own early weights).
        sampling: "uniform" over images, "balanced" over classes, or "group-balanced" over classes crossed with groups.
        synthetic_ratio: synthetic images per real one in the passes, kept exactly; None: as many as there are, up to
            the limit of `arms.LIMITS`, which repeated mistakes and reserve images of other arms have too.
        replace_probability: probability of replacing a drawn real image by a synthetic one of its class, 0 to 1.
        synthetic_weight: weight of a synthetic image in the loss, > 0.
        adapter: None trains all weights, "lora" trains low-rank adapters and the head.
        augment: name of the augmentation; "default" is random resized crop and flip.
        method: name of the training method, "erm" (plain training) if nothing else (see `records.METHODS`).

    An arm with neither new nor real images is the baseline: it is not trained further.

    Raises:
        RecordError: a value that is not listed here, or a number out of range.
    """

    name: str
    isolates: str
    images: ImageSource | None = None
    real: str = "train"
    sampling: str = "uniform"
    synthetic_ratio: float | None = None
    replace_probability: float = 0.0
    synthetic_weight: float = 1.0
    adapter: str | None = None
    augment: str = "default"
    method: str = "erm"

    def __post_init__(self) -> None:
        _check_choices(self, "real", "sampling", "adapter", "method")
        numbers = ("replace_probability", "synthetic_ratio", "synthetic_weight")
        check_numbers(f"Arm {self.name!r}", self, ((name, *NUMBER) for name in numbers))
        if not 0 <= self.replace_probability <= 1:
            raise RecordError(
                f"Arm {self.name!r}: replace_probability must lie in 0..1, got {self.replace_probability}"
            )
        if self.synthetic_ratio is not None and self.synthetic_ratio <= 0:
            raise RecordError(f"Arm {self.name!r}: synthetic_ratio must be > 0 or None, got {self.synthetic_ratio}")
        if self.synthetic_weight <= 0:
            raise RecordError(f"Arm {self.name!r}: synthetic_weight must be > 0, got {self.synthetic_weight}")

    @property
    def trained(self) -> bool:
        """Whether this arm trains at all; the baseline does not."""
        return self.real != "none" or self.images is not None
