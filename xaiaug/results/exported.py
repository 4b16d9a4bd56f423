"""Whether the exported images are those that the run trained on, each as it was written."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..store import Blob, Reader
from ..store.run_files import SYNTHETIC
from ..store.schema import IMAGES

METADATA = "metadata.jsonl"
AGAIN = "run again to write it anew"


def damaged_exports(reader: Reader) -> Iterator[str]:
    """What is missing or torn below synthetic/, a line each; none where nothing was exported."""
    images = reader.get_fact(IMAGES)
    if images is None:
        return
    root = reader.folder / SYNTHETIC
    try:
        lines = _read_lines(root / METADATA)
    except (OSError, ValueError) as error:
        yield f"{SYNTHETIC}/{METADATA} cannot be read ({error}); {AGAIN}"
        return
    newest = max((line["round"] for line in lines), default=0)
    listed = Counter(line["blob"] for line in lines if line["round"] == newest)
    if listed != Counter(blob for entry in images for blob in entry["used"]):
        yield f"{SYNTHETIC}/{METADATA} does not list the images that arms train on; {AGAIN}"
    for line in lines:
        if problem := _find_problem(reader, root, line["file_name"], line["blob"]):
            yield f"{SYNTHETIC}/{line['file_name']} {problem}; {AGAIN}"
    known = {f"{SYNTHETIC}/{line['file_name']}" for line in lines}
    for name in sorted(name for name in reader.ledger.stamped_files(SYNTHETIC) if name.endswith(".png")):
        if name not in known:
            yield f"{name} is not listed in {METADATA}; {AGAIN}"


def _read_lines(path: Path) -> list[dict[str, Any]]:
    """The lines of the metadata.

    Raises:
        OSError: there is no such file.
        ValueError: a line is torn.
    """
    if path.is_symlink() or not path.is_file():
        raise FileNotFoundError("there is no such file")
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    kinds = {"file_name": str, "blob": str, "round": int}
    for number, line in enumerate(lines, 1):
        if not isinstance(line, dict) or not all(isinstance(line.get(name), kind) for name, kind in kinds.items()):
            raise ValueError(f"line {number} has no {', '.join(kinds)}")
    return lines


def _find_problem(reader: Reader, root: Path, name: str, blob: str) -> str:
    """What is wrong with an exported file; empty if nothing is."""
    path = root / name
    if Path(name).is_absolute() or ".." in Path(name).parts:
        return "is outside of the folder"
    try:
        if path.is_symlink() or not path.is_file():
            return "is missing"
        torn = path.stat().st_size != reader.blobs.path(blob).stat().st_size
        torn = torn or Blob(path.read_bytes(), Path(blob).suffix).name != blob
    except (OSError, ValueError) as error:
        return f"cannot be compared with {blob} ({error})"
    return f"is torn: its bytes are not those of {blob}" if torn else ""
