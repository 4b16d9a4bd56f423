"""Prompt length: counting the tokens of prompts, and cutting those that are longer than a pipeline reads."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

from ...errors import ConfigError
from ...records import label_to_words
from ..classifiers._isolation import silence_transformers


@dataclass(frozen=True, eq=False)
class TokenCounter:
    """A tokenizer, and how many tokens its text encoder reads, without start and end tokens."""

    tokenizer: Any
    limit: int

    def count(self, text: str) -> int:
        """Tokens of the text."""
        with silence_transformers():  # transformers warns of texts that are too long, which this function counts
            return len(self.tokenizer(text, add_special_tokens=False, truncation=False)["input_ids"])


@dataclass(frozen=True)
class FittedPrompt:
    """A prompt that the pipeline reads completely.

    Attributes:
        text: what is kept.
        tokens: of the text.
        dropped: words that were cut.
    """

    text: str
    tokens: int
    dropped: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class TokenLimit:
    """How many tokens at least one text encoder of a pipeline reads.

    Attributes:
        counters: of the encoders with the highest limit; empty if prompts are unlimited.
        certain: whether the limit is that of a known class; else it is a guess, to be measured on the loaded pipeline.
    """

    counters: tuple[TokenCounter, ...]
    certain: bool = True

    @property
    def tokens(self) -> int | None:
        """Most tokens that are read; None: no limit."""
        return min((counter.limit for counter in self.counters), default=None)

    def count(self, text: str) -> int:
        """Tokens of a text, by the tokenizer that gives most."""
        return max((counter.count(text) for counter in self.counters), default=0)

    def fits(self, text: str) -> bool:
        """Whether the text is read completely."""
        return all(counter.count(text) <= counter.limit for counter in self.counters)

    def at_most(self, tokens: int) -> TokenLimit:
        """The limit, lowered to so many tokens, as one that is certain."""
        return TokenLimit(tuple(replace(one, limit=min(one.limit, tokens)) for one in self.counters))

    def fit(self, prompt: str, style: str = "") -> FittedPrompt:
        """The prompt followed by the style, with words cut from the end of the prompt until both are read."""
        full = add_style(prompt, style)
        if self.fits(full):
            return FittedPrompt(full, self.count(full))
        words = prompt.split()
        kept, too_many = 0, len(words)
        while too_many - kept > 1:  # bisection: more words never take fewer tokens
            middle = (kept + too_many) // 2
            fits = self.fits(add_style(" ".join(words[:middle]), style))
            kept, too_many = (middle, too_many) if fits else (kept, middle)
        text = add_style(" ".join(words[:kept]).rstrip(" ,;:"), style)
        return FittedPrompt(text, self.count(text), tuple(words[kept:]))


def add_style(prompt: str, style: str) -> str:
    """A prompt followed by a style."""
    return ", ".join(part for part in (prompt.strip().rstrip(" ,."), style.strip()) if part) if style else prompt


def names_class(text: str, label: str) -> bool:
    """Whether a text names a class, as whole words, ignoring case."""
    words = re.escape(label_to_words(label).strip()).replace(r"\ ", r"\s+")
    return re.search(rf"(?<!\w){words}(?!\w)", text.replace("_", " "), re.IGNORECASE) is not None


def check_style(limit: TokenLimit, style: str, negative_prompt: str) -> None:
    """Raises ConfigError if a style leaves no room for a prompt, or a negative prompt would be cut."""
    if limit.tokens is None:
        return
    if (count := limit.count(style)) >= limit.tokens:
        raise ConfigError(
            f"style has {count} tokens, the pipeline reads {limit.tokens}: this leaves none for a prompt; shorten it"
        )
    if (count := limit.count(negative_prompt)) > limit.tokens:
        raise ConfigError(f"negative_prompt has {count} tokens, the pipeline reads {limit.tokens}: shorten it")
