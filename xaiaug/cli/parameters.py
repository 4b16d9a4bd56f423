"""Reads a plugin's parameters and class names from the command line."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import ConfigError


def parse_parameters(settings: Sequence[str]) -> dict[str, Any]:
    """Parameters by name.

    Args:
        settings: each NAME=VALUE.

    Raises:
        ConfigError: one is not.
    """
    return dict(map(_parse_parameter, settings))


def _parse_parameter(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(f"--set {text}: give a parameter as NAME=VALUE, such as --set cells=5")
    try:
        return name, tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return name, value  # a string that lost its quotes in the shell


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
