"""Blocks connections to other machines, and logs them and every file that is opened."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

_LOCAL = ("localhost", "127.", "::1", "0.0.0.0")  # noqa: S104  compared with, never bound
_RESOLVING = ("socket.getaddrinfo", "socket.gethostbyname")
_CONNECTING = ("socket.connect", "socket.sendto")


@dataclass
class AccessLog:
    """What a plugin accessed while it was guarded.

    Attributes:
        hosts: other machines; each connection was refused.
        files: paths that were opened.
    """

    hosts: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)


_logs: list[AccessLog] = []
_installed: list[bool] = []


@contextmanager
def guard_network() -> Iterator[AccessLog]:
    """Refuses connections to other machines, in all threads, and logs them and every file that is opened.

    It sees Python's own sockets and files; a C library with sockets of its own goes unnoticed.
    """
    if not _installed:
        sys.addaudithook(_hook)  # for good: Python cannot remove an audit hook
        _installed.append(True)
    log = AccessLog()
    _logs.append(log)
    try:
        yield log
    finally:
        # By identity: two logs with the same entries are equal.
        _logs[:] = [other for other in _logs if other is not log]


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if not _logs:
        return
    if event == "open":
        for log in _logs:
            log.files.append(str(arguments[0]))
    host = _host(event, arguments)
    if host is None or host.startswith(_LOCAL):
        return
    for log in _logs:
        log.hosts.append(host)
    raise ConnectionRefusedError(f"the connection to {host} was refused: checks are offline")


def _host(event: str, arguments: tuple[Any, ...]) -> str | None:
    if event in _RESOLVING:
        host = arguments[0]
        return host.decode() if isinstance(host, bytes) else host or None
    if event in _CONNECTING and isinstance(arguments[-1], tuple):  # a path for a Unix socket
        return str(arguments[-1][0])
    return None
