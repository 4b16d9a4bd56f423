"""What every stage is handed, and the fitted classifier as a folder and a key."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..engines import LocalEngine
from ..interfaces import Classifier
from ..records import Progress
from ..store import Store


@dataclass(frozen=True)
class Desk:
    """Where a stage's work is kept, who does it and who watches.

    Attributes:
        store: the run folder.
        engine: spreads chunks of work.
        watch: is told how far the run has come.
        stopping: whether the run was asked to stop; looked at between two chunks.
    """

    store: Store
    engine: LocalEngine
    watch: Callable[[Progress], None]
    stopping: Callable[[], bool] = bool  # bool() is False: never asked


@dataclass(frozen=True)
class Fitted:
    """A fitted classifier, not loaded yet; travels to a worker as it is.

    Attributes:
        kind: its class.
        folder: where it was saved.
        key: equal for equal weights.
    """

    kind: type[Classifier]
    folder: Path
    key: str

    def load(self) -> Classifier:
        """The classifier, loaded once a process; train only a fork of it."""
        return _loaded(self)


@functools.lru_cache(maxsize=1)
def _loaded(fitted: Fitted) -> Classifier:
    return fitted.kind.load(fitted.folder)
