"""What a run's ledger holds: its tables, the names of its stages, and its facts; the rows are in `stage_rows.py`.

No other file spells the name of a stage or of a fact.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import Any, Generic, Self, TypedDict, TypeVar
from urllib.parse import quote, unquote

from ..records.pipeline import StageKind

VERSION = 3
LEDGER = "ledger.sqlite"
# The last column of each table is `row_checksum` of the name of the table and the other columns.
TABLES = """
-- A finished chunk of a stage: JSON rows under a content key.
CREATE TABLE chunks (key TEXT PRIMARY KEY, stage TEXT NOT NULL, rows TEXT NOT NULL, checksum INTEGER NOT NULL);
-- Which chunks make up a stage under the present settings, and how many items they hold.
CREATE TABLE stages (
    name TEXT PRIMARY KEY, keys TEXT NOT NULL, total INTEGER NOT NULL, checksum INTEGER NOT NULL
);
-- JSON values by name, see `Fact`.
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL, checksum INTEGER NOT NULL);
-- Dated prices, as JSON.
CREATE TABLE prices (id INTEGER PRIMARY KEY, price TEXT NOT NULL UNIQUE, checksum INTEGER NOT NULL);
-- Paid calls: worst and cost in picodollars; state is 'open', 'settled' or 'unbilled'; reply names a blob. None is ever
-- deleted: their ids have no gap.
CREATE TABLE calls (
    id INTEGER PRIMARY KEY, key TEXT NOT NULL, price INTEGER NOT NULL REFERENCES prices, at TEXT NOT NULL,
    state TEXT NOT NULL, worst INTEGER NOT NULL, cost INTEGER NOT NULL, usage TEXT, reply TEXT,
    checksum INTEGER NOT NULL
);
CREATE INDEX calls_by_key ON calls (key);
-- Batches of calls: our tag, committed before the request, and the service's name for it.
CREATE TABLE batches (tag TEXT PRIMARY KEY, name TEXT, checksum INTEGER NOT NULL);
CREATE TABLE batched (
    call INTEGER PRIMARY KEY REFERENCES calls, tag TEXT NOT NULL REFERENCES batches, checksum INTEGER NOT NULL
);
-- Files that this run wrote, as they were when their bytes were last hashed: size in bytes, times of modification
-- and of change in nanoseconds, inode, SHA-256.
CREATE TABLE stamps (
    name TEXT PRIMARY KEY, size INTEGER NOT NULL, modified INTEGER NOT NULL, changed INTEGER NOT NULL,
    inode TEXT NOT NULL, digest TEXT NOT NULL, checksum INTEGER NOT NULL
);
"""

# Names of stages --------------------------------------------------------------------------------------------------

_ROUND, _SEED, _TRIED, _VOTE = "round-", "seed-", "tried-", "vote-"
_TEST, _CURVE, _GUIDE, _TRAIN, _JUDGE = "test", "curve", "guide", "train", "judge"
_EARLY, _MISTAKES, _RESERVE, _VALIDATION = "early", "mistakes", "reserve", "validation"


@dataclass(frozen=True)
class StageName:
    """The name of a stage in a run.

    Attributes:
        kind: what it does.
        detail: what distinguishes it from others of its kind; any text.
        part: the part of the run it belongs to, such as "round-1", "seed-3" or "tried-3.16"; empty for the main one.
    """

    kind: StageKind
    detail: tuple[str, ...] = ()
    part: str = ""

    def __str__(self) -> str:
        words = [self.kind, *(quote(word, safe=" +=,.@") for word in self.detail)]
        return "/".join([self.part, *words] if self.part else words)

    @classmethod
    @functools.lru_cache(maxsize=4096)  # a report asks for the stages of a run again and again
    def parse(cls, text: str) -> Self:
        """The name that `str` gave."""
        first, *rest = text.split("/")
        part, first, rest = (
            (first, rest[0], rest[1:]) if first.startswith((_ROUND, _SEED, _TRIED)) else ("", first, rest)
        )
        return cls(StageKind(first), tuple(unquote(word) for word in rest), part)

    def in_part(self, part: str) -> Self:
        """The same stage of another part of the run."""
        return replace(self, part=part)

    @property
    def is_test(self) -> bool:
        """Whether it looks at the test split."""
        return self.kind == StageKind.PREDICT and self.detail[0] in (_TEST, _CURVE)

    @property
    def of_early_round(self) -> bool:
        """Whether it belongs to a round before the last."""
        return self.part.startswith(_ROUND)

    @property
    def is_critique_part(self) -> bool:
        """Whether it criticises slices, or what is in none, or asks once of several times: `critique_stage` has all."""
        return self.kind == StageKind.CRITIQUE and len(self.detail) > 1

    @property
    def is_first_wave(self) -> bool:
        """Whether it makes or checks the images that a source asks for at first."""
        return self.detail[2:] == ("0",)


CASES = StageName(StageKind.CASES)
PREDICT_GUIDE = StageName(StageKind.PREDICT, (_GUIDE,))
PREDICT_TRAIN = StageName(StageKind.PREDICT, (_TRAIN,))
PREDICT_EARLY = StageName(StageKind.PREDICT, (_EARLY,))  # the guide, by early weights of the baseline
EMBED_MISTAKES = StageName(StageKind.EMBED, (_MISTAKES,))
EMBED_RESERVE = StageName(StageKind.EMBED, (_RESERVE,))
PREDICT_JUDGE = StageName(StageKind.PREDICT, (_JUDGE,))
JUDGE = StageName(StageKind.JUDGE)
FAITHFULNESS = StageName(StageKind.FAITHFULNESS)
FAITHFULNESS_SUMMARY = StageName(StageKind.FAITHFULNESS, ("summary",))
EXPLAIN = StageName(StageKind.EXPLAIN)
SLICES = StageName(StageKind.SLICES)
CRITIQUE = StageName(StageKind.CRITIQUE)
CAUSES = StageName(StageKind.CAUSES)
CAUSES_JUDGED = StageName(StageKind.CAUSES, ("judged",))
SLICE_CAUSES_JUDGED = StageName(StageKind.CAUSES, ("slices", "judged"))


def round_part(number: int) -> str:
    """The part of a run that a round before the last is."""
    return f"{_ROUND}{number}"


def seed_part(seed: int) -> str:
    """The part of a run that belongs to a seed with a baseline or critiques of its own."""
    return f"{_SEED}{seed}"


def tried_part(factor: float) -> str:
    """The part of a run that trains arms with a setting that is tried: a factor on the usual one."""
    return f"{_TRIED}{factor:.3g}"


def is_tried_part(part: str) -> bool:
    """Whether a part only tries a setting."""
    return part.startswith(_TRIED)


def is_seed_part(part: str) -> bool:
    """Whether a part belongs to a seed that is not the first."""
    return part.startswith(_SEED)


def explain_stage(cases: str) -> StageName:
    """Explains "mistakes" or other cases."""
    return EXPLAIN if cases == "mistakes" else StageName(StageKind.EXPLAIN, (cases,))


def control_maps_stage(cases: str, heatmaps: str) -> StageName:
    """Draws maps in place of the real ones, "random" or by an "oracle", for "mistakes" or other cases."""
    return StageName(StageKind.CONTROL_MAPS, (f"{cases}-{heatmaps}",))


def critique_stage(cases: str, heatmaps: str) -> StageName:
    """Criticises cases, shown with their own heatmaps ("explained") or others."""
    usual = (cases, heatmaps) == ("mistakes", "explained")
    return CRITIQUE if usual else StageName(StageKind.CRITIQUE, (f"{cases}-{heatmaps}",))


def critique_part_stage(cases: str, heatmaps: str, *parts: str) -> StageName:
    """Criticises a part, which `critique_stage` then has too: "slices", "single" mistakes that are in none, a vote."""
    return StageName(StageKind.CRITIQUE, (cases if heatmaps == "explained" else f"{cases}-{heatmaps}", *parts))


def is_critique_of(stage: StageName, cases: str, heatmaps: str) -> bool:
    """Whether a stage criticises cases with those heatmaps, or a part of them."""
    wholes = critique_stage(cases, heatmaps).detail, critique_part_stage(cases, heatmaps).detail
    return stage.kind == StageKind.CRITIQUE and (stage.detail == wholes[0] or stage.detail[:1] == wholes[1])


def vote_part(number: int) -> str:
    """The name of one of several critiques of the same cases, from 0."""
    return f"{_VOTE}{number}"


def find_vote(stage: StageName) -> int | None:
    """The number of the vote that a stage is part of; None where it is of none."""
    votes = [part for part in stage.detail[1:] if part.startswith(_VOTE)]
    return int(votes[-1].removeprefix(_VOTE)) if votes and stage.kind == StageKind.CRITIQUE else None


def causes_stage(stated_by: str) -> StageName:
    """Tries causes: of a critic that was shown the mistakes' own heatmaps ("explained") or others, or of "slices"."""
    return CAUSES if stated_by == "explained" else StageName(StageKind.CAUSES, (stated_by,))


