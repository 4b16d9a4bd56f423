"""How far several critiques of the same mistakes agree, and what the further ones cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ..records import NOT_ASKED, PICO
from ..report.schema_agreement import Agreement
from ..report.schema_report import AgreementCost
from ..statistics import fleiss_kappa
from ..store import Reader
from ..store.schema import CRITIQUE, SPENT, StageName, find_vote
from ..store.stage_rows import VoteRow


def measure_agreement(reader: Reader) -> Agreement | None:
    """How far the critiques of the reported mistakes agree; None where each mistake has one."""
    ballots: list[Sequence[VoteRow]] = [row["votes"] for row in reader.rows(CRITIQUE) if "votes" in row]
    if not ballots:
        return None
    causes = [[vote["cause"] for vote in votes if "cause" in vote] for votes in ballots]
    compared = [stated for stated in causes if len(stated) > 1]
    most = [(max(Counter(stated).values()), len(stated)) for stated in compared]
    unanimous = sum(count == size for count, size in most)
    majority = sum(2 * count > size for count, size in most) - unanimous
    kappa = fleiss_kappa(causes)
    samples = 1 + max(vote["sample"] for votes in ballots for vote in votes)
    return Agreement(
        critics=tuple(vote["critic"] for vote in ballots[0] if vote["sample"] == 0),
        samples=samples,
        cases=len(compared),
        unanimous=unanimous,
        majority=majority,
        divided=len(compared) - unanimous - majority,
        failed=sum(_has_failed(vote) for votes in ballots for vote in votes),
        kappa=kappa.value,
        low=kappa.low,
        high=kappa.high,
        observed=kappa.observed,
    )


def price_agreement(reader: Reader) -> AgreementCost | None:
    """What asking more than once took, over all sources and seeds; None where each mistake was asked about once."""
    votes = {name: total for name, (_, total) in reader.stages().items() if find_vote(name) is not None}
    if not votes:
        return None
    spent = reader.get_fact(SPENT) or {}
    usd = sum(amount for name, amount in spent.items() if find_vote(StageName.parse(name))) / PICO
    return AgreementCost(critiques=sum(total for name, total in votes.items() if find_vote(name)), usd=usd)


def _has_failed(vote: VoteRow) -> bool:
    """Whether a critic was asked, and gave no critique."""
    return "failure" in vote and vote["failure"]["kind"] != NOT_ASKED


def list_votes(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The votes of a row of critiques, as the report has them."""
    return [
        {**vote, "failure": vote["failure"]["kind"]} if "failure" in vote else dict(vote)
        for vote in row.get("votes", ())
    ]
