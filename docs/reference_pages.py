"""Writes the reference pages: settings, built-in plugins, public names and errors, from what the code says."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, fields
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel

import xaiaug
from xaiaug import errors
from xaiaug.config import Settings
from xaiaug.config.settings import WorkersTable
from xaiaug.errors import XaiaugError
from xaiaug.records import Arm, ImageSource, Recipe
from xaiaug.records.pipeline import WorkKind
from xaiaug.records.recipe import SET_BY_ARM
from xaiaug.registry import KINDS, registry

# How the public names are grouped; a name that is in no group fails the build.
GROUPS = {
    "Run the loop": ("FeedbackLoop", "Result", "open_run", "compare_predictions"),
    "Data": ("Splits", "Sample"),
    "Diagnose": ("diagnose", "find_slices", "probe_cause", "faithfulness", "examine"),
    "Classifiers of your own": ("TorchClassifier", "PredictClassifier"),
    "Write a plugin": ("Classifier", "Explainer", "Critic", "Synthesizer", "Context", "hookimpl", "available", "load"),
    "Records": (
        *("Recipe", "Arm", "ImageSource", "History", "Explanation", "Case", "Critique", "Cause", "MistakeSlice"),
        *("Sheet", "SynthesisRequest", "SyntheticImage", "Failure"),
    ),
    "Errors": ("XaiaugError", "DataError"),
}
TABLE_OF = {"recipe": Recipe, "baseline": Recipe}


def write(folder: Path) -> None:
    """Writes all pages; a page that is the same is not touched, so that Sphinx does not read it again."""
    folder.mkdir(exist_ok=True)
    pages = {
        "settings": settings_page(),
        "built-in-plugins": plugins_page(),
        "api": api_page(),
        "errors": errors_page(),
    }
    for name, text in pages.items():
        path = folder / f"{name}.md"
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def settings_page() -> str:
    """Every table of a settings file, with every key."""
    parts = [
        "# Settings",
        "A settings file is TOML; `xaiaug run FILE` runs it, `FeedbackLoop(settings=…)` takes the same tables. All keys"
        " are optional except the data folder; unknown ones are refused, with the nearest name.",
    ]
    for name, field in Settings.model_fields.items():
        parts += _settings_table(name, field)
    parts += _record_table(
        "[[experiment.arms]]",
        "Your own arm: a table in the list `[experiment] arms`.",
        Arm,
        skipped=("images",),
    )
    parts += _record_table(
        "images of an arm",
        "How its new images are made: the table `images` of an arm.",
        ImageSource,
    )
    return "\n\n".join(parts) + "\n"


def _settings_table(name: str, field: Any) -> Iterator[str]:
    model = field.annotation
    if name in TABLE_OF:
        what = "How the arms are trained." if name == "recipe" else "How the baseline is trained, where it differs."
        yield from _record_table(f"[{name}]", what, TABLE_OF[name], skipped=SET_BY_ARM)
    elif hasattr(model, "model_fields"):
        summary, meanings = read_docstring(model)
        yield f"## [{name}]"
        extra = name in KINDS
        if extra:
            yield (
                f"`name` is the {name}'s (default: `{field.default.name}`); all other keys except those below are its"
                f" parameters: see [built-in plugins](built-in-plugins.md#{name})."
            )
        else:
            yield summary.partition(": ")[2].capitalize()
        rows = [
            (key, meanings[key], describe_type(one.annotation), _default(one.default))
            for key, one in model.model_fields.items()
            if not (extra and key == "name")
        ]
        if rows:
            yield _table(("key", "meaning", "type", "default"), rows)
        if name == "engine":
            yield from _workers_table()
    else:
        yield f"## [{name}.NAME]"
        yield "Parameters of a further synthesizer, NAME, for arms that name it."


def _workers_table() -> Iterator[str]:
    """The tables of kinds of work, which are alike."""
    summary, meanings = read_docstring(WorkersTable)
    yield "## [engine.KIND]"
    yield f"{summary.partition(': ')[2].capitalize()} KIND is one of {', '.join(f'`{kind}`' for kind in WorkKind)}."
    rows = [
        (key, meanings[key], describe_type(one.annotation), _default(one.default))
        for key, one in WorkersTable.model_fields.items()
    ]
    yield _table(("key", "meaning", "type", "default"), rows)


def _record_table(title: str, what: str, record: type, skipped: tuple[str, ...] = ()) -> list[str]:
    (_, meanings), types = read_docstring(record), get_type_hints(record)
    rows = [
        (one.name, meanings[one.name], describe_type(types[one.name]), _field_default(one))
        for one in fields(record)
        if one.name not in skipped
    ]
    return [f"## {title}", what, _table(("key", "meaning", "type", "default"), rows)]


def plugins_page() -> str:
    """Every built-in plugin, with its parameters."""
    known, parts = registry(), ["# Built-in plugins"]
    parts.append("Parameters are keys of the plugin's table in a settings file, and arguments of its class.")
    for kind in KINDS:
        parts.append(f"## {kind}")
        for plugin in known.available(kind):
            parts += _plugin(plugin.name, known.plugin_class(kind, plugin.name))
    return "\n\n".join(parts) + "\n"


def _plugin(name: str, factory: Any) -> Iterator[str]:
    summary, meanings = read_docstring(factory)
    yield f"### {name}"
    yield summary
    rows, types = [], find_types(factory)
    for key in factory.parameter_names():
        one = inspect.signature(factory).parameters[key]
        default = "needed" if one.default is one.empty else _default(one.default)
        meaning = meanings.get(key) or _inherited(factory, key)
        rows.append((key, meaning, describe_type(types.get(key, Any)), default))
    if rows:
        yield _table(("parameter", "meaning", "type", "default"), rows)


def _inherited(factory: type, key: str) -> str:
    """What a class that this one passes `**options` on to says of a parameter."""
    return next((found for base in factory.__mro__[1:] if (found := read_docstring(base)[1].get(key))), "")


def api_page() -> str:
    """Every public name, by autodoc."""
    grouped = [name for names in GROUPS.values() for name in names]
    missing = sorted(set(xaiaug.__all__) ^ set(grouped))
    if missing:
        raise ValueError(f"docs/reference_pages.py: GROUPS and xaiaug.__all__ differ by {', '.join(missing)}")
    parts = ["# Python API", "`import xaiaug` has these names; heavy packages are imported when they are used."]
    for title, names in GROUPS.items():
        parts.append(f"## {title}")
        for name in names:
            value = getattr(xaiaug, name)
            kind = (
                "autoclass" if inspect.isclass(value) else "autofunction" if inspect.isfunction(value) else "autodata"
            )
            members = "\n   :members:" if kind == "autoclass" else ""
            parts.append(f"```{{eval-rst}}\n.. {kind}:: xaiaug.{name}{members}\n```")
    return "\n\n".join(parts) + "\n"


def errors_page() -> str:
    """Every error, as a tree, with what it means."""
    rows = [
        (
            "`" + "· " * depth + kind.__name__ + "`",
            ", ".join(base.__name__ for base in _builtin_bases(kind)),
            _first(kind),
        )
        for depth, kind in _walk(XaiaugError, 0)
    ]
    table = _table(("error", "also a", "meaning"), rows, literal=False)
    text = (
        "Errors raised on purpose are `XaiaugError`s of `xaiaug.errors`; their messages say which component"
        " failed, what was expected, what it got and what to do. `DataWarning` is the category of warnings."
    )
    return f"# Errors\n\n{text}\n\n{table}\n"


def _walk(kind: type[XaiaugError], depth: int) -> Iterator[tuple[int, type[XaiaugError]]]:
    yield depth, kind
    for child in kind.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from _walk(child, depth + 1)


def _builtin_bases(kind: type) -> list[type]:
    return [base for base in kind.__bases__ if base.__module__ == "builtins" and base is not Exception]


def _first(kind: type) -> str:
    return (inspect.getdoc(kind) or "").partition("\n\n")[0].replace("\n", " ")


def read_docstring(kind: type) -> tuple[str, dict[str, str]]:
    """The text of a docstring before its sections, and what its sections say of each attribute or argument."""
    text = inspect.cleandoc(kind.__doc__ or "")
    head, *sections = re.split(r"^(?=(?:Args|Attributes|Raises|Returns):$)", text, flags=re.M)
    meanings: dict[str, str] = {}
    for section in sections:
        title, _, body = section.partition("\n")
        if title in ("Args:", "Attributes:"):
            for entry in re.split(r"^(?=    \S)", body, flags=re.M):
                name, _, meaning = entry.partition(":")
                if meaning:
                    meanings[name.strip()] = " ".join(meaning.split())
    return head.strip(), meanings


def _table(heads: tuple[str, ...], rows: list[tuple[str, ...]], *, literal: bool = True) -> str:
    lines = ["| " + " | ".join(heads) + " |", "| " + " | ".join("---" for _ in heads) + " |"]
    for first, *others in rows:
        cells = (f"`{first}`" if literal else first, *others)
        lines.append("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |")
    return "\n".join(lines)


_WORDS = {str: "text", int: "integer", float: "number", bool: "true or false", Path: "path", type(None): "none"}


def describe_type(hint: Any) -> str:
    """A type in the words of a settings file."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return describe_type(inner[0])
    if origin in (Union, UnionType):
        return " or ".join(dict.fromkeys(describe_type(one) for one in inner))
    if origin is Literal:
        return " or ".join(f"`{_plain(value)}`" for value in inner)
    return _describe_container(origin or hint, inner) or _WORDS.get(hint) or _name(hint)


