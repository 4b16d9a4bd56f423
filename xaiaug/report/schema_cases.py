"""Mistakes in a report: each misclassified image, its critique, and the images generated for it."""

from __future__ import annotations

from pydantic import Field

from .schema_agreement import VoteRow
from .schema_base import Row, Text
from .schema_causes import StatedCauseRow


class PairCount(Row):
    """How many guide images of class `label` were classified as `predicted`."""

    label: Text
    predicted: Text
    count: int


class Mistakes(Row):
    """Counts of mistakes.

    Attributes:
        found: all mistakes on the guide split.
        guide_size: images in the guide split.
        chosen: how many of them the run analysed.
        held: how many of these have a suspect label: no image is generated from them until a person has checked it.
        by_pair: all mistakes found, by true and predicted class.
    """

    found: int = 0
    guide_size: int = 0
    chosen: int = 0
    held: int = 0
    by_pair: tuple[PairCount, ...] = ()


class CritiqueRow(Row):
    """A critic's answer; the fields are those of `xaiaug.Critique`."""

    cause: Text
    prompt: Text = ""
    attended: str = "unknown"
    difficulty: Text = ""
    evidence: tuple[Text, ...] = ()
    label_suspect: bool = False
    confidence: float = 0.5
    guidance: dict[str, Text | float] = Field(default_factory=dict)
    testable: StatedCauseRow | None = None


class StageFailure(Row):
    """Why a stage failed for one case: `stage` is "explain" or "critique"."""

    stage: str
    kind: Text
    message: Text


class ImageRow(Row):
    """One image requested from the synthesizer.

    Attributes:
        index: its number among the images of its case, from 0.
        seed: the seed it was generated with.
        blob: its picture; None if synthesis failed: `check` then holds the kind of the failure, `reason` its message.
        kept: whether it passed curation.
        check: name of the check that rejected it; empty if kept.
        reason: why that check rejected it, or why it was not checked.
        prompt: the prompt as used.
        dropped: words of the prompt that were cut.
        arms: names of the arms that train on it; empty if it was rejected or not needed.
        experiment_seed: the seed of the experiment it belongs to.
    """

    index: int
    seed: int
    blob: str | None = None
    kept: bool = False
    check: Text = ""
    reason: Text = ""
    prompt: Text = ""
    dropped: tuple[Text, ...] = ()
    arms: tuple[Text, ...] = ()
    experiment_seed: int | None = None


class CaseRow(Row):
    """One guide image that the run analysed.

    Attributes:
        probability: of the predicted class, 0 to 1.
        path: the image's file, relative to the folder of the data, or its row; None if it is not known or left out.
        image, panel, heatmap: blobs: the image, the panel if the critic looked at it, and the raw heatmap.
        method: the explainer's method.
        class_specific: whether the heatmap explains the predicted class; False: it is the same for every class. None
            without a heatmap.
        degenerate: whether the heatmap is constant, zero or not finite.
        critique: None if it failed or was not requested.
        critique_slice: name of the slice whose mistakes share the critique; the panel is then its sheet. Empty if the
            critic was asked about this case alone.
        votes: the critiques among which `critique` is the majority's; empty where there is one.
        failures: of the stages.
        fixed_by: arms that get the image right, in more than half of their seeds; empty before they are trained.
    """

    id: str
    label: Text
    predicted: Text
    probability: float
    path: Text | None = None
    image: str | None = None
    panel: str | None = None
    heatmap: str | None = None
    method: str = ""
    class_specific: bool | None = None
    degenerate: bool = False
    critique: CritiqueRow | None = None
    critique_slice: Text = ""
    votes: tuple[VoteRow, ...] = ()
    failures: tuple[StageFailure, ...] = ()
    fixed_by: tuple[Text, ...] = ()
    images: tuple[ImageRow, ...] = ()


class SourceRow(Row):
    """How new images were generated, and the arms that train on them; the fields are those of `xaiaug.ImageSource`."""

    arms: tuple[Text, ...]
    cases: str = "mistakes"
    map: str = "explained"
    prompt: str = "critic"
    guidance: str = "critic"
    image_guided: bool = True
    curated: bool = True
    causes: str = "all"
    budget: str = "mistakes"
    synthesizer: Text | None = None


class JudgeRow(Row):
    """The judge: the classifier that checked the labels of new images.

    Attributes:
        name: of the classifier.
        trained_on: its training data, in words; empty if not declared.
        right: how many of the guide's mistakes it classifies correctly.
        of: how many it classified.
        needed: share that it must classify correctly to be admitted.
        admitted: whether its predictions could reject images; None if labels were not checked.
        alike: cosine similarity of embeddings from which two new images count as near-duplicates; None if unknown.
    """

    name: Text
    trained_on: Text = ""
    right: int = 0
    of: int = 0
    needed: float = 0.8
    admitted: bool | None = None
    alike: float | None = None


class ReviewRow(Row):
    """The decisions of a reviewer on the new images: counts.

    Attributes:
        waiting: undecided images.
        kept, rejected: images that the reviewer kept and rejected.
        prompts: images whose prompt the reviewer changed.
        labels: mistakes whose label the reviewer marked as wrong.
    """

    waiting: int = 0
    kept: int = 0
    rejected: int = 0
    prompts: int = 0
    labels: int = 0


class Images(Row):
    """Counts of all requested images.

    Attributes:
        asked, made, failed, kept: counts; asked = made + failed.
        rejected: by the name of the check.
        unchecked: images that the critic of `[curation] vlm` declined or gave no answer on; they are kept.
        changed_outside: of edits by a mask that a hosted model made, the median share of pixels outside the mask that
            it changed, 0 to 1; None where there are none.
        kept_outside: whether the photo's own pixels were put back there.
        used: images of each class an arm trains on.
        judge: checked their labels; None if no check uses a judge.
        review: of a person; None without review.
        untestable: why a comparison of arms cannot show whether the explanation helps, a sentence each.
    """

    asked: int = 0
    made: int = 0
    failed: int = 0
    kept: int = 0
    rejected: dict[str, int] = Field(default_factory=dict)
    unchecked: int = 0
    changed_outside: float | None = None
    kept_outside: bool = True
    used: dict[Text, int] = Field(default_factory=dict)
    sources: tuple[SourceRow, ...] = ()
    judge: JudgeRow | None = None
    review: ReviewRow | None = None
    untestable: tuple[Text, ...] = ()
