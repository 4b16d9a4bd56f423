"""Subject masks of a run, one grey PNG a segmenter and image, so that none is computed twice."""

from __future__ import annotations

import io
import re
from collections.abc import Collection
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..files import Directory, parse_image
from .blobs import MAX_BYTES, write_atomically
from .run_files import MASKS

_FILE = re.compile(rf"{MASKS}/[0-9a-f]{{32}}/[0-9a-f]{{32}}\.png")


class MaskFiles:
    """The masks of one run, `masks/SEGMENTER/IMAGE.png`, named by digests; serves plugins as `MaskCache`.

    Args:
        run: the run folder.
    """

    def __init__(self, run: Path) -> None:
        self._run = run
        self._files = Directory(run)

    def read(self, segmenter: str, image: str) -> NDArray[np.uint8] | None:
        """The mask, h w, 0 to 255; None if it is not kept, or its file is torn (a PNG holds checksums)."""
        return self._parse(_name(segmenter, image))

    def write(self, segmenter: str, image: str, mask: NDArray[np.uint8]) -> None:
        """Keeps a mask, h w, 0 to 255; its file is complete or not there.

        Raises:
            RunFolderError: the disk is full or the folder cannot be written.
        """
        buffer = io.BytesIO()
        Image.fromarray(mask).save(buffer, format="PNG")
        write_atomically(self._run, _name(segmenter, image), buffer.getvalue())

    def holds(self, name: str) -> bool:
        """Whether the file of that name, below the run folder, is there and whole."""
        return self._parse(name) is not None

    def list_files(self) -> list[str]:
        """Names of all masks, below the run folder."""
        return [entry.name for entry in self._files.walk(MASKS) if entry.kind == "file" and is_mask_file(entry.name)]

    def list_unused(self, segmenters: Collection[str]) -> list[str]:
        """Names of the masks by other segmenters than these."""
        return [name for name in self.list_files() if name.split("/")[1] not in segmenters]

    def _parse(self, name: str) -> NDArray[np.uint8] | None:
        try:
            data = self._files.read(name, MAX_BYTES)
            mask = np.asarray(parse_image(data))[..., 0]  # refuses what is too large before it is decoded
            with Image.open(io.BytesIO(data), formats=("PNG",)) as picture:
                picture.verify()  # the checksum of each part, and that the last one is there
        except (OSError, ValueError, SyntaxError):
            return None
        return mask


def is_mask_file(name: str) -> bool:
    """Whether a mask may have that name, below the run folder."""
    return _FILE.fullmatch(name) is not None


def _name(segmenter: str, image: str) -> str:
    return f"{MASKS}/{segmenter}/{image}.png"
