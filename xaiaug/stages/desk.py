"""What every stage is handed, and the fitted classifier as a folder and a key."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ..engines import LocalEngine
from ..interfaces import Classifier
from ..records import Progress
from ..store import Store
from .blame import blamed
from .patience import Patience


@dataclass(frozen=True)
class Desk:
    """Where a stage's work is kept, who does it and who watches.

    Attributes:
        store: the run folder.
        engine: spreads chunks of work.
        watch: is told how far the run has come.
        stopping: whether the run was asked to stop; looked at between two chunks.
        patience: how long plugins may take.
        round: number of an earlier round, whose stages and models are kept apart; 0 for the last one.
    """

    store: Store
    engine: LocalEngine
    watch: Callable[[Progress], None]
    stopping: Callable[[], bool] = bool  # bool() is False: never asked
    patience: Patience = field(default_factory=Patience)
    round: int = 0

    def name(self, stage: str) -> str:
        """What a stage is called in the ledger."""
        return f"round-{self.round}/{stage}" if self.round else stage

    def folder(self, model: str) -> str:
        """Where a model lies: its name gains the round's, as in "models/arm@round-1/0"."""
        arm, _, seed = model.rpartition("/")
        return f"{arm}@round-{self.round}/{seed}" if self.round else model


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
    with blamed(f"{fitted.kind.__name__}.load"):
        return fitted.kind.load(fitted.folder)
