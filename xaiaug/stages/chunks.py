"""Cuts a stage into chunks, asks the store which are missing, and has those done."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, TypeVar

from ..calls import abandon, imap_unordered
from ..errors import CallError, PluginError, RecordError, RunStopped, XaiaugError
from ..interfaces import Plugin
from ..records import CALL_FAILED, JSON, Failure, Progress, digest
from ..store import StageName
from .lazy import Lazy, Rows
from .plugin_guard import WithTimeLimit, notify_while_waiting
from .runtime import StageRuntime

WAITING = 1_000  # items an outside service may have at once; their images are in memory
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

    @classmethod
    def of(cls, value: Any) -> Item:
        """One that knows its key."""
        return cls(value.key, value)


@dataclass(frozen=True)
class Stage:
    """A stage of a run.

    Attributes:
        name: in the ledger; distinct within a run.
        title: what progress calls it.
        basis: what every result depends on besides its item, JSON-plain.
        size: items in a chunk.
        remote: whether an outside service does the work: many chunks wait for it at once, in this process, and are
            kept as they arrive.
        together: whether a chunk makes one row, not one for each item.
        effort: how much of what takes time is in an item, such as the images that a training sees.
        steps: what progress counts for an item, such as the steps of a training.
        who: whose work it is, such as "Slow.critique"; empty where no plugin is at work.
        training: whether it trains, which takes longer than other work.
        is_passing: whether a row tells of a failure that may pass. A chunk with one is kept to be shown, and made again
            by the next session.
    """

    name: StageName
    title: str
    basis: Any
    size: int
    remote: bool = False
    together: bool = False
    effort: int = 1
    steps: int = 1
    who: str = ""
    training: bool = False
    is_passing: Callable[[Any], bool] | None = None


def complete(
    runtime: StageRuntime, stage: Stage, items: Sequence[Item], work: Callable[[list[Any]], list[Any]]
) -> Sequence[Any]:
    """The rows of a stage, in order: those in the store, and those done now.

    Args:
        runtime: where rows are kept and who does the work.
        stage: its name, basis and chunk size.
        items: the full ordered sequence; chunks are cut from it before the store is asked.
        work: makes the rows of one chunk from its items' values.

    Raises:
        RunStopped: the run was asked to stop.
    """
    chunks = Lazy(-(-len(items) // stage.size), lambda i: items[i * stage.size : (i + 1) * stage.size])
    kind = stage.name.kind
    keys = [digest([kind, stage.basis, [item.key for item in chunk]]) for chunk in chunks]
    runtime.store.begin(runtime.name(stage.name), keys, len(items))
    finished = {key for key in dict.fromkeys(keys) if _is_finished(runtime, stage, key)}
    missing = [place for place, key in enumerate(keys) if key not in finished]
    before = done = len(items) - sum(len(chunks[place]) for place in missing)
    left, began = len(missing), time.monotonic()

    def show(note: str = "") -> None:
        shown, total, earlier = (count * stage.steps for count in (done, len(items), before))
        runtime.watch(Progress(stage.title, shown, total, note, earlier))

    show()
    spending = runtime.store.note_spending(runtime.name(stage.name)) if stage.remote else nullcontext()
    results = _spread(runtime, stage, work, ([item.value for item in chunks[place]] for place in missing))
    with spending, _watch_plugin(runtime, stage, show) as heard, abandon(results):
        for position, rows in results:
            heard()
            place = missing[position]
            keep = runtime.store.replace if stage.is_passing else runtime.store.commit
            keep(keys[place], runtime.name(stage.name), rows)
            left, done = left - 1, done + len(chunks[place])
            show()
    runtime.store.add_speed(kind, (done - before) * stage.effort, time.monotonic() - began)
    runtime.store.checkpoint()
    if left:
        raise RunStopped(f"stopped in {stage.title} at {done} of {len(items)}: rerun the same command to resume")
    return Rows(runtime.store, keys, *((1, len(keys)) if stage.together else (stage.size, len(items))))


def _is_finished(runtime: StageRuntime, stage: Stage, key: str) -> bool:
    rows = runtime.store.rows(key) if stage.is_passing else None
    if stage.is_passing is None or rows is None:
        return runtime.store.has(key)
    return not any(map(stage.is_passing, rows))


def _spread(
    runtime: StageRuntime, stage: Stage, work: Callable[[list[Any]], list[Any]], chunks: Iterable[list[Any]]
) -> Iterator[tuple[int, list[Any]]]:
    """Position and rows of each chunk as it is done; none is started once the run was asked to stop."""
    wanted = takewhile(lambda _: not runtime.stopping(), chunks)
    setting = "training_seconds" if stage.training else "chunk_seconds"
    limit = runtime.limits.training_s if stage.training else runtime.limits.chunk_s
    if stage.who and limit is not None:
        work = WithTimeLimit(work, stage.who, limit, setting)
    at_once = min(64, max(1, WAITING // stage.size))
    return imap_unordered(work, wanted, most=at_once) if stage.remote else enumerate(runtime.engine.map(work, wanted))


def _watch_plugin(
    runtime: StageRuntime, stage: Stage, show: Callable[[str], None]
) -> AbstractContextManager[Callable[[], object]]:
    """While a plugin is at work, progress names the plugin that the run waits for."""
    if not stage.who or stage.training:
        return nullcontext(bool)  # a training is long in any case
    return notify_while_waiting(stage.who, runtime.limits.notice_s, show)


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
        XaiaugError: raised by the plugin on purpose; it concerns more than one item (but CallError: one call failed;
            RecordError: one result is impossible).
    """
    try:
        results = call(items)
    except Exception as error:
        if isinstance(error, XaiaugError) and not isinstance(error, CallError | RecordError):
            raise
        if len(items) == 1:
            return [_to_failure(error)]
        middle = len(items) // 2
        return batch(who, call, items[:middle], kinds) + batch(who, call, items[middle:], kinds)
    return _check_results(who, results, len(items), kinds)


def _to_failure(error: Exception) -> Failure:
    message = str(error) or "no message"
    if isinstance(error, CallError):
        return Failure("refusal" if error.kind == "refusal" else CALL_FAILED, message)
    return Failure(f"{RAISED}{type(error).__name__}", message)


def refuse_if_all_raised(who: str, results: Iterable[Any]) -> None:
    """Raises PluginError when a plugin raised on every item of a stage: it is broken, not its items."""
    first, count = None, 0
    for made in results:
        if not (isinstance(made, Failure) and made.kind.startswith(RAISED)):
            return
        first, count = first or made, count + 1
    if first:
        raise PluginError(f"{who} raised on all {count} items; the first: {first.kind}: {first.message}")


def _check_results(who: str, results: Any, count: int, kinds: type | tuple[type, ...]) -> list[Any]:
    if not isinstance(results, list | tuple):
        raise PluginError(f"{who} must return a list of {count} results, got {type(results).__name__}")
    if len(results) != count:
        raise PluginError(f"{who} was given {count} items and must return as many results, got {len(results)}")
    names = " or ".join(kind.__name__ for kind in (kinds if isinstance(kinds, tuple) else (kinds,)))
    for position, result in enumerate(results):
        if not isinstance(result, (kinds, Failure) if isinstance(kinds, type) else (*kinds, Failure)):
            raise PluginError(f"{who}: result {position} must be {names} or Failure, got {type(result).__name__}")
    return list(results)
