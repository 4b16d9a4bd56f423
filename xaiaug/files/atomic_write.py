"""Writes files so that each is complete or not there, also after a power cut."""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass

CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
_SYNC_THREADS = 8


@dataclass(frozen=True, eq=False)
class Part:
    """Bytes on their way to a place: a descriptor of the folder and a name in it, or None and a path."""

    at: int | None
    last: str
    data: bytes


def write_parts(parts: Sequence[Part], *, sync: bool) -> None:
    """Writes files beside their places, has them survive a power cut, and moves them."""
    left: dict[str, Part] = {}
    try:
        with ExitStack() as opened:
            handles = []
            for part in parts:
                beside = os.path.join(os.path.dirname(part.last), f".{secrets.token_hex(8)}.part")  # noqa: PTH118,PTH120
                left[beside] = part
                file = opened.enter_context(os.fdopen(os.open(beside, CREATE, 0o644, dir_fd=part.at), "wb"))
                file.write(part.data)
                file.flush()
                handles.append(file.fileno())
            if sync:
                _sync_all(handles)
        for beside, part in list(left.items()):
            os.replace(beside, part.last, src_dir_fd=part.at, dst_dir_fd=part.at)
            del left[beside]
    except BaseException:
        for beside, part in left.items():
            with suppress(OSError):
                os.unlink(beside, dir_fd=part.at)
        raise


def _sync_all(handles: Sequence[int]) -> None:
    if len(handles) == 1:
        os.fsync(handles[0])
    elif handles:
        with ThreadPoolExecutor(min(_SYNC_THREADS, len(handles))) as threads:  # the disk takes what waits together
            list(threads.map(os.fsync, handles))
