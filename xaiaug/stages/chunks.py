"""Cuts a stage into chunks, asks the store which are missing, and has those done."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, TypeVar

from ..calls import abandon, imap_unordered
from ..engines import MOST_DEATHS, Watch, WorkerDiedError
from ..errors import CallError, PluginError, RecordError, RunStopped, UnsupportedRecipeError, XaiaugError, name_some
from ..interfaces import Plugin
from ..records import CALL_FAILED, JSON, Failure, Progress, digest
from ..records.pipeline import WORK, WorkKind
from ..store import StageName
from .lazy import Lazy, Rows
from .plugin_guard import WithTimeLimit, notify_while_waiting
from .runtime import StageRuntime
from .stage_meter import StageMeter
from .stage_work import StageWork

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
        spread: whether the workers of the engine do it, where it is not remote; else it is done in this process.
        together: whether a chunk makes one row, not one for each item.
        effort: how much of what takes time is in an item, such as the images that a training sees.
        steps: what progress counts for an item, such as the steps of a training.
        who: whose work it is, such as "Slow.critique"; empty where no plugin is at work.
        plugin: the class of the plugin at work; None where there is none.
        training: whether it trains, which takes longer than other work.
        is_passing: whether a row tells of a failure that may pass. A chunk with one is kept to be shown, and made again
            by the next session.
    """

    name: StageName
    title: str
    basis: Any
    size: int
    remote: bool = False
    spread: bool = False
    together: bool = False
    effort: int = 1
    steps: int = 1
    who: str = ""
    plugin: type[Plugin] | None = None
    training: bool = False
    is_passing: Callable[[Any], bool] | None = None

    @property
    def work(self) -> WorkKind:
        """The kind of work that it is, of a stage that is spread."""
        return WORK[self.name.kind]


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
    (rows,) = complete_all(runtime, [(stage, items)], work)
    if isinstance(rows, UnsupportedRecipeError):
        raise rows
    return rows


def complete_all(
    runtime: StageRuntime, stages: Sequence[tuple[Stage, Sequence[Item]]], work: Callable[[list[Any]], list[Any]]
) -> list[Sequence[Any] | UnsupportedRecipeError]:
    """The rows of several stages of one kind, whose chunks are done side by side; see `complete`.

    Args:
        runtime: as of `complete`.
        stages: each with its items; of one kind of work, done at the same place.
        work: as of `complete`.

    Returns:
        For each stage its rows, or the error of a training that its classifier cannot do.
    """
    if not stages:
        return []
    parts = [_Part.begin(runtime, stage, items) for stage, items in stages]
    first = stages[0][0]
    chunks = [(part, place) for part in parts for place in part.missing]
    at_once = min(runtime.engine.count_workers(first.work), len(chunks)) if first.spread else 1
    meters = _make_meters(runtime, parts, at_once)
    began, left = time.monotonic(), len(chunks)
    before = sum(part.effort_done for part in parts)

    def take() -> Iterator[list[Any]]:
        for part, place in chunks:
            meters[part].show()
            yield [item.value for item in part.chunks[place]]

    def hear(workers: Mapping[str, tuple[int, Any]]) -> None:
        doing = {name: _describe(*chunks[position], message) for name, (position, message) in workers.items()}
        meters[parts[0]].show_workers(doing)

    results = _spread(runtime, first, work, take(), hear)
    spending = runtime.store.note_spending(runtime.name(first.name)) if first.remote else nullcontext()
    with spending, _watch_plugin(runtime, first, meters[parts[0]].show) as heard, abandon(results):
        for position, rows in _name_culprit(first, chunks, results):
            heard()
            part, place = chunks[position]
            part.keep(place, rows)
            left -= 1
            meters[part].add(len(part.chunks[place]) * part.stage.steps)
    seconds = (time.monotonic() - began) * at_once
    runtime.store.add_speed(first.name.kind, sum(part.effort_done for part in parts) - before, seconds)
    runtime.store.checkpoint()
    if left:
        part = next(part for part in parts if part.refusal is None and part.done < len(part.items))
        raise RunStopped(
            f"stopped in {part.stage.title} at {part.done} of {len(part.items)}: rerun the same command to resume"
        )
    return [part.refusal or part.rows for part in parts]


