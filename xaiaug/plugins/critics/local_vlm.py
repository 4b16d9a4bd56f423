"""The critic that asks a vision-language model on this machine."""

from __future__ import annotations

import copy
import io
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Unpack

import torch
from PIL import Image

from ...errors import ConfigError, MissingExtraError, PluginError
from ...interfaces import Context
from ...records import Case, Critique, Failure, ImageCheck, ImageToCheck
from .._device import resolve_device
from ._chat_processor import describe_missing, load_chat_processor
from ._conversation import Dialogue, Question, run_conversations
from ._image_encoding import EncodedImage
from ._model_reply import ModelReply
from ._vlm_critic import DialogueOptions, VLMCritic


class LocalVLMCritic(VLMCritic):
    """Shows a model of `AutoModelForImageTextToText` the panel and the two classes; nothing leaves the machine.

    Such a model cannot be bound to a schema: it is told the form of the answer, and any other form is a failure.

    Args:
        model: a folder written by `save_pretrained`, or a name on the model hub.
        max_tokens: maximum length of an answer.
        batch_size: cases asked about at once.
        dtype: "auto" (as saved; float32 on a CPU), or a name in torch such as "bfloat16".
        device: "auto", or a torch device; None: the run's.
        options: settings of the dialogue, as in `VLMCritic`; the model's processor may shrink the panel.
    """

    def __init__(
        self,
        model: str = "Qwen/Qwen3-VL-4B-Instruct",
        *,
        max_tokens: int = 700,
        batch_size: int = 4,
        dtype: str = "auto",
        device: str | None = None,
        **options: Unpack[DialogueOptions],
    ) -> None:
        super().__init__(model, max_tokens=max_tokens, **options)
        self.batch_size = batch_size
        self.dtype = dtype
        self.device = device
        self._loaded: tuple[Any, Any] | None = None  # model and processor

    def check(self) -> None:
        """Raises ConfigError for a wrong parameter."""
        self._check_dialogue()
        if self.batch_size < 1:
            raise ConfigError(f"LocalVLMCritic: batch_size must be at least 1, got {self.batch_size}")
        if self.dtype != "auto" and not isinstance(getattr(torch, self.dtype, None), torch.dtype):
            raise ConfigError(f"LocalVLMCritic: dtype must be 'auto' or a name such as 'bfloat16', got {self.dtype!r}")

    def prepare(self, context: Context) -> None:
        """Loads the model on the first call."""
        self.check()
        self._dialogue: Dialogue = self._make_dialogue(context)
        if self._loaded is None:
            self._loaded = _load(self.model, self.dtype, resolve_device(self.device or context.device))

    def critique(self, cases: Sequence[Case]) -> list[Critique | Failure]:
        """One critique a case, in order; questions are answered in batches.

        Raises:
            PluginError: the critic was not prepared.
        """
        if self._loaded is None:
            raise PluginError("LocalVLMCritic: call prepare(Context()) first, or get it from xaiaug.load")
        return run_conversations([self._dialogue.discuss(case) for case in cases], self._answer)

    def check_images(self, images: Sequence[ImageToCheck]) -> list[ImageCheck | Failure]:
        """Whether each image shows what was wished for, in order.

        Raises:
            PluginError: the critic was not prepared.
        """
        if self._loaded is None:
            raise PluginError("LocalVLMCritic: call prepare(Context()) first, or get it from xaiaug.load")
        return run_conversations([self._dialogue.check_image(image) for image in images], self._answer)

    def _answer(self, questions: list[Question]) -> list[ModelReply]:
        """The answers. Only questions with the same limit share a batch, so that no answer depends on the others."""
        by_limit: dict[int, list[int]] = defaultdict(list)
        for i, question in enumerate(questions):
            by_limit[question.max_tokens].append(i)
        replies: dict[int, ModelReply] = {}
        for indices in by_limit.values():
            for start in range(0, len(indices), self.batch_size):
                batch = indices[start : start + self.batch_size]
                replies.update(zip(batch, _generate(self._loaded, [questions[i] for i in batch]), strict=True))
        return [replies[i] for i in range(len(questions))]


def _generate(loaded: Any, questions: list[Question]) -> list[ModelReply]:
    """The answers to one batch of questions with the same limit."""
    model, processor = loaded
    texts = [
        processor.apply_chat_template(_messages(question), tokenize=False, add_generation_prompt=True)
        for question in questions
    ]
    images = [[_decode(turn.picture) for turn in question.turns if turn.picture] for question in questions]
    inputs = processor(text=texts, images=images, padding=True, return_tensors="pt").to(model.device, model.dtype)
    with torch.inference_mode():
        tokens = model.generate(**inputs, generation_config=_greedy_config(model, questions[0].max_tokens))
    ends = _end_tokens(model, processor)
    return [_to_reply(row, processor, ends) for row in tokens[:, inputs["input_ids"].shape[1] :]]


def _load(name: str, dtype: str, device: torch.device) -> tuple[Any, Any]:
    from transformers import AutoModelForImageTextToText

    path = Path(name).expanduser()
    source = str(path) if path.is_dir() else name
    weights = "float32" if dtype == "auto" and device.type == "cpu" else dtype
    try:
        processor = load_chat_processor(source)
        model: Any = AutoModelForImageTextToText.from_pretrained(source, dtype=weights, use_safetensors=True)
    except MissingExtraError:
        raise
    except ImportError as error:
        raise MissingExtraError(describe_missing(name, error)) from error
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(f"LocalVLMCritic: the model {name!r} cannot be loaded: {_first_line(error)}") from error
    tokenizer = getattr(processor, "tokenizer", None)
    if tokenizer is None or not (getattr(processor, "chat_template", None) or tokenizer.chat_template):
        raise ConfigError(f"LocalVLMCritic: the model {name!r} has no chat template, so it cannot chat")
    tokenizer.padding_side = "left"  # the answer directly follows the question
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return model.to(device).eval(), processor


def _messages(question: Question) -> list[dict[str, Any]]:
    """The input of a chat template. Not all templates have a system message, so its text begins the first turn."""
    messages = []
    for turn in question.spell_form().inline_system().turns:
        content: list[dict[str, Any]] = [{"type": "image"}] if turn.picture else []
        messages.append({"role": turn.role, "content": [*content, {"type": "text", "text": turn.text}]})
    return messages


def _decode(picture: EncodedImage) -> Image.Image:
    with Image.open(io.BytesIO(picture.data)) as image:
        return image.convert("RGB")


def _greedy_config(model: Any, max_tokens: int) -> Any:
    """The model's own settings without sampling: the same question gets the same answer."""
    config = copy.deepcopy(model.generation_config)
    config.update(do_sample=False, temperature=None, top_p=None, top_k=None, max_new_tokens=max_tokens, max_length=None)
    return config


def _end_tokens(model: Any, processor: Any) -> set[int]:
    """The tokens that end an answer: a model may have several."""
    own = model.generation_config.eos_token_id
    return {
        processor.tokenizer.pad_token_id,
        processor.tokenizer.eos_token_id,
        *(own if isinstance(own, list) else [own]),
    }


def _to_reply(tokens: torch.Tensor, processor: Any, ends: set[int]) -> ModelReply:
    text = processor.tokenizer.decode(tokens, skip_special_tokens=True)
    return ModelReply(text, "end" if int(tokens[-1]) in ends else "length")


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"
