"""Finds one image of a run, by id or file, and says all that the run knows of it: why it failed, why it exists."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import DataError
from ..records.pipeline import BASELINE
from ..report import Report
from ..report.schema_cases import CaseRow, ImageRow
from ..store import Reader, SourceFile, read_source_files
from .predictions import arm_predictions

_FEWEST = 4  # characters of an id that find it
_SHOWN = 6
_MOST_BYTES = 1 << 30


@dataclass(frozen=True, eq=False)
class _Run:
    reader: Reader
    report: Report
    files: Mapping[str, SourceFile]

    @property
    def images(self) -> Iterator[tuple[CaseRow, ImageRow]]:
        return ((case, image) for case in self.report.cases for image in case.images)


def look_up(reader: Reader, report: Report, query: str) -> dict[str, Any]:
    """What a run knows of one image, by name; "kind" is "mistake", "synthetic" or "image".

    Args:
        reader: of the run.
        report: of the same run.
        query: at least four characters of an id of a mistake or of a file in blobs/; a file of the data, as
            mistakes.csv names it or where it lies; or a synthetic image, as a file.

    Raises:
        DataError: nothing fits, or several images do; it names them.
        RunFolderError: splits.csv was changed.
    """
    run = _Run(reader, report, read_source_files(reader))
    found = {**dict(_find_sources(run, query)), **dict(_find_synthetic(run, query))}
    if len(found) > 1:
        named = ", ".join(list(found)[:_SHOWN]) + (f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else "")
        raise DataError(f"{query!r} fits {len(found)} images: {named}; give more of it")
    if not found:
        raise DataError(
            f"there is no image {query!r} in the run {reader.folder}: give an id or a file that mistakes.csv lists, or "
            "a file in synthetic/; `xaiaug show RUN` lists the mistakes"
        )
    (details,) = found.values()
    return details


def _find_sources(run: _Run, query: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Images of the data."""
    cases = {case.id: case for case in run.report.cases}
    ids = {name for name in {*cases, *run.files} if len(query) >= _FEWEST and name.startswith(query)}
    ids |= {name for name, file in run.files.items() if _is_file(query, file.name)}
    for name in ids:
        yield name, _describe_mistake(run, cases[name]) if name in cases else _describe_image(run, name)


def _is_file(query: str, name: str) -> bool:
    given = query.replace("\\", "/")
    return bool(name) and (name == given or name.endswith(f"/{given}") or given.endswith(f"/{name}"))


def _find_synthetic(run: _Run, query: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """New images; one that was made twice alike is named once."""
    prefix = _digest(Path(query)) or (Path(query).stem if len(query) >= _FEWEST else "")
    for case, image in run.images:
        if image.blob is not None and prefix and image.blob.startswith(prefix):
            yield image.blob, _describe_synthetic(run, case, image)


def _digest(path: Path) -> str:
    """What the blob of a file is called, without its ending; empty where there is no such file."""
    try:
        if not path.is_file() or path.stat().st_size > _MOST_BYTES:
            return ""
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:40]
    except OSError:
        return ""


def _describe_mistake(run: _Run, case: CaseRow) -> dict[str, Any]:
    report = run.report
    tested = next((one for one in report.causes if case.id in one.cases), None)
    slices = report.slices.slices if report.slices else ()
    return {
        "kind": "mistake",
        "id": case.id,
        **_name_file(run, case.id),
        "true class": case.label,
        "predicted": case.predicted,
        "probability": round(case.probability, 4),
        "heatmap": _describe_heatmap(case),
        "slice": next((one.name for one in slices if case.id in one.cases), None),
        "cause": case.critique.cause if case.critique else None,
        "evidence": list(case.critique.evidence) if case.critique else [],
        "cause test": f"{tested.outcome}: {tested.sentence}" if tested else None,
        "prompt": case.critique.prompt if case.critique else None,
        "fixed by": list(case.fixed_by),
        "failures": [f"{one.stage}: {one.message}" for one in case.failures],
        "images": [_summarise(image) for image in case.images],
    }


def _name_file(run: _Run, name: str) -> dict[str, Any]:
    file = run.files.get(name)
    return {"file": file.name, "split": file.split} if file else {"file": None, "split": None}


def _describe_heatmap(case: CaseRow) -> str | None:
    if case.heatmap is None:
        return None
    flat = ", constant: it marks nothing" if case.degenerate else ""
    return f"{case.method} (blobs/{case.heatmap[:2]}/{case.heatmap}){flat}"


def _summarise(image: ImageRow) -> dict[str, Any]:
    return {
        "image": image.blob,
        "seed": image.experiment_seed,
        "state": "kept" if image.kept else f"rejected by {image.check}" if image.blob else f"failed: {image.check}",
        "reason": image.reason,
        "arms": list(image.arms),
    }


def _describe_synthetic(run: _Run, case: CaseRow, image: ImageRow) -> dict[str, Any]:
    mistake, plugins = _describe_mistake(run, case), run.report.plugins
    del mistake["images"], mistake["kind"]
    synthesizer = plugins.synthesizer
    return {
        "kind": "synthetic",
        "image": f"blobs/{(image.blob or '')[:2]}/{image.blob}",
        "class": case.label,
        **{name: value for name, value in _summarise(image).items() if name != "image"},
        "prompt as used": image.prompt,
        "words cut": list(image.dropped),
        "image seed": image.seed,
        "synthesizer": synthesizer.name if synthesizer else None,
        "licence of its weights": (synthesizer.licence or None) if synthesizer else None,
        "made from": mistake,
    }


def _describe_image(run: _Run, name: str) -> dict[str, Any]:
    """An image that is no mistake that the run looked into; of test, what each arm predicts."""
    file = run.files[name]
    return {
        "kind": "image",
        "id": name,
        **_name_file(run, name),
        "true class": file.label,
        "predictions": list(_predictions(run, name)) if file.split == "test" else [],
    }


def _predictions(run: _Run, name: str) -> Iterator[dict[str, Any]]:
    labels = run.report.data.labels
    for arm in dict.fromkeys([BASELINE, *(arm.name for arm in run.report.arms)]):
        predictions = arm_predictions(run.reader, arm)
        if predictions is None or name not in predictions.ids:
            continue
        place = predictions.ids.index(name)
        for seed, probabilities in predictions.by_seed.items():
            each = probabilities[place]
            predicted = int(each.argmax())
            yield {
                "arm": arm,
                "seed": seed,
                "predicted": labels[predicted],
                "probability": round(float(each[predicted]), 4),
                "right": bool(predicted == predictions.labels[place]),
            }
