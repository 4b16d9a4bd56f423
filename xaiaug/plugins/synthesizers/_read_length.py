"""How much of a prompt a pipeline reads: known by its class before weights are loaded, else a guess to be measured."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..classifiers._isolation import silence_transformers
from ._prompt_length import TokenCounter, TokenLimit
from ._weights import Weights, diffusers_package, unreadable

ENDLESS = 1 << 20  # tokenizers without a limit give a number of thirty digits


@dataclass(frozen=True)
class ReadLength:
    """What a class of pipelines reads, where neither its tokenizers nor its signature tell.

    Attributes:
        tokens: by the name of a tokenizer, start and end included; others as their tokenizer or the signature has it.
        overhead: tokens that the class itself spends of them, from the class and the tokenizer.
    """

    tokens: Mapping[str, int]
    overhead: Callable[[Any, Any], int] = lambda pipeline, tokenizer: 0  # noqa: ARG005


def _system_tokens(pipeline: Any, tokenizer: Any) -> int:
    return _count(tokenizer, f"{_empty(pipeline).system_prompt} <Prompt Start> ")


def _template_tokens(pipeline: Any, tokenizer: Any) -> int:
    """Tokens of the template before the prompt, beyond those that the class takes away again."""
    empty = _empty(pipeline)
    before, _, _ = empty.prompt_template_encode.partition("{}")
    return max(0, _count(tokenizer, before) - int(empty.prompt_template_encode_start_idx))


def _chat_tokens(pipeline: Any, tokenizer: Any) -> int:  # noqa: ARG001
    mark = "PROMPT"
    messages = [{"role": "user", "content": mark}]
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True, enable_thinking=True)
    return _count(tokenizer, text.partition(mark)[0])


def _instruction_tokens(pipeline: Any, tokenizer: Any) -> int:  # noqa: ARG001
    # Sana makes room for its instruction, less two tokens, whether or not the tokenizer adds a start token.
    return 2 - int(tokenizer.num_special_tokens_to_add())


# Each row is confirmed on the real class in tests/plugins/test_prompt_lengths.py.
_BY_SIGNATURE = ReadLength({})
_HUNYUAN = ReadLength({"tokenizer": 77, "tokenizer_2": 256})
LENGTHS: Mapping[str, ReadLength] = {
    "AuraFlowPipeline": _BY_SIGNATURE,
    "ChromaPipeline": _BY_SIGNATURE,
    "FluxKontextPipeline": _BY_SIGNATURE,
    "FluxPipeline": _BY_SIGNATURE,
    "HunyuanDiTPAGPipeline": _HUNYUAN,
    "HunyuanDiTPipeline": _HUNYUAN,
    "IFPipeline": ReadLength({"tokenizer": 77}),
    "Kandinsky3Pipeline": ReadLength({"tokenizer": 128}),
    "KandinskyV22CombinedPipeline": _BY_SIGNATURE,
    "LatentConsistencyModelPipeline": _BY_SIGNATURE,
    "Lumina2Pipeline": ReadLength({}, _system_tokens),
    "PixArtAlphaPipeline": _BY_SIGNATURE,
    "PixArtSigmaPipeline": _BY_SIGNATURE,
    "QwenImagePipeline": ReadLength({}, _template_tokens),
    "SanaPipeline": ReadLength({}, _instruction_tokens),
    "StableDiffusion3Pipeline": _BY_SIGNATURE,
    "StableDiffusionInstructPix2PixPipeline": _BY_SIGNATURE,
    "StableDiffusionPipeline": _BY_SIGNATURE,
    "StableDiffusionXLImg2ImgPipeline": _BY_SIGNATURE,
    "StableDiffusionXLInpaintPipeline": _BY_SIGNATURE,
    "StableDiffusionXLPipeline": _BY_SIGNATURE,
    "ZImagePipeline": ReadLength({}, _chat_tokens),
}


def load_token_limit(weights: Weights) -> TokenLimit:
    """The limit of a pipeline; loads its tokenizers only.

    Raises:
        ConfigError: they cannot be loaded.
    """
    index = weights.index()
    name = str(index.get("_class_name", ""))
    pipeline, row = _pipeline_class(name), LENGTHS.get(name)
    counters = [_load_counter(weights, part, index, pipeline, row) for part in _tokenizers_in_use(index)]
    limited = [counter for counter in counters if counter is not None]
    highest = max((counter.limit for counter in limited), default=0)
    # One encoder is enough: in Stable Diffusion 3, T5 reads what is too long for CLIP.
    best = tuple(counter for counter in limited if counter.limit == highest)
    return TokenLimit(best, certain=row is not None and ENDLESS > highest > 0)


def _tokenizers_in_use(index: Mapping[str, Any]) -> Sequence[str]:
    parts = [name for name in index if "tokenizer" in name and _is_present(index[name])]  # Kandinsky: prior_tokenizer
    return [name for name in parts if _is_present(index.get(name.replace("tokenizer", "text_encoder"), ["", ""]))]


def _is_present(part: Any) -> bool:
    return isinstance(part, list | tuple) and part[0] is not None


def _load_counter(
    weights: Weights, name: str, index: Mapping[str, Any], pipeline: Any, row: ReadLength | None
) -> TokenCounter | None:
    """The counter of one tokenizer; its limit is `ENDLESS` where nothing tells it."""
    from transformers import AutoTokenizer

    try:
        with silence_transformers():
            tokenizer = AutoTokenizer.from_pretrained(
                weights.description, subfolder=name, trust_remote_code=False, **_tokenizer_options(weights)
            )
    except (OSError, ValueError) as error:
        raise unreadable(weights, error) from error
    limit, default = min(int(tokenizer.model_max_length), ENDLESS), _sequence_length(pipeline)
    if default is not None and "CLIP" not in str(index[name][1]):
        limit = default
    if row is not None:
        limit = row.tokens.get(name, limit) - row.overhead(pipeline, tokenizer)
    return TokenCounter(tokenizer, limit - tokenizer.num_special_tokens_to_add())


def _tokenizer_options(weights: Weights) -> dict[str, Any]:
    return {key: value for key, value in weights.options().items() if key != "use_safetensors"}


def _pipeline_class(name: str) -> Any:
    with silence_transformers():
        return getattr(diffusers_package(), name, None)


def _sequence_length(pipeline: Any) -> int | None:
    """The default number of tokens that a pipeline passes to encoders without a limit of their own."""
    parameter = inspect.signature(pipeline.__call__).parameters.get("max_sequence_length") if pipeline else None
    return parameter.default if parameter is not None and isinstance(parameter.default, int) else None


def _empty(pipeline: Any) -> Any:
    """A pipeline without parts: it tells what the class writes around a prompt."""
    return pipeline(**dict.fromkeys(inspect.signature(pipeline.__init__).parameters.keys() - {"self"}))


def _count(tokenizer: Any, text: str) -> int:
    return len(tokenizer(text, add_special_tokens=False)["input_ids"])
