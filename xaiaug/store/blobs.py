"""Content-addressed files: the digest is the name."""

from __future__ import annotations

import functools
import hashlib
import io
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import RunFolderError
from ..files import Directory, NewFile, parse_array, parse_image, parse_json
from .run_files import BLOBS, NOT_OURS

MAX_BYTES = 1 << 30  # of a blob
_NAME = re.compile(r"[0-9a-f]{40}(\.[a-z0-9]{1,10})?")
_AGAIN = "rerun the command to make it again"
PLAIN = (str, int, float, bool, type(None))  # most of what rows hold


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


@dataclass(frozen=True)
class KeptBlob:
    """A blob whose bytes are in the run folder already: a worker wrote them, and they need not travel.

    Attributes:
        name: of the blob.
        digest: SHA-256 of its bytes.
        lies: how its file lies there, where this machine knows it.
    """

    name: str
    digest: str
    lies: os.stat_result | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        """Another machine may see the file's place on the disk otherwise."""
        return KeptBlob, (self.name, self.digest)


def blob_name(digest: str, suffix: str) -> str:
    """The name of a blob of that digest."""
    return digest[:40] + suffix


@dataclass(frozen=True)
class BlobFile:
    """Opens an image blob; picklable, so that a sample can hold it.

    Attributes:
        run: the run folder.
        name: of the blob.
    """

    run: Path
    name: str

    def __call__(self) -> Image.Image:
        """The image, RGB.

        Raises:
            RunFolderError: it is missing or torn.
        """
        return Blobs(self.run).image(self.name)


class Blobs:
    """The content-addressed files of one run, in its folder `blobs`; each is checked against its name when it is read.

    Attributes:
        run: the run folder.
    """

    def __init__(self, run: Path) -> None:
        self.run = run
        self._files = Directory(run)

    def path(self, name: str) -> Path:
        """Where a blob lies."""
        return self.run / self.file(name)

    def file(self, name: str) -> str:
        """The file of a blob, below the run folder.

        Raises:
            RunFolderError: no blob has such a name.
        """
        if not is_blob_name(name):
            raise RunFolderError(f"{str(name)[:200]!r} is not the name of a blob: {NOT_OURS}")
        return f"{BLOBS}/{name[:2]}/{name}"

    def put(self, blob: Blob, *, dear: bool = False) -> str:
        """Writes a blob beside, syncs, renames; returns its name. A torn one is written anew.

        Args:
            blob: what to write.
            dear: whether it cannot be made again for nothing: its folder is synced, too.

        Raises:
            RunFolderError: it is too large, or cannot be written.
        """
        self._refuse_huge(blob)
        if not self.holds(blob.name):
            write_atomically(self.run, self.file(blob.name), blob.data, dear=dear)
        return blob.name

    def put_all(self, blobs: Sequence[Blob]) -> list[os.stat_result]:
        """Writes blobs as `put` does, many at once; returns how their files lie there.

        Raises:
            RunFolderError: one is too large, or cannot be written.
        """
        for blob in blobs:
            self._refuse_huge(blob)
        try:
            return self._files.write_missing([NewFile(self.file(blob.name), blob.data, blob.digest) for blob in blobs])
        except OSError as error:
            raise _write_error(self.run / BLOBS, error) from error

    def _refuse_huge(self, blob: Blob) -> None:
        if len(blob.data) > MAX_BYTES:
            raise RunFolderError(f"{self.run} keeps files of at most {MAX_BYTES:,} bytes, got {len(blob.data):,}")

    def keep(self, rows: Sequence[Any]) -> list[Any]:
        """Rows whose blobs are still to be kept, with those in the run folder; so a worker hands back no bytes.

        Raises:
            RunFolderError: as of `put`.
        """
        found: dict[str, Blob] = {}
        for row in rows:
            _collect(row, found)
        lies = dict(zip(found, self.put_all(list(found.values())), strict=True))
        return [_replace(row, lies) for row in rows]

    def read(self, name: str) -> bytes:
        """The bytes of a blob, checked against its name.

        Raises:
            RunFolderError: it is missing or torn.
        """
        file = self.file(name)
        try:
            data = self._files.read(file, MAX_BYTES)
        except OSError as error:
            raise RunFolderError(f"the blob {name} cannot be read: {error.strerror or error}; {_AGAIN}") from error
        if Blob(data, Path(name).suffix).name != name:
            raise RunFolderError(f"the blob {name} is damaged: its content does not match its name; {_AGAIN}")
        return data

    def holds(self, name: str) -> bool:
        """Whether a blob is there, whole."""
        try:
            return blob_name(self._files.digest(self.file(name), MAX_BYTES), Path(name).suffix) == name
        except OSError:
            return False

    def array(self, name: str) -> NDArray[Any]:
        """An array blob.

        Raises:
            RunFolderError: it is missing or torn, or no array of numbers.
        """
        try:
            return parse_array(self.read(name))
        except ValueError as error:
            raise RunFolderError(f"the blob {name} {error}") from error

    def image(self, name: str) -> Image.Image:
        """An image blob, RGB.

        Raises:
            RunFolderError: it is missing or torn, or no PNG of a reasonable size.
        """
        try:
            return parse_image(self.read(name))
        except ValueError as error:
            raise RunFolderError(f"the blob {name} {error}") from error

    def json(self, name: str) -> Any:
        """A JSON blob.

        Raises:
            RunFolderError: it is missing or torn, or no JSON.
        """
        try:
            return parse_json(self.read(name))
        except ValueError as error:
            raise RunFolderError(f"the blob {name} is no JSON: {error}") from error


def is_blob_name(name: object) -> bool:
    """Whether a blob may have that name."""
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


def write_atomically(run: Path, name: str, data: bytes, *, dear: bool = False) -> None:
    """Writes a file of a run folder so that it is complete or not there.

    Args:
        run: the run folder.
        name: of the file, below the run folder.
        data: its bytes.
        dear: whether it must also survive a power cut, not only be complete if it is there.

    Raises:
        RunFolderError: the disk is full or the folder cannot be written.
    """
    try:
        Directory(run).write(name, data, durable=dear)
    except OSError as error:
        raise _write_error(run / name, error) from error


def _collect(value: Any, found: dict[str, Blob]) -> None:
    """Adds the blobs of a row, by name."""
    if type(value) in PLAIN:
        return
    if isinstance(value, Blob):
        found[value.name] = value
    elif isinstance(value, Mapping):
        for inner in value.values():
            _collect(inner, found)
    elif isinstance(value, list | tuple):
        for inner in value:
            _collect(inner, found)


def _replace(value: Any, lies: Mapping[str, os.stat_result]) -> Any:
    """The row with kept blobs in place of those that were still to be kept."""
    if type(value) in PLAIN:
        return value
    if isinstance(value, Blob):
        return KeptBlob(value.name, value.digest, lies[value.name])
    if isinstance(value, Mapping):
        return {key: _replace(inner, lies) for key, inner in value.items()}
    return [_replace(inner, lies) for inner in value] if isinstance(value, list | tuple) else value


def _write_error(path: Path, error: OSError) -> RunFolderError:
    return RunFolderError(f"{path} cannot be written: {error.strerror or error}; committed work is kept")
