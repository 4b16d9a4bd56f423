"""Text files directly in a run folder, such as run.toml and report.json: written with their digest in the ledger."""

from __future__ import annotations

import hashlib
from pathlib import Path

from ..files import MAX_TEXT, Directory
from .blobs import write_atomically
from .run_files import SYNTHETIC
from .run_ledger import FileStamp, RunLedger

METADATA = f"{SYNTHETIC}/metadata.jsonl"
SPLITS_TABLE = "splits.csv"
LOOK = ("look.json", "look.html")  # of a session that stops before test, in a folder that has a whole report
TEXTS = ("run.toml", "report.json", "report.html", *LOOK, SPLITS_TABLE, METADATA)
RESULT_TABLES = ("mistakes.csv", "arms.csv")  # written again with every report
TABLES = ("review.csv", "suspects.csv", "leaks.csv", *RESULT_TABLES)  # which a person may change
_NOW, _NEXT = "now:{}", "next:{}"  # a killed process leaves the old file or the new one: each is as it was written


def write_text(ledger: RunLedger, run: Path, name: str, data: bytes) -> None:
    """Writes a text file of a run, complete or not at all.

    Args:
        ledger: of the run.
        run: its folder.
        name: one of `TEXTS` or `RESULT_TABLES`.
        data: the bytes.

    Raises:
        RunFolderError: it cannot be written.
    """
    if name not in (*TEXTS, *RESULT_TABLES):
        raise ValueError(f"a run folder has the text files {', '.join((*TEXTS, *RESULT_TABLES))}, not {name}")
    digest = hashlib.sha256(data).hexdigest()
    ledger.see([_make_stamp(_NEXT, name, data, digest)])
    write_atomically(run, name, data)
    ledger.see([_make_stamp(_NOW, name, data, digest)])


def _make_stamp(entry: str, name: str, data: bytes, digest: str) -> FileStamp:
    return FileStamp(entry.format(name), len(data), 0, 0, "", digest)


def find_damaged_text(ledger: RunLedger, run: Path, name: str) -> str:
    """What is wrong with a text file; empty where nothing is, or it was never written."""
    files, (now, coming) = Directory(run), (ledger.stamp(entry.format(name)) for entry in (_NOW, _NEXT))
    if now is None and files.kind(name) is None:
        return ""
    damages = [files.find_damage(name, one.digest, size=one.size, most=MAX_TEXT) for one in (now, coming) if one]
    return "" if "" in damages else (damages or ["was not written by this run"])[0]
