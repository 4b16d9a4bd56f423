"""The critic that reads the recorded replies of an earlier run, without key or network."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...calls import CallError
from ...errors import RunFolderError
from ...interfaces import Context, Critic
from ...records import JSON, BatchClient, BatchedCall, Case, Critique, Failure, RawReply
from ...records.pipeline import StageKind
from ...store import Blob, CallLedger, Reader
from ...store.blobs import Blobs
from ...store.schema import PLUGINS, find_vote
from ...store.stage_rows import critique_of
from ._by_name import KNOWN, make_critic
from ._remote_critic import RemoteCritic

# Critics whose replies are recorded before they are parsed.
PAID = ("claude", "openai", "gemini", "openrouter", "azure", "ollama", "vllm", "lmstudio")


class ReplayCritic(Critic):
    """Parses the recorded replies of a paid critic again, so that a new parser or prompt check costs nothing.

    For a case without usable replies, and for any other critic, it repeats the critique that the run committed.

    Args:
        run: the folder of that run.
    """

    reads_sheets = True

    def __init__(self, run: str) -> None:
        self.run = run

    def check(self) -> None:
        """Raises RunFolderError if there is no run in that folder."""
        Reader(Path(self.run).expanduser()).close()

    def prepare(self, context: Context) -> None:
        """Reads what the run recorded, and makes the critic that parses its replies."""
        reader = Reader(Path(self.run).expanduser())
        try:
            self._rows = _critique_rows(reader)
            recorded = RecordedCalls(CallLedger(reader.ledger, reader.blobs).replies(), reader.blobs, self.run)
            self._paid_critic = _paid_critic(reader)
        finally:
            reader.close()
        if self._paid_critic is not None:
            self._paid_critic.prepare_offline(replace(context, train=None, paid=recorded))
            self.layout, self.side = self._paid_critic.layout, self._paid_critic.side
            self.reference_images = self._paid_critic.reference_images

    def critique(self, cases: Sequence[Case]) -> list[Critique | Failure]:
        """One critique a case, in order."""
        return [self._critique_one(case) for case in cases]

    def _critique_one(self, case: Case) -> Critique | Failure:
        if any("votes" in row for row in self._rows.get(case.id, [])):
            return self._committed_critique(case) or _fail_unrecorded(self.run, case)  # of the majority
        critique = self._paid_critic.critique([case])[0] if self._paid_critic is not None else None
        if critique is None or (isinstance(critique, Failure) and critique.kind in ("call failed", "refusal")):
            return self._committed_critique(case) or critique or _fail_unrecorded(self.run, case)
        return critique

    def _committed_critique(self, case: Case) -> Critique | Failure | None:
        """The critique that the run committed; if there are several, with different heatmaps, that of this panel."""
        rows = self._rows.get(case.id, [])
        if len(rows) > 1:
            panel = Blob.image(case.panel).name
            rows = [row for row in rows if row["panel"] == panel]
        return critique_of(rows[0]) if rows else None


def _fail_unrecorded(run: str, case: Case) -> Failure:
    return Failure("not recorded", f"the run in {run} has no critique of the case {case.id}")


class RecordedCalls:
    """Answers calls from the record of a run, and sends nothing; satisfies `PaidCalls`.

    If there is no reply to the exact question (another version may draw the panel a little differently), it returns the
    only reply about the same case at the same point of the dialogue.

    Args:
        replies: blob and usage of each reply, by the key of the call.
        blobs: with the raw replies.
        run: the folder's name, for messages.
    """

    def __init__(self, replies: Mapping[str, tuple[str, dict[str, int]]], blobs: Blobs, run: str) -> None:
        self._replies, self._blobs, self._run = replies, blobs, run
        self._keys: dict[str, list[str]] = defaultdict(list)
        for key in replies:
            self._keys[key.rpartition(":")[0]].append(key)

    def call(self, key: str, request: Mapping[str, JSON], *, worst_case_usd: float, send: Any) -> RawReply:  # noqa: ARG002
        """The recorded reply; raises CallError if there is none."""
        similar = self._keys.get(key.rpartition(":")[0], [])
        recorded = key if key in self._replies else (similar[0] if len(similar) == 1 else None)
        if recorded is None:
            raise CallError("item", f"the run in {self._run} has no reply to this question")
        blob, usage = self._replies[recorded]
        try:
            return RawReply(self._blobs.json(blob), usage)
        except RunFolderError as error:
            raise CallError("item", f"a reply recorded in {self._run} cannot be read: {error}") from error

    def batch(self, calls: Sequence[BatchedCall], batch_client: BatchClient) -> list[RawReply | CallError]:
        """The recorded reply to each call, or an error if there is none."""
        replies: list[RawReply | CallError] = []
        for call in calls:
            try:
                replies.append(self.call(call.key, call.request, worst_case_usd=0, send=batch_client))
            except CallError as error:
                replies.append(error)
        return replies

    def worst_case_usd(self, model: str, usage: Mapping[str, int]) -> float:  # noqa: ARG002
        """Zero: nothing is sent."""
        return 0.0

    def reject(self, key: str, reason: str) -> None:
        """Does nothing: unusable replies cost nothing here."""


def _critique_rows(reader: Reader) -> dict[str, list[Any]]:
    """The distinct rows of all critique stages, by case."""
    rows: dict[str, list[Any]] = defaultdict(list)
    for stage in reader.stages():
        if stage.kind == StageKind.CRITIQUE and find_vote(stage) is None:
            for row in reader.rows(stage):
                if row not in rows[row["id"]]:
                    rows[row["id"]].append(row)
    return rows


def _paid_critic(reader: Reader) -> RemoteCritic | None:
    """The paid critic of the run, not prepared; None if the run had another critic."""
    recorded = (reader.get_fact(PLUGINS) or {}).get("critic") or {}
    names = {f"{__package__}.{KNOWN[name].replace(':', '.')}": name for name in PAID}
    name = names.get(str(recorded.get("implementation")))
    if name is None:
        return None
    critic = make_critic({"name": name, **recorded["parameters"]})
    return critic if isinstance(critic, RemoteCritic) else None
