"""The rows of each stage in a run's ledger, as JSON. Paths of blobs and models are relative to the run folder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NotRequired, TypedDict

from ..records import JSON, Cause, CauseVerdict, Critique, Explanation, Failure, MistakeSlice
from .blobs import Blobs


class BlobRow(TypedDict):
    """Names a blob."""

    blob: str


class ModelRow(TypedDict):
    """A folder of weights."""

    folder: str
    files: dict[str, str]  # SHA-256 by relative name


class FailureRow(TypedDict):
    """Why there is no result."""

    kind: str
    message: str


class CaseRow(TypedDict):
    """A chosen mistake; of the stage `CASES`."""

    id: str  # of the sample
    label: int
    predicted: int
    probability: float  # of the predicted class


class PredictionRow(TypedDict):
    """One chunk of predictions; of stages of the kind PREDICT."""

    ids: list[str]
    labels: list[int]
    groups: NotRequired[list[dict[str, str]]]
    probabilities: BlobRow  # n k, float32


class EmbeddingRow(TypedDict):
    """One chunk of embeddings; of stages of the kind EMBED."""

    embeddings: BlobRow | None  # n d, float32; None where the classifier has none


class MapRow(TypedDict, total=False):
    """A heatmap, or why there is none: then `failure` alone."""

    heatmap: BlobRow  # h w, float32
    grid: BlobRow | None  # unscaled, where the method has one
    method: str
    target: int
    class_specific: bool
    degenerate: bool
    completeness_error: float | None  # in logits, where the method promises a sum
    failure: FailureRow


class ExplainRow(TypedDict):
    """A case and its heatmaps; of stages of the kinds EXPLAIN and CONTROL_MAPS."""

    id: str
    image: BlobRow  # a copy for the report
    predicted: MapRow | None  # of the predicted class; None where a control shows no map
    label: MapRow | None  # of the true class; None where the method does not depend on the class


class VoteRow(TypedDict, total=False):
    """One of several critiques of a case."""

    critic: str  # its name
    sample: int  # from 0
    stated: str  # its cause, in its words
    cause: str  # what that is counted as
    failure: FailureRow


class CritiqueRow(TypedDict, total=False):
    """A critique, or why there is none; of stages of the kind CRITIQUE."""

    id: str
    panel: BlobRow | None  # None where the critic did not look
    slice: str  # name of the slice whose mistakes share it; missing where it is of this case alone
    votes: list[VoteRow]  # missing where there is one critique a case
    critique: dict[str, Any]  # Critique as a dict
    failure: FailureRow


class SliceImageRow(TypedDict):
    """A correctly classified image that a slice is compared with."""

    id: str
    image: BlobRow  # a copy for the report


class SlicesRow(TypedDict):
    """What the search for slices came to; of the stage `SLICES`."""

    slices: list[dict[str, Any]]  # MistakeSlice as a dict
    unconfirmed: list[dict[str, Any]]  # likewise
    contrast: list[SliceImageRow]  # those that the slices name
    images: int
    mistakes: int
    reason: str


class EditedImageRow(TypedDict):
    """One image of a test of causes."""

    id: str
    before: BlobRow
    after: BlobRow
    elsewhere: BlobRow
    right: list[bool]  # whether each of the three is classified correctly


class ArmsRow(TypedDict):
    """The answers of one group of edited images."""

    rise: dict[str, list[float]]
    right: dict[str, list[bool]]
    nuisance: str
    total: int
    images: list[EditedImageRow]


class TrialRow(TypedDict):
    """The trial of one slice; of stages of the kind CAUSES."""

    mistakes: ArmsRow
    correct: ArmsRow
    absent: int
    uneditable: int


class CauseRow(TypedDict):
    """What is said of one slice; of the stage that judges all of them."""

    verdict: dict[str, Any]  # CauseVerdict as a dict
    mistakes: list[EditedImageRow]
    correct: list[EditedImageRow]


class SynthesisRow(TypedDict, total=False):
    """A new image, or why there is none; of stages of the kind SYNTHESIZE."""

    case: str
    base: str  # id of the training image that was edited, where it is not the case's own
    index: int  # of the image among those of its case
    label: str
    seed: int
    prompt: str
    dropped: list[str]
    details: dict[str, JSON]
    image: BlobRow
    failure: FailureRow


class DescriptionRow(TypedDict):
    """What checks find in a new image by itself; of stages of the kind DESCRIBE."""

    failed: str | None  # name of the check that it fails
    rejection: dict[str, Any] | None  # Rejection as a dict
    signature: str | None
    embedding: str | None  # float32, base64


class VerdictRow(TypedDict):
    """Whether a new image is kept; of stages of the kinds CURATE, VLM_CHECK and REVIEW."""

    kept: bool
    check: str | None
    reason: str | None
    score: float | None
    fingerprint: str | None
    failure: NotRequired[FailureRow]  # why a critic gave no answer on an image, which is then kept


class FitRow(TypedDict):
    """A training; of stages of the kind FIT."""

    history: dict[str, Any]  # History as a dict
    model: ModelRow
    seconds: float  # of the session that finished it
    notes: NotRequired[list[str]]  # Classifier.notes, then History.notes behind the name of the arm


class JudgeRow(TypedDict):
    """How alike distinct training images look to the judge; of the stage `JUDGE`."""

    alike: float | None


class FaithfulnessRow(TypedDict, total=False):
    """How faithful one heatmap is; of the stage `FAITHFULNESS`."""

    id: str
    method: str
    scores: dict[str, Any]
    figures: dict[str, float | None]
    failure: FailureRow


def failure_of(row: Mapping[str, Any] | None) -> Failure | None:
    """Why a row has no result; None where it has one, or there is no row."""
    return Failure(**row["failure"]) if row is not None and "failure" in row else None


def explanation_of(row: MapRow | None, blobs: Blobs) -> Explanation | Failure | None:
    """An explanation as it was committed."""
    if row is None or "failure" in row:
        return failure_of(row)
    grid = blobs.array(row["grid"]["blob"]) if row["grid"] else None
    heatmap = blobs.array(row["heatmap"]["blob"])
    return Explanation(
        heatmap, row["method"], row["target"], row["class_specific"], grid, row.get("completeness_error")
    )


def critique_of(row: CritiqueRow) -> Critique | Failure:
    """A critique as it was committed."""
    if failure := failure_of(row):
        return failure
    fields, testable = row["critique"], row["critique"].get("testable")
    cause = Cause(**testable) if testable else None
    return Critique(**{**fields, "evidence": tuple(fields["evidence"]), "testable": cause})


def mistake_slice_of(row: Mapping[str, Any]) -> MistakeSlice:
    """A slice as it was committed, without a verdict."""
    lists = {name: tuple(row[name]) for name in ("ranked", "cases", "examples", "contrast")}
    cause = row["cause"] and Cause(**{**row["cause"], "box": row["cause"]["box"] and tuple(row["cause"]["box"])})
    return MistakeSlice(**{**row, **lists, "cause": cause, "verdict": None})


def cause_verdict_of(row: CauseRow) -> CauseVerdict:
    """A verdict as it was committed."""
    fields = row["verdict"]
    return CauseVerdict(**{**fields, "cause": Cause(**fields["cause"]), "cases": tuple(fields["cases"])})
