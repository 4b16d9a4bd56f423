"""The critic that asks a vision-language model on this machine."""

from __future__ import annotations

import copy
import io
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from ...errors import ConfigError, PluginError
from ...interfaces import Context, Critic
from ...records import JSON, Case, Critique, Failure
from .._device import resolve_device
from ._conversation import Dialogue, Question, Said, check_dialogue, made_dialogue, together, words
from ._image_encoding import Picture


class LocalVLMCritic(Critic):
    """Shows a model of `AutoModelForImageTextToText` the panel and the two classes; nothing leaves the machine.

    Such a model is bound to no schema: it is told the form of the answer, and an answer of another form is a failure.

    Args:
        model: a folder that `save_pretrained` wrote, or a name on the model hub.
        dialogue: "structured" (one question, answered in JSON) or "paper" (an analysis, then the prompt alone).
        layout: of the panel: "side-by-side", "overlay", "masked" or "image-only".
        side: width of the panel in pixels, at least 200; the model's processor may shrink it.
        domain: one line on what the images are, such as "chest X-rays of adults"; may be empty.
        templates: texts in place of ours, by name.
        max_tokens: most an answer may take.
        batch_size: cases that are asked about at once.
        dtype: "auto" (as saved; float32 on a CPU), or one of torch's names, such as "bfloat16".
        device: "auto", or a device in torch's words; None takes the run's.
    """

    def __init__(  # noqa: PLR0913  each is one decision of the user, and stands in the settings table
        self,
        model: str = "Qwen/Qwen3-VL-4B-Instruct",
        *,
        dialogue: str = "structured",
        layout: str = "side-by-side",
        side: int = 512,
        domain: str = "",
        templates: Mapping[str, str] | None = None,
        max_tokens: int = 700,
        batch_size: int = 4,
        dtype: str = "auto",
        device: str | None = None,
    ) -> None:
        self.model = model
        self.dialogue = dialogue
        self.layout = layout
        self.side = side
        self.domain = domain
        self.templates = templates
        self.max_tokens = max_tokens
        self.batch_size = batch_size
        self.dtype = dtype
        self.device = device
        self._loaded: tuple[Any, Any] | None = None  # model and processor

    def check(self) -> None:
        """Raises ConfigError for a wrong parameter."""
        check_dialogue(self)
        if self.batch_size < 1:
            raise ConfigError(f"LocalVLMCritic: batch_size must be at least 1, got {self.batch_size}")
        if self.dtype != "auto" and not isinstance(getattr(torch, self.dtype, None), torch.dtype):
            raise ConfigError(f"LocalVLMCritic: dtype must be 'auto' or such as 'bfloat16', got {self.dtype!r}")

    def prepare(self, context: Context) -> None:
        """Loads the model, the first time."""
        self.check()
        self._dialogue: Dialogue = made_dialogue(self, context)
        if self._loaded is None:
            self._loaded = _load(self.model, self.dtype, resolve_device(self.device or context.device))

    def critique(self, cases: Sequence[Case]) -> list[Critique | Failure]:
        """One critique a case, in order; their questions are answered batch by batch.

        Raises:
            PluginError: it was not prepared.
        """
        if self._loaded is None:
            raise PluginError("LocalVLMCritic: call prepare(Context()) first, or get it from xaiaug.load")
        return together([self._dialogue.talk(case) for case in cases], self._answers)

    def identity(self) -> dict[str, JSON]:
        """What a result depends on: also on our own words and schema."""
        return {**super().identity(), "words": words(self.templates)}

    def _answers(self, questions: list[Question]) -> list[Said]:
        """Questions with the same limit share a batch, so that no answer depends on what else is asked."""
        by_limit: dict[int, list[int]] = defaultdict(list)
        for place, question in enumerate(questions):
            by_limit[question.max_tokens].append(place)
        said: dict[int, Said] = {}
        for places in by_limit.values():
            for start in range(0, len(places), self.batch_size):
                few = places[start : start + self.batch_size]
                said.update(zip(few, _generated(self._loaded, [questions[place] for place in few]), strict=True))
        return [said[place] for place in range(len(questions))]


