"""Openers: small picklable objects that open one image from a file or a dataset row."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, BinaryIO, Protocol, runtime_checkable

from PIL import Image

from ..errors import DataError
from .cache import file_state
from .decode import Decoder, digest_bytes, load_reduced
from .image_header import check_length, digest_file, open_regular, read_all


@runtime_checkable
class ContentOpener(Protocol):
    """An opener that knows the bytes of its image without reading them."""

    decoder: Decoder
    digest: str
    size: int


@dataclass(frozen=True, slots=True)
class ImageFile:
    """Opens the image in a file, as long as its bytes are those that were listed.

    Attributes:
        path: where the file is.
        name: its name in messages: its path relative to the root of the data.
        decoder: how it is decoded.
        digest: of its bytes when it was listed; empty: not known, and any bytes will do.
        size: bytes when it was listed.
        state: of the file when it was listed, see `file_state`; empty: too fresh to tell a later change.
    """

    path: str
    name: str
    decoder: Decoder
    digest: str = ""
    size: int = 0
    state: str = ""

    def __call__(self) -> Image.Image:
        """The image: h w c, RGB, uint8; raises DataError where it cannot be read, or its bytes are others now."""
        try:
            with _prefix_errors(self.name):
                file = open_regular(self.path)
            with file:
                return self._open(file)
        except FileNotFoundError as error:
            raise DataError(f"{self.name}: does not exist") from error
        except OSError as error:
            raise DataError(f"{self.name}: cannot be read ({error.strerror or error})") from error

    def _open(self, file: BinaryIO) -> Image.Image:
        stat = os.fstat(file.fileno())
        digest = self.digest
        if not self.state or file_state(stat) != self.state:
            with _prefix_errors(self.name):
                digest = digest_file(file)
            file.seek(0)
            _check_digest(self.name, self.digest or digest, digest)
        return load_reduced(digest, stat.st_size, self.decoder, lambda: self.decoder.decode(file, self.name))


@dataclass(frozen=True, slots=True)
class DatasetImage:
    """Opens the image in a row of a Hugging Face dataset.

    Attributes:
        rows: the dataset, its image column not decoded.
        column: name of the image column.
        row: number of the row.
        name: its name in messages.
        decoder: how the image is decoded.
        digest: of the image's bytes.
        size: of the image in bytes.
    """

    rows: Any = field(repr=False)
    column: str
    row: int
    name: str
    decoder: Decoder
    digest: str
    size: int

    def __call__(self) -> Image.Image:
        """The image: h w c, RGB, uint8; raises DataError where it cannot be read, or its bytes are others now."""
        encoded = self.rows[self.row][self.column]
        try:
            with _prefix_errors(self.name):
                content = read_encoded(encoded)
        except OSError as error:
            raise DataError(f"{self.name}: cannot be read ({error.strerror or error})") from error
        _check_digest(self.name, self.digest, digest_bytes(content))
        return load_reduced(
            self.digest, len(content), self.decoder, lambda: self.decoder.decode(BytesIO(content), self.name)
        )


def read_encoded(encoded: Mapping[str, Any]) -> bytes:
    """The bytes of an image in a row of a dataset: in the row, or in the file that it names.

    Raises:
        DataError: it is not a regular file, or has more bytes than an image may.
        OSError: there is none, or it cannot be read.
    """
    content: bytes | None = encoded["bytes"]
    if content is not None:
        check_length(len(content))
        return content
    if "://" in encoded["path"]:
        raise DataError("is a URL; images are not fetched: store their bytes in the dataset")
    with open_regular(encoded["path"]) as file:
        return read_all(file)


@contextlib.contextmanager
def _prefix_errors(name: str) -> Iterator[None]:
    """Puts a name before a DataError of the block."""
    try:
        yield
    except DataError as error:
        raise DataError(f"{name}: {error}") from error


def _check_digest(name: str, expected: str, found: str) -> None:
    if found != expected:
        raise DataError(
            f"{name}: changed while it was in use: expected the bytes {expected}, found {found}. Results under its old "
            "id would be those of another image: let the data rest, and run again to take it as it is now"
        )
