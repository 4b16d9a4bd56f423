"""Requests to the stand-in services, independent of their protocol."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

from PIL import Image

from .bill import text_tokens

LARGEST_SIDE = 8000
# An image given by its URL is not fetched; it counts as one of this size.
UNSEEN_SIDE = 512


class MisfitError(ValueError):
    """A request that the service would reject with HTTP 400; the message is the reason."""


@dataclass(frozen=True)
class Picture:
    """An image in a request: its type, size in pixels, and base64 text (or its URL)."""

    media_type: str
    width: int
    height: int
    base64: str = field(default="", repr=False)
    url: str = ""

    @property
    def data(self) -> bytes:
        """The bytes of the image file; empty if the request gave a URL."""
        return base64.b64decode(self.base64)

    @property
    def image(self) -> Image.Image:
        """The image, opened."""
        return Image.open(BytesIO(self.data))

    @classmethod
    def read(cls, encoded: str) -> Picture:
        """The picture in a base64 text.

        Raises:
            MisfitError: it is not base64, not an image, or larger than 8000 pixels a side.
        """
        try:
            with Image.open(BytesIO(base64.b64decode(encoded, validate=True))) as image:
                media_type, (width, height) = Image.MIME[str(image.format)], image.size
        except (binascii.Error, OSError, KeyError, Image.DecompressionBombError) as error:
            raise MisfitError(f"Could not process image: {type(error).__name__}") from None
        if max(width, height) > LARGEST_SIDE:
            raise MisfitError(f"image dimensions exceed max allowed size: {LARGEST_SIDE} pixels")
        return cls(media_type, width, height, base64=encoded)

    @classmethod
    def at(cls, url: str) -> Picture:
        """The picture in a data URL, or at another URL, which is not fetched."""
        if not url.startswith("data:"):
            return cls("", UNSEEN_SIDE, UNSEEN_SIDE, url=url)
        head, separator, encoded = url.partition(";base64,")
        if not separator or not head.startswith("data:image/"):
            raise MisfitError("expected a data URL like data:image/png;base64,...")
        return cls.read(encoded)


@dataclass(frozen=True)
class Request:
    """One request that reached the script.

    Attributes:
        number: 1 for the first request that reached the script, in the order of arrival.
        protocol: `"messages"` (Anthropic), `"responses"`, `"chat"`, `"image-generations"` or `"image-edits"` (OpenAI).
        path: with its query.
        headers: with lower-case names; keys and other data that identify the caller are left out.
        body: the parsed JSON, or the fields of an upload, whose files are pictures.
        content: texts and pictures in order, the system text first.
        turn: number of user messages: 2 in the second round of a dialogue.
        max_tokens: maximum length of the answer, if the request limits it.
        schema: JSON schema of the answer, if the request has one.
        input_tokens: tokens of its texts, schema and pictures.
    """

    number: int
    protocol: str
    path: str
    headers: Mapping[str, str]
    body: Mapping[str, Any] = field(repr=False)
    content: tuple[str | Picture, ...] = field(repr=False)
    turn: int
    max_tokens: int | None
    schema: Mapping[str, Any] | None = field(repr=False)
    input_tokens: int

    @property
    def model(self) -> str:
        """Name of the model."""
        return str(self.body["model"])

    @property
    def text(self) -> str:
        """All texts, separated by line breaks."""
        return "\n".join(part for part in self.content if isinstance(part, str))

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """All pictures."""
        return tuple(part for part in self.content if isinstance(part, Picture))


@dataclass(frozen=True)
class RequestContent:
    """The relevant parts of a request body, as read by a protocol."""

    content: tuple[str | Picture, ...]
    turn: int
    max_tokens: int | None
    schema: Mapping[str, Any] | None

    def tokens(self, pixels_per_token: int) -> int:
        """Number of tokens: texts and schema by characters, pictures by pixels, each rounded up."""
        schema = text_tokens(json.dumps(self.schema)) if self.schema is not None else 0
        return schema + sum(
            text_tokens(part) if isinstance(part, str) else -(-part.width * part.height // pixels_per_token)
            for part in self.content
        )
