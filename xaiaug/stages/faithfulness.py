"""How faithful the heatmaps are, on a sample of the mistakes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, cast

import numpy as np

from ..quality import Faithfulness, count_predictions, score_map, summarize, summarize_map
from ..records import Explanation, Failure
from ..store.blobs import Blobs
from ..store.schema import FAITHFULNESS, FAITHFULNESS_SUMMARY
from ..store.stage_rows import ExplainRow, FaithfulnessRow, MapRow, explanation_of, failure_of
from .chunks import Item, Stage, batch, complete, refuse_if_all_raised
from .mistakes import Mistake
from .runtime import Fitted, StageRuntime, open_images
from .stage_work import Monitor

TITLE = "test heatmaps"
CHUNK = 4
STEPS, RANDOM_MAPS = 10, 1
ASKED = {"steps": STEPS, "random_maps": RANDOM_MAPS, "seed": 0}
# 39 an image: few enough that a sample of 24 mistakes costs less than one epoch over a small guide split.
PREDICTIONS = count_predictions(STEPS, RANDOM_MAPS)
FIGURES = ("entropy", "top_share", "border_share")


@dataclass(frozen=True)
class _Work:
    fitted: Fitted
    blobs: Blobs
    monitor: Monitor

    def __call__(self, pairs: list[tuple[Mistake, MapRow]]) -> list[Any]:
        made = batch(_who(self.fitted), lambda some: [self._row(*pair) for pair in some], pairs, dict)
        return [{"failure": asdict(one)} if isinstance(one, Failure) else one for one in made]

    def _row(self, mistake: Mistake, row: MapRow) -> dict[str, Any]:
        explanation = cast(Explanation, explanation_of(row, self.blobs))
        (image,) = open_images(self.monitor, [mistake.sample], TITLE)
        scored = score_map(self.fitted.load(), image, explanation, **ASKED)
        figures = asdict(summarize_map(explanation))
        return {
            "id": mistake.sample.id,
            "method": explanation.method,
            "scores": scored.scores,
            "figures": {name: _number(figures[name]) for name in FIGURES},
        }


def measure_maps(
    runtime: StageRuntime, fitted: Fitted, mistakes: Sequence[Mistake], explained: Sequence[ExplainRow], most: int
) -> Sequence[Any]:
    """Measures the maps of the predicted class of some mistakes; one row with what they come to, where there are any.

    Which ones follows the images' digests, so it depends neither on their names nor on their order.

    Args:
        runtime: where the rows are kept.
        fitted: the classifier that was explained.
        mistakes: the chosen ones.
        explained: the rows of the explain stage, one a mistake.
        most: mistakes to measure, ≥ 0.
    """
    usable = [place for place, row in enumerate(explained) if "failure" not in (row["predicted"] or {"failure": None})]
    sample = sorted(sorted(usable, key=lambda place: mistakes[place].sample.id)[:most])
    pairs = [(mistakes[place], explained[place]["predicted"]) for place in sample]
    items = [Item([mistake.sample.id, row], (mistake, row)) for mistake, row in pairs]
    stage = Stage(FAITHFULNESS, TITLE, {"model": fitted.key, **ASKED}, CHUNK, spread=True, plugin=fitted.kind)
    rows: list[FaithfulnessRow] = list(
        complete(runtime, stage, items, _Work(fitted, runtime.store.blobs, runtime.monitor))
    )
    refuse_if_all_raised(_who(fitted), (failure_of(row) for row in rows))
    measured = [row for row in rows if "failure" not in row]
    summary = Stage(FAITHFULNESS_SUMMARY, TITLE, None, max(1, len(measured)), together=True)
    return complete(runtime, summary, [Item(row, row) for row in measured], _summary_row)


def _who(fitted: Fitted) -> str:
    return f"{fitted.kind.__name__}.predict_proba"


def _summary_row(rows: list[FaithfulnessRow]) -> list[dict[str, Any]]:
    """The measures of all maps together, as one row for the report."""
    methods = ", ".join(dict.fromkeys(row["method"] for row in rows))
    found = summarize(methods, [row["scores"] for row in rows])
    middle = {name: _median([row["figures"][name] for row in rows]) for name in FIGURES}
    low, high = found.interval() or (None, None)
    return [
        {
            "method": methods,
            "images": found.images,
            "outcome": found.outcome,
            "sentence": found.sentence,
            "gain": float(found.gains.mean()),
            "low": low,
            "high": high,
            "measures": _measures(found),
            **middle,
        }
    ]


def _measures(found: Faithfulness) -> list[dict[str, Any]]:
    rows = []
    for name, measure in found.measures.items():
        low, high = measure.interval() or (None, None)
        means = {"mean": float(measure.values.mean()), "random": float(measure.random.mean()), "gain": measure.gain}
        rows.append({"name": name, **means, "low": low, "high": high})
    return rows


def _median(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.median(known)) if known else None


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
