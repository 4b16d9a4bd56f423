"""Tokens of OpenAI's image models: what a call takes at most, before it is made, and what was billed for it."""

from __future__ import annotations

from collections.abc import Mapping

from ...errors import ConfigError, suggest
from ...records import JSON, UNKNOWN_USAGE

FEWEST_PER_TOKEN = 2  # characters; no text takes more tokens in practice
CHARACTERS_PER_TOKEN = 4
STRUCTURE = 100  # tokens of the service's own words
# Of an image that is made, by quality and size, as published for the models of `KNOWN`.
OUTPUT_TOKENS: Mapping[str, Mapping[str, int]] = {
    "low": {"1024x1024": 272, "1024x1536": 408, "1536x1024": 400},
    "medium": {"1024x1024": 1056, "1024x1536": 1584, "1536x1024": 1568},
    "high": {"1024x1024": 4160, "1024x1536": 6240, "1536x1024": 6208},
}
KNOWN = ("gpt-image-1", "gpt-image-1-mini")
INPUT_TOKENS = 7_000  # of a photo that is sent, with high fidelity, and its mask: tiles, and 6,240 for the fidelity
SPARE = 1.1  # factor on the output: such a model may write a few words too


def output_tokens(model: str, quality: str, size: str, stated: int | None) -> int:
    """Tokens of one image that is made.

    Args:
        model: its name at the service.
        quality: "low", "medium" or "high".
        size: such as "1024x1024".
        stated: by the user; None: from the published table.

    Raises:
        ConfigError: the table has no such model, quality or size.
    """
    if stated is not None:
        return stated
    if model not in KNOWN:
        raise ConfigError(
            f"openai-images: how many tokens an image of {model!r} takes at most is not known here, and a budget needs"
            f" it: set output_tokens by the service's price page. Known: {', '.join(KNOWN)}"
        )
    if quality not in OUTPUT_TOKENS:
        raise ConfigError(f"openai-images: quality = {quality!r}: {suggest(quality, tuple(OUTPUT_TOKENS))}")
    sizes = OUTPUT_TOKENS[quality]
    if size not in sizes:
        raise ConfigError(f"openai-images: size = {size!r}: {model} makes {', '.join(sizes)}; or set output_tokens")
    return sizes[size]


def max_usage(prompt: str, output: int, images: int) -> dict[str, int]:
    """The most tokens that one call can take, by kind.

    Args:
        prompt: the text that is sent.
        output: tokens of the image that is made.
        images: number of photos that are sent.
    """
    sent, made = images * INPUT_TOKENS, int(output * SPARE)
    return {
        "input_tokens": len(prompt) // FEWEST_PER_TOKEN + STRUCTURE + sent,
        "input_image_tokens": sent,
        "output_tokens": made,
        "output_image_tokens": made,
    }


def read_usage(usage: JSON) -> dict[str, int]:
    """The billed tokens of a reply, by kind; `UNKNOWN_USAGE` where they are not reported as documented."""
    if not isinstance(usage, Mapping):
        return dict(UNKNOWN_USAGE)
    sent, made = _count(usage, "input_tokens"), _count(usage, "output_tokens")
    if sent is None or made is None:
        return dict(UNKNOWN_USAGE)
    total = _count(usage, "total_tokens")
    if total is not None:
        made = max(made, total - sent)  # what is billed beside the parts is output
    pictures = _count(usage.get("input_tokens_details"), "image_tokens")
    texts = _count(usage.get("output_tokens_details"), "text_tokens")
    return {
        "input_tokens": sent,
        # Without details all tokens may be those of images, which cost more.
        "input_image_tokens": sent if pictures is None else min(sent, pictures),
        "output_tokens": made,
        "output_image_tokens": made if texts is None else max(0, made - texts),
    }


def _count(usage: JSON, name: str) -> int | None:
    """A number of tokens in a report; None if there is none, or what stands there is no such number."""
    value = usage.get(name) if isinstance(usage, Mapping) else None
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
