"""The new images of a run in a folder of their own: as an image folder, a Hugging Face dataset, or a table."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ..errors import ConfigError, MissingExtraError, RunFolderError, suggest
from ..files import Directory
from ..store import Reader
from ..store.schema import DATA, IMAGES
from ..store.text_files import METADATA, find_damaged_text
from ..tables import format_csv
from .exported import AGAIN, read_lines

Line = dict[str, Any]
# What the table and the dataset say of each image beside its class; the image folder says all.
COLUMNS = ("prompt", "cause", "predicted", "case", "source", "method", "seed", "repetition", "round")
_NUMBERS = ("seed", "repetition", "round")
_ROWS = 100  # images in one group of a parquet file


def export_images(reader: Reader, into: Path, format: str, arm: str | None = None) -> int:  # noqa: A002
    """Writes the images that arms train on, each once; returns how many.

    Args:
        reader: of the run.
        into: the folder; it must not exist, or be empty. What describes the images is written last.
        format: a key of `FORMATS`.
        arm: for the images that it trains on; None: all of the last round.

    Raises:
        ConfigError: there is no such format or arm, or the folder has files.
        RunFolderError: the run has no such images, one is damaged, or the folder cannot be written.
        MissingExtraError: `datasets` is not installed, and the format needs it.
    """
    if format not in FORMATS:
        raise ConfigError(f"export: unknown format {format!r}. {suggest(format, FORMATS)}")
    lines = _list_images(reader, arm)
    if into.exists() and (not into.is_dir() or any(into.iterdir())):
        raise ConfigError(f"export: {into} already exists and is not an empty folder; choose another one")
    try:
        into.mkdir(parents=True, exist_ok=True)
        FORMATS[format](reader, into, lines)
    except OSError as error:
        if isinstance(error, RunFolderError):
            raise
        raise RunFolderError(f"{into} cannot be written: {error.strerror or error}") from error
    return len(lines)


def _list_images(reader: Reader, arm: str | None) -> list[Line]:
    used = reader.get_fact(IMAGES) or []
    if not used:
        raise RunFolderError(
            f"{reader.folder} has no new images that arms train on: its last session ended before, or has no such arm. "
            "Run it up to images or the report; finished work is not repeated"
        )
    known = sorted({name for entry in used for name in entry["arms"]})
    if arm is not None and arm not in known:
        raise ConfigError(f"export: no arm {arm!r} trains on new images. {suggest(arm, known)}")
    wanted = {blob for entry in used if arm is None or arm in entry["arms"] for blob in entry["used"]}
    labels = set((reader.get_fact(DATA) or {}).get("labels", ()))
    try:
        lines = read_lines(Directory(reader.folder))
    except (OSError, ValueError) as error:
        raise _refuse(reader, f"cannot be read ({error})") from error
    if damage := find_damaged_text(reader.ledger, reader.folder, METADATA):
        raise _refuse(reader, damage)
    found = {line["blob"]: line for line in reversed(lines) if line["blob"] in wanted}
    if missing := wanted - set(found):
        raise _refuse(reader, f"lacks {len(missing)} of {len(wanted)} images")
    if any(line.get("label") not in labels or not line.keys() >= set(COLUMNS) for line in found.values()):
        raise _refuse(reader, "has lines that no run writes")
    return sorted(found.values(), key=lambda line: str(line["file_name"]))


def _refuse(reader: Reader, reason: str) -> RunFolderError:
    return RunFolderError(f"{METADATA} of {reader.folder} {reason}: {AGAIN}")


def _write_files(reader: Reader, into: Path, lines: Sequence[Line]) -> None:
    files = Directory(into)  # names of a run folder are not trusted: none leads out of this one
    for line in lines:
        files.write(line["file_name"], reader.blobs.read(line["blob"]), sync=False)


def _write_image_folder(reader: Reader, into: Path, lines: Sequence[Line]) -> None:
    _write_files(reader, into, lines)
    text = "".join(json.dumps(line, sort_keys=True, ensure_ascii=False) + "\n" for line in lines)
    (into / "metadata.jsonl").write_text(text, encoding="utf-8")


def _write_table(reader: Reader, into: Path, lines: Sequence[Line]) -> None:
    _write_files(reader, into, lines)
    rows = [
        {"file": line["file_name"], "label": line["label"], "split": "train", **{name: line[name] for name in COLUMNS}}
        for line in lines
    ]
    (into / "manifest.csv").write_text(format_csv(rows), encoding="utf-8")


def _write_dataset(reader: Reader, into: Path, lines: Sequence[Line]) -> None:
    """A folder that `datasets.load_dataset` reads: images within parquet, labels as a ClassLabel."""
    try:
        from datasets import ClassLabel, Features, Image, Value  # type: ignore[import-untyped]
        from pyarrow import Table  # type: ignore[import-untyped]
        from pyarrow.parquet import ParquetWriter  # type: ignore[import-untyped]
    except ImportError as error:
        raise MissingExtraError(
            "the format huggingface needs datasets: pip install 'xaiaug[datasets]', or take another format"
        ) from error
    labels = list((reader.get_fact(DATA) or {}).get("labels", ()))
    further = {name: Value("int64" if name in _NUMBERS else "string") for name in COLUMNS}
    schema = Features({"image": Image(), "label": ClassLabel(names=labels), **further}).arrow_schema
    (into / "data").mkdir()
    with ParquetWriter(into / "data" / "train-00000-of-00001.parquet", schema) as writer:
        for start in range(0, len(lines), _ROWS):
            rows = list(_rows(reader, lines[start : start + _ROWS], labels))
            writer.write_table(Table.from_pylist(rows, schema=schema))
    (into / "README.md").write_text(_CARD, encoding="utf-8")


def _rows(reader: Reader, lines: Sequence[Line], labels: Sequence[str]) -> Iterator[dict[str, Any]]:
    for line in lines:
        image = {"bytes": reader.blobs.read(line["blob"]), "path": line["file_name"]}
        yield {"image": image, "label": labels.index(line["label"]), **{name: line[name] for name in COLUMNS}}


_CARD = """---
configs:
- config_name: default
  data_files: data/*.parquet
---
Synthetic images, made by xaiaug from the mistakes of a classifier: for training, not for evaluation. Each row has the
prompt it was made with and the cause that a critic stated.
"""
FORMATS: dict[str, Callable[[Reader, Path, Sequence[Line]], None]] = {
    "imagefolder": _write_image_folder,
    "huggingface": _write_dataset,
    "csv": _write_table,
}
