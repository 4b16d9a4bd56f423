"""The steps of a run in order, the kinds of stages they consist of, and the few names that comparisons rest on."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class StageKind(StrEnum):
    """What a stage of a run does; the first word of its name in the ledger."""

    FIT = "fit"
    PREDICT = "predict"
    EMBED = "embed"
    CASES = "cases"
    EXPLAIN = "explain"
    FAITHFULNESS = "faithfulness"
    SLICES = "slices"
    CONTROL_MAPS = "control-maps"
    CRITIQUE = "critique"
    CAUSES = "causes"
    JUDGE = "judge"
    SYNTHESIZE = "synthesize"
    DESCRIBE = "describe"
    CURATE = "curate"
    VLM_CHECK = "vlm-check"
    REVIEW = "review"


class WorkKind(StrEnum):
    """The kinds of work whose workers may have resources of their own: the tables `[engine.KIND]`."""

    CLASSIFIER = "classifier"
    TRAINING = "training"
    EXPLAINER = "explainer"
    CRITIC = "critic"
    SYNTHESIZER = "synthesizer"
    CURATION = "curation"


WORK = {  # of the stages that workers do
    StageKind.FIT: WorkKind.TRAINING,
    StageKind.PREDICT: WorkKind.CLASSIFIER,
    StageKind.EMBED: WorkKind.CLASSIFIER,
    StageKind.FAITHFULNESS: WorkKind.CLASSIFIER,
    StageKind.CAUSES: WorkKind.CLASSIFIER,
    StageKind.EXPLAIN: WorkKind.EXPLAINER,
    StageKind.CRITIQUE: WorkKind.CRITIC,
    StageKind.VLM_CHECK: WorkKind.CRITIC,
    StageKind.SYNTHESIZE: WorkKind.SYNTHESIZER,
    StageKind.JUDGE: WorkKind.CURATION,
    StageKind.DESCRIBE: WorkKind.CURATION,
}


class Stop(StrEnum):
    """Where a run can end: the values of `[experiment] until`, in order."""

    MISTAKES = "mistakes"
    EXPLAIN = "explain"
    CRITIQUE = "critique"
    IMAGES = "images"
    REPORT = "report"


class Step(NamedTuple):
    """One step of a run.

    Attributes:
        redoes: what is made again when a setting of this step changes.
        stop: the `until` that ends a run after it; None where a run cannot end.
        starts: the kind of plugin that works from this step on; None where none joins.
    """

    redoes: str
    stop: Stop | None = None
    starts: str | None = None


STEPS = (
    Step("baseline"),
    Step("mistakes", stop=Stop.MISTAKES, starts="classifier"),
    Step("heatmaps", stop=Stop.EXPLAIN, starts="explainer"),
    Step("critiques", stop=Stop.CRITIQUE, starts="critic"),
    Step("images", stop=Stop.IMAGES, starts="synthesizer"),
    Step("arms", stop=Stop.REPORT),
)
REDONE = tuple(step.redoes for step in STEPS)
STOPS = tuple(str(stop) for stop in Stop)
STARTS = {step.starts: step.stop for step in STEPS if step.starts and step.stop}  # by kind of plugin
TIMED = {  # the stages whose speed is measured, and the kinds of plugins it depends on; the last one does the work
    StageKind.FIT: ("classifier",),
    StageKind.PREDICT: ("classifier",),
    StageKind.EXPLAIN: ("classifier", "explainer"),
    StageKind.CRITIQUE: ("critic",),
    StageKind.SYNTHESIZE: ("synthesizer",),
}

IMAGE_CRITIC = "critic of new images"  # what messages call the critic of `[curation] vlm`
BASELINE = "baseline"  # the arm that is not trained: the classifier as it was
CONTINUED = "continued"  # the arm that every other one is compared with
HEADLINE = "generated+training"
SMALLEST_GROUP = 20  # images: the accuracy of fewer says little, and the worst of many small groups is 0 by chance
PRIMARY = (HEADLINE, CONTINUED)
EDITED, EDITED_SHUFFLED = "saliency-edit", "saliency-edit-shuffled"
EXPLANATIONS = ((HEADLINE, "shuffled-map"), (EDITED, EDITED_SHUFFLED))  # does the explanation matter?
FEWEST_MISTAKES = 30  # below it images made from mistakes say little
MARGIN = 2.0  # points that a recommended remedy may be behind the best
FEWEST_SEEDS = 3  # below it there is no verdict


def reaches(until: str, stop: str) -> bool:
    """Whether a run that ends after `until` comes to the step that ends in `stop`."""
    return STOPS.index(until) >= STOPS.index(stop)
