"""What the command line prints: lines, messages and JSON, escaped by `display/terminal_text.py`."""

from __future__ import annotations

import json
from typing import Any

import typer
from typer.core import TyperGroup

from ..display.terminal_text import SafeStream, escape, escape_line, make_console, safe_streams

__all__ = [
    "STOPPED",
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


STOPPED = "stopped; finished work is kept. Rerun the same command to resume."


class SafeGroup(TyperGroup):
    """The commands, with safe output however they are started, and a word where Ctrl-C ends one at once."""

    def invoke(self, ctx: Any) -> Any:
        """Runs the command that was named."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:  # typer would end without a word
            print_message(STOPPED, error=True)
            raise typer.Exit(130) from None

    def main(self, *arguments: Any, **options: Any) -> Any:
        """Runs a command."""
        with safe_streams():
            return super().main(*arguments, **options)
