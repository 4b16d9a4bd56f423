"""The base of the critics that ask a vision-language model, here or at a service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict

from ...errors import ConfigError
from ...interfaces import Context, Critic
from ...panel import LAYOUTS
from ...panel.reference_rows import MOST_REFERENCES
from ...records import JSON, digest
from .._signature import expand_options
from ._conversation import DIALOGUES, Dialogue
from ._parsing import SCHEMA, PromptCheck
from ._templates import merge_templates


class DialogueOptions(TypedDict, total=False):
    """The settings of the dialogue, as `VLMCritic` explains them."""

    dialogue: str
    layout: str
    side: int
    reference_images: int
    domain: str
    templates: Mapping[str, str] | None


class VLMCritic(Critic):
    """Shows a vision-language model the panel and the two classes.

    Args:
        model: its name.
        max_tokens: maximum length of an answer.
        dialogue: "structured" (one question, answered in JSON) or "paper" (an analysis, then the prompt alone).
        layout: of the panel: "side-by-side", "overlay", "masked" or "image-only".
        side: width of the panel in pixels, at least 200.
        reference_images: correctly classified images of the true and of the predicted class below the mistake, so many
            of each, 0 to 6.
        domain: one line describing the images, such as "chest X-rays of adults"; may be empty.
        templates: texts that replace the built-in ones, by name.
    """

    reads_sheets = True
    checks_images = True

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        expand_options(cls)

    def __init__(
        self,
        model: str,
        *,
        max_tokens: int,
        dialogue: str = "structured",
        layout: str = "side-by-side",
        side: int = 512,
        reference_images: int = 0,
        domain: str = "",
        templates: Mapping[str, str] | None = None,
    ) -> None:
        self.model = model
        self.max_tokens = max_tokens
        self.dialogue = dialogue
        self.layout = layout
        self.side = side
        self.reference_images = reference_images
        self.domain = domain
        self.templates = templates

    def identity(self) -> dict[str, JSON]:
        """What a result depends on, including the templates and the schema of answers."""
        texts: dict[str, JSON] = dict(merge_templates(self.templates))
        return {**super().identity(), "words": digest([texts, SCHEMA])[:16]}

    def _check_dialogue(self) -> None:
        """Raises ConfigError for a setting of the dialogue out of its range."""
        critic = type(self).__name__
        for name, known in (("dialogue", DIALOGUES), ("layout", tuple(LAYOUTS))):
            if getattr(self, name) not in known:
                raise ConfigError(f"{critic}: {name} must be one of {', '.join(known)}, got {getattr(self, name)!r}")
        for name, least in (("side", 200), ("max_tokens", 100)):
            if not getattr(self, name) >= least:
                raise ConfigError(f"{critic}: {name} must be at least {least}, got {getattr(self, name)}")
        number = self.reference_images
        if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= MOST_REFERENCES:
            raise ConfigError(
                f"{critic}: reference_images must be a number from 0 to {MOST_REFERENCES}, got {number!r}"
            )
        merge_templates(self.templates)

    def _make_dialogue(self, context: Context) -> Dialogue:
        """The dialogue in a run, with the limits of that run on prompts."""
        check = PromptCheck(context.labels, context.count_tokens, context.token_limit)
        texts = merge_templates(self.templates)
        return Dialogue(
            self.dialogue, texts, check, self.domain, self.layout, self.side, self.max_tokens, self.reference_images
        )
