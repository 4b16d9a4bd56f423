"""What every stage is handed, and the fitted classifier as a folder and a key."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from ..engines import LocalEngine
from ..errors import DataError
from ..interfaces import Classifier
from ..records import Progress, Sample
from ..store import Store
from .plugin_guard import TimeLimits, blame_plugin


@dataclass(frozen=True)
class StageRuntime:
    """Where a stage's work is kept, who does it and who watches.

    Attributes:
        store: the run folder.
        engine: spreads chunks of work.
        watch: is told how far the run has come.
        stopping: whether the run was asked to stop; looked at between two chunks.
        part: of the run whose stages and models are kept apart, such as "round-1" or "seed-3"; empty for the main one.
        sealed: ids of the test images: nobody but a finished classifier may see them.
        patience: how long plugins may take.
    """

    store: Store
    engine: LocalEngine
    watch: Callable[[Progress], None]
    stopping: Callable[[], bool] = bool  # bool() is False: never asked
    part: str = ""
    sealed: frozenset[str] = frozenset()
    patience: TimeLimits = field(default_factory=TimeLimits)

    def name(self, stage: str) -> str:
        """What a stage is called in the ledger."""
        return f"{self.part}/{stage}" if self.part else stage

    def folder(self, model: str) -> str:
        """Where a model lies: its name gains the part's, as in "models/arm@round-1/0"."""
        arm, _, seed = model.rpartition("/")
        return f"{arm}@{self.part}/{seed}" if self.part else model

    def keep_from_test(self, samples: Iterable[Sample], reader: str) -> None:
        """Refuses to show a test image to anybody but a finished classifier.

        Raises:
            DataError: one of the samples is in the test split.
        """
        for sample in samples:
            if sample.id in self.sealed:
                raise DataError(
                    f"{reader} would be shown the image {sample.id[:12]} of the test split, which only finished "
                    "classifiers may see: keep guide, train and test apart"
                )


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
    with blame_plugin(f"{fitted.kind.__name__}.load"):
        return fitted.kind.load(fitted.folder)
