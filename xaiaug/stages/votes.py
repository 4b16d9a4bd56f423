"""Several critiques of the same cases, of one critic asked more than once or of several: the majority decides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from ..causes import name_stated_cause
from ..interfaces import Critic
from ..store.stage_rows import CritiqueRow, VoteRow, critique_of, failure_of
from .chunks import Item, Stage, complete
from .critique import CritiqueOptions
from .lazy import Lazy
from .predict import CHUNK
from .runtime import StageRuntime


@dataclass(frozen=True)
class Voter:
    """One of several askings of the same cases.

    Attributes:
        critic: that is asked, not yet prepared.
        name: what the settings call it.
        sample: how often it was asked before.
    """

    critic: Critic
    name: str
    sample: int = 0


def list_voters(critics: Sequence[tuple[str, Critic]], samples: int) -> tuple[Voter, ...]:
    """Each critic so many times, the first critic first."""
    return tuple(Voter(critic, name, sample) for name, critic in critics for sample in range(samples))


def collect_votes(
    runtime: StageRuntime,
    voters: Sequence[Voter],
    options: CritiqueOptions,
    ask: Callable[[Critic, CritiqueOptions], Sequence[CritiqueRow]],
) -> Sequence[CritiqueRow]:
    """The row of one critique a case: with one voter its own, else that of the majority.

    Args:
        runtime: where they are kept.
        voters: at least one.
        options: how the critics are asked.
        ask: has one critic asked about all cases.
    """
    if len(voters) == 1:
        return ask(voters[0].critic, options)
    ballots = [
        ask(voter.critic, replace(options, sample=voter.sample, vote=number)) for number, voter in enumerate(voters)
    ]
    elected = Lazy(len(ballots[0]), lambda i: elect(voters, [rows[i] for rows in ballots]))
    # It takes no time: what it does must not count as a critic's speed.
    stage = Stage(options.whole_stage, "count votes", None, CHUNK, effort=0)
    items = Lazy(len(elected), lambda i: Item(*[elected[i]] * 2))
    rows: Sequence[CritiqueRow] = complete(runtime, stage, items, list)
    return rows


def elect(voters: Sequence[Voter], rows: Sequence[CritiqueRow]) -> CritiqueRow:
    """The row of the first critique that states the cause most of them state; of equally frequent ones, the earliest.

    The label is suspect where more than half of the critiques say so. Where there is no critique the row is of the
    first failure, of those that may pass if there are any.

    Args:
        voters: whose critiques they are.
        rows: of one case, in the order of the voters.
    """
    votes = [_to_vote(voter, row) for voter, row in zip(voters, rows, strict=True)]
    given = [place for place, vote in enumerate(votes) if "cause" in vote]
    if not given:
        passing = [row for row in rows if (failure := failure_of(row)) is not None and failure.is_passing]
        return cast(CritiqueRow, {**(passing or rows)[0], "votes": votes})
    counts = Counter(votes[place]["cause"] for place in given)  # in order of their first vote, as ties are decided
    winner = max(counts, key=counts.__getitem__)
    chosen = rows[next(place for place in given if votes[place]["cause"] == winner)]
    suspects = sum(bool(rows[place]["critique"].get("label_suspect")) for place in given)
    critique = {**chosen["critique"], "label_suspect": 2 * suspects > len(given)}
    return cast(CritiqueRow, {**chosen, "critique": critique, "votes": votes})


def _to_vote(voter: Voter, row: CritiqueRow) -> VoteRow:
    vote: dict[str, Any] = {"critic": voter.name, "sample": voter.sample}
    if "failure" in row:
        return cast(VoteRow, {**vote, "failure": row["failure"]})
    cause = name_stated_cause(critique_of(row))  # type: ignore[arg-type]  # it is no failure
    return cast(VoteRow, {**vote, "stated": row["critique"]["cause"], "cause": cause})
