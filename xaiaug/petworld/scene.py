"""A scene: all attributes of a drawing."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import RecordError
from .anatomy import ANIMALS
from .bodies import POSES
from .palette import BACKDROPS, COATS
from .tag import CORNERS

LIGHTS = ("dim", "even", "bright")
STYLES = ("book", "crayon")
SIZES = (0.3, 0.85)
NO_TAG = "none"


@dataclass(frozen=True)
class Scene:
    """The attributes of a drawing.

    Attributes:
        animal: "cat", "dog" or one of the other animals.
        coat: name in `COATS`.
        backdrop: name in `BACKDROPS`.
        light: "dim", "even" or "bright".
        pose: "standing", "walking", "sitting" or "lying".
        facing: "left" or "right".
        size: side of the animal's box as a share of the image's side, 0.3 to 0.85.
        place: x and y of the animal's middle, 0 to 1 from the left and the top; it never leaves the image.
        blur: radius in thousandths of the image's side; 0 is sharp.
        style: "book", or "crayon" for synthetic images.
        detail: seed of everything else: the tilt of the head, the flowers, the grain.
        tag: the corner of a yellow tag, such as "top-left", or "none".

    Raises:
        RecordError: a value that is not listed here.
    """

    animal: str
    coat: str
    backdrop: str
    light: str = "even"
    pose: str = "standing"
    facing: str = "right"
    size: float = 0.65
    place: tuple[float, float] = (0.5, 0.58)
    blur: float = 0.0
    style: str = "book"
    detail: int = 0
    tag: str = NO_TAG

    def __post_init__(self) -> None:
        for name, known in _CHOICES.items():
            if getattr(self, name) not in known:
                raise RecordError(f"Scene: {name} must be one of {', '.join(known)}, got {getattr(self, name)!r}")
        if not SIZES[0] <= self.size <= SIZES[1]:
            raise RecordError(f"Scene: size must lie in {SIZES[0]}..{SIZES[1]}, got {self.size}")

    @property
    def conflicts(self) -> tuple[str, ...]:
        """Which of "coat" and "backdrop" go with the other label; for tests and benchmarks only."""
        tones = {"coat": COATS[self.coat], "backdrop": BACKDROPS[self.backdrop]}
        return tuple(name for name, tone in tones.items() if tone.label != self.animal)


_CHOICES: dict[str, tuple[str, ...]] = {
    "animal": tuple(ANIMALS),
    "coat": tuple(COATS),
    "backdrop": tuple(BACKDROPS),
    "light": LIGHTS,
    "pose": POSES,
    "facing": ("left", "right"),
    "style": STYLES,
    "tag": (NO_TAG, *CORNERS),
}