@dataclass(eq=False)
class _Part:
    """A stage, and how far it is.

    Attributes:
        runtime: where rows are kept.
        stage: the stage.
        items: all of them.
        chunks: cut from these.
        keys: of the chunks.
        missing: places of the chunks that are to be done.
        before: items that were done before.
        done: items that are done.
        refusal: why a training cannot be done; None where it can.
    """

    runtime: StageRuntime
    stage: Stage
    items: Sequence[Item]
    chunks: Sequence[Sequence[Item]]
    keys: list[str]
    missing: list[int]
    before: int
    done: int
    refusal: UnsupportedRecipeError | None = None

    @classmethod
    def begin(cls, runtime: StageRuntime, stage: Stage, items: Sequence[Item]) -> _Part:
        """Cuts the stage into chunks, and asks the store which are missing."""
        chunks = Lazy(-(-len(items) // stage.size), lambda i: items[i * stage.size : (i + 1) * stage.size])
        keys = [digest([stage.name.kind, stage.basis, [item.key for item in chunk]]) for chunk in chunks]
        runtime.store.begin(runtime.name(stage.name), keys, len(items))
        finished = {key for key in dict.fromkeys(keys) if _is_finished(runtime, stage, key)}
        missing = [place for place, key in enumerate(keys) if key not in finished]
        before = len(items) - sum(len(chunks[place]) for place in missing)
        return cls(runtime, stage, items, chunks, keys, missing, before, before)

    @property
    def effort_done(self) -> int:
        """How much of what takes time is done."""
        return self.done * self.stage.effort

    @property
    def rows(self) -> Sequence[Any]:
        """The rows of all chunks."""
        size, length = (1, len(self.keys)) if self.stage.together else (self.stage.size, len(self.items))
        return Rows(self.runtime.store, self.keys, size, length)

    def keep(self, place: int, rows: list[Any] | UnsupportedRecipeError) -> None:
        """Commits the rows of a chunk, or takes note that the training cannot be done."""
        if isinstance(rows, UnsupportedRecipeError):
            self.refusal = rows
            return
        keep = self.runtime.store.replace if self.stage.is_passing else self.runtime.store.commit
        keep(self.keys[place], self.runtime.name(self.stage.name), rows)
        self.done += len(self.chunks[place])


def _make_meters(runtime: StageRuntime, parts: Sequence[_Part], at_once: int) -> dict[_Part, StageMeter]:
    """One meter a stage, or one for all where several are under way at once."""
    if at_once == 1 or len(parts) == 1:
        return {part: _make_meter(runtime, part.stage.title, [part]) for part in parts}
    shared = _make_meter(runtime, f"{parts[0].stage.title.partition(' ')[0]} {len(parts)} models", parts)
    return dict.fromkeys(parts, shared)


def _make_meter(runtime: StageRuntime, title: str, parts: Sequence[_Part]) -> StageMeter:
    total, earlier = (
        sum(count * part.stage.steps for count, part in zip(counts, parts, strict=True))
        for counts in ([len(part.items) for part in parts], [part.before for part in parts])
    )
    return StageMeter(runtime.watch, title, total, earlier)


def _describe(part: _Part, place: int, message: Any) -> tuple[str, int]:
    """What a worker does, in words, and the steps that it has done of it."""
    if isinstance(message, Progress):
        return f"{message.stage} {message.done}/{message.total}", message.done
    return f"{part.stage.title}, chunk {place + 1} of {len(part.keys)}", 0


def _name_culprit(
    stage: Stage, chunks: Sequence[tuple[_Part, int]], results: Iterator[tuple[int, Any]]
) -> Iterator[tuple[int, Any]]:
    """The results; where every worker that was given a chunk died, the error names its items."""
    try:
        yield from results
    except WorkerDiedError as death:
        part, place = chunks[death.position]
        names = name_some(
            [str(item.key[0] if isinstance(item.key, list) else item.key)[:40] for item in part.chunks[place]]
        )
        raise PluginError(
            f"{stage.who or stage.title}: {MOST_DEATHS} workers died on chunk {place + 1} of {len(part.keys)} of"
            f" {part.stage.title} ({names}): {death.reason}. What was finished before is kept"
        ) from death


def _is_finished(runtime: StageRuntime, stage: Stage, key: str) -> bool:
    rows = runtime.store.rows(key) if stage.is_passing else None
    if stage.is_passing is None or rows is None:
        return runtime.store.has(key)
    return not any(map(stage.is_passing, rows))


def _spread(
    runtime: StageRuntime,
    stage: Stage,
    work: Callable[[list[Any]], list[Any]],
    chunks: Iterable[list[Any]],
    hear: Watch,
) -> Iterator[tuple[int, Any]]:
    """Position and rows of each chunk as it is done; none is started once the run was asked to stop."""
    wanted = takewhile(lambda _: not runtime.stopping(), chunks)
    setting = "training_seconds" if stage.training else "chunk_seconds"
    limit = runtime.limits.training_s if stage.training else runtime.limits.chunk_s
    if stage.who and limit is not None:
        work = WithTimeLimit(work, stage.who, limit, setting)
    if stage.remote:
        return imap_unordered(work, wanted, most=min(64, max(1, WAITING // stage.size)))
    if stage.spread:
        whole = StageWork(work, runtime.store.blobs, lambda: runtime.find_place(stage.plugin))
        return runtime.engine.map(whole, wanted, kind=stage.work, stopping=runtime.stopping, watch=hear)
    return enumerate(map(work, wanted))


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
