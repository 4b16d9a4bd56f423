"""Whether the exported images are those that the run trained on, each as it was written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from ..files import MAX_TEXT, Directory, parse_json
from ..store import Reader
from ..store.blobs import MAX_BYTES, is_blob_name
from ..store.run_files import SYNTHETIC
from ..store.schema import IMAGES
from ..store.text_files import METADATA

AGAIN = "rerun the command to write it again"


def damaged_exports(reader: Reader) -> Iterator[str]:
    """What is missing or torn below synthetic/, a line each; none where nothing was exported."""
    images = reader.get_fact(IMAGES)
    if images is None:
        return
    files = Directory(reader.folder)
    try:
        lines = read_lines(files)
    except (OSError, ValueError) as error:
        yield f"{METADATA} cannot be read ({getattr(error, 'strerror', None) or error}); {AGAIN}"
        return
    newest = max((line["round"] for line in lines), default=0)
    listed = Counter(line["blob"] for line in lines if line["round"] == newest)
    if listed != Counter(blob for entry in images for blob in entry["used"]):
        yield f"{METADATA} does not list the images that arms train on; {AGAIN}"
    for line in lines:
        if problem := _find_problem(files, line["file_name"], line["blob"]):
            yield f"{SYNTHETIC}/{line['file_name']} {problem}; {AGAIN}"
    known = {f"{SYNTHETIC}/{line['file_name']}" for line in lines}
    for name in sorted(name for name in reader.ledger.stamped_files(SYNTHETIC) if name.endswith(".png")):
        if name not in known:
            yield f"{name} is not listed in metadata.jsonl; {AGAIN}"


def read_lines(files: Directory) -> list[dict[str, Any]]:
    """The lines of the metadata.

    Raises:
        OSError: there is no such file.
        ValueError: a line is torn.
    """
    lines = [parse_json(line) for line in files.read(METADATA, MAX_TEXT).decode().splitlines()]
    kinds = {"file_name": str, "blob": str, "round": int}
    for number, line in enumerate(lines, 1):
        if not isinstance(line, dict) or not all(isinstance(line.get(name), kind) for name, kind in kinds.items()):
            raise ValueError(f"line {number} has no {', '.join(kinds)}")
    return lines


def _find_problem(files: Directory, name: str, blob: str) -> str:
    """What is wrong with an exported file; empty if nothing is."""
    if not is_blob_name(blob):
        return f"cannot be compared with {blob[:200]!r}, which is no blob"
    try:
        digest = files.digest(f"{SYNTHETIC}/{name}", MAX_BYTES)
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be read ({error.strerror or error})"
    return "" if digest.startswith(blob[:40]) else f"is damaged: its content is not that of {blob}"
