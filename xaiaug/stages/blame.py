"""Names the plugin in what it raises without meaning to."""

from __future__ import annotations

import json
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import PluginError, XaiaugError


@contextmanager
def blamed(who: str) -> Iterator[None]:
    """Turns whatever a plugin raises into a PluginError that names it and the line; errors on purpose stay as they are.

    Args:
        who: whose work it is, such as "Slow.prepare".

    Raises:
        PluginError: something else than an XaiaugError was raised.
    """
    try:
        yield
    except XaiaugError:
        raise
    except Exception as error:
        raise PluginError(f"{who} raised {described(error)}") from error


def described(error: Exception) -> str:
    """Type, message and place of an error, on one line."""
    last = traceback.extract_tb(error.__traceback__)[-1:]
    place = "".join(f" ({Path(frame.filename).name}, line {frame.lineno})" for frame in last)
    return f"{type(error).__name__}: {' '.join(str(error).split()) or 'no message'}{place}"


def plain(who: str, value: Any) -> Any:
    """The value, which the ledger can keep.

    Raises:
        PluginError: it is not JSON-plain.
    """
    try:
        json.dumps(value)
    except (TypeError, ValueError) as error:
        raise PluginError(f"{who} must return what is JSON-plain, text and plain numbers: {error}") from error
    return value
