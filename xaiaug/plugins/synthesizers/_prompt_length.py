"""Prompt length: how many tokens a pipeline reads, cutting longer prompts, or encoding them in chunks."""

from __future__ import annotations

import inspect
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ...errors import ConfigError, MissingExtraError
from ...records import label_to_words
from ..classifiers._isolation import silence_transformers
from ._weights import Weights, diffusers_package, unreadable

ENDLESS = 1 << 20  # tokenizers without a limit give a number of thirty digits


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
    """

    counters: tuple[TokenCounter, ...]

    @property
    def tokens(self) -> int | None:
        """Most tokens that are read; None: no limit."""
        return min((counter.limit for counter in self.counters), default=None)

    def count(self, text: str) -> int:
        """Tokens of a text, by the tokenizer that gives most."""
        return max((counter.count(text) for counter in self.counters), default=0)

    def fits(self, text: str) -> bool:
        """Whether the text is read completely."""
        return self.tokens is None or self.count(text) <= self.tokens

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


def load_token_limit(weights: Weights) -> TokenLimit:
    """The limit of a pipeline; loads its tokenizers only.

    Raises:
        ConfigError: they cannot be loaded.
    """
    index = weights.index()
    default = _sequence_length(str(index.get("_class_name", "")))
    counters = [_load_counter(weights, name, index, default) for name in _tokenizers_in_use(index)]
    limited = [counter for counter in counters if counter is not None]
    if len(limited) < len(counters):
        return TokenLimit(())
    highest = max((counter.limit for counter in limited), default=0)
    # One encoder is enough: in Stable Diffusion 3, T5 reads what is too long for CLIP.
    return TokenLimit(tuple(counter for counter in limited if counter.limit == highest))


def _tokenizers_in_use(index: Mapping[str, Any]) -> Sequence[str]:
    parts = [name for name in index if name.startswith("tokenizer") and _is_present(index[name])]
    return [name for name in parts if _is_present(index.get(name.replace("tokenizer", "text_encoder"), ["", ""]))]


def _is_present(part: Any) -> bool:
    return isinstance(part, list | tuple) and part[0] is not None


def _load_counter(weights: Weights, name: str, index: Mapping[str, Any], default: int | None) -> TokenCounter | None:
    """The counter of one tokenizer; None if it has no limit."""
    from transformers import AutoTokenizer

    try:
        with silence_transformers():
            tokenizer = AutoTokenizer.from_pretrained(
                weights.place, subfolder=name, trust_remote_code=False, **_tokenizer_options(weights)
            )
    except (OSError, ValueError) as error:
        raise unreadable(weights, error) from error
    limit = int(tokenizer.model_max_length)
    if default is not None and "CLIP" not in str(index[name][1]):
        limit = default
    return TokenCounter(tokenizer, limit - tokenizer.num_special_tokens_to_add()) if limit < ENDLESS else None


def _tokenizer_options(weights: Weights) -> dict[str, Any]:
    return {key: value for key, value in weights.options().items() if key != "use_safetensors"}


def _sequence_length(pipeline: str) -> int | None:
    """The default number of tokens that a pipeline passes to encoders without a limit of their own."""
    with silence_transformers():
        kind = getattr(diffusers_package(), pipeline, None)
    parameter = inspect.signature(kind.__call__).parameters.get("max_sequence_length") if kind else None
    return parameter.default if parameter is not None and isinstance(parameter.default, int) else None


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


class LongPromptEncoder:
    """Encodes prompts of any length in chunks, with compel, for pipelines that accept embeddings.

    compel's weighting syntax is not used: brackets and pluses are read literally.

    Args:
        pipe: of Stable Diffusion 1, 2 or XL.
        negative_prompt: what images should not show.
    """

    def __init__(self, pipe: Any, negative_prompt: str) -> None:
        self._pipe, self._negative = pipe, negative_prompt
        self._xl = hasattr(pipe, "text_encoder_2")
        self._encoders = [_load_encoder(pipe, suffix, self._xl) for suffix in ("", "_2") if _has_encoder(pipe, suffix)]

    def __call__(self, prompt: str) -> dict[str, torch.Tensor]:
        """The pipeline's arguments instead of `prompt` and `negative_prompt`; each is 1 k d, pooled ones 1 d."""
        with torch.no_grad(), silence_transformers():
            embeds, pooled = self._encode(prompt)
            negative, negative_pooled = self._negative_for(embeds, pooled)
        arguments = {"prompt_embeds": embeds, "negative_prompt_embeds": negative}
        if pooled is not None and negative_pooled is not None:
            arguments |= {"pooled_prompt_embeds": pooled, "negative_pooled_prompt_embeds": negative_pooled}
        return arguments

    def _encode(self, text: str) -> tuple[torch.Tensor, torch.Tensor | None]:
        device = self._pipe._execution_device
        parts = [
            encoder.get_embeddings_for_weighted_prompt_fragments([[text]], [[1.0]], device=device)
            for encoder in self._encoders
        ]
        length = max(part.shape[1] for part in parts)
        padded = [_pad(part, encoder, length) for part, encoder in zip(parts, self._encoders, strict=True)]
        pooled = self._encoders[-1].get_pooled_embeddings([text], device=device) if self._xl else None
        return torch.cat(padded, dim=-1), pooled

    def _negative_for(
        self, embeds: torch.Tensor, pooled: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        if not self._negative and pooled is not None and self._pipe.config.force_zeros_for_empty_prompt:
            return torch.zeros_like(embeds), torch.zeros_like(pooled)
        negative, negative_pooled = self._encode(self._negative)
        if missing := embeds.shape[1] - negative.shape[1]:
            empty = torch.cat([encoder.empty_z for encoder in self._encoders], dim=-1).to(negative)
            negative = torch.cat([negative, empty.repeat(1, missing // empty.shape[1], 1)], dim=1)
        return negative, negative_pooled


def accepts_embeddings(pipeline: str, parts: Collection[str]) -> bool:
    """Whether a pipeline accepts prompts as embeddings of any length.

    Args:
        pipeline: name of its class.
        parts: names of its components.
    """
    return pipeline.startswith("StableDiffusion") and {"unet", "text_encoder"} <= set(parts)


def _has_encoder(pipe: Any, suffix: str) -> bool:
    return getattr(pipe, f"text_encoder{suffix}", None) is not None


def _load_encoder(pipe: Any, suffix: str, xl: bool) -> Any:
    try:
        from compel.embeddings_provider import (  # type: ignore[import-untyped]
            EmbeddingsProvider,
            ReturnedEmbeddingsType,
            SplitLongTextMode,
        )
    except ImportError as error:
        raise MissingExtraError(
            "long prompts need compel: pip install 'xaiaug[diffusion]', or set chunked = false"
        ) from error

    kinds = ReturnedEmbeddingsType
    return EmbeddingsProvider(
        tokenizer=getattr(pipe, f"tokenizer{suffix}"),
        text_encoder=getattr(pipe, f"text_encoder{suffix}"),
        truncate=False,
        returned_embeddings_type=(
            kinds.PENULTIMATE_HIDDEN_STATES_NON_NORMALIZED if xl else kinds.LAST_HIDDEN_STATES_NORMALIZED
        ),
        device=pipe._execution_device,
        split_long_text_mode=SplitLongTextMode.SENTENCES,
    )


def _pad(part: torch.Tensor, encoder: Any, length: int) -> torch.Tensor:
    """The embedding, padded with empty prompts: tokenizers may split a prompt into different numbers of chunks."""
    missing = length - part.shape[1]
    empty = encoder.empty_z.to(part)
    return torch.cat([part, empty.repeat(1, missing // empty.shape[1], 1)], dim=1) if missing else part
