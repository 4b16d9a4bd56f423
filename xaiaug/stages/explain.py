"""Where the classifier looked when it was wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from ..errors import PluginError
from ..interfaces import Classifier, Context, Explainer
from ..records import Explanation, Failure
from ..store import Blob
from ..store.schema import explain_stage
from ..store.stage_rows import ExplainRow, failure_of
from .chunks import Item, Stage, batch, complete, plugin_key, refuse_if_all_raised
from .lazy import Lazy
from .mistakes import Mistake
from .plugin_guard import PreparedOnce
from .runtime import Fitted, StageRuntime, open_images
from .stage_work import Monitor, Rebuilt

TITLE = "explain mistakes"
SHOWN_SIDE = 384  # pixels of the longer side of the copy kept for the report


@dataclass
class _Work(Rebuilt):
    explainer: Explainer
    context: Context
    fitted: Fitted
    monitor: Monitor
    ready: PreparedOnce = field(init=False)

    def __post_init__(self) -> None:
        self.ready = PreparedOnce(self.explainer, replace(self.context, stopping=self.monitor.stopping))

    def __call__(self, mistakes: list[Mistake]) -> list[Any]:
        self.ready()
        classifier = self.fitted.load()
        predicted = self._explain(classifier, mistakes, [mistake.predicted for mistake in mistakes])
        specific = [i for i, made in enumerate(predicted) if isinstance(made, Explanation) and made.class_specific]
        labels: dict[int, Any] = {i: predicted[i] for i in specific if mistakes[i].is_right}
        specific = [i for i in specific if i not in labels]
        if specific:
            chosen = [mistakes[i] for i in specific]
            made = self._explain(classifier, chosen, [mistake.sample.label for mistake in chosen])
            labels |= dict(zip(specific, made, strict=True))
        return [self._row(mistake, predicted[i], labels.get(i)) for i, mistake in enumerate(mistakes)]

    def _explain(self, classifier: Classifier, mistakes: list[Mistake], targets: list[int]) -> list[Any]:
        def call(pairs: list[tuple[Mistake, int]]) -> list[Explanation | Failure]:
            images = list(open_images(self.monitor, [mistake.sample for mistake, _ in pairs], TITLE))
            made = self.explainer.explain(classifier, images, [target for _, target in pairs])
            _check_sizes(self.explainer, made, images)
            return made

        who = f"{type(self.explainer).__name__}.explain"
        pairs = list(zip(mistakes, targets, strict=True))
        size = self.explainer.batch_size
        parts = [batch(who, call, pairs[start : start + size], Explanation) for start in range(0, len(pairs), size)]
        return [made for part in parts for made in part]

    def _row(self, mistake: Mistake, predicted: Any, label: Any) -> dict[str, Any]:
        copy = mistake.sample.open()
        copy.thumbnail((SHOWN_SIDE, SHOWN_SIDE))
        return {
            "id": mistake.sample.id,
            "image": Blob.image(copy),
            "predicted": _map_row(predicted),
            "label": _map_row(label),
        }


def explain(
    runtime: StageRuntime, explainer: Explainer, fitted: Fitted, mistakes: Sequence[Mistake], cases: str = "mistakes"
) -> Sequence[ExplainRow]:
    """One row a case: a copy of its image, and the maps of its predicted and, where it differs, its true class.

    Args:
        runtime: where they are kept.
        explainer: not yet prepared.
        fitted: the classifier that is explained.
        mistakes: what is explained.
        cases: what they are: "mistakes", "correct" or "train-correct".

    Raises:
        PluginError: the explainer broke its contract or raised on every image.
        UndefinedMethodError: the method is not defined for this classifier.
    """
    basis = {"explainer": plugin_key(explainer), "model": fitted.key}
    who = f"{type(explainer).__name__}.explain"
    stage = Stage(
        explain_stage(cases),
        TITLE,
        basis,
        explainer.batch_size,
        who=who,
        spread=True,
        plugin=type(explainer),
    )
    items = Lazy(len(mistakes), lambda i: Item.of(mistakes[i]))
    rows: Sequence[ExplainRow] = complete(
        runtime, stage, items, _Work(explainer, runtime.context, fitted, runtime.monitor)
    )
    refuse_if_all_raised(who, (failure_of(row["predicted"]) for row in rows))
    return rows


def _map_row(explanation: Explanation | Failure | None) -> dict[str, Any] | None:
    """A `MapRow` whose blobs are still to be kept."""
    if explanation is None:
        return None
    if isinstance(explanation, Failure):
        return {"failure": asdict(explanation)}
    grid = explanation.grid
    return {
        "heatmap": Blob.array(np.asarray(explanation.heatmap, np.float32)),
        "grid": None if grid is None else Blob.array(np.asarray(grid, np.float32)),
        "method": explanation.method,
        "target": int(explanation.target),
        "class_specific": explanation.class_specific,
        "degenerate": explanation.degenerate,
        "completeness_error": explanation.completeness_error,
    }


def _check_sizes(explainer: Explainer, made: Any, images: Sequence[Any]) -> None:
    for result, image in zip(made if isinstance(made, list | tuple) else (), images, strict=False):
        if isinstance(result, Explanation) and np.shape(result.heatmap) != image.size[::-1]:
            raise PluginError(
                f"{type(explainer).__name__}.explain: a heatmap must have the size of its image, "
                f"{image.size[::-1]} (h w), got {np.shape(result.heatmap)}"
            )
