"""Content-addressed files: the digest is the name."""

from __future__ import annotations

import functools
import hashlib
import io
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import RunFolderError


@dataclass(frozen=True)
class Blob:
    """Bytes on their way into a run; a row holds its name once it is committed.

    Attributes:
        data: the bytes.
        suffix: the file's ending, such as ".png".
    """

    data: bytes
    suffix: str

    @property
    def name(self) -> str:
        """Digest and suffix: the same bytes have the same name."""
        return blob_name(self.digest, self.suffix)

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of the bytes."""
        return hashlib.sha256(self.data).hexdigest()

    @classmethod
    def image(cls, image: Image.Image) -> Blob:
        """An image as PNG, without metadata."""
        buffer = io.BytesIO()
        image.convert("RGB").save(buffer, format="PNG")
        return cls(buffer.getvalue(), ".png")

    @classmethod
    def array(cls, values: NDArray[Any]) -> Blob:
        """An array in numpy's own format."""
        buffer = io.BytesIO()
        np.save(buffer, np.ascontiguousarray(values), allow_pickle=False)
        return cls(buffer.getvalue(), ".npy")


def blob_name(digest: str, suffix: str) -> str:
    """The name of a blob of that digest."""
    return digest[:40] + suffix


@dataclass(frozen=True)
class BlobFile:
    """Opens an image blob; picklable, so that a sample can hold it."""

    path: Path

    def __call__(self) -> Image.Image:
        """The image, RGB."""
        with Image.open(self.path) as image:
            return image.convert("RGB")


class Blobs:
    """The folder of content-addressed files of one run.

    Args:
        folder: made when the first blob is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, name: str) -> Path:
        """Where a blob lies."""
        return self.folder / name[:2] / name

    def put(self, blob: Blob, *, dear: bool = False) -> str:
        """Writes a blob beside, syncs, renames; returns its name. A torn one is written anew.

        Args:
            blob: what to write.
            dear: whether it cannot be made again for nothing: its folder is synced, too.
        """
        path = self.path(blob.name)
        if not _holds(path, blob.data):
            write_atomically(path, blob.data, dear=dear)
        return blob.name

    def read(self, name: str) -> bytes:
        """The bytes of a blob, checked against its name.

        Raises:
            RunFolderError: it is missing or torn.
        """
        try:
            data = self.path(name).read_bytes()
        except OSError as error:
            raise RunFolderError(f"the blob {name} cannot be read: {error}") from error
        if Blob(data, Path(name).suffix).name != name:
            raise RunFolderError(f"the blob {name} is torn: its bytes do not give its name; run again to make it anew")
        return data

    def holds(self, name: str) -> bool:
        """Whether a blob is there, whole."""
        try:
            return Blob(self.path(name).read_bytes(), Path(name).suffix).name == name
        except OSError:
            return False

    def array(self, name: str) -> NDArray[Any]:
        """An array blob."""
        values: NDArray[Any] = np.load(io.BytesIO(self.read(name)), allow_pickle=False)
        return values

    def image(self, name: str) -> Image.Image:
        """An image blob, RGB."""
        return Image.open(io.BytesIO(self.read(name))).convert("RGB")


def _holds(path: Path, data: bytes) -> bool:
    try:
        return path.read_bytes() == data
    except OSError:
        return False


def write_atomically(path: Path, data: bytes, *, dear: bool = False) -> None:
    """Writes a file so that it is complete or not there.

    Args:
        path: of the file.
        data: its bytes.
        dear: whether it must also survive a power cut, not only be complete if it is there.

    Raises:
        RunFolderError: the disk is full or the folder cannot be written.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)  # mkstemp makes files that only their owner reads
        Path(temporary).replace(path)
        if dear:
            _sync_folder(path.parent)
    except OSError as error:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
        raise RunFolderError(
            f"{path} cannot be written: {error.strerror or error}; what was committed is safe"
        ) from error


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # where folders cannot be opened, and need not be
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
