"""The options of `Splits`: fractions, decoding and the policy for bad images and leaks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, TypedDict

from ..errors import ConfigError, suggest
from .decode import Decoder, Window

Fraction = float | Literal["validation"]
_CHOICES = {
    "on_bad_image": ("error", "skip"),
    "on_leak": ("error", "drop"),
    "on_near_duplicate": ("error", "drop", "allow"),
}


@dataclass(frozen=True)
class Policy:
    """What `Splits.check` does about unusable files and images in two splits.

    Attributes:
        on_bad_image: "error", or "skip": unreadable images are counted and left out.
        on_leak: "error", or "drop": of an image in two splits, the copy outside test is left out.
        on_near_duplicate: the same for near-duplicates, or "allow".
        split_by: name of a group whose values must not be in two splits.
    """

    on_bad_image: str = "error"
    on_leak: str = "error"
    on_near_duplicate: str = "error"
    split_by: str | None = None

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                known = ", ".join(repr(choice) for choice in choices)
                raise ConfigError(f"Splits: {name} must be one of {known}, got {getattr(self, name)!r}")


DEFAULT_POLICY = Policy()


class SplitOptions(TypedDict, total=False):
    """Keyword arguments of the constructors of `Splits`; all are optional.

    Attributes:
        guide: fraction of guide images (0.15), or "validation": the validation split is also the guide.
        validation: fraction of validation images (0.1).
        test: fraction of test images (0.2).
        reserve: fraction held back from train, for the arm that adds real images (0).
        seed: of the draw (0).
        split_by: name of a group whose values must not be in two splits, such as "patient".
        window: the grey values mapped to black and white, for grey images of more than 8 bits.
        side: reduces images whose shorter side is longer than this many pixels.
        require_test: whether splits that the source defines must include a test split (True).
        on_bad_image: as in `Policy`.
        on_leak: as in `Policy`.
        on_near_duplicate: as in `Policy`.
    """

    guide: Fraction
    validation: float
    test: float
    reserve: float
    seed: int
    split_by: str | None
    window: Window | None
    side: int | None
    require_test: bool
    on_bad_image: Literal["error", "skip"]
    on_leak: Literal["error", "drop"]
    on_near_duplicate: Literal["error", "drop", "allow"]


def check_options(options: Mapping[str, Any]) -> None:
    """Raises ConfigError on an unknown or invalid option."""
    for name in options:
        if name not in SplitOptions.__annotations__:
            raise ConfigError(f"Splits: unknown option {name!r}. {suggest(name, SplitOptions.__annotations__)}")
    to_policy(options)
    to_fractions(options)
    window, side = options.get("window"), options.get("side")
    if window is not None and not (len(window) == 2 and window[0] < window[1]):
        raise ConfigError(f"Splits: window must be two grey values, the lower first, got {window!r}")
    if side is not None and (isinstance(side, bool) or not isinstance(side, int) or side < 1):
        raise ConfigError(f"Splits: side must be a number of pixels, at least 1, got {side!r}")


def to_decoder(options: Mapping[str, Any]) -> Decoder:
    """The decoder among the options."""
    return Decoder(options.get("window"), options.get("side"))


def to_policy(options: Mapping[str, Any]) -> Policy:
    """The policy among the options."""
    return Policy(**{field.name: options[field.name] for field in fields(Policy) if field.name in options})


def to_fractions(options: Mapping[str, Any]) -> dict[str, float]:
    """The fraction of each split to draw; without guide where the validation split is the guide.

    Raises:
        ConfigError: the fractions are invalid.
    """
    guide = options.get("guide", 0.15)
    if isinstance(guide, str) and guide != "validation":
        raise ConfigError(f"Splits: guide must be a fraction or 'validation', got {guide!r}")
    fractions = {} if guide == "validation" else {"guide": guide}
    fractions["validation"] = options.get("validation", 0.1)
    fractions["test"] = options.get("test", 0.2)
    fractions["reserve"] = options.get("reserve", 0.0)
    check_fractions(fractions)
    return fractions


def check_fractions(fractions: Mapping[str, float]) -> None:
    """Raises ConfigError where a fraction is not a number from 0 to 1, or they add up to more than 1."""
    for name, value in fractions.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            raise ConfigError(f"Splits: the fraction {name} must be a number from 0 to 1, got {value!r}")
    if sum(fractions.values()) > 1 + 1e-9:
        given = ", ".join(f"{name} = {value:g}" for name, value in fractions.items())
        raise ConfigError(f"Splits: the fractions must add up to at most 1 (train gets the rest), got {given}")
