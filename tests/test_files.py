"""A folder that is not trusted: no link leads outside, whenever it is put there; only regular files are read."""

import hashlib
import io
import os
import shutil
import struct
import tracemalloc
import zlib
from contextlib import suppress
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from xaiaug.files import (
    Directory,
    NewFile,
    directory,
    find_broken_seal,
    parse_array,
    parse_image,
    parse_json,
    seal_folder,
)

NEEDS_FIFO = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no FIFOs")


@pytest.fixture(params=["descriptors", "paths"])
def files(request, tmp_path, monkeypatch):
    """A folder, with descriptors where the platform has them, and as where it has none."""
    if request.param == "paths":
        monkeypatch.setattr(directory, "HAS_DESCRIPTORS", False)
    elif not directory.HAS_DESCRIPTORS:
        pytest.skip("this platform has no dir_fd")
    (tmp_path / "root").mkdir()
    return Directory(tmp_path / "root")


def tree(folder):
    return {path.relative_to(folder).as_posix(): path.is_file() and path.read_bytes() for path in folder.rglob("*")}


def test_reading_a_file_takes_its_own_memory_whatever_it_may_have(files):
    files.write("a", b"one")
    tracemalloc.start()
    assert files.read("a", 1 << 30) == b"one"
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20


def test_files_are_written_read_moved_copied_and_removed(files):
    files.write("a/b/c", b"one", durable=True)
    files.write("a/b/c", b"two")
    files.write("d", b"three", sync=False)
    assert files.read("a/b/c", 10) == b"two"
    assert [(entry.name, entry.kind) for entry in files.walk()] == [
        ("a", "folder"),
        ("a/b", "folder"),
        ("a/b/c", "file"),
        ("d", "file"),
    ]
    files.copy("a", "e/f")
    files.move("a/b", "g/h")
    assert tree(files.root) == {
        **{"a": False, "d": b"three", "e": False, "e/f": False, "e/f/b": False, "e/f/b/c": b"two"},
        **{"g": False, "g/h": False, "g/h/c": b"two"},
    }
    assert files.remove("g") == 3
    assert files.remove("nothing/at/all") == 0
    files.remove_empty("a")
    with pytest.raises(OSError, match="not empty"):
        files.remove_empty("e")
    assert [entry.name for entry in files.entries()] == ["d", "e"]


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../x", "a/../../x", "/etc/passwd", "a//b", "a/", "x\0y", "\ud800", "a/" * 40]
)
def test_names_that_lead_outside_are_refused_by_everything(files, name):
    acts = (files.kind, files.stat, partial(files.read, most=9), files.remove, partial(files.write, data=b""))
    for act in (*acts, files.make_folder, partial(files.move, new="x"), partial(files.move, "x")):
        with pytest.raises(OSError, match="is not a name"):
            act(name)


def test_links_are_seen_and_removed_but_never_followed(files, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "mine").write_bytes(b"irreplaceable")
    (files.root / "folder").symlink_to(outside)
    (files.root / "file").symlink_to(outside / "mine")
    assert {entry.name: entry.kind for entry in files.walk()} == {"folder": "link", "file": "link"}
    for act in (files.stat, partial(files.read, most=99), files.digest, files.sync):
        with pytest.raises(OSError, match="is a link, not a file"):
            act("file")
        with pytest.raises(OSError, match="above it is a link"):
            act("folder/mine")
    for act in (partial(files.write, data=b"x"), files.make_folder, files.remove, partial(files.move, "file")):
        with pytest.raises(OSError, match="above it is a link"):
            act("folder/mine")
    files.write("file", b"own")  # replaces the link, not what it leads to
    files.remove("folder")
    assert tree(files.root) == {"file": b"own"}
    assert tree(outside) == {"mine": b"irreplaceable"}


class Swap:
    """Puts a link in the place of a folder just before a numbered call to the system."""

    CALLS = ("open", "stat", "lstat", "mkdir", "unlink", "rmdir", "replace", "scandir", "fsync", "write", "close")

    def __init__(self, patch, folder, outside, number):
        self.left, self.folder, self.outside = number, folder, outside
        for name in self.CALLS:
            patch.setattr(os, name, self.count(getattr(os, name)))

    def count(self, real):
        def call(*arguments, **named):
            self.left -= 1
            if self.left == 0 and self.folder.exists():
                self.folder.rename(self.folder.with_name("moved-away"))
                self.folder.symlink_to(self.outside)
            return real(*arguments, **named)

        return call


