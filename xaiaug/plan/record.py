"""The plan of a run as a record."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ..records.estimate import ZERO, Range, add_optional, add_ranges


@dataclass(frozen=True)
class Line:
    """What one part of a run takes. Each range is (low, high); None where it is not known.

    Attributes:
        name: of the part: what comes before the arms, an earlier round, or an arm.
        cases: mistakes (or other guide images, or slices) that the critic is asked about.
        calls: calls to outside services.
        input_tokens: tokens those are sent.
        output_tokens: tokens they answer with.
        usd: dollars.
        images: new images to make, those that are made again included.
        trainings: trainings.
        hours: on this machine.
        disk_bytes: bytes in the run folder.
        upload_bytes: bytes that leave the machine.
        shares: the earlier part whose images or critiques it shares; empty where it shares none.
    """

    name: str
    cases: Range = ZERO
    calls: Range = ZERO
    input_tokens: Range = ZERO
    output_tokens: Range = ZERO
    usd: Range | None = ZERO
    images: Range = ZERO
    trainings: Range = ZERO
    hours: Range | None = ZERO
    disk_bytes: Range | None = ZERO
    upload_bytes: Range = ZERO
    shares: str = ""


SUMMED = ("cases", "calls", "input_tokens", "output_tokens", "images", "trainings", "upload_bytes")
PERHAPS_UNKNOWN = ("usd", "hours", "disk_bytes")


def add_lines(name: str, lines: Sequence[Line]) -> Line:
    """The sum of some lines."""
    fields: dict[str, Any] = {field: add_ranges(getattr(line, field) for line in lines) for field in SUMMED}
    fields |= {field: add_optional(getattr(line, field) for line in lines) for field in PERHAPS_UNKNOWN}
    return Line(name, **fields)


@dataclass(frozen=True)
class Receiver:
    """Who gets something that leaves the machine.

    Attributes:
        kind: of the plugin that sends it.
        name: of that plugin.
        receiver: who gets it, such as "api.anthropic.com".
        what: what is sent, in words.
        upload_bytes: how much.
    """

    kind: str
    name: str
    receiver: str
    what: str
    upload_bytes: Range


def describe_workers(counts: Mapping[str, int]) -> str:
    """How many workers there are, such as "4 workers (synthesizer: 2)"; empty where there is one of every kind.

    Args:
        counts: by kind of work.
    """
    if max(counts.values(), default=1) == 1:
        return ""
    ((usual, _),) = Counter(counts.values()).most_common(1)
    others = ", ".join(f"{kind}: {count}" for kind, count in counts.items() if count != usual)
    return f"{usual} worker{'s' * (usual > 1)}" + (f" ({others})" if others else "")


@dataclass(frozen=True)
class Plan:
    """What a run will take, as far as it can be estimated.

    Attributes:
        until: the stage it stops after.
        mistakes: mistakes that steer the synthesis.
        mistakes_known: whether the run folder knows them; otherwise they follow from an assumed error rate.
        lines: the parts, in order.
        workers: pieces of work that are done at once, by kind of work, as `[engine]` says; one of those left out.
        stage_hours: hours with so many workers by kind of stage; None where a speed is not known.
        further: what one more seed, image a mistake and round would add.
        saved: what a critic that is asked once a slice saves; None where it is not, or no slices are known.
        agreement: what asking more than once about each mistake adds; None where each is asked about once.
        left_out: arms that cannot be run, with the reason.
        receivers: who gets what leaves the machine.
        licences: of weights, by plugin.
        prices: the dated price of each model, JSON-plain.
        obstacles: what keeps the run from starting, each with what to do.
        assumptions: what the figures rest on.
        budget_usd: most the run may spend.
        paid_calls: calls that the run folder has paid for already.
        paid_usd: what they cost, those without a reply included.
        finished: whether the run folder has all of it already.
    """

    until: str
    mistakes: Range
    mistakes_known: bool
    lines: tuple[Line, ...]
    workers: Mapping[str, int] = field(default_factory=dict)
    stage_hours: Mapping[str, Range | None] = field(default_factory=dict)
    further: tuple[Line, ...] = ()
    saved: Line | None = None
    agreement: Line | None = None
    left_out: Mapping[str, str] | None = None
    receivers: tuple[Receiver, ...] = ()
    licences: Mapping[str, str] | None = None
    prices: tuple[Mapping[str, Any], ...] = ()
    obstacles: tuple[str, ...] = ()
    assumptions: tuple[str, ...] = ()
    budget_usd: float | None = None
    paid_calls: int = 0
    paid_usd: float = 0.0
    finished: bool = False

    @property
    def total(self) -> Line:
        """The sum of the lines."""
        return add_lines("in sum", self.lines)

    @property
    def described_workers(self) -> str:
        """As of `describe_workers`."""
        return describe_workers(self.workers)

    @property
    def usd_left(self) -> Range | None:
        """Dollars still to be paid; None where it is not known."""
        usd = self.total.usd
        if self.finished:
            return ZERO
        return None if usd is None else (max(0.0, usd[0] - self.paid_usd), max(0.0, usd[1] - self.paid_usd))

    def to_json(self) -> dict[str, Any]:
        """JSON-plain, the sum included."""
        return {**asdict(self), "total": asdict(self.total), "usd_left": self.usd_left}
