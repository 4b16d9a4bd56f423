"""A folder of a user's subject masks, one file per image."""

from __future__ import annotations

import hashlib
import io
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...errors import ConfigError
from ...files import MAX_PIXELS

Floats = NDArray[np.float32]

_MOST_BYTES = 250_000_000  # as for images
LABELS = 16  # a picture with lower values only is a label map: 0 backdrop, 1 subject, 2 its border, …


class BadMaskError(ValueError):
    """A mask that cannot be used."""


class MaskFolder:
    """Masks by the id of their image: `ID.png`, bright or not zero where the subject is.

    Args:
        folder: with the masks.
        who: name of the plugin, for the error message.

    Raises:
        ConfigError: there is no such folder.
    """

    def __init__(self, folder: str, who: str = "RemixSynthesizer") -> None:
        self._folder = Path(folder).expanduser()
        if not self._folder.is_dir():
            raise ConfigError(
                f"{who}: masks must be a folder of PNG files named by the ids of their images, but"
                f" {folder!r} is not a folder; create one with Splits.link_masks"
            )

    def digest(self) -> str:
        """20 hexadecimal digits over all masks in the folder.

        Raises:
            ConfigError: a mask cannot be read.
        """
        digest = hashlib.blake2b(digest_size=10)
        for file in sorted(self._folder.glob("*.png")):
            try:
                content = hashlib.blake2b(self._read(file), digest_size=10).hexdigest()
            except (OSError, ValueError) as error:
                raise ConfigError(f"the mask {file} cannot be read: {error}; repair or remove it") from error
            digest.update(f"{file.name} {content}\n".encode())
        return digest.hexdigest()

    @staticmethod
    def _read(file: Path) -> bytes:
        if not file.is_file() or file.stat().st_size > _MOST_BYTES:
            raise ValueError(f"it must be a regular file of at most {_MOST_BYTES:,} bytes")
        return file.read_bytes()

    def mask(self, image_id: str, size: tuple[int, int]) -> Floats | None:
        """The mask of one image at `size` (width, height): h w, 0 to 1; None if there is none.

        Raises:
            BadMaskError: it cannot be read, or marks nothing or everything.
        """
        file = self._folder / f"{image_id}.png"
        if not file.is_file():
            return None
        try:
            with Image.open(io.BytesIO(self._read(file)), formats=("PNG",)) as picture:
                if math.prod(picture.size) > MAX_PIXELS:
                    raise ValueError(f"it has more than {MAX_PIXELS:,} pixels")
                mask = resize_mask(_read_opacity(picture), size)
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise BadMaskError(f"the mask {file.name} cannot be read: {error}") from error
        if mask.max() == 0 or mask.min() == 1:
            raise BadMaskError(
                f"the mask {file.name} marks {'nothing' if mask.max() == 0 else 'the whole image'} as subject"
            )
        return mask


def is_hard(mask: Floats) -> bool:
    """Whether a mask holds only 0 and 1."""
    return bool(((mask == 0) | (mask == 1)).all())


def resize_mask(mask: Floats, size: tuple[int, int]) -> Floats:
    """The mask at `size` (width, height); a hard one stays hard."""
    if mask.shape == size[::-1]:
        return mask
    method = Image.Resampling.NEAREST if is_hard(mask) else Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(mask).resize(size, method))


def _read_opacity(picture: Image.Image) -> Floats:
    """How much each pixel belongs to the subject: h w, 0 to 1, for pictures of any mode.

    In a partly transparent picture only alpha counts: the subject was cut out already.
    """
    if picture.has_transparency_data:
        alpha = np.asarray(picture.convert("RGBA"))[..., 3]
        if alpha.min() < 255:
            return _scale_opacity(alpha)
    if picture.mode == "1" or picture.mode.startswith(("L", "I")):
        return _scale_opacity(np.asarray(picture.getchannel(0) if picture.mode == "LA" else picture))
    colours = np.asarray(picture.convert("RGB"))
    coloured = bool(np.ptp(colours, axis=-1).any())  # then colours are classes, and only black is backdrop
    return _scale_opacity(colours.max(axis=-1) > 0 if coloured else colours[..., 0])


def _scale_opacity(values: NDArray[Any]) -> Floats:
    highest = int(values.max())
    if highest < LABELS or np.isin(values, (0, highest)).all():
        return (values > 0).astype(np.float32)
    mask: Floats = (values / (255 if highest <= 255 else 65535)).astype(np.float32)
    return mask
