"""Small images and folders for tests of the data room."""

import struct
import zlib
from functools import lru_cache
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image


def blobs(seed: int, side: int = 24) -> Image.Image:
    """Soft blobs of colour, as unlike from seed to seed as photographs are."""
    values = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(values).resize((side, side), Image.Resampling.BICUBIC)


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    """The bytes of a file in one of Pillow's formats."""
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def write_image(path: Path, seed: int, side: int = 24) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_png(seed, side))
    return path


@lru_cache(maxsize=1024)
def _png(seed: int, side: int) -> bytes:
    return encode(blobs(seed, side), "PNG")


def write_classes(root: Path, sizes: dict[str, int], seed: int = 0) -> Path:
    """`class/image`, every image another one."""
    for number, (label, size) in enumerate(sizes.items()):
        (root / label).mkdir(parents=True, exist_ok=True)
        for index in range(size):
            write_image(root / label / f"{index:03d}.png", seed + 1000 * number + index)
    return root


def write_splits(root: Path, sizes: dict[str, int], labels: tuple[str, ...] = ("cat", "dog")) -> Path:
    """`split/class/image`, every image another one."""
    for number, (split, size) in enumerate(sizes.items()):
        write_classes(root / split, dict.fromkeys(labels, size), seed=100_000 * number)
    return root


def png_header(width: int, height: int) -> bytes:
    """The beginning of a PNG of that size, and of no pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0"))
