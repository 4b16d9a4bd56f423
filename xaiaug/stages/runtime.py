"""What every stage is handed, and the fitted classifier as a folder and a key."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from PIL import Image

from ..engines import Engine
from ..errors import DataError, RunStopped
from ..interfaces import Classifier, Context, Plugin
from ..interfaces.source_digest import source_digest
from ..records import Progress, Sample, digest
from ..store import StageName, Store
from ..store.run_files import LOGS
from .lazy import Lazy
from .plugin_guard import TimeLimits, blame_plugin
from .stage_work import Monitor, RunPlace


@dataclass(frozen=True)
class StageRuntime:
    """Where a stage's work is kept, who does it, who watches, and what plugins may know.

    Attributes:
        store: the run folder.
        engine: spreads chunks of work.
        watch: receives the progress of the run.
        context: what plugins may know.
        stopping: whether the run was asked to stop; looked at between two chunks.
        part: of the run whose stages and models are kept apart, such as "round-1" or "seed-3"; empty for the main one.
        sealed: ids of the test images: only a finished classifier may see them.
        limits: how long plugins may take.
        witness: an image of the run, which every worker has to find.
    """

    store: Store
    engine: Engine
    watch: Callable[[Progress], None]
    context: Context = field(default_factory=Context)
    stopping: Callable[[], bool] = bool  # bool() is False: never asked
    part: str = ""
    sealed: frozenset[str] = frozenset()
    limits: TimeLimits = field(default_factory=TimeLimits)
    witness: Sample | None = None

    def in_part(self, part: str) -> Self:
        """The same for another part of the run."""
        return replace(self, part=part)

    @functools.cached_property
    def reference_key(self) -> str:
        """Digest of the images that plugins may know."""
        return digest([[sample.id, sample.label] for sample in self.context.train or ()])

    @property
    def monitor(self) -> Monitor:
        """How work tells its progress, and asks whether it has to stop, wherever it is done."""
        return Monitor(self.watch, self.stopping)

    def find_place(self, plugin: type[Plugin] | None) -> RunPlace:
        """How a worker knows that it is at the right place, for the work of such a plugin."""
        return RunPlace(self.store.blobs, self.store.token, self.witness, plugin, plugin and source_digest(plugin))

    def name(self, stage: StageName) -> StageName:
        """The name of a stage in the ledger."""
        return stage.in_part(self.part)

    def model_folder(self, arm: str, seed: int) -> str:
        """Where a model lies, below the run folder: "models/ARM/SEED", or "models/ARM@PART/SEED"."""
        return f"models/{arm}@{self.part}/{seed}" if self.part else f"models/{arm}/{seed}"

    def log_folder(self, arm: str, seed: int) -> Path:
        """Where trackers of a training keep files."""
        return self.store.folder / self.model_folder(arm, seed).replace("models", LOGS, 1)

    def keep_from_test(self, samples: Iterable[Sample], reader: str) -> None:
        """Refuses to show a test image to anything but a finished classifier.

        Raises:
            DataError: one of the samples is in the test split.
        """
        for sample in samples:
            if sample.id in self.sealed:
                raise DataError(
                    f"{reader} would be shown the image {sample.id[:12]} of the test split, which only finished "
                    "classifiers may see: keep guide, train and test apart"
                )


def open_images(monitor: Monitor, samples: Sequence[Sample], title: str) -> Lazy[Image.Image]:
    """The images of samples, each opened when it is read; so many are read at once that a stop is looked for here.

    Args:
        monitor: of the run.
        samples: whose images.
        title: of the stage.

    Raises:
        RunStopped: when an image is read after the run was asked to stop; nothing of the chunk is kept.
    """

    def read(place: int) -> Image.Image:
        if monitor.stopping():
            raise RunStopped(f"stopped in {title}: rerun the same command to resume")
        return samples[place].open()

    return Lazy(len(samples), read)


@dataclass(frozen=True)
class Fitted:
    """A fitted classifier, not loaded yet; travels to a worker as it is.

    Attributes:
        kind: its class.
        folder: where it was saved.
        key: equal for equal weights.
        maker: the classifier that was fitted or saved; a worker is told by it what a user gave, such as the names of
            functions, which `load` takes from no file.
    """

    kind: type[Classifier]
    folder: Path
    key: str
    maker: Classifier | None = field(default=None, compare=False, repr=False)

    def load(self) -> Classifier:
        """The classifier, loaded once a process; train only a fork of it."""
        return _load(self)


@functools.lru_cache(maxsize=1)
def _load(fitted: Fitted) -> Classifier:
    with blame_plugin(f"{fitted.kind.__name__}.load"):
        return fitted.kind.load(fitted.folder)
