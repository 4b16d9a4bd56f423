"""Removes what no stage of a run speaks of any more: chunks, blobs, models and half-written files."""

from __future__ import annotations

import shutil
from pathlib import Path

from .money import Money
from .references import referenced
from .store import Store


def sweep(store: Store) -> int:
    """Removes what earlier settings left behind; returns the bytes set free.

    What was removed is made again when those settings come back.
    """
    keys = {key for chunk_keys, _ in store.ledger.stages().values() for key in chunk_keys}
    store.ledger.keep_only(keys)
    found = [entry for key in keys for row in store.ledger.rows(key) or [] for entry in referenced(row)]
    blobs = {value for kind, value in found if kind == "blob"} | Money(store.ledger, store.blobs).blobs()
    models = {value["folder"] for kind, value in found if kind == "model"}
    freed = sum(_remove(path) for path in _loose(store.blobs.folder, blobs))
    unfinished = store.folder / "checkpoints"
    if store.ledger.fact("reached") and unfinished.exists():
        freed += _remove(unfinished)
    return freed + sum(_remove(path) for path in _unused(store.folder, models))


def _loose(folder: Path, blobs: set[str]) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and path.name not in blobs]


def _unused(run: Path, models: set[str]) -> list[Path]:
    folders = [path for path in (run / "models").glob("*/*") if path.is_dir()]
    return [path for path in folders if path.relative_to(run).as_posix() not in models]


def _remove(path: Path) -> int:
    files = [path] if path.is_file() else [inner for inner in path.rglob("*") if inner.is_file()]
    size = sum(file.stat().st_size for file in files)
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    return size
