"""What the command line prints: lines, messages and JSON, escaped by `display/terminal_text.py`."""

from __future__ import annotations

import json
from typing import Any

import typer
from typer.core import TyperGroup

from ..display.terminal_text import SafeStream, escape, escape_line, make_console, safe_streams

__all__ = [
    "SafeGroup",
    "SafeStream",
    "escape",
    "escape_line",
    "make_console",
    "print_json",
    "print_line",
    "print_message",
    "safe_streams",
]


def print_line(text: object, *, error: bool = False) -> None:
    """Prints one line, whatever line breaks it holds.

    Args:
        text: the line.
        error: whether to print to standard error.
    """
    typer.echo(escape_line(text), err=error)


def print_message(text: object, *, error: bool = False) -> None:
    """Prints a message that may have several lines; the later ones are indented, so that none passes for another.

    Args:
        text: the message.
        error: whether to print to standard error.
    """
    first, *others = escape(str(text)).split("\n")
    typer.echo("\n".join([first, *(f"  {line}" if line else line for line in others)]), err=error)


def print_json(value: object) -> None:
    """Prints a value as JSON, in ASCII without control characters."""
    typer.echo(json.dumps(value, indent=2).replace("\x7f", r"\u007f"))


class SafeGroup(TyperGroup):
    """The commands, with safe output however they are started."""

    def main(self, *arguments: Any, **options: Any) -> Any:
        """Runs a command."""
        with safe_streams():
            return super().main(*arguments, **options)
