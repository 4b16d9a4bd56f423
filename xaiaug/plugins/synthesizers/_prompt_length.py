"""How much of a prompt a pipeline reads, counted with its own tokenizers."""

from __future__ import annotations

import inspect
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ...errors import ConfigError, MissingExtraError
from ..classifiers._isolation import silence_transformers
from ._weights import Weights, diffusers_package, unreadable

ENDLESS = 1 << 20  # tokenizers without a limit say a number with thirty digits


@dataclass(frozen=True, eq=False)
class TokenCounter:
    """A tokenizer and how many tokens of a prompt its text encoder reads, start and end not counted."""

    tokenizer: Any
    limit: int

    def count(self, text: str) -> int:
        """Tokens the text takes."""
        with silence_transformers():  # transformers warns of texts that are too long: finding them is what this is for
            return len(self.tokenizer(text, add_special_tokens=False, truncation=False)["input_ids"])


@dataclass(frozen=True)
class FittedPrompt:
    """A prompt as it will be read.

    Attributes:
        text: what is kept.
        tokens: how many it takes.
        dropped: words that were cut.
    """

    text: str
    tokens: int
    dropped: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class TokenLimit:
    """How much of a prompt is read by at least one text encoder of a pipeline.

    Attributes:
        readers: those that read furthest; none where nothing limits a prompt.
    """

    readers: tuple[TokenCounter, ...]

    @property
    def limit(self) -> int | None:
        """Most tokens that are read; None: all."""
        return min((reader.limit for reader in self.readers), default=None)

    def count(self, text: str) -> int:
        """Tokens a text takes: by the tokenizer that makes most of them."""
        return max((reader.count(text) for reader in self.readers), default=0)

    def fits(self, text: str) -> bool:
        """Whether the whole text is read."""
        return self.limit is None or self.count(text) <= self.limit

    def fitted(self, prompt: str, style: str = "") -> FittedPrompt:
        """The prompt with the style behind it, words cut from the prompt's end until both are read."""
        whole = add_style(prompt, style)
        if self.fits(whole):
            return FittedPrompt(whole, self.count(whole))
        words = prompt.split()
        kept, gone = 0, len(words)
        while gone - kept > 1:  # more words never take fewer tokens
            middle = (kept + gone) // 2
            fits = self.fits(add_style(" ".join(words[:middle]), style))
            kept, gone = (middle, gone) if fits else (kept, middle)
        text = add_style(" ".join(words[:kept]).rstrip(" ,;:"), style)
        return FittedPrompt(text, self.count(text), tuple(words[kept:]))


def add_style(prompt: str, style: str) -> str:
    """A prompt with a style behind it."""
    return ", ".join(part for part in (prompt.strip().rstrip(" ,."), style.strip()) if part) if style else prompt


def names_class(text: str, label: str) -> bool:
    """Whether a text names a class, as whole words, in whatever case."""
    words = re.escape(label.replace("_", " ").strip()).replace(r"\ ", r"\s+")
    return re.search(rf"(?<!\w){words}(?!\w)", text.replace("_", " "), re.IGNORECASE) is not None


def load_token_limit(weights: Weights) -> TokenLimit:
    """The budget of a pipeline; loads its tokenizers and nothing else.

    Raises:
        ConfigError: they cannot be loaded.
    """
    index = weights.index()
    further = _sequence_length(str(index.get("_class_name", "")))
    readers = [_load_counter(weights, name, index, further) for name in _tokenizers_in_use(index)]
    found = [reader for reader in readers if reader is not None]
    if len(found) < len(readers):
        return TokenLimit(())
    furthest = max((reader.limit for reader in found), default=0)
    # What only one of two encoders reads is not lost: Stable Diffusion 3 has its T5 read what CLIP does not.
    return TokenLimit(tuple(reader for reader in found if reader.limit == furthest))


def _tokenizers_in_use(index: Mapping[str, Any]) -> Sequence[str]:
    parts = [name for name in index if name.startswith("tokenizer") and _is_present(index[name])]
    return [name for name in parts if _is_present(index.get(name.replace("tokenizer", "text_encoder"), ["", ""]))]


def _is_present(part: Any) -> bool:
    return isinstance(part, list | tuple) and part[0] is not None


