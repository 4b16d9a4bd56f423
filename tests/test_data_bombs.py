"""Small files that would take all memory or time are refused by name, within limits of both."""

from __future__ import annotations

import contextlib
import io
import json
import os
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from images_on_disk import blobs, png_header, write_classes
from PIL import Image

from xaiaug import DataError, Splits
from xaiaug.data.image_header import MAX_BYTES, MAX_SCANS, open_image, open_regular

pytestmark = pytest.mark.skipif(os.name == "nt", reason="pipes, links and limits are those of POSIX")
LIMIT_S, LIMIT_BYTES = 60, 3_000_000_000
CHECK = """
import json, os, resource, sys, warnings
resource.setrlimit(resource.RLIMIT_AS, ({limit}, {limit}))
warnings.simplefilter("ignore")
from xaiaug import Splits
splits = Splits.from_folder(sys.argv[1], guide=0, validation=0, test=0.2, on_bad_image="skip")
print(json.dumps({{one.file: one.reason for one in splits.check(("train", "test")).skipped}}))
"""


def tiff(pages: int, *, width: int = 8, tags: tuple[tuple[int, int, int, int], ...] = (), loop: bool = False) -> bytes:
    """A grey TIFF of so many pages, each a directory of its own for the same few pixels."""
    pixels = b"\x80" * 64
    entries = [(256, 4, 1, width), (257, 4, 1, 8), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, 8)]
    entries += [(277, 3, 1, 1), (278, 4, 1, 8), (279, 4, 1, 64), *tags]
    body = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHLL", *entry) for entry in sorted(entries))
    length, first = len(body) + 4, 8 + len(pixels)
    following = [first if loop else first + (page + 1) * length for page in range(pages - 1)]
    chain = b"".join(body + struct.pack("<L", offset) for offset in [*following, first if loop else 0])
    return b"II*\0" + struct.pack("<L", first) + pixels + chain


def jpeg(*, scans: int = 1, segments: int = 0, after: bytes = b"") -> bytes:
    """A progressive JPEG whose last scan is repeated, and with comments before its content."""
    out = io.BytesIO()
    blobs(1, 64).save(out, "JPEG", progressive=True)
    content = out.getvalue()
    last = content.rindex(b"\xff\xda")
    comments = b"\xff\xfe\x00\x02" * segments
    return content[:2] + comments + content[2:last] + content[last:-2] * scans + content[-2:] + after


def sparse(path: Path, size: int, start: bytes) -> None:
    with path.open("wb") as file:
        file.write(start)
        file.truncate(size)


