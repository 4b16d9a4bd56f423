"""Writes a run folder: one owner, chunks committed once, files complete or not there."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property, partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from filelock import FileLock, Timeout

from ..errors import DataError, RunFolderError, RunLockedError, XaiaugError
from ..files import MAX_TEXT, Directory
from ..tables import format_csv, parse_edited_csv
from .blobs import MAX_BYTES, PLAIN, Blob, Blobs, KeptBlob, blob_name, write_atomically
from .call_ledger import CallLedger
from .file_stamps import FileStamps, to_stamp
from .known_files import files_of
from .lost_ledger import open_run_ledger
from .mask_files import MaskFiles
from .models import KnownFiles, ModelFolder, bring_back, is_intact, write_model
from .references import references_in
from .run_files import LOCK, SYNTHETIC, check_places, refuse_links, remove_files, to_run_folder
from .run_ledger import FileStamp
from .schema import BEGUN, OUTCOMES, SPEEDS, SPENT, StageName
from .stage_rows import ModelRow
from .status_file import STATUS, format_status
from .text_files import METADATA, RESULT_TABLES, TABLES, find_damaged_text, write_text
from .unfinished import UnfinishedModel, UnfinishedWork


class Store:
    """A run folder, owned by this process until it is closed.

    Args:
        folder: of the run; made when it is not there.

    Attributes:
        lacks_count: whether status.json did not have its count of paid calls, though there are some.

    Raises:
        RunLockedError: another process owns it.
        RunFolderError: it cannot be made or written, has links inside, or its ledger is damaged or has forgotten paid
            calls.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = to_run_folder(folder)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunFolderError(f"the run folder {folder} cannot be made: {error.strerror or error}") from error
        refuse_links(self.folder)
        check_places(self.folder)
        self._files = Directory(self.folder)
        self._lock = self._acquire_lock()
        try:
            self.ledger, self.lacks_count = open_run_ledger(self.folder, writable=True)
        except BaseException:
            self._lock.release()
            raise
        self._status: Mapping[str, Any] | None = None
        self._written = self._next = self.ledger.count_paid()
        self.blobs = Blobs(self.folder)
        self.masks = MaskFiles(self.folder)
        self._index = FileStamps(self.ledger, self.folder)
        self._begun: list[StageName] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the ledger and lets go of the folder."""
        try:
            if "token" in vars(self):
                remove_files(self.folder, [self.blobs.file(self.token)])
            self.ledger.close()
        finally:
            self._lock.release()

    def start_session(self) -> None:
        """Forgets what earlier sessions began and came to: it is seen again as this one comes to it, not before."""
        self._begun = []
        self.ledger.set_fact(BEGUN, [])
        for outcome in OUTCOMES:
            self.ledger.set_fact(outcome, None)

    def begin(self, stage: StageName, keys: Sequence[str], total: int) -> None:
        """Records which chunks make up a stage in this run; a stage that began already is replaced, not repeated."""
        self.ledger.begin(stage, keys, total)
        if stage not in self._begun:
            self._begun.append(stage)
            self.ledger.set_fact(BEGUN, [str(name) for name in self._begun])

    def add_speed(self, kind: str, units: int, seconds: float) -> None:
        """Adds to what is known of the speed of a kind of work; does nothing where no unit was done."""
        if units:
            known = self.ledger.get_fact(SPEEDS) or {}
            units_before, seconds_before = known.get(kind, [0, 0.0])
            speed = [units_before + units, round(seconds_before + seconds, 3)]
            self.ledger.set_fact(SPEEDS, {**known, str(kind): speed})

    @contextmanager
    def note_spending(self, stage: StageName) -> Iterator[None]:
        """A block whose paid calls are those of a stage; after a kill inside it they are nobody's."""
        calls = CallLedger(self.ledger, self.blobs)
        before = calls.spending().settled
        try:
            yield
        finally:
            with suppress(XaiaugError, OSError):  # what broke the stage is to be heard, or the next write says so
                if spent := calls.spending().settled - before:
                    known = self.ledger.get_fact(SPENT) or {}
                    self.ledger.set_fact(SPENT, {**known, str(stage): known.get(str(stage), 0) + spent})

    def finish(self) -> None:
        """Forgets the stages that this session did not begin: they belong to earlier settings."""
        self.ledger.drop_stages(self._begun)

    def commit(self, key: str, stage: StageName, rows: Sequence[Any]) -> list[Any]:
        """Keeps a finished chunk: its blobs first, then its rows; returns the rows as they are read back."""
        stamps: dict[str, FileStamp] = {}
        plain = [self._to_row(row, stamps) for row in self.blobs.keep(rows)]
        self.ledger.commit(key, stage, plain, list(stamps.values()))
        return plain

    def replace(self, key: str, stage: StageName, rows: Sequence[Any]) -> None:
        """Keeps a finished chunk in place of one that was made before, if there is one."""
        self.ledger.forget(key)
        self.commit(key, stage, rows)

    def has(self, key: str) -> bool:
        """Whether a chunk is finished and its files are intact; one whose files are lost or torn is forgotten."""
        rows = self.ledger.rows(key)
        if rows is None:
            return False
        if all(self._is_intact(kind, value) for kind, value in references_in(rows)):
            return True
        self.ledger.forget(key)
        return False

    def rows(self, key: str) -> list[Any] | None:
        """The rows of a finished chunk; None where it is not finished or not intact."""
        return self.ledger.rows(key) if self.has(key) else None

    def write_model(self, folder: str, save: Callable[[Path], None]) -> ModelFolder:
        """A model folder below the run folder, complete or not there."""
        return write_model(self.folder, folder, save, self._known)

    def bring_back(self, row: ModelRow) -> Path:
        """The folder of a model of a finished chunk, in its place, wherever a later training moved it."""
        bring_back(self.folder, row, self._known)
        return self.folder / row["folder"]

    @cached_property
    def token(self) -> str:
        """A blob that lies in this folder as long as it is open here, and in no other: workers look for it."""
        return self.blobs.put(Blob(secrets.token_bytes(16), ".token"))

    def unfinished(self, key: str) -> UnfinishedWork:
        """Where an unfinished piece of work may keep itself."""
        return UnfinishedWork(self.folder, key)

    def write_text(self, name: str, text: str) -> Path:
        """A text file of the run folder, replaced atomically; `verify` knows its bytes."""
        write_text(self.ledger, self.folder, name, text.encode())
        return self.folder / name

    def write_table(self, name: str, rows: Sequence[Mapping[str, Any]], columns: Sequence[str] | None = None) -> Path:
        """A CSV file of the run folder: one line a row.

        A file that it replaces, which a person may have changed, is kept as NAME.bak; of the results, one that was.

        Args:
            name: one of `TABLES`.
            rows: as of `format_csv`.
            columns: likewise.
        """
        if name not in TABLES:
            raise ValueError(f"a run folder has the tables {', '.join(TABLES)}, not {name}")
        content = format_csv(rows, columns).encode()
        old, is_result = self._read_text(name), name in RESULT_TABLES
        unchanged = is_result and not find_damaged_text(self.ledger, self.folder, name)
        if old not in (None, content) and not unchanged:
            write_atomically(self.folder, f"{name}.bak", old or b"")
        if is_result:
            write_text(self.ledger, self.folder, name, content)
        else:
            write_atomically(self.folder, name, content)
        return self.folder / name

    def read_table(self, name: str, columns: Sequence[str]) -> list[Mapping[str, str]]:
        """The rows of a CSV file of the run folder, which a person may have changed; none where there is none.

        Args:
            name: of the file.
            columns: that it must have.

        Raises:
            RunFolderError: it is not such a table; it stays as it is.
        """
        text = self._read_text(name)
        if text is None:
            return []
        try:
            return list(parse_edited_csv(text, columns))
        except DataError as error:
            raise RunFolderError(
                f"{self.folder / name} cannot be read as a table: {error}. Nothing was changed: correct it, or move it "
                "away to start without its answers"
            ) from error

    def write_status(self, status: Mapping[str, Any]) -> None:
        """Writes the progress, and the count of paid calls, where other processes can read it.

        The count is that of the write before, or of the last checkpoint: a copy of a folder that is being written then
        has no newer count than its ledger, though status.json comes later.

        Args:
            status: fields of `status_file.StatusFile`.
        """
        self._status, self._written = status, self._next
        self._next = self.ledger.count_paid()
        write_atomically(self.folder, STATUS, format_status(status, self._written))

    def checkpoint(self) -> None:
        """Makes the ledger one file that lacks nothing, then brings the count of paid calls in status.json up to it."""
        self.ledger.checkpoint()
        self._next = self.ledger.count_paid()
        if self._status is not None and self._next != self._written:
            self.write_status(self._status)

    def write_synthetic(self, files: Iterable[tuple[str, str, Mapping[str, Any]]]) -> None:
        """The kept images as class/name.png and metadata.jsonl; files that are missing or torn are written anew.

        Args:
            files: relative file name, blob name and metadata of each image.
        """
        lines, stamps = [], []
        for name, blob, metadata in files:
            stamps.append(self._export(f"{SYNTHETIC}/{name}", blob))
            lines.append(json.dumps({"file_name": name, "blob": blob, **metadata}, sort_keys=True))
        stale = set(self.ledger.stamped_files(SYNTHETIC)) - {stamp.name for stamp in stamps}
        self.ledger.see(stamps)
        remove_files(self.folder, sorted(stale))
        self.ledger.drop_stamps(stale)
        self.write_text(METADATA, "".join(f"{line}\n" for line in lines))

    def _export(self, name: str, blob: str) -> FileStamp:
        """Copies an image blob to a file; raises RunFolderError where another file is there already."""
        known, digest = self.ledger.stamp(name) is not None, None
        try:
            if self._files.kind(name) is not None:
                digest = self._index.digest(name) if known else self._files.digest(name, MAX_BYTES)
                self._files.stat(name)
        except OSError as error:
            raise RunFolderError(
                f"{self.folder / name} {error.strerror or error}; move it elsewhere and rerun"
            ) from error
        if digest is None or blob_name(digest, Path(blob).suffix) != blob:
            if digest is not None and not known:
                raise RunFolderError(
                    f"{self.folder / name} is in the way: this run did not write it; move it elsewhere and rerun"
                )
            data = self.blobs.read(blob)
            write_atomically(self.folder, name, data)
            digest = hashlib.sha256(data).hexdigest()
        return self._index.stamp(name, digest)

    def _read_text(self, name: str) -> bytes | None:
        """The bytes of a text file that a person may have changed; None where there is none."""
        try:
            return self._files.read(name, MAX_TEXT) if self._files.kind(name) is not None else None
        except OSError as error:
            raise RunFolderError(f"{self.folder / name} cannot be read: {error.strerror or error}") from error

    @property
    def _known(self) -> KnownFiles:
        return KnownFiles(self._index, self._wrote, self._is_named)

    def _is_named(self, model: ModelFolder) -> bool:
        return any(
            kind == "model" and value == model.to_row() for kind, value in references_in([*self.ledger.fit_rows()])
        )

    def _wrote(self, name: str) -> bool:
        if self.ledger.stamp(name) is not None:
            return True
        return any(name in files_of(self.folder, row) for row in self.ledger.all_rows())

    def _acquire_lock(self) -> FileLock:
        lock = FileLock(self.folder / LOCK)
        try:
            lock.acquire(timeout=0.2)
        except Timeout:
            raise RunLockedError(
                f"the run folder {self.folder} belongs to another process; wait for it, stop it, or take another folder"
            ) from None
        except OSError as error:
            raise RunFolderError(
                f"the run folder {self.folder} cannot be written: {error.strerror or error}"
            ) from error
        return lock

    def _to_row(self, value: Any, stamps: dict[str, FileStamp]) -> Any:
        """What the ledger keeps of a value; stamps of its files are added by name."""
        if type(value) in PLAIN:
            return value
        if isinstance(value, KeptBlob):
            name = self.blobs.file(value.name)
            stamps[name] = to_stamp(name, value.lies or self._files.stat(name), value.digest)
            return {"blob": value.name}
        if isinstance(value, UnfinishedModel):
            return self.write_model(value.place, partial(self._move_files, value.lies)).to_row()
        if isinstance(value, Mapping):
            return {key: self._to_row(inner, stamps) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self._to_row(inner, stamps) for inner in value]
        return value

    def _move_files(self, lies: str, folder: Path) -> None:
        """Moves what lies in a folder of the run into another one."""
        target = folder.relative_to(self.folder).as_posix()
        for entry in self._files.entries(lies):
            self._files.move(entry.name, target + entry.name.removeprefix(lies))

    def _is_intact(self, kind: str, value: Any) -> bool:
        if kind == "model":
            return is_intact(self.folder, value, self._index.digest)
        return blob_name(self._index.digest(self.blobs.file(value)) or "", Path(value).suffix) == str(value)
