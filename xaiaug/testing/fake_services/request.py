"""What a request says, whichever protocol it came by."""

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
# An image given by its address is never fetched; it counts as one of this size.
UNSEEN_SIDE = 512


class MisfitError(ValueError):
    """A request that the service would answer with HTTP 400; the message is the reason."""


@dataclass(frozen=True)
class Picture:
    """An image of a request: its type, size in pixels, and base64 text (or the address it was given by)."""

    media_type: str
    width: int
    height: int
    base64: str = field(default="", repr=False)
    url: str = ""

    @property
    def data(self) -> bytes:
        """The bytes of the image file; empty when the request gave an address."""
        return base64.b64decode(self.base64)

    @property
    def image(self) -> Image.Image:
        """The image, opened."""
        return Image.open(BytesIO(self.data))

    @classmethod
    def read(cls, encoded: str) -> Picture:
        """The picture of a base64 text.

        Raises:
            MisfitError: It is not base64, not an image, or larger than 8000 pixels a side.
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
        """The picture of a data URL, or of an address that is not fetched."""
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
        protocol: `"messages"` (Anthropic), `"responses"` or `"chat"` (OpenAI).
        path: The path with its query.
        headers: Lower-case names; keys and whatever else names a caller are left out.
        body: The parsed JSON.
        content: Texts and pictures in their order, the system text first.
        turn: How many user messages the request holds: 2 in the second round of a dialogue.
        max_tokens: Most tokens that may be answered, where the request says so.
        schema: The JSON schema the answer must satisfy, where the request has one.
        input_tokens: What the request counts as: its texts, schema and pictures.
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
        """Name of the model that was asked."""
        return str(self.body["model"])

    @property
    def text(self) -> str:
        """All texts, one below the other."""
        return "\n".join(part for part in self.content if isinstance(part, str))

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """All pictures."""
        return tuple(part for part in self.content if isinstance(part, Picture))


@dataclass(frozen=True)
class Said:
    """The parts of a request body that matter here, as a protocol reads them."""

    content: tuple[str | Picture, ...]
    turn: int
    max_tokens: int | None
    schema: Mapping[str, Any] | None

    def tokens(self, pixels_per_token: int) -> int:
        """Texts and schema by their characters, pictures by their pixels, each rounded up."""
        schema = text_tokens(json.dumps(self.schema)) if self.schema is not None else 0
        return schema + sum(
            text_tokens(part) if isinstance(part, str) else -(-part.width * part.height // pixels_per_token)
            for part in self.content
        )
