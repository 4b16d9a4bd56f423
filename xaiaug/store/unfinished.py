"""What an unfinished training keeps in its run folder: checkpoints, snapshots, and the model until it is committed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..errors import RunFolderError
from ..files import Directory
from .run_files import UNFINISHED, remove_files

_MODEL = "model"


@dataclass(frozen=True)
class UnfinishedModel:
    """A model on its way into a run; a row holds its place and digests once it is committed.

    Attributes:
        place: where it will lie, below the run folder.
        lies: where it was saved, below the run folder.
    """

    place: str
    lies: str


@dataclass(frozen=True)
class UnfinishedWork:
    """Where an unfinished piece of work keeps itself; can be sent to a worker.

    Attributes:
        run: the run folder.
        key: digest of what it depends on.
    """

    run: Path
    key: str

    @property
    def folder(self) -> Path:
        """Its folder, which need not be there."""
        return self.run / self._name

    def save_model(self, place: str, save: Callable[[Path], None]) -> UnfinishedModel:
        """Has a model saved, which takes its place when the row with it is committed.

        Args:
            place: where it will lie, below the run folder.
            save: writes the files into a folder.

        Raises:
            RunFolderError: it cannot be written.
        """
        files, lies = Directory(self.run), f"{self._name}/{_MODEL}"
        try:
            files.remove(lies)
            files.make_folder(lies)
            save(self.run / lies)
        except RunFolderError:
            raise
        except OSError as error:
            reason = error.strerror or str(error)
            raise RunFolderError(f"the model folder {self.run / place} cannot be written: {reason}") from error
        return UnfinishedModel(place, lies)

    def copy(self, folder: Path, target: Path) -> None:
        """Copies files of this work, where it has any; both folders lie in the run folder.

        Raises:
            RunFolderError: they cannot be copied.
        """
        files = Directory(self.run)
        old, new = (path.relative_to(self.run).as_posix() for path in (folder, target))
        try:
            if files.kind(old) == "folder":
                files.copy(old, new)
        except OSError as error:
            raise RunFolderError(f"{folder} cannot be copied: {error.strerror or error}") from error

    def drop(self) -> None:
        """Removes what is left of it: the work is finished, and kept."""
        remove_files(self.run, [self._name])

    @property
    def _name(self) -> str:
        return f"{UNFINISHED}/{self.key[:16]}"