def causes_judged_stage(stated_by: str) -> StageName:
    """Judges them together."""
    return CAUSES_JUDGED if stated_by == "explained" else StageName(StageKind.CAUSES, (stated_by, "judged"))


def fit_stage(arm: str, seed: int) -> StageName:
    """Trains an arm with one seed."""
    return StageName(StageKind.FIT, (arm, str(seed)))


def predict_validation_stage(arm: str, seed: int) -> StageName:
    """Predicts the validation split with the classifier of an arm and seed, in the part of a setting that is tried."""
    return StageName(StageKind.PREDICT, (_VALIDATION, arm, str(seed)))


def predict_test_stage(arm: str, seed: int) -> StageName:
    """Predicts the test split with the classifier of an arm and seed."""
    return StageName(StageKind.PREDICT, (_TEST, arm, str(seed)))


def predict_mistakes_stage(arm: str, seed: int) -> StageName:
    """Predicts the chosen mistakes with the classifier of an arm and seed."""
    return StageName(StageKind.PREDICT, (_MISTAKES, arm, str(seed)))


def predict_curve_stage(arm: str, seed: int, step: int) -> StageName:
    """Predicts the test split with the classifier of an arm and seed as it was after a step of its training."""
    return StageName(StageKind.PREDICT, (_CURVE, arm, str(seed), str(step)))


