"""The cases of an image source: which guide images, with which maps, in whose words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..arms import uses_critic
from ..interfaces import Context, Critic, Explainer
from ..records import Critique, Failure, ImageSource, Sample
from . import control_maps
from .control_prompts import apply_source_prompts, class_name_critique
from .critique import CritiqueOptions, critique
from .explain import explain
from .mistakes import Mistake
from .predict import Predictions
from .runtime import Fitted, StageRuntime

Cases = list[tuple[Mistake, Any, Critique | Failure]]


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """What every source of a run starts from.

    Attributes:
        runtime: where work is kept.
        explainer: not yet prepared.
        critic: not yet prepared.
        context: what plugins may know.
        train_key: digest of the images the critic may compare with.
        baseline: the classifier that is explained.
        predictions: of the baseline for the guide.
        mistakes: the chosen ones.
        correct: as many guide images of each class that the baseline gets right.
        seed: decides which map goes where, and what is left to chance.
        draw: which critique this is of the same cases; above 0 the critic is asked afresh.
        held: ids of mistakes whose label looks wrong: no image is made from them.
        scale: of the panels' colours: "image" or "run".
    """

    runtime: StageRuntime
    explainer: Explainer
    critic: Critic
    context: Context
    train_key: str
    baseline: Fitted
    predictions: Predictions
    mistakes: Sequence[Mistake]
    correct: Sequence[Mistake]
    seed: int
    held: frozenset[str] = frozenset()
    draw: int = 0
    scale: str = "image"

    def __post_init__(self) -> None:
        for chosen in (self.mistakes, self.correct, self.context.train or ()):
            samples = (one if isinstance(one, Sample) else one.sample for one in chosen)
            self.runtime.keep_from_test(samples, type(self.critic).__name__)

    def explained(self, cases: str = "mistakes") -> Sequence[Any]:
        """The rows of the explain stage, of "mistakes" or "correct" cases."""
        name = "explain" if cases == "mistakes" else f"explain/{cases}"
        return explain(self.runtime, self.explainer, self.context, self.baseline, self._chosen(cases), name)

    def judged(self, source: ImageSource) -> Sequence[Critique | Failure]:
        """The critiques of a source whose words are the critic's."""
        chosen = self._chosen(source.cases)
        rows = self._mapped(source, self.explained(source.cases), chosen)
        name = "critique" if (source.cases, source.map) == ("mistakes", "explained") else f"critique/{_name(source)}"
        return critique(
            self.runtime,
            self.critic,
            self.context,
            self.train_key,
            chosen,
            rows,
            asking=CritiqueOptions(name, self.draw, self.scale),
        )

    def cases(self, source: ImageSource) -> Cases:
        """All cases of a source: the guide image, its own map, and what is asked for."""
        chosen = self._chosen(source.cases)
        rows = self.explained(source.cases)
        judged = (
            self.judged(source)
            if uses_critic(source)
            else [class_name_critique(self._label(mistake)) for mistake in chosen]
        )
        return [
            (mistake, row, self._said(source, mistake, made))
            for mistake, row, made in zip(chosen, rows, judged, strict=True)
            if mistake.sample.id not in self.held
        ]

    def _said(self, source: ImageSource, mistake: Mistake, made: Critique | Failure) -> Critique | Failure:
        if isinstance(made, Failure):
            return made
        return apply_source_prompts(made, source, self._label(mistake), mistake.sample.id, self.seed)

    def _mapped(self, source: ImageSource, rows: Sequence[Any], chosen: Sequence[Mistake]) -> Sequence[Any]:
        if source.map == "shuffled":
            return control_maps.shuffle_maps(rows, chosen, self.seed)
        if source.map == "random":
            return control_maps.draw_random_maps(self.runtime, rows, self.seed)
        return control_maps.remove_maps(rows) if source.map == "none" else rows

    def _chosen(self, cases: str) -> Sequence[Mistake]:
        return self.mistakes if cases == "mistakes" else self.correct

    def _label(self, mistake: Mistake) -> str:
        return self.context.labels[mistake.sample.label]


def _name(source: ImageSource) -> str:
    return f"{source.cases}-{source.map}"
