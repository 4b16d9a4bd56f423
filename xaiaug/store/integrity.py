"""Whether a run folder holds the files its ledger names, and removes those it does not name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..errors import RunFolderError
from ..records import digest
from .call_ledger import CallLedger
from .models import is_intact
from .reader import Reader
from .references import references_in
from .run_files import BLOBS, MODELS, find_leftovers, find_links, remove_files
from .schema import SNAPSHOT
from .store import Store


def problems(reader: Reader) -> list[str]:
    """What is wrong, a line each; none when every file is as it was written."""
    return [*_ledger(reader), *_links(reader), *_files(reader), *_replies(reader)]


def _ledger(reader: Reader) -> Iterator[str]:
    for line in reader.ledger.integrity():
        yield f"ledger: {line}"


def _links(reader: Reader) -> Iterator[str]:
    for link in find_links(reader.folder):
        yield f"{link.relative_to(reader.folder).as_posix()} is a link; replace it with what it points to"


def _files(reader: Reader) -> Iterator[str]:
    for stage in reader.stages():
        for row in reader.rows(stage):
            for kind, value in references_in(row):
                if kind == "model":
                    if not is_intact(reader.folder, value):
                        yield f"{stage}: the model {value['folder']} is not what was written"
                    continue
                try:
                    reader.blobs.read(value)
                except RunFolderError as error:
                    yield f"{stage}: {error}"


def _replies(reader: Reader) -> Iterator[str]:
    for name in sorted(CallLedger(reader.ledger, reader.blobs).blobs()):
        try:
            reader.blobs.read(name)
        except RunFolderError as error:
            yield f"paid calls: {error}"


def sweep(store: Store, *, keep_unfinished: bool) -> int:
    """Removes what earlier settings left behind; returns the bytes freed.

    What was removed is made again when those settings come back. Files that the run did not write stay.

    Args:
        store: the run folder.
        keep_unfinished: whether to keep the checkpoints of unfinished trainings.
    """
    known = store.list_known_files()
    keys = {key for chunk_keys, _ in store.ledger.stages().values() for key in chunk_keys}
    store.ledger.keep_only(keys)
    wanted = {name for key in keys for row in store.ledger.rows(key) or [] for name in store.files_of(row)}
    replies = CallLedger(store.ledger, store.blobs).blobs()
    wanted |= {f"{BLOBS}/{name[:2]}/{name}" for name in replies}
    stale = {name for name in known - wanted if name.startswith((f"{BLOBS}/", f"{MODELS}/"))}
    files = [store.folder / name for name in sorted(stale) if (store.folder / name).is_file()]
    files += _uncommitted_blobs(store, known | wanted)
    files += store.masks.list_unused(_find_segmenters(store.ledger.get_fact(SNAPSHOT)))
    leftovers = find_leftovers(store.folder, unfinished=not keep_unfinished)
    freed = remove_files(store.folder, [*files, *leftovers])
    store.ledger.drop_stamps(stale)
    return freed


def _find_segmenters(snapshot: Any) -> set[str]:
    """Digests of the segmenters that the plugins of a settings snapshot use."""
    if not isinstance(snapshot, Mapping):
        return set()
    inner = set().union(*(_find_segmenters(value) for value in snapshot.values()))
    return inner | ({digest(snapshot["segmenter"])} if snapshot.get("segmenter") else set())


def _uncommitted_blobs(store: Store, named: set[str]) -> Iterator[Path]:
    """Blobs whose process was killed before it committed them: only blobs are named by their bytes."""
    for path in store.blobs.folder.glob("??/*"):
        unnamed = path.is_file() and path.relative_to(store.folder).as_posix() not in named
        if unnamed and path == store.blobs.path(path.name) and store.blobs.holds(path.name):
            yield path
