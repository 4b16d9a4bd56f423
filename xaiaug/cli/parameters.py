"""Reads settings, a plugin's parameters and class names from the command line."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from ..errors import ConfigError


def parse_parameters(settings: Sequence[str]) -> dict[str, Any]:
    """Parameters by name.

    Args:
        settings: each NAME=VALUE.

    Raises:
        BadParameter: one is not.
    """
    return dict(map(_parse_parameter, settings))


def parse_overrides(settings: Sequence[str]) -> dict[str, Any]:
    """Settings as tables, as a settings file holds them.

    Args:
        settings: each TABLE.KEY=VALUE, deeper tables with more dots; of one that stands twice the last one counts.

    Raises:
        BadParameter: one is not.
    """
    tables: dict[str, Any] = {}
    for text in settings:
        name, equals, value = text.partition("=")
        *outer, key = name.strip().split(".")
        if not equals or not outer or not all((*outer, key)):
            raise typer.BadParameter(
                f"{text!r}: give a setting as TABLE.KEY=VALUE, such as --set 'experiment.seeds=[0, 1, 2]'",
                param_hint="--set",
            )
        table = tables
        for part in outer:
            table = table.setdefault(part, {})
            if not isinstance(table, dict):
                raise typer.BadParameter(f"{text!r}: {part} is already set to a value", param_hint="--set")
        table[key] = _parse_value(value)
    return tables


def _parse_parameter(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise typer.BadParameter(f"{text!r}: give a parameter as NAME=VALUE, such as --set cells=5", param_hint="--set")
    return name, _parse_value(value)


def _parse_value(value: str) -> Any:
    try:
        return tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return value  # a string that lost its quotes in the shell


def read_labels(text: str | None) -> list[str] | None:
    """Class names: of a file with one a line, or divided by commas; None where none are given.

    Raises:
        ConfigError: the file cannot be read.
    """
    if text is None:
        return None
    if "," not in text and Path(text).is_file():
        try:
            text = Path(text).read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"--labels {text}: the file cannot be read: {error}") from error
        return [line.strip() for line in text.splitlines() if line.strip()]
    return [name.strip() for name in text.split(",") if name.strip()]
