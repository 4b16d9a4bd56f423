"""The key of a service: from the environment, and from nowhere else."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.util import find_spec
from urllib.parse import urlsplit

from ...errors import ConfigError, MissingExtraError


def key_from(names: Sequence[str], who: str) -> str:
    """The first of these environment variables that is set.

    Raises:
        ConfigError: none is.
    """
    for name in names:
        if os.environ.get(name, "").strip():
            return os.environ[name].strip()
    raise ConfigError(f"the critic {who!r} needs a key: set the environment variable {names[0]}")


def need(package: str, extra: str) -> None:
    """Raises MissingExtraError when a package is not installed; imports nothing."""
    if find_spec(package) is None:
        raise MissingExtraError(f"the critic {extra!r} needs {package}: pip install 'xaiaug[{extra}]'")


def checked_address(base_url: str | None) -> str | None:
    """The address of a server.

    Raises:
        ConfigError: it is none, or holds a name and password.
    """
    if base_url is None:
        return None
    parts = urlsplit(base_url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError('base_url must be the address of a server such as "http://localhost:11434/v1"')
    if parts.username or parts.password or parts.query:
        raise ConfigError("base_url must hold no key, name or password: keys come from the environment alone")
    return base_url
