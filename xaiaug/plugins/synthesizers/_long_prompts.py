"""Long prompts: encoded in chunks, with compel, for pipelines that accept embeddings."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import torch

from ...errors import MissingExtraError
from ..classifiers._isolation import silence_transformers


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