ACTS = {
    "write": lambda files: files.write("a/b/mine", b"attacker's"),
    "write many": lambda files: files.write_missing([NewFile(f"a/b/{name}", b"x", "0") for name in ("mine", "c/mine")]),
    "write deeper": lambda files: files.write("a/b/c/mine", b"attacker's", durable=True),
    "remove": lambda files: files.remove("a/b"),
    "remove all": lambda files: files.remove("a"),
    "remove a file": lambda files: files.remove("a/b/mine"),
    "remove empty": lambda files: files.remove_empty("a/b/empty"),
    "move": lambda files: files.move("x", "a/b/mine"),
    "move away": lambda files: files.move("a/b/mine", "y"),
    "copy": lambda files: files.copy("x-folder", "a/b/c"),
    "make": lambda files: files.make_folder("a/b/c/d"),
}


@pytest.mark.skipif(not directory.HAS_DESCRIPTORS, reason="this platform has no dir_fd")
@pytest.mark.parametrize("swapped", ["a", "a/b"])
@pytest.mark.parametrize("act", ACTS)
def test_a_link_swapped_in_at_any_moment_leads_nowhere(act, swapped, tmp_path):
    for number in range(1, 200):
        place = tmp_path / str(number)
        outside = place / "outside"
        for folder in ("root/a/b/empty", "root/x-folder", "outside/b/empty", "outside/empty"):
            (place / folder).mkdir(parents=True)
        for name in ("root/a/b/mine", "root/x", "root/x-folder/w", "outside/mine", "outside/b/mine"):
            (place / name).write_bytes(name.encode())
        before = tree(outside)
        with pytest.MonkeyPatch.context() as patch:
            swap = Swap(patch, place / "root" / swapped, outside, number)
            with suppress(OSError):
                ACTS[act](Directory(place / "root"))
            finished = swap.left > 0
        assert tree(outside) == before, number
        shutil.rmtree(place)
        if finished:
            break
    assert 3 < number < 199


@pytest.mark.skipif(not directory.HAS_DESCRIPTORS, reason="this platform has no dir_fd")
@pytest.mark.parametrize("swapped", ["a", "a/b"])
def test_nothing_is_read_through_a_link_that_is_swapped_in(swapped, tmp_path):
    for number in range(1, 30):
        place = tmp_path / str(number)
        for folder in ("root/a/b", "outside/b"):
            (place / folder).mkdir(parents=True)
        (place / "root/a/b/mine").write_bytes(b"own")
        for name in ("outside/mine", "outside/b/mine"):
            (place / name).write_bytes(b"secret")
        with pytest.MonkeyPatch.context() as patch:
            Swap(patch, place / "root" / swapped, place / "outside", number)
            try:
                assert Directory(place / "root").read("a/b/mine", 99) == b"own"
            except OSError as error:
                assert "link" in str(error)


@NEEDS_FIFO
def test_fifos_devices_and_folders_are_named_and_never_opened(files):
    os.mkfifo(files.root / "fifo")
    (files.root / "folder").mkdir()
    for name, what in (("fifo", "is a FIFO, not a file"), ("folder", "is a folder, not a file")):
        for act in (files.stat, partial(files.read, most=9), files.digest, files.sync):
            with pytest.raises(OSError, match=what):
                act(name)
    with pytest.raises(OSError, match="is a device, not a file"):
        Directory(files.root.__class__("/dev")).read("zero", 9)
    assert "cannot be read (is a FIFO" in files.find_damage("fifo", "0" * 64)
    files.remove("fifo")
    assert files.kind("fifo") is None


def test_a_file_is_not_read_beyond_its_limit_however_large_it_is(files):
    files.write("file", b"0123456789")
    assert files.read("file", 10) == b"0123456789"
    os.truncate(files.root / "file", 200 << 30)
    with pytest.raises(OSError, match="has 214,748,364,800 bytes, more than the 10"):
        files.read("file", 10)
    assert "instead of 10" in files.find_damage("file", "0" * 64, size=10)


