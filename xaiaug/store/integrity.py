"""Whether a run folder holds the files its ledger names, and removes those it does not name."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from ..errors import RunFolderError
from .call_ledger import CallLedger
from .models import find_model, is_intact
from .reader import Reader
from .references import references_in
from .store import Store


def problems(reader: Reader) -> list[str]:
    """What is wrong, a line each; none when every file is as it was written."""
    return [*_ledger(reader), *_files(reader), *_replies(reader)]


def _ledger(reader: Reader) -> Iterator[str]:
    for line in reader.ledger.integrity():
        yield f"ledger: {line}"


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

    What was removed is made again when those settings come back.

    Args:
        store: the run folder.
        keep_unfinished: whether to keep the checkpoints of unfinished trainings.
    """
    keys = {key for chunk_keys, _ in store.ledger.stages().values() for key in chunk_keys}
    store.ledger.keep_only(keys)
    found = [entry for key in keys for row in store.ledger.rows(key) or [] for entry in references_in(row)]
    blobs = {value for kind, value in found if kind == "blob"} | CallLedger(store.ledger, store.blobs).blobs()
    models = {find_model(store.folder, value) for kind, value in found if kind == "model"}
    freed = sum(_remove(path) for path in _unnamed_files(store.blobs.folder, blobs))
    unfinished = store.folder / "checkpoints"
    if unfinished.exists() and not keep_unfinished:
        freed += _remove(unfinished)
    return freed + sum(_remove(path) for path in _unnamed_models(store.folder, models))


def _unnamed_files(folder: Path, blobs: set[str]) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and path.name not in blobs]


def _unnamed_models(run: Path, models: set[Path]) -> list[Path]:
    return [path for path in (run / "models").glob("*/*") if path.is_dir() and path not in models]


def _remove(path: Path) -> int:
    files = [path] if path.is_file() else [inner for inner in path.rglob("*") if inner.is_file()]
    size = sum(file.stat().st_size for file in files)
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    return size
