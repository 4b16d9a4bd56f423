"""Subject masks of a run, one grey PNG a segmenter and image, so that none is computed twice."""

from __future__ import annotations

import io
import re
from collections.abc import Collection
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .blobs import write_atomically

_DIGEST = re.compile(r"[0-9a-f]{32}")


class MaskFiles:
    """The folder of masks of one run: `SEGMENTER/IMAGE.png`, named by digests; serves as a plugin's `MaskCache`.

    Args:
        folder: made when the first mask is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, segmenter: str, image: str) -> NDArray[np.uint8] | None:
        """The mask, h w, 0 to 255; None if it is not kept, or its file is torn (a PNG holds checksums)."""
        try:
            with Image.open(self._path(segmenter, image), formats=("PNG",)) as picture:
                return np.asarray(picture) if picture.mode == "L" else None
        except (OSError, SyntaxError, ValueError):
            return None

    def write(self, segmenter: str, image: str, mask: NDArray[np.uint8]) -> None:
        """Keeps a mask, h w, 0 to 255; its file is complete or not there.

        Raises:
            RunFolderError: the disk is full or the folder cannot be written.
        """
        buffer = io.BytesIO()
        Image.fromarray(mask).save(buffer, format="PNG")
        write_atomically(self._path(segmenter, image), buffer.getvalue())

    def list_unused(self, segmenters: Collection[str]) -> list[Path]:
        """The files of masks by other segmenters than these."""
        files = (path for path in self.folder.glob("*/*.png") if _DIGEST.fullmatch(path.parent.name))
        return [path for path in files if path.parent.name not in segmenters and _DIGEST.fullmatch(path.stem)]

    def _path(self, segmenter: str, image: str) -> Path:
        return self.folder / segmenter / f"{image}.png"