@dataclass(frozen=True)
class Wave:
    """Images that one source makes at once with one seed: asked for at first, made again, or topped up.

    Attributes:
        source: name of the source.
        seed: of the repetition.
        number: of the wave, from 0.
        part: of the run.
    """

    source: str
    seed: int
    number: int
    part: str = ""

    def stage(self, kind: StageKind) -> StageName:
        """The stage that makes, checks or reviews these images."""
        return StageName(kind, (self.source, str(self.seed), str(self.number)), self.part)

    def name_work(self, work: str) -> str:
        """What progress calls work on these images, such as "make images again"."""
        return f"{work} again" if self.number else work

    @classmethod
    def of(cls, stage: StageName) -> Self:
        """The wave that a stage makes, checks or reviews."""
        source, seed, number = stage.detail
        return cls(source, int(seed), int(number), stage.part)


# Facts ------------------------------------------------------------------------------------------------------------

Value = TypeVar("Value")


class ImagesFact(TypedDict):
    """The new images of one source and seed that arms train on."""

    name: str  # of the source
    source: dict[str, Any]  # ImageSource as a dict
    asks: bool  # whether a critic wrote for it
    seed: int
    arms: list[str]
    count: dict[str, int]  # images by class name
    used: list[str]  # blobs, in order


class ArmFact(TypedDict):
    """An arm as it was trained."""

    arm: dict[str, Any]  # Arm as a dict
    real: int  # real images
    recipe: dict[str, Any]  # Recipe as a dict
    used: dict[str, int]  # LabelsUsed as a dict
    advice: str  # what to do to get what the arm got
    control: bool  # whether it is no remedy
    added_share: float  # of the passes, by images added to the training images
    ratio_limit: float | None  # most added images for each real one, where that keeps some out
    ratio_warning: str  # that its own ratio is beyond what is known to be safe; empty if not


class SessionFact(TypedDict):
    """One session, from the start of a command to its end."""

    started: str  # ISO 8601
    ended: str
    seconds: float
    state: str  # "finished", "stopped" or "waiting for review"


class LeftOutFact(TypedDict):
    """An arm that was not trained, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class Fact(Generic[Value]):
    """A JSON value that a run keeps about itself.

    Attributes:
        name: in the ledger.
        outcome: whether it is what a stage came to: forgotten when a session begins, until the stage comes to it again.
    """

    name: str
    outcome: bool = False


FORMAT: Fact[int] = Fact("version")
BEGUN: Fact[list[str]] = Fact("begun")  # the stages that the newest session came to, in order
SPEEDS: Fact[dict[str, list[float]]] = Fact("speeds")  # units and seconds of each kind of stage
SPENT: Fact[dict[str, int]] = Fact("spent")  # picodollars that were paid while a stage was at work, by its name
SESSIONS: Fact[list[SessionFact]] = Fact("sessions")
UNTIL: Fact[str] = Fact("until")  # the stop that was asked for
REACHED: Fact[str | None] = Fact("reached")  # the stop that was reached; None while the run is under way
SETTINGS: Fact[dict[str, Any]] = Fact("settings")  # as run.toml has them
SNAPSHOT: Fact[dict[str, Any]] = Fact("snapshot")  # settings, identities of plugins and digest of the data, compared
COMPARISON: Fact[dict[str, Any]] = Fact("comparison")  # primary, metric, smallest_effect, vary: named before training
PLUGINS: Fact[dict[str, Any]] = Fact("plugins")  # name, class, version and parameters by kind
DATA: Fact[dict[str, Any]] = Fact("data")  # what the check of the images came to
UNCLAIMED: Fact[list[str]] = Fact("unclaimed")  # replies whose calls are open: killed between file and commit
TEST_SEEN: Fact[int] = Fact("test_seen")  # how often test was looked at with earlier settings
TESTED: Fact[dict[str, Any]] = Fact("tested")  # of the newest look at test: its snapshot, and items without an answer
MISTAKES: Fact[list[tuple[int, int, int]]] = Fact("mistakes", outcome=True)  # true class, predicted class, how many
HELD: Fact[list[str]] = Fact("held", outcome=True)  # ids of mistakes whose label looks wrong
ROUNDS: Fact[list[int]] = Fact("rounds", outcome=True)  # mistakes of each round before the last
JUDGED_BY: Fact[dict[str, Any]] = Fact("judge", outcome=True)
REVIEWED: Fact[dict[str, int]] = Fact("review", outcome=True)
IMAGES: Fact[list[ImagesFact]] = Fact("images", outcome=True)
ARMS: Fact[list[ArmFact]] = Fact("arms", outcome=True)
LEFT_OUT: Fact[list[LeftOutFact]] = Fact("left_out", outcome=True)
OUTCOMES: tuple[Fact[Any], ...] = (MISTAKES, HELD, ROUNDS, JUDGED_BY, REVIEWED, IMAGES, ARMS, LEFT_OUT)
