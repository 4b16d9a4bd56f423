"""Whether a run folder holds the files its ledger names, and removes those it does not name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import DataError, RunFolderError
from ..files import MAX_TEXT, SEAL, Directory, find_broken_seal
from ..records import digest as digest_value
from ..tables import parse_table
from .blobs import MAX_BYTES, is_blob_name
from .call_ledger import CallLedger
from .known_files import files_of, list_known_files
from .mask_files import MaskFiles, is_mask_file
from .models import find_model
from .reader import Reader
from .references import references_in
from .run_files import (
    BLOBS,
    FOLDERS,
    MODELS,
    OWN,
    UNFINISHED,
    find_leftovers,
    is_leftover,
    is_litter,
    is_log,
    list_files,
    remove_files,
    walk_run,
)
from .schema import SESSIONS, SNAPSHOT
from .status_file import STATUS, find_damaged_status
from .store import Store
from .text_files import TABLES, TEXTS, find_damaged_text

_AGAIN = "rerun the command to make it again"
_FOREIGN = "this run did not write it; move it elsewhere"
_TRAINING = re.compile(rf"{UNFINISHED}/[0-9a-f]{{16}}(/.*)?")


def problems(reader: Reader) -> list[str]:
    """What is wrong, a line each; none when every file is as it was written, and no other is there.

    Raises:
        RunFolderError: the ledger cannot be read, or names what no run writes.
    """
    if damage := reader.ledger.find_damage():
        return [f"ledger: {line}" for line in damage]  # what follows reads it
    known = frozenset(list_known_files(reader.ledger, reader.folder))
    return list(_Examination(reader, Directory(reader.folder), known).problems())


@dataclass(frozen=True)
class _Examination:
    reader: Reader
    files: Directory
    known: frozenset[str]  # blobs, models and exported images that the run wrote

    def problems(self) -> Iterator[str]:
        for check in (
            self._tree,
            self._rows,
            self._earlier_rows,
            self._replies,
            self._texts,
            self._trainings,
            self._masks,
        ):
            try:
                yield from check()
            except RunFolderError as error:
                yield str(error)
            except OSError as error:
                yield f"{self.reader.folder} cannot be read: {error.strerror or error}"

    def _tree(self) -> Iterator[str]:
        """Links, what is neither file nor folder, and what the run did not write."""
        known = {*self.known, *TEXTS, *TABLES, *(f"{name}.bak" for name in TABLES), STATUS, *OWN}
        for entry in walk_run(self.reader.folder):
            if entry.kind == "link":
                yield f"{entry.name} is a link; replace it with what it points to"
            elif entry.kind == "other":
                yield f"{entry.name} is neither a file nor a folder; {_FOREIGN}"
            elif entry.kind == "folder":
                if entry.name in known or ("/" not in entry.name and entry.name not in FOLDERS):
                    yield f"{entry.name} is a foreign folder: {_FOREIGN}"
            elif entry.name not in known and not self._may_stay(entry.name):
                yield f"{entry.name} is foreign: {_FOREIGN}"

    def _may_stay(self, name: str) -> bool:
        """Whether a file that is not known is of a process that was killed, or of a file manager."""
        base = name.rpartition("/")[2]
        if is_litter(name) or is_leftover(name) or _TRAINING.fullmatch(name) or is_mask_file(name) or is_log(name):
            return True
        return is_blob_name(base) and name == self.reader.blobs.file(base) and self.reader.blobs.holds(base)

    def _rows(self) -> Iterator[str]:
        for stage in self.reader.stages():
            named = {_freeze(*one): one for row in self.reader.rows(stage) for one in references_in(row)}
            for kind, value in named.values():
                for problem in self._find_damage(kind, value):
                    yield f"{stage}: {problem}; {_AGAIN}"

    def _earlier_rows(self) -> Iterator[str]:
        """What chunks of earlier settings speak of, which are found again when these come back."""
        rows = [row for stage in self.reader.stages() for row in self.reader.rows(stage)]
        seen = {_freeze(kind, value) for kind, value in references_in(rows)}
        for kind, value in references_in([*self.reader.ledger.all_rows()]):
            if (key := _freeze(kind, value)) not in seen:
                seen.add(key)
                for problem in self._find_damage(kind, value):
                    yield f"earlier settings: {problem}; `xaiaug gc` forgets it, and their next run makes it again"

    def _find_damage(self, kind: str, value: Any) -> Iterator[str]:
        if kind == "model":
            yield from self._find_damaged_model(value)
            return
        stamp = self.reader.ledger.stamp(self.reader.blobs.file(value))
        name, size = self.reader.blobs.file(value), None
        if stamp is not None and stamp.digest.startswith(value[:40]):
            size = stamp.size
        if problem := self._find_damaged_blob(name, value, size):
            yield f"the blob {value} {problem}"

    def _find_damaged_blob(self, name: str, value: str, size: int | None) -> str:
        try:
            torn = size is not None and self.files.stat(name).st_size != size
            torn = torn or not self.files.digest(name, MAX_BYTES).startswith(value[:40])
        except OSError as error:
            return f"cannot be read: {error.strerror or error}"
        return "is damaged: its content does not match its name" if torn else ""

    def _find_damaged_model(self, row: dict[str, Any]) -> Iterator[str]:
        folder, digests = find_model(self.reader.folder, row), row["files"]
        for name, digest in sorted(digests.items()):
            stamp = self.reader.ledger.stamp(f"{folder}/{name}")
            size = stamp.size if stamp is not None and stamp.digest == digest else None
            if damage := self.files.find_damage(f"{folder}/{name}", digest, size=size):
                yield f"the model {folder} is not what was written: {name} {damage}"
        expected = {f"{folder}/{name}" for name in digests}
        for name in list_files(self.reader.folder, folder):
            if name in self.known and name not in expected:  # others are foreign
                yield f"the model {folder} is not what was written: it has {name} of another model"

    def _replies(self) -> Iterator[str]:
        for name in sorted(CallLedger(self.reader.ledger, self.reader.blobs).blobs()):
            try:
                self.reader.blobs.read(name)
            except RunFolderError as error:
                yield f"paid calls: {error}"

    def _texts(self) -> Iterator[str]:
        for name in TEXTS:
            if problem := find_damaged_text(self.reader.ledger, self.reader.folder, name):
                yield f"{name} {problem}; {_AGAIN}"
        for name in TABLES:
            try:
                if self.files.kind(name) is not None:
                    parse_table(self.files.read(name, MAX_TEXT), ())
            except DataError as error:
                yield f"{name} {error}"
            except OSError as error:
                yield f"{name} cannot be read: {error.strerror or error}"
        if self.reader.get_fact(SESSIONS) and (problem := find_damaged_status(self.reader.folder)):
            yield f"{problem}; {_AGAIN}"

    def _trainings(self) -> Iterator[str]:
        """Checkpoints of unfinished trainings that were complete, and are no longer what was written."""
        for entry in walk_run(self.reader.folder):
            if not entry.name.endswith(f"/{SEAL}") or not _TRAINING.fullmatch(entry.name):
                continue
            above, _, folder = entry.name.removesuffix(f"/{SEAL}").rpartition("/")
            if damage := find_broken_seal(Directory(self.reader.folder / above), folder):
                yield f"{above}/{damage}; the next run goes back to an earlier checkpoint, or trains again"

    def _masks(self) -> Iterator[str]:
        masks = MaskFiles(self.reader.folder)
        yield from (f"the mask {name} is damaged; {_AGAIN}" for name in masks.list_files() if not masks.holds(name))


def _freeze(kind: str, value: Any) -> object:
    return (kind, value["folder"], *sorted(value["files"].items())) if kind == "model" else value


def sweep(store: Store, *, keep_unfinished: bool) -> int:
    """Removes what earlier settings left behind; returns the bytes freed.

    What was removed is made again when those settings come back. Files that the run did not write stay.

    Args:
        store: the run folder.
        keep_unfinished: whether to keep the checkpoints of unfinished trainings.

    Raises:
        RunFolderError: the ledger names what no run writes, or something cannot be removed.
    """
    run, ledger = store.folder, store.ledger
    known = list_known_files(ledger, run)
    keys = {key for chunk_keys, _ in ledger.stages().values() for key in chunk_keys}
    wanted = {name for key in keys for row in ledger.rows(key) or [] for name in files_of(run, row)}
    wanted |= {store.blobs.file(name) for name in CallLedger(ledger, store.blobs).blobs()}
    ledger.keep_only(keys)
    stale = {name for name in known - wanted if name.startswith((f"{BLOBS}/", f"{MODELS}/"))}
    files = Directory(run)
    gone = [name for name in sorted(stale) if files.kind(name) == "file"]
    gone += _find_uncommitted_blobs(store, known | wanted)
    gone += store.masks.list_unused(_find_segmenters(ledger.get_fact(SNAPSHOT)))
    freed = remove_files(run, [*gone, *find_leftovers(run, unfinished=not keep_unfinished)])
    ledger.drop_stamps(stale)
    return freed


def _find_segmenters(snapshot: Any) -> set[str]:
    """Digests of the segmenters that the plugins of a settings snapshot use."""
    if not isinstance(snapshot, Mapping):
        return set()
    inner = set().union(*(_find_segmenters(value) for value in snapshot.values()))
    return inner | ({digest_value(snapshot["segmenter"])} if snapshot.get("segmenter") else set())


def _find_uncommitted_blobs(store: Store, named: set[str]) -> Iterator[str]:
    """Blobs whose process was killed before it committed them: only blobs are named by their bytes."""
    for entry in Directory(store.folder).walk(BLOBS):
        base = entry.name.rpartition("/")[2]
        unnamed = entry.kind == "file" and entry.name not in named and is_blob_name(base)
        if unnamed and entry.name == store.blobs.file(base) and store.blobs.holds(base):
            yield entry.name