def _load_counter(weights: Weights, name: str, index: Mapping[str, Any], further: int | None) -> TokenCounter | None:
    """The reader behind one tokenizer; None where nothing limits it."""
    from transformers import AutoTokenizer

    try:
        with silence_transformers():
            tokenizer = AutoTokenizer.from_pretrained(
                weights.place, subfolder=name, trust_remote_code=False, **_tokenizer_options(weights)
            )
    except (OSError, ValueError) as error:
        raise unreadable(weights, error) from error
    limit = int(tokenizer.model_max_length)
    if further is not None and "CLIP" not in str(index[name][1]):
        limit = further
    return TokenCounter(tokenizer, limit - tokenizer.num_special_tokens_to_add()) if limit < ENDLESS else None


def _tokenizer_options(weights: Weights) -> dict[str, Any]:
    return {key: value for key, value in weights.options().items() if key != "use_safetensors"}


def _sequence_length(pipeline: str) -> int | None:
    """How many tokens a pipeline hands encoders that know no limit of their own, unless told otherwise."""
    with silence_transformers():
        kind = getattr(diffusers_package(), pipeline, None)
    parameter = inspect.signature(kind.__call__).parameters.get("max_sequence_length") if kind else None
    return parameter.default if parameter is not None and isinstance(parameter.default, int) else None


def check_style(budget: TokenLimit, style: str, negative_prompt: str) -> None:
    """Raises ConfigError where a style leaves no room for a prompt, or a negative prompt would be cut."""
    if budget.limit is None:
        return
    if (count := budget.count(style)) >= budget.limit:
        raise ConfigError(
            f"style takes {count} of the {budget.limit} tokens that are read, and leaves none for a prompt: shorten it"
        )
    if (count := budget.count(negative_prompt)) > budget.limit:
        raise ConfigError(f"negative_prompt takes {count} tokens, and {budget.limit} are read: shorten it")


class LongPromptEncoder:
    """Embeds prompts of any length with compel, where a pipeline lets one hand it embeddings.

    compel's syntax of weights is left out: a critic's brackets and pluses are read as they stand.

    Args:
        pipe: of Stable Diffusion 1, 2 or XL.
        negative_prompt: what images should not show.
    """

    def __init__(self, pipe: Any, negative_prompt: str) -> None:
        self._pipe, self._negative = pipe, negative_prompt
        self._xl = hasattr(pipe, "text_encoder_2")
        self._encoders = [_load_encoder(pipe, suffix, self._xl) for suffix in ("", "_2") if _has_encoder(pipe, suffix)]

    def __call__(self, prompt: str) -> dict[str, torch.Tensor]:
        """The pipeline's arguments in place of `prompt` and `negative_prompt`; each is 1 k d, pooled ones 1 d."""
        with torch.no_grad(), silence_transformers():
            embeds, pooled = self._embedded(prompt)
            negative, negative_pooled = self._negative_for(embeds, pooled)
        found = {"prompt_embeds": embeds, "negative_prompt_embeds": negative}
        if pooled is not None and negative_pooled is not None:
            found |= {"pooled_prompt_embeds": pooled, "negative_pooled_prompt_embeds": negative_pooled}
        return found

    def _embedded(self, text: str) -> tuple[torch.Tensor, torch.Tensor | None]:
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
        negative, negative_pooled = self._embedded(self._negative)
        if missing := embeds.shape[1] - negative.shape[1]:
            empty = torch.cat([encoder.empty_z for encoder in self._encoders], dim=-1).to(negative)
            negative = torch.cat([negative, empty.repeat(1, missing // empty.shape[1], 1)], dim=1)
        return negative, negative_pooled


def accepts_embeddings(pipeline: str, parts: Collection[str]) -> bool:
    """Whether a pipeline's prompts may be handed over as embeddings of any length.

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
            "prompts that are too long are read by compel: pip install 'xaiaug[diffusion]', or set chunked = false"
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
    """The embedding with empty prompts behind it: tokenizers may cut a prompt into different numbers of chunks."""
    missing = length - part.shape[1]
    empty = encoder.empty_z.to(part)
    return torch.cat([part, empty.repeat(1, missing // empty.shape[1], 1)], dim=1) if missing else part
