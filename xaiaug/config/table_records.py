"""The tables `[recipe]`, `[baseline]` and those of `[experiment] arms` become records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from ..errors import ConfigError, RecordError, suggest
from ..records import Arm, ImageSource, Recipe
from ..records.recipe import SET_BY_ARM

LONGEST_VALUE = 200  # characters of a value that a message shows


def parse_recipe(table: str, values: Mapping[str, Any]) -> Recipe:
    known = {field.name for field in fields(Recipe)} - set(SET_BY_ARM)
    for name in values:
        if name not in known:
            hint = "it is set by the arm" if name in SET_BY_ARM else suggest(name, known)
            raise ConfigError(f"[{table}] has no key {name!r}. {hint}")
    weights = values.get("class_weights")
    try:
        return Recipe(**{**values, "class_weights": tuple(weights) if isinstance(weights, list) else weights})
    except (RecordError, TypeError) as error:
        raise ConfigError(f"[{table}]: {error}") from error


def parse_arm(entry: str | Mapping[str, Any]) -> str | Arm:
    if isinstance(entry, str):
        return entry
    known = {field.name for field in fields(Arm)}
    for name in entry:
        if name not in known:
            raise ConfigError(f"[experiment] arms: an arm has no key {name!r}. {suggest(name, known)}")
    if not entry.get("name"):
        raise ConfigError(f"[experiment] arms: an arm needs a name, got {str(dict(entry))[:LONGEST_VALUE]}")
    images = entry.get("images")
    if images is not None and not isinstance(images, Mapping):
        raise ConfigError(f"[experiment] arms: images must be a table, got {str(images)[:LONGEST_VALUE]!r}")
    for name in images or ():
        if name not in (sources := {field.name for field in fields(ImageSource)}):
            raise ConfigError(f"[experiment] arms: images has no key {name!r}. {suggest(name, sources)}")
    try:
        return Arm(**{"isolates": "", **entry, "images": ImageSource(**images) if images is not None else None})
    except (RecordError, TypeError) as error:
        raise ConfigError(f"[experiment] arms: {error}") from error
