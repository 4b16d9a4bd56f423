"""Text that is safe for a terminal: all that the command line and progress write goes through here.

File names, class names, and the messages of servers and plugins are written by others. On a terminal, their control
characters would move the cursor, set its title or turn the reading order round.
"""

from __future__ import annotations

import io
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.console import Console

WIDTH = 110  # characters, without a terminal
_UNSAFE = {"Cc", "Cf", "Cs", "Zl", "Zp"}  # controls, formats such as bidi overrides, surrogates, line separators
_KEPT = "\n\t\u200c\u200d"  # the joiners belong to the spelling of Persian and to emoji


def escape(text: str) -> str:
    r"""The text with control, bidi and other invisible characters written out, such as \x1b; lines stay lines."""
    return text if text.isprintable() else "".join(map(_escape_character, text))


def escape_line(text: object) -> str:
    """The text as one line: line breaks and tabs are written out as well."""
    return escape(str(text)).replace("\n", r"\n").replace("\t", r"\t")


def _escape_character(character: str) -> str:
    if character in _KEPT or unicodedata.category(character) not in _UNSAFE:
        return character
    return character.encode("unicode_escape").decode("ascii")


class SafeStream(io.TextIOBase):
    """A text stream that writes escaped text, in what the encoding of the stream below can hold."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """That of the stream below."""
        return getattr(self.stream, "encoding", None) or "utf-8"

    @property
    def errors(self) -> str:  # type: ignore[override]
        """That of the stream below."""
        return getattr(self.stream, "errors", None) or "strict"

    def write(self, text: str) -> int:
        """Writes the text, escaped; returns its length before that."""
        safe = escape(text).encode(self.encoding, "backslashreplace").decode(self.encoding)
        self.stream.write(safe)
        return len(text)

    def flush(self) -> None:
        """Flushes the stream below."""
        self.stream.flush()

    def isatty(self) -> bool:
        """Whether the stream below is a terminal."""
        return self.stream.isatty()

    def fileno(self) -> int:
        """The descriptor of the stream below."""
        return self.stream.fileno()

    def writable(self) -> bool:
        """Always."""
        return True

    def close(self) -> None:
        """Leaves the stream below open: it belongs to the process."""


@contextmanager
def safe_streams() -> Iterator[None]:
    """Escapes what anything in this process prints meanwhile: warnings, tracebacks and plugins, too."""
    with redirect_stdout(SafeStream(sys.stdout)), redirect_stderr(SafeStream(sys.stderr)):
        yield


def make_console(*, error: bool = False, width: int = WIDTH) -> Console:
    """A rich console that takes strings as plain text and escapes every text; only its own control codes remain.

    Args:
        error: whether it prints to standard error.
        width: where it is no terminal, in characters.
    """
    from rich.console import Console
    from rich.segment import Segment

    class SafeConsole(Console):
        def render_str(self, text: str, **options: Any) -> Any:
            return super().render_str(escape(text), **options)  # before its width is measured

        def render(self, renderable: Any, options: Any = None) -> Iterator[Segment]:
            for segment in super().render(renderable, options):
                yield segment if segment.control else Segment(escape(segment.text), segment.style)

    stream = sys.stderr if error else sys.stdout
    while isinstance(stream, SafeStream):
        stream = stream.stream
    console = SafeConsole(file=stream, markup=False, emoji=False, highlight=False)
    if not console.is_terminal:
        console.width = width
    return console
