"""The images that arms train on, as an image folder that loads without xaiaug."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..arms import source_name
from ..records import Critique, Failure
from ..store.stage_rows import ExplainRow
from .diagnosis import Diagnosis
from .image_requests import GeneratedImage, ImagePlan
from .mistakes import Mistake
from .runtime import StageRuntime

_MOST_BYTES = 100  # most file systems hold 255 in one name
_RESERVED = re.compile(r"con|prn|aux|nul|conin|conout|(com|lpt)[0-9\u00b9\u00b2\u00b3]", re.IGNORECASE)  # by Windows
ROW = ("label", "index", "seed", "prompt", "dropped")


@dataclass(frozen=True, eq=False)
class ExportedImages:
    """The images of one source, repetition and round, with what they were made from.

    Attributes:
        round: number of the round, from 1.
        plan: how they were made; of one source.
        repetition: seed of the repetition.
        images: those that are trained on.
        diagnosis: of the mistakes they were made from.
    """

    round: int
    plan: ImagePlan
    repetition: int
    images: Sequence[GeneratedImage]
    diagnosis: Diagnosis


def export(
    runtime: StageRuntime,
    labels: Sequence[str],
    plugins: Mapping[str, Mapping[str, Any]],
    exported: Sequence[ExportedImages],
) -> None:
    """Writes synthetic/<class>/*.png and metadata.jsonl, each line with the full ancestry of its image.

    Every line has the same columns of the same types, so that tables take them as they are; what has no fixed columns
    (guidance, details, weights) is JSON in a text column.

    Args:
        runtime: where the images are kept.
        labels: names of the classes.
        plugins: identity of each plugin, by kind.
        exported: what arms train on, of every round.
    """
    files, names = [], Counter[str]()
    weights = {f"{kind}_weights": _text(plugins[kind]) for kind in ("critic", "synthesizer") if kind in plugins}
    for images in exported:
        for name, image, line in _lines(runtime, images, labels):
            names[name] += 1
            unique = name if names[name] == 1 else f"{name}-{names[name]}"
            files.append((f"{unique}.png", image.row["image"]["blob"], {**line, **weights}))
    runtime.store.write_synthetic(files)


def _lines(
    runtime: StageRuntime, exported: ExportedImages, labels: Sequence[str]
) -> Iterator[tuple[str, GeneratedImage, dict[str, Any]]]:
    folders = folder_names(labels)
    source, image_filter = exported.plan.source, exported.plan.image_filter
    cases = exported.diagnosis.cases(source)
    ancestry = {mistake.sample.id: _ancestry(mistake, row, critique, labels) for mistake, row, critique in cases}
    weights = exported.diagnosis.baseline.folder.relative_to(runtime.store.folder).as_posix()
    origin = {
        "round": exported.round,
        "source": source_name(source),
        "repetition": exported.repetition,
        "classifier_weights": weights,
        "judge": image_filter.judge.name if image_filter.judge else "",
    }
    for image in exported.images:
        row = image.row
        stem = f"{row['case'][:12]}-{row['index']}-{exported.repetition}-{row['image']['blob'][:8]}"
        content = {name: value for name, value in row.items() if name in ROW} | {"details": _text(row["details"])}
        verdict = {"kept": image.kept, "checks": list(image_filter.active_checks), "verdict": image.verdict["reason"]}
        yield (
            f"{folders[row['label']]}/{stem}",
            image,
            {**origin, **content, **verdict, **ancestry[row["case"]]},
        )


def _ancestry(mistake: Mistake, row: ExplainRow, critique: Critique | Failure, labels: Sequence[str]) -> dict[str, Any]:
    heatmap = row["predicted"] or {}
    critique = critique if isinstance(critique, Critique) else Critique("", "")
    return {
        "case": mistake.sample.id,
        "case_image": row["image"]["blob"],
        "predicted": labels[mistake.predicted],
        "predicted_index": mistake.predicted,
        "probability": mistake.probabilities[mistake.predicted],
        "heatmap": heatmap["heatmap"]["blob"] if "heatmap" in heatmap else None,
        "method": heatmap.get("method"),
        "cause": critique.cause,
        "attended": critique.attended,
        "evidence": list(critique.evidence),
        "asked": critique.prompt,
        "guidance": _text(critique.guidance),
    }


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, default=dict)


def folder_names(labels: Sequence[str]) -> dict[str, str]:
    """The folder of each class: its name where every file system can hold it beside the others, else with a digest.

    Args:
        labels: different names of any length, of any characters.
    """
    plain = {label: _plain_name(label) for label in labels}
    users = Counter(map(_fold, plain.values()))
    return {
        label: label if name == label and users[_fold(name)] == 1 else f"{name}~{_digest(label)}"
        for label, name in plain.items()
    }


def _plain_name(label: str) -> str:
    """Characters that no file system refuses, at most 100 bytes; without "~", which sets the digest apart."""
    name = re.sub(r"[^\w.+ -]", "_", label)
    name = name.encode()[:_MOST_BYTES].decode(errors="ignore").strip(". ") or "_"
    reserved = _RESERVED.fullmatch(name.partition(".")[0].strip())
    return f"_{name}" if reserved else name


def _fold(name: str) -> str:
    """What a file system that ignores case and composition takes a name for."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def _digest(label: str) -> str:
    return hashlib.sha256(label.encode(errors="surrogatepass")).hexdigest()[:16]
