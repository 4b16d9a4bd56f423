"""The part of a report about mistakes: each failed image, why it failed, and the images made for it."""

from __future__ import annotations

from pydantic import Field

from .schema_base import Row, Text


class PairCount(Row):
    """How many guide images of `label` were taken for `predicted`."""

    label: Text
    predicted: Text
    count: int


class Mistakes(Row):
    """How many mistakes there are.

    Attributes:
        found: all mistakes on the guide split.
        guide_size: images in the guide split.
        chosen: how many of them the run looked into.
        held: how many of these have labels that look wrong: no image is made from them until a person has looked.
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


class StageFailure(Row):
    """Why a stage has nothing to show for one case: `stage` is "explain" or "critique"."""

    stage: str
    kind: Text
    message: Text


class ImageRow(Row):
    """One image that was asked of the synthesizer.

    Attributes:
        index: its number among the images of its case, from 0.
        seed: the seed it was made with.
        blob: its picture; None when it could not be made: `check` then holds the failure's kind, `reason` the message.
        kept: whether curation let it through.
        check: name of the check that rejected it; empty when kept.
        reason: what that check found.
        prompt: the prompt as used.
        dropped: words of the prompt that were cut.
        arms: names of the arms that train on it; empty when it was rejected or not needed.
        experiment_seed: the seed of the experiment it was made for.
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
    """One guide image the run looked into.

    Attributes:
        probability: what the classifier gave the predicted class, 0 to 1.
        image, panel, heatmap: blobs: the image, the picture the critic looked at, if it did, and the heatmap alone.
        method: the explainer's method.
        degenerate: whether the heatmap says nothing.
        critique: None when it failed or was not asked for.
        failures: what went wrong on the way.
    """

    id: str
    label: Text
    predicted: Text
    probability: float
    image: str | None = None
    panel: str | None = None
    heatmap: str | None = None
    method: str = ""
    degenerate: bool = False
    critique: CritiqueRow | None = None
    failures: tuple[StageFailure, ...] = ()
    images: tuple[ImageRow, ...] = ()


class SourceRow(Row):
    """How new images were made, and the arms that train on them; the fields are those of `xaiaug.ImageSource`."""

    arms: tuple[Text, ...]
    cases: str = "mistakes"
    map: str = "explained"
    prompt: str = "critic"
    guidance: str = "critic"
    image_guided: bool = True
    curated: bool = True


class JudgeRow(Row):
    """The classifier that checked the labels of new images.

    Attributes:
        name: of the classifier.
        trained_on: what it learned from, in words; empty where nobody declared it.
        right: how many of the guide's mistakes it gets right.
        of: how many it was asked about.
        needed: share of them that admits a judge.
        admitted: whether its word on labels counted; None where nobody asked it about labels.
        alike: similarity of its embeddings above which two new images count as one; None where it gives none.
    """

    name: Text
    trained_on: Text = ""
    right: int = 0
    of: int = 0
    needed: float = 0.8
    admitted: bool | None = None
    alike: float | None = None


class ReviewRow(Row):
    """What a person said of the new images: counts.

    Attributes:
        waiting: images nobody has judged yet.
        kept, rejected: images a person kept and rejected.
        prompts: images whose prompt a person wrote anew.
        labels: mistakes whose label a person found wrong.
    """

    waiting: int = 0
    kept: int = 0
    rejected: int = 0
    prompts: int = 0
    labels: int = 0


class Images(Row):
    """What became of all the images that were asked for.

    Attributes:
        asked, made, failed, kept: counts; asked = made + failed.
        rejected: by the name of the check.
        used: images of each class an arm trains on.
        judge: who checked their labels; None where no check asked anybody.
        review: what a person said of them; None where nobody was to look.
    """

    asked: int = 0
    made: int = 0
    failed: int = 0
    kept: int = 0
    rejected: dict[str, int] = Field(default_factory=dict)
    used: dict[Text, int] = Field(default_factory=dict)
    sources: tuple[SourceRow, ...] = ()
    judge: JudgeRow | None = None
    review: ReviewRow | None = None