BOMBS = {
    "line.png": (png_header(1, 49_000_000), "one side over 200 times the other; crop it first"),
    "large.png": (png_header(40_000, 40_000), "more than 50,000,000 pixels; reduce it first|more than 50,000,000; red"),
    "chunks.png": (png_header(8, 8) + b"\0\0\0\0prVt\x40\x26\xd2\x5d" * 200_000, "more than 100,000 chunks"),
    "pages.tif": (tiff(200_000), "has more than one page, expected one"),
    "values.tif": (tiff(1, tags=((700, 4, 2_000_000, 8),)), "tags hold more than 1,000,000 values"),
    "bytes.tif": (tiff(1, tags=tuple((700 + tag, 7, MAX_BYTES, 0) for tag in range(9))), "tags hold more than"),
    "tile.tif": (tiff(1, tags=((322, 4, 1, 60_000), (323, 4, 1, 60_000))), "has tiles of 60000 x 60000 pixels"),
    "scans.jpg": (jpeg(scans=100_000), "more than 100 scans"),
    "segments.jpg": (jpeg(segments=1_000_000), "10,000 segments"),
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_classes(tmp_path / "photos", {"cat": 8, "dog": 8})


def test_files_that_would_take_all_memory_or_time_are_refused_by_name(root: Path) -> None:
    for name, (content, _) in BOMBS.items():
        (root / "cat" / name).write_bytes(content)
    sparse(root / "cat" / "5gb.png", 5_000_000_000, png_header(8, 8))
    sparse(root / "cat" / "200gb.jpg", 200 * 2**30, jpeg())
    os.mkfifo(root / "cat" / "pipe.png")
    (root / "cat" / "itself.png").symlink_to("itself.png")
    (root / "cat" / "zero.png").symlink_to("/dev/zero")
    (root / "itself").symlink_to("itself")
    with contextlib.suppress(OSError):  # only where this process may create devices
        os.mknod(root / "cat" / "device.png", 0o020600, os.makedev(1, 5))
    expected = {f"cat/{name}": reason for name, (_, reason) in BOMBS.items()} | {
        "cat/5gb.png": "has 5,000,000,000 bytes, more than 250,000,000; reduce it first",
        "cat/200gb.jpg": "bytes, more than 250,000,000",
        "cat/pipe.png": "is not a regular file",
        "cat/itself.png": "is a symlink that is broken",
        "cat/zero.png": "leads outside the data folder",
    }
    if (root / "cat" / "device.png").exists():
        expected["cat/device.png"] = "is not a regular file"
    done = subprocess.run(
        [sys.executable, "-c", CHECK.format(limit=LIMIT_BYTES), str(root)],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    reasons = json.loads(done.stdout)
    assert set(reasons) == set(expected)
    for name, reason in expected.items():
        assert any(part in reasons[name] for part in reason.split("|")), (name, reasons[name])


@pytest.mark.parametrize(
    "content",
    [jpeg(), jpeg(scans=MAX_SCANS - 20), jpeg(after=b"\xff\xda\0\2" * 500), tiff(1), tiff(1, loop=True)],
    ids=["progressive", "many scans", "a film behind it", "one page", "a page that names itself as the next"],
)
def test_what_only_looks_unusual_is_read(content: bytes) -> None:
    with open_image(io.BytesIO(content)) as image:
        image.load()
        assert image.size in ((64, 64), (8, 8))


def test_a_file_that_became_a_pipe_or_huge_is_an_error_when_it_is_opened(root: Path) -> None:
    sample = Splits.from_folder(root, guide=0, validation=0, test=0).train[0]
    path = Path(sample.opener.path)  # type: ignore[attr-defined]
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(DataError, match=rf"^cat/{path.name}: is not a regular file"):
        sample.open()
    path.unlink()
    sparse(path, 5_000_000_000, png_header(8, 8))
    with pytest.raises(DataError, match=rf"^cat/{path.name}: has 5,000,000,000 bytes"):
        sample.open()


@pytest.mark.parametrize("name", ["pipe.csv", "huge.csv", "nowhere.csv"])
def test_a_table_that_is_no_file_or_huge_is_refused(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    sparse(tmp_path / "huge.csv", 5_000_000_000, b"file,label\n")
    message = {"pipe": "is not a regular file", "huge": "has 5,000,000,000 bytes", "nowhere": "cannot be read: No such"}
    with pytest.raises(DataError, match=rf"manifest .*{name} {message[name.removesuffix('.csv')]}"):
        Splits.from_manifest(tmp_path / name)


def test_a_mask_that_is_a_bomb_is_refused_by_name(root: Path, tmp_path: Path) -> None:
    splits = Splits.from_folder(root, guide=0, validation=0, test=0)
    masks = tmp_path / "masks"
    for content, message in (
        (png_header(1, 49_000_000), "one side over 200 times"),
        (tiff(3), "more than one page"),
        (None, "5,000,000,000 bytes"),
    ):
        (masks / "cat").mkdir(parents=True, exist_ok=True)
        if content is None:
            sparse(masks / "cat" / "000.png", 5_000_000_000, png_header(8, 8))
        else:
            (masks / "cat" / "000.png").write_bytes(content)
        with pytest.raises(DataError, match=rf"mask .*000\.png cannot be read: .*{message}"):
            splits.link_masks(masks, tmp_path / "into")


@contextlib.contextmanager
def unprivileged() -> Iterator[None]:
    """The rights of a user whom permissions bind, which they do not where tests run as root."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_folder_without_permission_is_named() -> None:
    with tempfile.TemporaryDirectory() as folder:  # the folders around pytest's own are closed to other users
        Path(folder).chmod(0o755)
        root = write_classes(Path(folder) / "photos", {"cat": 8, "dog": 8})
        (root / "cat").chmod(0)
        message = r"the folder .*cat cannot be read \(Permission denied\); make it readable"
        with unprivileged(), pytest.raises(DataError, match=message):
            Splits.from_folder(root)
        splits = Splits.from_folder(write_classes(Path(folder) / "others", {"cat": 8, "dog": 8}))
        with unprivileged(), pytest.raises(DataError, match=r"mask folder .*cat cannot be read \(Permission denied\)"):
            splits.link_masks(root, Path(folder) / "into")
        (root / "cat").chmod(0o755)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
@pytest.mark.parametrize("size", [0, 5, 9, 15, 40])
@pytest.mark.parametrize("start", [b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"])
@pytest.mark.parametrize("filler", [b"\0", b"\xff", b"\x08"])
def test_what_ends_early_is_an_image_that_cannot_be_opened(start: bytes, size: int, filler: bytes) -> None:
    with pytest.raises((DataError, OSError, SyntaxError, ValueError)), open_image(io.BytesIO(start + filler * size)):
        pass


def test_a_regular_file_is_opened_whatever_its_name(tmp_path: Path) -> None:
    (tmp_path / "ü.bin").write_bytes(b"x")
    (tmp_path / "link").symlink_to("ü.bin")
    with open_regular(tmp_path / "link") as file:
        assert file.read() == b"x"
    with pytest.raises(DataError, match="is not a regular file"):
        open_regular(tmp_path)
    assert Image.MAX_IMAGE_PIXELS is not None  # the limit of Pillow stays in force
