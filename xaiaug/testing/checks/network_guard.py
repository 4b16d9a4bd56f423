"""Watches what a plugin opens and whom it calls, and lets it reach this machine alone."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

_HERE = ("localhost", "127.", "::1", "0.0.0.0")  # noqa: S104  compared with, never bound
_RESOLVING = ("socket.getaddrinfo", "socket.gethostbyname")
_CONNECTING = ("socket.connect", "socket.sendto")


@dataclass
class Seen:
    """What was tried while it was watched.

    Attributes:
        hosts: other machines that were to be reached; each attempt was refused.
        files: paths that were opened.
    """

    hosts: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)


_watching: list[Seen] = []
_installed: list[bool] = []


@contextmanager
def guarded() -> Iterator[Seen]:
    """Refuses every connection to another machine, in all threads, and notes it and every file that is opened.

    It sees what goes through Python's own sockets and files; a library with sockets of its own in C passes unseen.
    """
    if not _installed:
        sys.addaudithook(_hook)  # for good: Python offers no way to take one out again
        _installed.append(True)
    seen = Seen()
    _watching.append(seen)
    try:
        yield seen
    finally:
        # By identity: two watchers that saw the same are equal.
        _watching[:] = [other for other in _watching if other is not seen]


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if not _watching:
        return
    if event == "open":
        for seen in _watching:
            seen.files.append(str(arguments[0]))
    host = _host(event, arguments)
    if host is None or host.startswith(_HERE):
        return
    for seen in _watching:
        seen.hosts.append(host)
    raise ConnectionRefusedError(f"{host} was not reached: checks are offline")


def _host(event: str, arguments: tuple[Any, ...]) -> str | None:
    if event in _RESOLVING:
        host = arguments[0]
        return host.decode() if isinstance(host, bytes) else host or None
    if event in _CONNECTING and isinstance(arguments[-1], tuple):  # a path where the socket is a local one
        return str(arguments[-1][0])
    return None
