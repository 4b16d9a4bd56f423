"""Paths in a settings file are relative to it; what names a model on the hub is none."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import ConfigError

# Parameters of plugins that may be a path; each may be a name on the model hub, too, or nothing that is there yet.
PATH_PARAMETERS = (
    "checkpoint",
    "weights",
    "masks",
    "run",
    "loras",
    "controlnet",
    "vae",
    "model",
    "folder",
    "file",
    "segmenter",
)


def place_path(path: Path, base: Path | None) -> Path:
    expanded = Path(os.path.expanduser(path))  # noqa: PTH111
    return expanded if base is None else base / expanded


def place_parameter(name: str, value: Any, base: Path | None) -> Any:
    """A plugin's parameter, with the paths in it from the settings' folder."""
    if isinstance(value, list | tuple):
        return type(value)(place_parameter(name, inner, base) for inner in value)
    if isinstance(value, Mapping):
        return {inner: place_parameter(inner, content, base) for inner, content in value.items()}
    if not isinstance(value, str):
        return value
    if value.startswith("~"):
        return os.path.expanduser(value)  # noqa: PTH111
    relative = value and name in PATH_PARAMETERS and not Path(value).is_absolute()
    return _place_relative(name, value, base) if relative and base is not None else value


def _place_relative(name: str, value: str, base: Path) -> str:
    beside = base / value
    if beside.exists() or value.startswith("."):
        return str(beside.absolute())
    if Path(value).exists():
        raise ConfigError(
            f"{name} = {value!r}: relative paths are relative to the settings file, and there is no {beside}; write "
            f"the path from there, or {str(Path(value).absolute())!r}"
        )
    return value  # a name on the model hub
