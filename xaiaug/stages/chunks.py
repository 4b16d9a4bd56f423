"""Cuts a stage into chunks, asks the store which are missing, and has those done."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from ..errors import PluginError, RunStopped, XaiaugError
from ..interfaces import Plugin
from ..records import JSON, Failure, Progress
from ..store import digest
from .desk import Desk

RAISED = "raised "  # begins the kind of a failure that a plugin did not return but raise
Given = TypeVar("Given")
Made = TypeVar("Made")


@dataclass(frozen=True)
class Item:
    """One thing a stage works on.

    Attributes:
        key: what its result depends on, JSON-plain.
        value: what the worker is handed.
    """

    key: Any
    value: Any


@dataclass(frozen=True)
class Stage:
    """A stage of a run.

    Attributes:
        name: in the ledger; distinct within a run.
        title: what watchers are told.
        basis: what every result depends on besides its item, JSON-plain.
        size: items in a chunk.
    """

    name: str
    title: str
    basis: Any
    size: int


def complete(desk: Desk, stage: Stage, items: Sequence[Item], work: Callable[[list[Any]], list[Any]]) -> list[Any]:
    """The rows of a stage, in order: those in the store, and those done now.

    Args:
        desk: where rows are kept and who does the work.
        stage: its name, basis and chunk size.
        items: the full ordered list; chunks are cut from it before the store is asked.
        work: makes the rows of one chunk from its items' values.
    """
    chunks = [items[start : start + stage.size] for start in range(0, len(items), stage.size)]
    keys = [digest([stage.name.split("/")[0], stage.basis, [item.key for item in chunk]]) for chunk in chunks]
    desk.store.begin(stage.name, keys, len(items))
    found = {key: rows for key in dict.fromkeys(keys) if (rows := desk.store.rows(key)) is not None}
    done = sum(len(chunk) for key, chunk in zip(keys, chunks, strict=True) if key in found)
    desk.watch(Progress(stage.title, done, len(items)))
    missing = [(key, chunk) for key, chunk in zip(keys, chunks, strict=True) if key not in found]
    results = desk.engine.map(work, ([item.value for item in chunk] for _, chunk in missing))
    for (key, chunk), rows in zip(missing, results, strict=True):
        found[key] = desk.store.commit(key, stage.name, rows)
        done += len(chunk)
        desk.watch(Progress(stage.title, done, len(items)))
        if desk.stopping():
            raise RunStopped(f"stopped in {stage.name} at {done} of {len(items)}: the same command goes on")
    return [row for key in keys for row in found[key]]


def plugin_key(plugin: Plugin) -> JSON:
    """What a plugin's results depend on; never equal to another run's where its source cannot be read."""
    identity = plugin.identity()
    return {**identity, "unique": uuid.uuid4().hex} if identity["source"] is None else identity


def batch(
    who: str,
    call: Callable[[list[Given]], Sequence[Made | Failure]],
    items: list[Given],
    kinds: type | tuple[type, ...],
) -> list[Made | Failure]:
    """One result an item: a call that raises is cut in halves until the item that broke it stands alone.

    Raises:
        PluginError: the plugin returned a wrong number or type of results.
        XaiaugError: raised by the plugin on purpose; it concerns more than one item.
    """
    try:
        results = call(items)
    except XaiaugError:
        raise
    except Exception as error:  # noqa: BLE001  a plugin may raise anything; the item that broke it is told
        if len(items) == 1:
            return [Failure(f"{RAISED}{type(error).__name__}", str(error) or "no message")]
        middle = len(items) // 2
        return batch(who, call, items[:middle], kinds) + batch(who, call, items[middle:], kinds)
    return _checked(who, results, len(items), kinds)


def refuse_if_all_raised(who: str, results: Sequence[Any]) -> None:
    """Raises PluginError when a plugin raised on every item of a stage: it is broken, not its items."""
    raised = [made for made in results if isinstance(made, Failure) and made.kind.startswith(RAISED)]
    if raised and len(raised) == len(results):
        raise PluginError(f"{who} raised on all {len(raised)} items; the first: {raised[0].kind}: {raised[0].message}")


def _checked(who: str, results: Any, count: int, kinds: type | tuple[type, ...]) -> list[Any]:
    if not isinstance(results, list | tuple):
        raise PluginError(f"{who} must return a list of {count} results, got {type(results).__name__}")
    if len(results) != count:
        raise PluginError(f"{who} was given {count} items and must return as many results, got {len(results)}")
    names = " or ".join(kind.__name__ for kind in (kinds if isinstance(kinds, tuple) else (kinds,)))
    for position, result in enumerate(results):
        if not isinstance(result, (kinds, Failure) if isinstance(kinds, type) else (*kinds, Failure)):
            raise PluginError(f"{who}: result {position} must be {names} or Failure, got {type(result).__name__}")
    return list(results)
