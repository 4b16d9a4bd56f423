"""A folder whose contents are not trusted: no link is followed, and only regular files are read.

Where the platform has `dir_fd` (Linux, macOS), every operation goes from descriptor to descriptor, so that a link
swapped in between check and use cannot lead outside. Elsewhere each part of a path is checked before it is used.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Literal

from .atomic_write import CREATE, Part, write_parts

Kind = Literal["file", "folder", "link", "other"]

HAS_DESCRIPTORS = (
    {os.open, os.stat, os.mkdir, os.unlink, os.rmdir, os.rename} <= os.supports_dir_fd
    and os.scandir in os.supports_fd
    and hasattr(os, "O_NOFOLLOW")
)
MAX_DEPTH = 32  # folders in folders; runs write four
_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
# Not blocking: a FIFO that takes a file's place would keep the process waiting for a writer.
_READ = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_SYNC = _READ | (os.O_RDWR if os.name == "nt" else 0)  # Windows syncs only what may be written
_JUNCTION = getattr(stat, "IO_REPARSE_TAG_MOUNT_POINT", -1)
_BLOCK = 1 << 20
_AT_ONCE = 64  # files that are written together


@dataclass(frozen=True)
class Entry:
    """What lies below a folder.

    Attributes:
        name: its path below the folder, with forward slashes.
        kind: "file", "folder", "link", or "other": FIFOs, sockets and devices.
    """

    name: str
    kind: Kind


@dataclass(frozen=True)
class NewFile:
    """A file to be written.

    Attributes:
        name: its path below the folder.
        data: its bytes.
        digest: their SHA-256.
    """

    name: str
    data: bytes
    digest: str


class Directory:
    """A folder; names are paths below it, with forward slashes.

    Methods raise OSError, whose `strerror` says what is wrong, also where a name leads outside or a part of it is a
    link.

    Args:
        root: the folder; it may be a link itself, and need not be there.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def kind(self, name: str) -> Kind | None:
        """What lies under a name; None where nothing does, or a part of the name is no folder."""
        try:
            with self._open_parent(name) as (at, last):
                return _kind(os.stat(last, dir_fd=at, follow_symlinks=False))
        except (FileNotFoundError, NotADirectoryError):
            return None

    def stat(self, name: str) -> os.stat_result:
        """Size and times of a regular file."""
        with self._open_parent(name) as (at, last):
            found = os.stat(last, dir_fd=at, follow_symlinks=False)
        _check_regular(found)
        return found

    @contextmanager
    def open(self, name: str, most: int | None = None) -> Iterator[BufferedReader]:
        """A regular file, to be read.

        Args:
            name: of the file.
            most: bytes that it may have; None: any number.
        """
        with self._open_parent(name) as (at, last):
            handle = _open_regular(last, at, _READ)
        with os.fdopen(handle, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if most is not None and size > most:
                raise OSError(errno.EFBIG, f"has {size:,} bytes, more than the {most:,} that are read")
            yield file

    def read(self, name: str, most: int) -> bytes:
        """The bytes of a regular file of at most so many."""
        with self.open(name, most) as file:
            # Not `most`: Python asks the system for all the bytes at once that it is to read.
            return file.read(os.fstat(file.fileno()).st_size)

    def digest(self, name: str, most: int | None = None) -> str:
        """SHA-256 of the bytes of a regular file, read in blocks."""
        with self.open(name, most) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def find_damage(self, name: str, digest: str, *, size: int | None = None, most: int | None = None) -> str:
        """What is wrong with a file; empty if its bytes are those that were written.

        Args:
            name: of the file.
            digest: SHA-256 of its bytes.
            size: bytes that it had, where that is known: a huge file need not be read.
            most: bytes that it may have in any case.
        """
        try:
            found = self.stat(name).st_size
            if size is not None and found != size:
                return f"is not what was written: it has {found:,} bytes instead of {size:,}"
            return "" if self.digest(name, most) == digest else "is not what was written"
        except FileNotFoundError:
            return "is missing"
        except OSError as error:
            return f"cannot be read ({error.strerror or error})"

    def sync(self, name: str) -> None:
        """Has the bytes of a regular file survive a power cut."""
        with self._open_parent(name) as (at, last):
            handle = _open_regular(last, at, _SYNC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def write(self, name: str, data: bytes, *, sync: bool = True, durable: bool = False) -> None:
        """Writes a file so that it is complete or not there; makes the folders above it.

        Args:
            name: of the file; what lies there is replaced.
            data: its bytes.
            sync: whether it is complete after a power cut, too, if it is there.
            durable: whether it is also there after a power cut.
        """
        with self._open_parent(name, make=True) as (at, last):
            write_parts([Part(at, last, data)], sync=sync)
            if durable and at is not None:
                os.fsync(at)

    def write_missing(self, files: Sequence[NewFile]) -> list[os.stat_result]:
        """Writes files so that each is complete or not there, also after a power cut; returns how they lie there.

        A file that is there with these bytes stays. Folders are opened once, and the disk takes many files at a time.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        found: dict[str, os.stat_result] = {}
        distinct = list({file.name: file for file in files}.values())
        for start in range(0, len(distinct), _AT_ONCE):
            with ExitStack() as opened:
                known: dict[tuple[str, ...], int] = {}
                parts: dict[str, Part] = {}
                for file in distinct[start : start + _AT_ONCE]:
                    *folders, last = _split(file.name)
                    at = self._open_folder(tuple(folders), known, opened) if HAS_DESCRIPTORS else None
                    path = last if HAS_DESCRIPTORS else os.path.join(self._check_folders(folders, make=True), last)  # noqa: PTH118
                    whole = _stat_intact(at, path, file)
                    if whole is None:
                        parts[file.name] = Part(at, path, file.data)
                    else:
                        found[file.name] = whole
                write_parts(list(parts.values()), sync=True)
                for name, part in parts.items():
                    found[name] = os.stat(part.last, dir_fd=part.at, follow_symlinks=False)
        return [found[file.name] for file in files]

    def make_folder(self, name: str) -> None:
        """Makes a folder and those above it."""
        with self._open_parent(f"{name}/x", make=True):
            pass

    def move(self, old: str, new: str) -> None:
        """Moves a file or folder; replaces a file."""
        with self._open_parent(old) as (at, last), self._open_parent(new, make=True) as (to, target):
            os.replace(last, target, src_dir_fd=at, dst_dir_fd=to)

    def copy(self, old: str, new: str) -> None:
        """Copies a folder of regular files.

        Raises:
            OSError: it holds a link or something else that is not a file, or a file cannot be copied.
        """
        self.make_folder(new)
        for entry in self.walk(old):
            target = new + entry.name.removeprefix(old)
            if entry.kind == "folder":
                self.make_folder(target)
                continue
            with (
                self.open(entry.name) as source,
                self._open_parent(target) as (at, last),
                os.fdopen(os.open(last, CREATE, 0o644, dir_fd=at), "wb") as file,
            ):
                while block := source.read(_BLOCK):
                    file.write(block)

    def remove(self, name: str) -> int:
        """Removes a file, a link, or a folder with all that is in it, if it is there; returns the bytes freed."""
        kind = self.kind(name)
        if kind is None:
            return 0
        freed = sum(self.remove(entry.name) for entry in self.entries(name)) if kind == "folder" else 0
        with self._open_parent(name) as (at, last):
            if kind == "folder":
                os.rmdir(last, dir_fd=at)
            else:
                size = os.stat(last, dir_fd=at, follow_symlinks=False).st_size
                os.unlink(last, dir_fd=at)
                freed += size if kind == "file" else 0
        return freed

    def remove_empty(self, name: str) -> None:
        """Removes a folder that has nothing in it."""
        with self._open_parent(name) as (at, last):
            os.rmdir(last, dir_fd=at)

    def entries(self, name: str = "") -> list[Entry]:
        """What lies directly in a folder, sorted; nothing where there is no folder."""
        try:
            with (
                self._open_parent(f"{name}/x" if name else "x") as (at, last),
                os.scandir(os.path.dirname(last) if at is None else at) as entries,  # noqa: PTH120
            ):
                found = [(entry.name, _entry_kind(entry)) for entry in entries]
        except (FileNotFoundError, NotADirectoryError):
            return []
        return [Entry(f"{name}/{inner}" if name else inner, kind) for inner, kind in sorted(found)]

    def walk(self, name: str = "") -> Iterator[Entry]:
        """All that lies below a folder, sorted, folders before what is in them; links are not followed."""
        for entry in self.entries(name):
            yield entry
            if entry.kind == "folder":
                yield from self.walk(entry.name)

    @contextmanager
    def _open_parent(self, name: str, *, make: bool = False) -> Iterator[tuple[int | None, str]]:
        """Descriptor of the folder above a name, and the last part of the name; without `dir_fd`: None and a path."""
        *folders, last = _split(name)
        if make and not self.root.is_dir():
            self.root.mkdir(parents=True, exist_ok=True)
        if not HAS_DESCRIPTORS:
            yield None, os.path.join(self._check_folders(folders, make=make), last)  # noqa: PTH118
            return
        at = os.open(self.root, _FOLDER & ~os.O_NOFOLLOW)
        try:
            for folder in folders:
                inner = _enter(folder, at, make=make)
                os.close(at)
                at = inner
            yield at, last
        finally:
            os.close(at)

    def _open_folder(self, folders: tuple[str, ...], known: dict[tuple[str, ...], int], opened: ExitStack) -> int:
        """Descriptor of a folder, made where it is missing; what is known stays open until `opened` ends."""
        if folders not in known:
            known[folders] = (
                _enter(folders[-1], self._open_folder(folders[:-1], known, opened), make=True)
                if folders
                else os.open(self.root, _FOLDER & ~os.O_NOFOLLOW)
            )
            opened.callback(os.close, known[folders])
        return known[folders]

    def _check_folders(self, folders: list[str], *, make: bool) -> str:
        path = str(self.root)
        for folder in folders:
            path = os.path.join(path, folder)  # noqa: PTH118
            if make:
                with suppress(FileExistsError):
                    os.mkdir(path)  # noqa: PTH102
            _check_folder(folder, os.lstat(path))
        return path


def _stat_intact(at: int | None, last: str, file: NewFile) -> os.stat_result | None:
    """How a file lies there, where it has the bytes that it is to have."""
    try:
        with os.fdopen(_open_regular(last, at, _READ), "rb") as opened:
            found = os.fstat(opened.fileno())
            same = found.st_size == len(file.data) and hashlib.file_digest(opened, "sha256").hexdigest() == file.digest
            return found if same else None
    except OSError:
        return None


def _split(name: str) -> list[str]:
    parts = name.split("/")
    outside = {"\0", "\\", ":"} if os.name == "nt" else {"\0"}
    if not outside.isdisjoint(name) or not {"", ".", ".."}.isdisjoint(parts) or len(parts) > MAX_DEPTH:
        raise OSError(errno.EINVAL, f"{name[:200]!r} is not a name inside a folder")
    try:
        os.fsencode(name)
    except UnicodeError:
        raise OSError(errno.EINVAL, f"{name[:200]!r} is not a name that this system has") from None
    return parts


def _enter(folder: str, at: int, *, make: bool) -> int:
    try:
        return os.open(folder, _FOLDER, dir_fd=at)
    except FileNotFoundError:
        if not make:
            raise
        with suppress(FileExistsError):
            os.mkdir(folder, dir_fd=at)
        return _enter(folder, at, make=False)
    except OSError as error:
        if error.errno in (errno.ENOTDIR, errno.ELOOP):  # which of them a link gives depends on the system
            _check_folder(folder, os.stat(folder, dir_fd=at, follow_symlinks=False))
        raise


def _open_regular(last: str, at: int | None, flags: int) -> int:
    # Looked at first, since opening a device may do something; and then, since it may be another file by now.
    _check_regular(os.stat(last, dir_fd=at, follow_symlinks=False))
    handle = os.open(last, flags | getattr(os, "O_CLOEXEC", 0), dir_fd=at)
    try:
        _check_regular(os.fstat(handle))
    except BaseException:
        os.close(handle)
        raise
    return handle


def _kind(found: os.stat_result) -> Kind:
    if stat.S_ISLNK(found.st_mode) or getattr(found, "st_reparse_tag", 0) == _JUNCTION:
        return "link"
    if stat.S_ISREG(found.st_mode):
        return "file"
    return "folder" if stat.S_ISDIR(found.st_mode) else "other"


def _entry_kind(entry: os.DirEntry[str]) -> Kind:
    if entry.is_symlink() or (os.name == "nt" and _kind(entry.stat(follow_symlinks=False)) == "link"):
        return "link"
    if entry.is_file(follow_symlinks=False):
        return "file"
    return "folder" if entry.is_dir(follow_symlinks=False) else "other"


def _check_regular(found: os.stat_result) -> None:
    if (kind := _kind(found)) == "folder":
        raise IsADirectoryError(errno.EISDIR, "is a folder, not a file")
    if kind != "file":
        raise OSError(errno.EINVAL, f"is a {_name_special(found)}, not a file")


def _check_folder(folder: str, found: os.stat_result) -> None:
    if (kind := _kind(found)) == "link":
        raise OSError(errno.ELOOP, f"the folder {folder!r} above it is a link")
    if kind != "folder":
        raise NotADirectoryError(errno.ENOTDIR, f"{folder!r} above it is not a folder")


def _name_special(found: os.stat_result) -> str:
    names = {stat.S_IFLNK: "link", stat.S_IFIFO: "FIFO", stat.S_IFSOCK: "socket"}
    return names.get(stat.S_IFMT(found.st_mode), "device" if _kind(found) == "other" else "link")
