"""OpenAI's Images API: generations, and edits whose photos and masks come as multipart uploads."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from email import message_from_bytes
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image

from .openai import OpenAI
from .protocol import CREATED, FilledReply
from .request import MisfitError, Picture, Request, RequestContent
from .script import Error, Reply

SIDE = 1024
PIXELS_PER_TOKEN = 1000  # of the images that are made
NUMBERS = ("n", "output_compression", "partial_images")
SCRAMBLE = 0.5  # share of a made-up image's values that is noise


class Images(OpenAI):
    """The common part of both endpoints."""

    def fill(self, reply: Reply, request: Request) -> FilledReply:
        """The reply with an image, and its tokens by the number of pixels."""
        image = reply.image or self.make_up(request)
        text = reply.text or ""
        tokens = reply.usage or (request.input_tokens, -(-image.width * image.height // PIXELS_PER_TOKEN))
        return FilledReply(text, None, reply.stop, reply.category, *tokens, image=image)

    def refuse(self, reply: Reply) -> Error | None:
        """The error in place of an image that the service's filter stops; it comes with HTTP 400."""
        if reply.stop not in ("refusal", "filter"):
            return None
        message = reply.text or "Your request was rejected by the safety system."
        return Error(400, message, type="image_generation_user_error", code="moderation_blocked")

    def make_up(self, request: Request) -> Image.Image:
        """An image that no script gave: noise around a colour, by the request's text."""
        width, height = _size(request.body)
        return _noise(request.text, width, height)

    def reply(self, filled: FilledReply, request: Request) -> dict[str, Any]:
        """The body of a successful reply."""
        form = str(request.body.get("output_format") or "png")
        stream = BytesIO()
        (filled.image or self.make_up(request)).save(stream, "JPEG" if form == "jpeg" else form.upper())
        pictures = sum(-(-part.width * part.height // self.pixels_per_token) for part in request.pictures)
        return {
            "created": CREATED,
            "data": [{"b64_json": base64.b64encode(stream.getvalue()).decode()}],
            "background": "opaque",
            "output_format": form,
            "quality": request.body.get("quality") or "high",
            "usage": {
                "input_tokens": filled.input_tokens,
                "input_tokens_details": {
                    "text_tokens": max(0, filled.input_tokens - pictures),
                    "image_tokens": min(pictures, filled.input_tokens),
                },
                "output_tokens": filled.output_tokens,
                "total_tokens": filled.input_tokens + filled.output_tokens,
            },
        }


class ImageGenerations(Images):
    """`POST /v1/images/generations`."""

    name = "image-generations"
    path = "/v1/images/generations"

    def read(self, body: Mapping[str, Any]) -> RequestContent:
        """The content of a request body; raises `MisfitError`, or any error that a wrong shape causes."""
        _size(body)
        return RequestContent((str(body["prompt"]),), 1, None, None)


class ImageEdits(Images):
    """`POST /v1/images/edits`, as multipart/form-data."""

    name = "image-edits"
    path = "/v1/images/edits"
    media_type = "multipart/form-data"

    def read(self, body: Mapping[str, Any]) -> RequestContent:
        """The content of a request body: the prompt, the photos, and the mask last."""
        _size(body)
        photos = body["image"] if isinstance(body["image"], list) else [body["image"]]
        mask = body.get("mask")
        if mask is not None:
            if (mask.width, mask.height) != (photos[0].width, photos[0].height):
                raise MisfitError("The mask must have the same dimensions as the image.")
            if mask.image.mode not in ("RGBA", "LA"):
                raise MisfitError("The mask must have an alpha channel.")
        pictures = (*photos, *([] if mask is None else [mask]))
        return RequestContent((str(body["prompt"]), *pictures), 1, None, None)

    def make_up(self, request: Request) -> Image.Image:
        """The first photo, with noise where the mask is transparent; without a mask, in its middle."""
        photo, mask = request.pictures[0].image.convert("RGB"), request.body.get("mask")
        width, height = _size(request.body)
        noise = _noise(request.text, photo.width, photo.height)
        if mask is None:
            alpha = Image.new("L", photo.size, 255)
            left, top = photo.width // 4, photo.height // 4
            alpha.paste(0, (left, top, photo.width - left, photo.height - top))
        else:
            alpha = mask.image.convert("RGBA").getchannel("A")
        edited = Image.composite(photo, noise, alpha.point(lambda value: 255 if value else 0))
        return edited if edited.size == (width, height) else edited.resize((width, height))


def read_multipart(content_type: str, raw: bytes) -> dict[str, Any]:
    """The fields of a multipart body: texts, numbers, and pictures; several of one name, such as `image[]`, as a list.

    Raises:
        MisfitError: it is not multipart, or a file is no picture.
    """
    message = message_from_bytes(b"Content-Type: " + content_type.encode("latin-1") + b"\r\n\r\n" + raw)
    if not message.is_multipart():
        raise MisfitError("The body is not multipart/form-data.")
    fields: dict[str, Any] = {}
    for part in message.get_payload():
        name = str(part.get_param("name", header="content-disposition"))  # type: ignore[union-attr]
        content = part.get_payload(decode=True)  # type: ignore[union-attr]
        value = _parse_field(name, content, part.get_filename())  # type: ignore[union-attr, arg-type]
        if name.endswith("[]"):
            fields.setdefault(name.removesuffix("[]"), []).append(value)
        else:
            fields[name] = value
    return fields


def to_plain(body: Mapping[str, Any]) -> dict[str, Any]:
    """The body as its description has it: files are texts."""
    return {name: _plain(value) for name, value in body.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(part) for part in value]
    return "file" if isinstance(value, Picture) else value


def _parse_field(name: str, content: bytes, file_name: str | None) -> Any:
    if file_name is not None:
        return Picture.read(base64.b64encode(content).decode())
    text = content.decode()
    return int(text) if name in NUMBERS and text.isdigit() else text


def _size(body: Mapping[str, Any]) -> tuple[int, int]:
    size = str(body.get("size") or "auto")
    if size == "auto":
        return SIDE, SIDE
    width, _, height = size.partition("x")
    if not (width.isdigit() and height.isdigit()):
        raise MisfitError(f"Invalid size {size!r}.")
    return int(width), int(height)


def _noise(text: str, width: int, height: int) -> Image.Image:
    """Coarse noise around a colour, both by the text."""
    seed = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")
    rng = np.random.default_rng(seed)
    colour = rng.integers(0, 256, 3)
    coarse = (1 - SCRAMBLE) * colour + SCRAMBLE * rng.integers(0, 256, (16, 16, 3))
    return Image.fromarray(coarse.astype(np.uint8)).resize((width, height), Image.Resampling.BILINEAR)
