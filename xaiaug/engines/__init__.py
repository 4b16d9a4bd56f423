"""Engines: how chunks of work are spread over processes and machines.

An engine is handed a piece of work and chunks of a stage; it gives back the results, and the driver alone commits them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

from ..errors import ConfigError, suggest
from .engine_options import EngineOptions
from .local import LocalEngine
from .pool import MOST_DEATHS, Watch, WorkerDiedError
from .processes import ProcessEngine
from .ray import RayEngine
from .worker import Link, Work, find_link


class Engine(Protocol):
    """Spreads chunks of work."""

    def count_workers(self, kind: str = "") -> int:
        """Chunks of a kind of work that are done at once."""

    def check(self, what: str, value: object) -> None:
        """Raises ConfigError where a plugin, or anything else that work needs, cannot travel to its workers."""

    def map(
        self,
        work: Work,
        chunks: Iterable[Any],
        *,
        kind: str = ...,
        stopping: Callable[[], bool] = ...,
        watch: Watch | None = ...,
    ) -> Iterator[tuple[int, Any]]:
        """Position and result of each chunk, as of `WorkerPool.map`."""

    def close(self) -> None:
        """Ends the workers; the engine can be used again."""


def _create_local(options: EngineOptions) -> Engine:
    usual, given = EngineOptions(), ("address", "num_cpus", "num_gpus", "memory_gb")
    tables = {"engine": {name for name in given if getattr(options, name) != getattr(usual, name)}}
    tables |= {f"engine.{kind}": set(table) - {"workers"} for kind, table in options.kinds.items()}
    for_ray = [(table, name) for table, names in tables.items() for name in sorted(names)]
    if for_ray:
        table, name = for_ray[0]
        raise ConfigError(
            f'[{table}] {name} is for the engine "ray": leave it out, or set [engine] name = "ray". With name = '
            '"local" each worker has its share of the cores, and a GPU of its own where there are several'
        )
    most = max(one.workers or 1 for one in options.all_resources)
    return LocalEngine() if most == 1 else ProcessEngine(options)


ENGINES: dict[str, Callable[[EngineOptions], Engine]] = {"local": _create_local, "ray": RayEngine}


def make_engine(name: str, options: EngineOptions | None = None) -> Engine:
    """The engine of that name; nothing is started yet.

    Raises:
        ConfigError: there is no such engine.
        MissingExtraError: its package is not installed.
    """
    if name not in ENGINES:
        raise ConfigError(f"there is no engine {name!r}. {suggest(name, ENGINES)}")
    return ENGINES[name](options or EngineOptions())


__all__ = [
    "ENGINES",
    "MOST_DEATHS",
    "Engine",
    "EngineOptions",
    "Link",
    "LocalEngine",
    "ProcessEngine",
    "RayEngine",
    "Watch",
    "Work",
    "WorkerDiedError",
    "find_link",
    "make_engine",
]