def _describe_container(kind: Any, inner: tuple[Any, ...]) -> str:
    """A table or a list; empty for anything else."""
    if not isinstance(kind, type) or kind is str:
        return ""
    if issubclass(kind, BaseModel | Mapping):
        return "table"
    if not issubclass(kind, Sequence):
        return ""
    if len(inner) > 1 and inner[1] is not ...:
        return "pair"
    return f"list of {describe_type(inner[0])}" if inner else "list"


def _name(hint: Any) -> str:
    return "" if hint is Any else f"`{str(getattr(hint, '__name__', hint)).rpartition('.')[2]}`"


def find_types(factory: type) -> dict[str, Any]:
    """The types of a class's parameters, those of the classes it passes `**options` on to included."""
    found: dict[str, Any] = {}
    for kind in factory.__mro__[:-1]:
        for known in (vars(kind).get("__init__"), kind):
            try:
                hints = get_type_hints(known) if known is not None else {}
            except (NameError, TypeError):  # names for type checkers only
                hints = {}
            found = hints | found
    return found


def _default(value: Any) -> str:
    return f"`{_plain(value)}`" if value is not None else "none"


def _field_default(one: Any) -> str:
    if one.default is not MISSING:
        return _default(one.default)
    return _default(one.default_factory()) if one.default_factory is not MISSING else "needed"


def _plain(value: Any) -> str:
    """A default as TOML would have it, as far as it can."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, tuple | list):
        return "[" + ", ".join(_plain(inner) for inner in value) + "]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key} = {_plain(inner)}" for key, inner in value.items()) + "}"
    return "none" if value is None else str(value)
