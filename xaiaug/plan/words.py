"""The words of a plan: what is sent, and what the figures rest on."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ..config import Settings
from .known import CALL_SECONDS, ERROR_RATE, MADE_EACH, Known
from .record import Line


def sent(kind: str, uses: Collection[str]) -> str:
    """What a plugin of that kind sends, in words."""
    if kind == "synthesizer":
        return "prompts, and the failed images" if "image" in uses else "prompts"
    what = "the images" if kind in ("classifier", "explainer") else "each mistake's image and heatmap, the class names"
    return f"{what}; no file names and no metadata"


def assumptions(settings: Settings, known: Known, lines: Sequence[Line]) -> tuple[str, ...]:
    """What the figures rest on, a sentence each."""
    said = [_mistakes(settings, known)]
    if any(line.images[1] for line in lines):
        said.append(_made(known))
    said += _hours(known, lines)
    if any(line.disk_bytes is None for line in lines):
        said.append("How large the classifier is nobody knows yet: no sum of the bytes on disk.")
    said.append("Images are counted as they are found: what the check drops as broken or doubled is still among them.")
    return tuple(said)


def _mistakes(settings: Settings, known: Known) -> str:
    guide = known.images["guide"]
    if known.mistakes is not None:
        return f"The baseline gets {known.mistakes} of {guide} guide images wrong, says the run folder."
    low, high = (f"{100 * rate:g}" for rate in ERROR_RATE)
    return (
        f"Assumed: the baseline gets {low} to {high} % of {guide} guide images wrong (at most {settings.mistakes.max} "
        "are used). `xaiaug run CONFIG --until mistakes` finds out, and costs no money."
    )


def _made(known: Known) -> str:
    low, high = known.made_each or MADE_EACH
    whence = "as in the run folder" if known.made_each else "assumed"
    return f"For each image that is wanted {low:.2g} to {high:.2g} are made ({whence}): rejected ones are made again."


def _hours(known: Known, lines: Sequence[Line]) -> list[str]:
    said = [f"Speeds are from {known.seconds_from}."] if known.seconds else []
    if any(line.hours is None for line in lines):
        said.append("How fast this machine is nobody knows yet: --probe measures it on a few images.")
    if any(line.calls[1] for line in lines) and "critique" not in known.seconds:
        low, high = (f"{seconds:.2g}" for seconds in CALL_SECONDS)
        said.append(f"Assumed: {low} to {high} seconds a call, many of them at once.")
    return said
