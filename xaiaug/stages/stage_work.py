"""The work of a stage as engines get it: its blobs are kept where it is done, and a worker checks where it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Self

from ..engines import find_link
from ..errors import DataError, PluginError, RunFolderError, UnsupportedRecipeError
from ..interfaces import Plugin
from ..interfaces.source_digest import source_digest
from ..records import Progress, Sample
from ..store.blobs import Blobs

Rows = list[Any]
_SHARE = "must be on a file system that all machines of the cluster share, under the same path"


class Rebuilt:
    """A dataclass that is pickled by its arguments: what it makes of them is made anew in a worker."""

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), tuple(getattr(self, one.name) for one in fields(self) if one.init)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Monitor:
    """How work tells its progress, and asks whether the run was asked to stop; in a worker by the engine's link.

    Attributes:
        watch: receives the progress.
        stopping: whether the run was asked to stop.
    """

    watch: Callable[[Progress], None]
    stopping: Callable[[], bool]

    @classmethod
    def in_worker(cls) -> Self:
        """The monitor of work that is done in a worker."""
        link = find_link()
        return cls(link.send, link.stopping)

    def __reduce__(self) -> tuple[Any, ...]:
        return Monitor.in_worker, ()


@dataclass(frozen=True)
class RunPlace:
    """How a worker knows that it is at the right place.

    Attributes:
        blobs: of the run.
        token: a blob that this session wrote, so that an old copy of the folder is not taken for it.
        witness: an image of the run, which has to be there too; None where it has none.
        plugin: the class whose work it is; None where there is none.
        source: digest of its sources where the run was started; None where there are none, as at a prompt.
    """

    blobs: Blobs
    token: str
    witness: Sample | None = None
    plugin: type[Plugin] | None = None
    source: str | None = None

    def itself(self) -> RunPlace:
        """This place: what was found once is not looked for in a worker."""
        return self

    def check(self) -> None:
        """Refuses a machine that has another run folder, not the images, or another version of the plugin.

        Raises:
            RunFolderError: the run folder is not there, or not the one that the driver writes.
            DataError: an image cannot be opened.
            PluginError: the sources of the plugin differ, so its results would have the wrong key.
        """
        # What was written at a prompt came with the work.
        if self.plugin and self.plugin.__module__ != "__main__" and source_digest(self.plugin) != self.source:
            raise PluginError(
                f"{self.plugin.__name__} is not the same for a worker as here: its sources differ. Install the same "
                "versions of xaiaug and of the plugin's package on all machines"
            )
        if not self.blobs.holds(self.token):
            raise RunFolderError(f"the run folder {self.blobs.run} is not there for a worker: it {_SHARE}")
        if self.witness is None:
            return
        try:
            self.witness.open()
        except Exception as error:
            raise DataError(
                f"the image {self.witness.id[:12]} cannot be opened by a worker: {error}. The images {_SHARE}"
            ) from error


@dataclass(frozen=True)
class StageWork:
    """The work of a stage, here or in a worker.

    Attributes:
        work: makes the rows of a chunk.
        blobs: of the run.
        find_place: where a worker has to be; asked when the work travels, for it costs a file in the run folder.
    """

    work: Callable[[Rows], Rows]
    blobs: Blobs
    find_place: Callable[[], RunPlace]

    def open(self) -> None:
        """In a worker, before the first chunk; raises as `RunPlace.check` does."""
        self.find_place().check()

    def __call__(self, values: Rows) -> Rows | UnsupportedRecipeError:
        """The rows of a chunk, their blobs kept; the error of a training that its classifier cannot do."""
        try:
            kept: Rows = self.blobs.keep(self.work(values))
        except UnsupportedRecipeError as error:
            return error  # it ends one training, and no other
        return kept

    def __reduce__(self) -> tuple[Any, ...]:
        return StageWork, (self.work, self.blobs, self.find_place().itself)
