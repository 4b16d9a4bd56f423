"""Measures how much of a prompt a loaded pipeline reads: by what its denoiser is given for prompts that differ."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch

from ._pipelines import silence_diffusers
from ._prompt_length import TokenLimit

Conditioning = tuple[torch.Tensor, ...]

DENOISERS = ("prior_prior", "prior", "transformer", "unet", "decoder")  # the first that is called sees the prompt first
WORDS = (("cat", "dog"), ("one", "two"), ("a", "b"))  # pairs, of which a tokenizer has one with few tokens
LONGEST = 2048  # tokens: a pipeline that reads as many is held to no more
NOISE = 4.0  # a difference counts if it is so many times that of two equal prompts


class _CapturedError(Exception):
    """Ends a generation once the denoiser was called."""


class PromptReader:
    """Asks a pipeline what its denoiser is given for a prompt.

    Args:
        pipe: of diffusers, loaded.
        call: generates with it: keyword arguments in.
        arguments: of `call` besides the prompt and the generator.
    """

    def __init__(self, pipe: Any, call: Callable[..., Any], arguments: Mapping[str, Any]) -> None:
        self._pipe, self._call, self._arguments = pipe, call, dict(arguments)
        self.name = type(pipe).__name__

    def conditioning(self, prompt: str) -> Conditioning | None:
        """All tensors that the denoiser is called with first, the noise included; None if it is never called."""
        parts = [part for name in DENOISERS if isinstance(part := getattr(self._pipe, name, None), torch.nn.Module)]
        generator = [torch.Generator("cpu").manual_seed(0)]
        captured: list[Conditioning] = []
        with _capture(parts, captured), silence_diffusers(), torch.no_grad():
            try:
                self._call(**self._arguments, prompt=[prompt], generator=generator)
            except _CapturedError:
                return captured[0]
        return None

    def distinguishes(self, prompt: str, other: str) -> bool | None:
        """Whether the denoiser is given something else for the other prompt; None if unknown."""
        first, again, second = (self.conditioning(text) for text in (prompt, prompt, other))
        if first is None or again is None or second is None:
            return None
        return _distance(first, second) > NOISE * _distance(first, again)


def confirm_limit(limit: TokenLimit, reader: PromptReader) -> TokenLimit | None:
    """The limit of a pipeline as it turns out to be; None if it cannot be measured and is not certain.

    A certain limit is only tried: a prompt of that length must be read to its end. Any other is measured.
    """
    if not limit.counters:
        return None
    prompts = ProbePrompts(limit)
    most = min(limit.tokens or LONGEST, LONGEST)
    if limit.certain and reader.distinguishes(*prompts.pair(most)) in (True, None):
        return limit
    tokens = _measure(prompts, reader, LONGEST)
    if tokens is None:
        return None
    text, _ = prompts.pair(tokens)
    counters = tuple(replace(counter, limit=counter.count(text)) for counter in limit.counters)
    return TokenLimit(counters)


def _measure(prompts: ProbePrompts, reader: PromptReader, most: int) -> int | None:
    """The greatest number of tokens up to `most` whose last one is read; None if unknown."""
    read, unread = 0, most + 1
    tokens = prompts.least
    while unread - read > 1:
        told = reader.distinguishes(*prompts.pair(tokens))
        if told is None:
            return None
        read, unread = (tokens, unread) if told else (read, tokens)
        tokens = min(2 * read, most) if unread > most else (read + unread) // 2
        if tokens <= prompts.least > read or tokens == read:
            break
    # At the start of a prompt a word may take more tokens than within the text that the class puts before it.
    return max(1, read - (prompts.least - prompts.step)) if read else None


class ProbePrompts:
    """Pairs of prompts that differ in their last token.

    Args:
        limit: counts the tokens.
    """

    def __init__(self, limit: TokenLimit) -> None:
        self._count = limit.count
        self._words = min(WORDS, key=lambda pair: limit.count(f"{pair[0]} {pair[0]}") - limit.count(pair[0]))
        self.step = max(1, limit.count(f"{self._words[0]} {self._words[0]}") - limit.count(self._words[0]))
        self.least = limit.count(self._words[0])

    def pair(self, tokens: int) -> tuple[str, str]:
        """Two prompts of so many tokens, or a few less where the tokenizer has no words of one token."""
        words = max(1, (tokens - self.least) // self.step + 1)
        before = [self._words[0]] * (words - 1)
        # Letters more lengthen the first word, where all words have several tokens.
        while before and self._count(" ".join([before[0] + "a", *before[1:], self._words[0]])) <= tokens:
            if len(before[0]) > 2 * self.step + len(self._words[0]):
                break
            before[0] += "a"
        first, second = (" ".join([*before, last]) for last in self._words)
        return first, second


@contextmanager
def _capture(parts: Sequence[torch.nn.Module], captured: list[Conditioning]) -> Iterator[None]:
    """While it is open, the first call of any of the parts ends the generation; its tensors are kept."""

    def keep(module: torch.nn.Module, values: tuple[Any, ...], named: dict[str, Any]) -> None:  # noqa: ARG001
        captured.append(tuple(_tensors([*values, *(named[name] for name in sorted(named))])))
        raise _CapturedError

    hooks = [part.register_forward_pre_hook(keep, with_kwargs=True, prepend=True) for part in parts]
    compiled = [getattr(part, "_compiled_call_impl", None) for part in parts]
    try:
        for part in parts:  # a compiled part would compile the hook
            part._compiled_call_impl = None
        yield
    finally:
        for part, call in zip(parts, compiled, strict=True):
            part._compiled_call_impl = call
        for hook in hooks:
            hook.remove()


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value.detach().float().cpu()
    elif isinstance(value, Mapping):
        for name in sorted(value):
            yield from _tensors(value[name])
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _tensors(part)


def _distance(first: Conditioning, second: Conditioning) -> float:
    """The greatest difference of two calls; infinite if their shapes differ."""
    if [part.shape for part in first] != [part.shape for part in second]:
        return float("inf")
    return max(
        (float((one - two).abs().max()) for one, two in zip(first, second, strict=True) if one.numel()), default=0
    )
