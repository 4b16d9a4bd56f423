"""A report that names no file or folder of the machine it was made on, to be passed on."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from .schema_report import Report

# A path from the root of a file system, of Windows too; "and/or" is none.
_ABSOLUTE = re.compile(r"(?<![\w.:/~\\-])(?:~|[A-Za-z]:)?(?:[/\\][^\s/\\\"'`,;:()<>|]+){2,}[/\\]?")
_ABSOLUTE_ALONE = re.compile(r"(?:~|[A-Za-z]:)?[/\\][^\n]*[/\\][^\n]*")  # as a setting has it, spaces and all
_IMAGE_FILE = re.compile(r"\.(jpe?g|png|webp|bmp|tiff?|gif|heic|npy|csv)\b", re.IGNORECASE)
_FOLDERS = ("folder", "manifest", "marks")  # of [data]
_LAST = re.compile(r"[^/\\]+(?=[/\\]?$)")


def shows_paths(report: Report) -> bool:
    """Whether the settings of the run let its report name files: `[report] paths`."""
    table = report.settings.get("report")
    return not isinstance(table, Mapping) or bool(table.get("paths", True))


def remove_paths(report: Report) -> Report:
    """The report without paths of images and of the data, and with only the last part of all other absolute paths.

    What reads the data names files; of warnings that do, the number is left. Prose of critics is kept as it is.
    """
    hidden = sum(bool(_IMAGE_FILE.search(text)) for text in report.data.warnings)
    warnings = [text for text in report.data.warnings if not _IMAGE_FILE.search(text)]
    if hidden:
        warnings.append(f"Notes that name files are left out here: {hidden}.")
    plain = report.model_dump(mode="json")
    for name in ("settings", "plugins"):
        plain[name] = _shorten_all(plain[name], _shorten_value)
    for name in ("notes", "left_out", "run"):
        plain[name] = _shorten_all(plain[name])
    data = plain["settings"].get("data")
    if isinstance(data, dict):
        plain["settings"]["data"] = {name: value for name, value in data.items() if name not in _FOLDERS}
    plain["data"]["warnings"] = _shorten_all(warnings)
    for case in plain["cases"]:
        case["path"] = None
        case["failures"] = _shorten_all(case["failures"])
        for image in case["images"]:
            image["reason"] = _shorten_all(image["reason"])
    for image in plain["changed"]:
        image["path"] = None
    return Report.model_validate(plain)


def _shorten_all(value: Any, shorten: Callable[[str], str] | None = None) -> Any:
    shorten = shorten or _shorten_prose
    if isinstance(value, dict):
        return {name: _shorten_all(entry, shorten) for name, entry in value.items()}
    if isinstance(value, list):
        return [_shorten_all(entry, shorten) for entry in value]
    return shorten(value) if isinstance(value, str) else value


def _shorten_prose(text: str) -> str:
    return _ABSOLUTE.sub(_last_part, text)


def _shorten_value(value: str) -> str:
    whole = _ABSOLUTE_ALONE.fullmatch(value)
    return _last_part(whole) if whole else _shorten_prose(value)


def _last_part(found: re.Match[str]) -> str:
    last = _LAST.search(found[0])
    return f"…/{last[0].rstrip('/')}" if last else "…"
