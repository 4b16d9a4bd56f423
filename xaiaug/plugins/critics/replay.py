"""The critic that repeats what an earlier run's critic said, without key or network."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...calls import CallError
from ...errors import RunFolderError
from ...interfaces import Context, Critic
from ...records import JSON, BatchClient, BatchedCall, Case, Critique, Failure, RawReply
from ...store import Blob, Reader
from ...store.blobs import Blobs
from ._by_name import KNOWN, critic_from
from ._remote_critic import RemoteCritic

PAID = ("claude", "openai")  # critics whose replies are recorded before they are read


class ReplayCritic(Critic):
    """Reads the recorded replies of a paid critic again, so that a new parser or prompt check costs nothing.

    Where the replies of a case cannot be used it repeats the critique that the run committed, and so it does for every
    critic that paid for nothing.

    Args:
        run: the folder of that run.
    """

    def __init__(self, run: str) -> None:
        self.run = run

    def check(self) -> None:
        """Raises RunFolderError when there is no run in that folder."""
        Reader(Path(self.run).expanduser()).close()

    def prepare(self, context: Context) -> None:
        """Looks up what is recorded, and makes the critic that read it."""
        reader = Reader(Path(self.run).expanduser())
        try:
            self._rows = _committed(reader)
            recorded = Recorded(_replies(reader), reader.blobs, self.run)
            self._reading = _critic_of(reader)
        finally:
            reader.close()
        if self._reading is not None:
            asked = Context(context.labels, None, recorded, context.count_tokens, context.token_limit, context.device)
            self._reading.ready(asked)
            self.layout, self.side = self._reading.layout, self._reading.side

    def critique(self, cases: Sequence[Case]) -> list[Critique | Failure]:
        """One critique a case, in order."""
        return [self._one(case) for case in cases]

    def _one(self, case: Case) -> Critique | Failure:
        made = self._reading.critique([case])[0] if self._reading is not None else None
        if made is None or (isinstance(made, Failure) and made.kind in ("call failed", "refusal")):
            return self._repeated(case) or made or self._unknown(case)
        return made

    def _repeated(self, case: Case) -> Critique | Failure | None:
        """What the run committed; where it judged a case more than once, with different maps, by the panel."""
        rows = self._rows.get(case.id, [])
        if len(rows) > 1:
            drawn = Blob.image(case.panel).name
            rows = [row for row in rows if row["panel"] == drawn]
        return _made(rows[0]) if rows else None

    def _unknown(self, case: Case) -> Failure:
        return Failure("not recorded", f"the run in {self.run} says nothing about the case {case.id}")


class Recorded:
    """Answers calls with what is recorded, and sends nothing; satisfies `PaidCalls`.

    A question whose words or pixels differ a little (another version drew the panel) finds the only reply that the
    same case got at the same place of the dialogue.

    Args:
        replies: blob and usage of each settled call, by its key.
        blobs: where the raw replies lie.
        run: the folder's name, for messages.
    """

    def __init__(self, replies: Mapping[str, tuple[str, dict[str, int]]], blobs: Blobs, run: str) -> None:
        self._replies, self._blobs, self._run = replies, blobs, run
        self._about: dict[str, list[str]] = defaultdict(list)
        for key in replies:
            self._about[key.rpartition(":")[0]].append(key)

    def call(self, key: str, request: Mapping[str, JSON], *, worst_case_usd: float, send: Any) -> RawReply:  # noqa: ARG002
        """The recorded reply; raises CallError where there is none."""
        alike = self._about.get(key.rpartition(":")[0], [])
        found = key if key in self._replies else (alike[0] if len(alike) == 1 else None)
        if found is None:
            raise CallError("item", f"the run in {self._run} has no reply to this question")
        blob, usage = self._replies[found]
        try:
            return RawReply(json.loads(self._blobs.read(blob)), usage)
        except (RunFolderError, ValueError) as error:
            raise CallError("item", f"a reply recorded in {self._run} is lost: {error}") from error

    def batch(self, calls: Sequence[BatchedCall], courier: BatchClient) -> list[RawReply | CallError]:
        """The recorded replies, and errors where there are none."""
        made: list[RawReply | CallError] = []
        for call in calls:
            try:
                made.append(self.call(call.key, call.request, worst_case_usd=0, send=courier))
            except CallError as error:
                made.append(error)
        return made

    def worst_case_usd(self, model: str, usage: Mapping[str, int]) -> float:  # noqa: ARG002
        """Nothing costs anything."""
        return 0.0

    def reject(self, key: str, reason: str) -> None:
        """Does nothing: however many replies are of no use, none is paid for."""


def _replies(reader: Reader) -> dict[str, tuple[str, dict[str, int]]]:
    sql = "SELECT key, reply, usage FROM calls WHERE state = 'settled' AND reply IS NOT NULL ORDER BY id DESC"
    return {key: (reply, json.loads(usage)) for key, reply, usage in reader.ledger.select(sql)}  # the first one stands


def _committed(reader: Reader) -> dict[str, list[Any]]:
    """The rows of all critique stages, by case; equal ones once."""
    rows: dict[str, list[Any]] = defaultdict(list)
    for stage in reader.stages():
        if "critique" in stage.split("/"):
            for row in reader.rows(stage):
                if row not in rows[row["id"]]:
                    rows[row["id"]].append(row)
    return rows


def _critic_of(reader: Reader) -> RemoteCritic | None:
    """The paid critic of the run, not prepared; None where its critic was another."""
    told = (reader.fact("plugins") or {}).get("critic") or {}
    ours = {f"{__package__}.{KNOWN[name].replace(':', '.')}": name for name in PAID}
    name = ours.get(str(told.get("implementation")))
    if name is None:
        return None
    made = critic_from({"name": name, **told["parameters"]})
    return made if isinstance(made, RemoteCritic) else None


def _made(row: Any) -> Critique | Failure:
    if "failure" in row:
        return Failure(**row["failure"])
    return Critique(**{**row["critique"], "evidence": tuple(row["critique"]["evidence"])})