def _generated(loaded: Any, questions: list[Question]) -> list[Said]:
    """The answers to one batch, all with the same limit."""
    model, processor = loaded
    texts = [
        processor.apply_chat_template(_messages(question), tokenize=False, add_generation_prompt=True)
        for question in questions
    ]
    pictures = [[_image(turn.picture) for turn in question.turns if turn.picture] for question in questions]
    given = processor(text=texts, images=pictures, padding=True, return_tensors="pt").to(model.device, model.dtype)
    with torch.inference_mode():
        tokens = model.generate(**given, generation_config=_greedy(model, questions[0].max_tokens))
    ends = _ends(model, processor)
    return [_said(row, processor, ends) for row in tokens[:, given["input_ids"].shape[1] :]]


def _load(name: str, dtype: str, device: torch.device) -> tuple[Any, Any]:
    from transformers import AutoModelForImageTextToText, AutoProcessor

    path = Path(name).expanduser()
    place = str(path) if path.is_dir() else name
    kind = "float32" if dtype == "auto" and device.type == "cpu" else dtype
    try:
        processor = AutoProcessor.from_pretrained(place)  # type: ignore[no-untyped-call]
        model: Any = AutoModelForImageTextToText.from_pretrained(place, dtype=kind, use_safetensors=True)
    except (OSError, ValueError, ImportError, KeyError) as error:
        raise ConfigError(f"LocalVLMCritic: the model {name!r} cannot be loaded: {_first_line(error)}") from error
    tokenizer = getattr(processor, "tokenizer", None)
    if tokenizer is None or not (getattr(processor, "chat_template", None) or tokenizer.chat_template):
        raise ConfigError(f"LocalVLMCritic: the model {name!r} has no chat template, so it cannot be talked to")
    tokenizer.padding_side = "left"  # what is generated follows the question at once
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return model.to(device).eval(), processor


def _messages(question: Question) -> list[dict[str, Any]]:
    """As chat templates take them. Not all know a system message, so its text begins the first turn."""
    form = "" if question.schema is None else f"\n\nAnswer with one JSON object like this: {spelled(question.schema)}"
    messages = []
    for place, turn in enumerate(question.turns):
        text = f"{question.system}\n\n{turn.text}{form}" if place == 0 else turn.text
        content: list[dict[str, Any]] = [{"type": "image"}] if turn.picture else []
        messages.append({"role": turn.role, "content": [*content, {"type": "text", "text": text}]})
    return messages


def spelled(schema: Mapping[str, Any]) -> str:
    """A schema of an object as an example a model can follow: each value tells what belongs there."""
    return json.dumps(_spelled(schema), ensure_ascii=False)


def _spelled(schema: Mapping[str, Any]) -> Any:
    if "anyOf" in schema:
        return f"{_spelled({'description': schema['description'], **schema['anyOf'][0]})} or null"
    if "enum" in schema:
        return " | ".join(schema["enum"])
    if schema["type"] == "object":
        return {name: _spelled(part) for name, part in schema["properties"].items()}
    words = schema.get("description", schema["type"])
    return [words] if schema["type"] == "array" else words


def _image(picture: Picture) -> Image.Image:
    with Image.open(io.BytesIO(picture.data)) as image:
        return image.convert("RGB")


def _greedy(model: Any, most: int) -> Any:
    """The model's own settings, but for chance: the same question gets the same answer."""
    settings = copy.deepcopy(model.generation_config)
    settings.update(do_sample=False, temperature=None, top_p=None, top_k=None, max_new_tokens=most, max_length=None)
    return settings


def _ends(model: Any, processor: Any) -> set[int]:
    """The tokens behind which nothing is said: a model may have several."""
    own = model.generation_config.eos_token_id
    return {
        processor.tokenizer.pad_token_id,
        processor.tokenizer.eos_token_id,
        *(own if isinstance(own, list) else [own]),
    }


def _said(tokens: torch.Tensor, processor: Any, ends: set[int]) -> Said:
    text = processor.tokenizer.decode(tokens, skip_special_tokens=True)
    return Said(text, "end" if int(tokens[-1]) in ends else "length")


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"
