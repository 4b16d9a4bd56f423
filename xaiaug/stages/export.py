"""The images that arms train on, as an image folder that loads without xaiaug."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..curation import ImageFilter
from ..records import Critique, Failure
from .generation import GeneratedImage
from .mistakes import Mistake
from .runtime import Fitted, StageRuntime

ROW = ("label", "index", "seed", "prompt", "dropped")


@dataclass(frozen=True, eq=False)
class ExportedImages:
    """The images of one source, repetition and round, with what they were made from.

    Attributes:
        round: number of the round, from 1.
        source: name of the source.
        repetition: seed of the repetition.
        images: those that are trained on.
        cases: mistake, row of the explain stage, critique.
        baseline: the classifier that made the mistakes.
        gate: what each image passed.
    """

    round: int
    source: str
    repetition: int
    images: Sequence[GeneratedImage]
    cases: Sequence[tuple[Mistake, Any, Critique | Failure]]
    baseline: Fitted
    gate: ImageFilter


def export(
    runtime: StageRuntime,
    labels: Sequence[str],
    plugins: Mapping[str, Mapping[str, Any]],
    pools: Sequence[ExportedImages],
) -> None:
    """Writes synthetic/<class>/*.png and metadata.jsonl, each line with the whole ancestry of its image.

    Every line has the same columns of the same types, so that tables take them as they are; what a plugin says in its
    own way (guidance, details, weights) stands in JSON's text.

    Args:
        runtime: where the images are kept.
        labels: names of the classes.
        plugins: identity of each plugin, by kind.
        pools: what arms train on, of every round.
    """
    files, names = [], Counter[str]()
    by = {f"{kind}_weights": _text(plugins[kind]) for kind in ("critic", "synthesizer") if kind in plugins}
    for pool in pools:
        for name, image, line in _lines(runtime, pool, labels):
            names[name] += 1
            unique = name if names[name] == 1 else f"{name}-{names[name]}"
            files.append((f"{unique}.png", image.row["image"]["blob"], {**line, **by}))
    runtime.store.write_synthetic(files)


def _lines(
    runtime: StageRuntime, pool: ExportedImages, labels: Sequence[str]
) -> Iterator[tuple[str, GeneratedImage, dict[str, Any]]]:
    ancestry = {case[0].sample.id: _ancestry(*case, labels) for case in pool.cases}
    weights = pool.baseline.folder.relative_to(runtime.store.folder).as_posix()
    origin = {
        "round": pool.round,
        "source": pool.source,
        "repetition": pool.repetition,
        "classifier_weights": weights,
        "judge": pool.gate.judge.name if pool.gate.judge else "",
    }
    for image in pool.images:
        row, verdict = image.row, image.verdict
        stem = f"{row['case'][:12]}-{row['index']}-{pool.repetition}-{row['image']['blob'][:8]}"
        own = {name: row[name] for name in ROW} | {"details": _text(row["details"])}
        passed = {"kept": image.kept, "checks": list(pool.gate.active_checks), "verdict": verdict["reason"]}
        yield f"{_folder(row['label'])}/{stem}", image, {**origin, **own, **passed, **ancestry[row["case"]]}


def _ancestry(mistake: Mistake, row: Any, critique: Critique | Failure, labels: Sequence[str]) -> dict[str, Any]:
    heatmap = row["predicted"].get("heatmap")
    said = critique if isinstance(critique, Critique) else Critique("", "")
    return {
        "case": mistake.sample.id,
        "case_image": row["image"]["blob"],
        "predicted": labels[mistake.predicted],
        "predicted_index": mistake.predicted,
        "probability": mistake.probabilities[mistake.predicted],
        "heatmap": heatmap["blob"] if heatmap else None,
        "method": row["predicted"].get("method"),
        "cause": said.cause,
        "attended": said.attended,
        "evidence": list(said.evidence),
        "asked": said.prompt,
        "guidance": _text(said.guidance),
    }


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, default=dict)


def _folder(label: str) -> str:
    return re.sub(r"[^\w.+ -]", "_", label).strip(". ") or "_"
