"""TOML tables become checked settings; unknown keys are refused with the nearest name."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from ..credentials import looks_like_key
from ..errors import ConfigError, suggest
from ..registry import KINDS, registry
from .settings import JudgeTable, PluginTable, Settings
from .table_records import LONGEST_VALUE
from .toml_writer import merge_tables

_SECRET_NAME = re.compile(
    r"^(.*[_-])?(api[_-]?key|private[_-]?key|secret([_-]key)?|password|passwd|bearer|authorization|credentials?)$"
    r"|^((hf|auth|access|api|refresh|bearer|github|gitlab|id)[_-])?token$",
    re.IGNORECASE,
)


def parse_settings(tables: Mapping[str, Any], source: str = "settings") -> Settings:
    """Checked settings from tables.

    Args:
        tables: as a settings file holds them.
        source: what to call them in an error.

    Raises:
        ConfigError: names each wrong key with what was expected, what came and the nearest name.
    """
    _refuse_keys(tables, source)
    try:
        found = Settings.model_validate(_with_default_names(tables))
    except ValidationError as error:
        problems = "\n".join(f"  {_problem(detail)}" for detail in error.errors())
        raise ConfigError(f"{source} cannot be used:\n{problems}") from None
    found.recipes()
    found.arms()
    return _place_all(found, None)


def read_settings(path: str | Path, overrides: Mapping[str, Any] | None = None) -> Settings:
    """Checked settings from a TOML file; relative paths are relative to the file.

    Args:
        path: of the file.
        overrides: tables that win over those of the file; one that names another plugin replaces the plugin's table.

    Raises:
        ConfigError: the file is missing, is not TOML, or holds what `parse_settings` refuses.
    """
    path = Path(os.path.expanduser(path))  # noqa: PTH111  (a Path raises where there is no such user)
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise ConfigError(
            f"there is no settings file {path}; `xaiaug init DATA` writes one for a folder of images"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not TOML: {error}") from error
    found = parse_settings(_override(tables, overrides or {}), str(path))
    if found.data.folder is None and found.data.manifest is None:
        raise ConfigError(f'{path} has no data folder: add\n  [data]\n  folder = "photos"')
    return _place_all(found, path.parent)


def create_plugin(kind: str, table: PluginTable) -> Any:
    """The plugin a table names, its parameters checked; not yet prepared."""
    return registry().create(kind, table.name, table.parameters)


def _override(tables: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    replaced = {
        kind
        for kind in KINDS
        if isinstance(overrides.get(kind), Mapping)
        and "name" in overrides[kind]
        and isinstance(tables.get(kind), Mapping)
        and tables[kind].get("name", Settings.model_fields[kind].default.name) != overrides[kind]["name"]
    }
    return merge_tables({name: table for name, table in tables.items() if name not in replaced}, overrides)


def _place_all(found: Settings, base: Path | None) -> Settings:
    judge, vlm = found.curation.judge, found.curation.vlm
    placed = judge.place(base) if isinstance(judge, JudgeTable) else judge
    return found.model_copy(
        update={
            "data": found.data.place(base),
            "curation": found.curation.model_copy(update={"judge": placed, "vlm": vlm and vlm.place(base)}),
            **{kind: getattr(found, kind).place(base) for kind in KINDS},
            "synthesizers": {
                name: PluginTable(name=name, **table).place(base).parameters
                for name, table in found.synthesizers.items()
            },
        }
    )


def _refuse_keys(value: Any, source: str, place: tuple[str, ...] = ()) -> None:
    """Raises ConfigError where a setting looks like a key; the message names its place and never what it holds."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            if looks_like_key(str(name)):
                _refuse_keys(str(name), source, (*place, "a name"))
            _refuse_keys(inner, source, (*place, str(name)))
    elif isinstance(value, list | tuple):
        for inner in value:
            _refuse_keys(inner, source, place)
    elif isinstance(value, str) and (looks_like_key(value) or (value and place and _SECRET_NAME.search(place[-1]))):
        raise ConfigError(
            f"{source}: {'.'.join(place)} looks like a key, or an address with one. Settings are kept in the run "
            "folder, so keys must come from the environment (such as ANTHROPIC_API_KEY); take it out, and revoke it "
            "if others may have seen it"
        )


def _with_default_names(tables: Mapping[str, Any]) -> dict[str, Any]:
    """The tables, where a plugin's table without a name has the default one."""
    usual = {kind: Settings.model_fields[kind].default.name for kind in KINDS}
    return {
        key: {"name": usual[key], **table} if key in usual and isinstance(table, Mapping) else table
        for key, table in tables.items()
    }


def _problem(detail: Any) -> str:
    place = [str(part) for part in detail["loc"]]
    if not place:  # about tables together
        return str(detail["msg"]).removeprefix("Value error, ")
    table, known, key = _find_table(place)
    if detail["type"] == "extra_forbidden":
        if not key:
            return f"there is no table [{place[0]}]. {suggest(place[0], Settings.model_fields)}"
        return f"[{table}] has no key {key!r}. {suggest(key, known)}"
    where = f"[{table}] {key}".strip()
    value = repr(detail["input"])
    return f"{where}: {detail['msg']}, got {value[:LONGEST_VALUE] + ' …' if len(value) > LONGEST_VALUE else value}"


def _find_table(place: list[str]) -> tuple[str, list[str], str]:
    """The innermost table of a place, such as "engine.critic", the keys it may have, and the key that it is about."""
    fields = Settings.model_fields
    for depth, name in enumerate(place):
        model = _table_of(fields[name]) if name in fields else None
        if model is None and depth:
            return ".".join(place[:depth]), list(fields), name
        fields = model.model_fields if model else {}
    return ".".join(place), list(fields), ""


def _table_of(field: FieldInfo) -> type[BaseModel] | None:
    """The table that a field is, unless it is left out; None where it may be something else."""
    kinds = [kind for kind in get_args(field.annotation) if kind is not type(None)] or [field.annotation]
    return kinds[0] if len(kinds) == 1 and isinstance(kinds[0], type) and issubclass(kinds[0], BaseModel) else None
