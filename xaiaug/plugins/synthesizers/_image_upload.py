"""Photos and masks as OpenAI's Images API takes them, and what an edit changed outside its mask."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...files.content import MAX_PIXELS, refuse_truncated
from ...records import JSON, Failure
from .._pixels import to_rgb
from ..critics._model_reply import ModelReply, find_block
from ._image_tokens import read_usage

Mask = NDArray[np.bool_]

FORMATS = ("PNG", "JPEG", "WEBP")
TOLERANCE = 8  # levels of 255 that a pixel may differ by and still count as unchanged
FILE = tuple[str, bytes, str]


@dataclass(frozen=True, eq=False)
class ImageUpload:
    """A photo to be edited, at the size of the image that is asked for, and its mask.

    Attributes:
        photo: RGB.
        mask: h w of `photo`, true where it may change; None: everywhere.
        files: arguments of the SDK's call.
    """

    photo: Image.Image
    mask: Mask | None
    files: Mapping[str, FILE] = field(repr=False)

    @classmethod
    def of(cls, photo: Image.Image, mask: Mask | None, size: tuple[int, int]) -> ImageUpload:
        """The upload of a photo and a mask of the photo's size."""
        fitted = photo.convert("RGB").resize(size, Image.Resampling.LANCZOS)
        files = {"image": ("photo.png", _to_png(fitted), "image/png")}
        if mask is None:
            return cls(fitted, None, files)
        stencil = Image.fromarray(np.where(mask, 255, 0).astype(np.uint8)).resize(size, Image.Resampling.NEAREST)
        changed: Mask = np.asarray(stencil) > 0
        cut = fitted.convert("RGBA")
        cut.putalpha(Image.fromarray(np.where(changed, 0, 255).astype(np.uint8)))  # transparent: to be changed
        return cls(fitted, changed, {**files, "mask": ("mask.png", _to_png(cut), "image/png")})

    @property
    def digest(self) -> str:
        """Of the pixels of photo and mask."""
        known = hashlib.blake2b(f"{self.photo.size}".encode() + self.photo.tobytes(), digest_size=16)
        if self.mask is not None:
            known.update(np.packbits(self.mask).tobytes())
        return known.hexdigest()

    def changed_outside(self, edited: Image.Image) -> float | None:
        """Share of the pixels outside the mask that an edit changed; None without a mask or an outside."""
        if self.mask is None or self.mask.all():
            return None
        other = edited.convert("RGB").resize(self.photo.size, Image.Resampling.LANCZOS)
        difference = np.abs(np.asarray(other, np.int16) - np.asarray(self.photo, np.int16)).max(axis=2)
        return float((difference[~self.mask] > TOLERANCE).mean())


class ImagesApi:
    """How the Images API reports an answer; satisfies `Api`."""

    def holds_completion(self, body: Mapping[str, Any]) -> bool:
        """Whether a body is an answer, if only one without an image."""
        return isinstance(body.get("data"), list)

    def read_reply(self, body: Mapping[str, Any]) -> ModelReply:
        """An image in place of a text."""
        return ModelReply("image" if _first(body) else "")

    def read_usage(self, usage: Any) -> dict[str, int]:
        """The tokens that are billed."""
        return read_usage(usage)


def read_image(body: Mapping[str, JSON]) -> Image.Image | Failure:
    """The image in a reply; addresses are not fetched."""
    first = _first(body)
    encoded = first.get("b64_json") or first.get("url")
    if isinstance(encoded, str) and encoded.startswith("data:"):
        encoded = encoded.partition(",")[2]
    elif encoded == first.get("url"):
        encoded = None
    if not isinstance(encoded, str) or not encoded:
        blocked = find_block(body)
        if blocked is not None:
            return Failure("refusal", blocked)
        given = "an address in place of an image, which is not fetched" if first.get("url") else "no image"
        return Failure("no-image", f"the service answered with {given}")
    try:
        return _decode(base64.b64decode(encoded, validate=True))
    except Exception as error:  # noqa: BLE001  what Pillow's decoders raise depends on what they are given
        return Failure("no-image", f"the service's image cannot be read: {type(error).__name__}: {str(error)[:200]}")


def _first(body: Mapping[str, JSON]) -> Mapping[str, JSON]:
    data = body.get("data")
    return data[0] if isinstance(data, list) and data and isinstance(data[0], Mapping) else {}


def _decode(data: bytes) -> Image.Image:
    """The image in a file; in threads, where warnings cannot be held back as `parse_image` does."""
    with refuse_truncated(), Image.open(io.BytesIO(data), formats=FORMATS) as image:
        if image.width * image.height > MAX_PIXELS:
            raise ValueError(f"it has {image.width:,} × {image.height:,} pixels, too many to decode")
        plain = to_rgb(image)
        plain.info = {}
        return plain


def _to_png(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG", compress_level=3)
    return stream.getvalue()