def test_a_write_that_fails_leaves_the_old_file_and_nothing_beside_it(files, monkeypatch):
    files.write("a/file", b"old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        files.write("a/file", b"new")
    assert tree(files.root) == {"a": False, "a/file": b"old"}


def test_many_files_are_written_at_once_and_those_that_are_whole_stay(files):
    contents = {f"blobs/{number % 7}/{number}": str(number).encode() for number in range(150)}
    wanted = [NewFile(name, data, hashlib.sha256(data).hexdigest()) for name, data in contents.items()]
    files.write("blobs/3/3", b"3")
    files.write("blobs/4/4", b"torn")
    before = files.stat("blobs/3/3")
    found = files.write_missing([*wanted, wanted[0]])
    assert {name: data for name, data in tree(files.root).items() if data is not False} == contents
    assert [(each.st_ino, each.st_ctime_ns) for each in found] == [
        (each.st_ino, each.st_ctime_ns) for each in (files.stat(file.name) for file in [*wanted, wanted[0]])
    ]
    assert files.stat("blobs/3/3") == before


def test_many_writes_that_fail_leave_nothing_beside_the_files(files, monkeypatch):
    files.write("a/file", b"old")
    real = os.fsync

    def full(handle):
        if os.fstat(handle).st_size == 5:
            raise OSError(28, "No space left on device")
        real(handle)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        files.write_missing([NewFile("a/file", b"new", "0"), NewFile("a/other", b"12345", "0")])
    assert tree(files.root) == {"a": False, "a/file": b"old"}


def test_a_seal_names_the_first_damage(files):
    files.write("one/w", b"weights")
    files.write("beside/x", b"more")
    assert find_broken_seal(files, "one") == ""  # not sealed: not complete
    seal_folder(files, "one", ["beside", "missing"])
    assert find_broken_seal(files, "one") == ""
    files.write("beside/later", b"grows")
    assert find_broken_seal(files, "one") == ""
    files.write("one/foreign", b"x")
    assert find_broken_seal(files, "one") == "one/foreign is foreign"
    files.remove("one/foreign")
    files.write("beside/x", b"MORE")
    assert find_broken_seal(files, "one") == "beside/x is not what was written"
    for torn in (b"", b"[]", b'{"one/w": 3}', b"[" * 100_000, b"\xff"):
        files.write("one/digests.json", torn)
        assert "one/digests.json cannot be read" in find_broken_seal(files, "one")


def save(values, **options):
    out = io.BytesIO()
    np.save(out, values, **options)
    return out.getvalue()


NUMBERS = st.one_of(
    *(getattr(arrays, f"{kind}_dtypes")() for kind in ("integer", "floating", "boolean", "unsigned_integer"))
)


@given(arrays.arrays(NUMBERS, arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)))
def test_arrays_of_numbers_come_back_as_they_were(values):
    values = np.ascontiguousarray(values)
    found = parse_array(save(values))
    assert found.dtype == values.dtype and found.shape == values.shape and found.flags.writeable
    np.testing.assert_array_equal(found, values)


def test_headers_that_claim_what_is_not_there_and_objects_are_refused():
    for shape in ((10**12,), (-1, 10_000), (100, 99), (2**62, 4), (10**4, 10**4, 10**4), (0,)):
        out = io.BytesIO()
        np.lib.format.write_array_header_1_0(out, {"descr": "<f4", "fortran_order": False, "shape": shape})
        with pytest.raises(ValueError, match="bytes of numbers, but its header says"):
            parse_array(out.getvalue() + bytes(40_000))
    with pytest.raises(ValueError, match="expected numbers"):
        parse_array(save(np.array([{}], object), allow_pickle=True))
    with pytest.raises(ValueError, match="expected numbers"):
        parse_array(save(np.zeros(3, [("a", "f4")])))


@given(st.binary(max_size=40), st.integers(0, 200), st.integers(0, 255))
def test_damaged_arrays_are_arrays_or_one_error(junk, place, value):
    data = bytearray(save(np.arange(6.0).reshape(2, 3)))
    data[place % len(data)] = value
    for one in (bytes(data), bytes(data[:place]), junk, b"\x93NUMPY" + junk):
        try:
            assert parse_array(one).nbytes <= len(one)
        except ValueError as error:
            assert str(error)


def png(width, height):
    """A PNG of any size whose pixels are one stream of zeros that compresses well."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("size", [(13_000, 13_000), (1, 50_000_001), (60_000, 60_000), (2**31 - 1, 2**31 - 1)])
def test_images_are_not_decoded_beyond_their_limit(size):
    with pytest.raises(ValueError, match="more than the 50,000,000|cannot be decoded"):
        parse_image(png(*size))


def test_torn_images_other_formats_and_deep_json_are_one_error():
    out = io.BytesIO()
    Image.new("RGB", (40, 40), (9, 8, 7)).save(out, "PNG")
    assert parse_image(out.getvalue()).getpixel((3, 3)) == (9, 8, 7)
    for data in (out.getvalue()[:60], b"", b"GIF89a", b"%!PS-Adobe"):
        with pytest.raises(ValueError, match="cannot be decoded as PNG"):
            parse_image(data)
    with pytest.raises(ValueError, match="nested too deeply"):
        parse_json("[" * 200_000)
