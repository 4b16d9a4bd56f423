"""Every paid call of a run: intents, raw replies, costs and dated prices."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

from ..errors import RunFolderError
from ..records import JSON, UNKNOWN_USAGE, ModelSpending, OpenBatch, OpenCall, RawReply, Spending
from .blobs import Blob, Blobs
from .group_commit import GroupCommit
from .row_checksums import insert, is_sound, seal
from .run_ledger import RunLedger

_INTEND = (
    "INSERT INTO calls (key, price, worst, state, cost, at, checksum) "
    "SELECT ?, id, ?, 'open', 0, strftime('%Y-%m-%dT%H:%M:%SZ', 'now'), 0 FROM prices WHERE price = ?"
)
# By price and state; the bare columns are those of the call with the largest ratio of cost to worst case.
_TOTALS = (
    "SELECT price, state, count(*), sum(worst), sum(cost), sum(max(cost - worst, 0)), "  # noqa: S608
    "total(usage IS :unknown), sum(CASE WHEN usage IS :unknown THEN cost ELSE 0 END), cost, worst, "
    f"max(CASE WHEN worst THEN cost * 1.0 / worst ELSE 0 END), total({is_sound('calls')}) "
    "FROM calls GROUP BY price, state"
)
_BATCHES = (
    f"SELECT {is_sound('batches')} AND {is_sound('calls')} AND {is_sound('prices')}, "  # noqa: S608
    "batches.tag, batches.name, calls.id, calls.key, prices.price, calls.worst FROM batched "
    "JOIN batches USING (tag) JOIN calls ON calls.id = batched.call JOIN prices ON prices.id = calls.price "
    "WHERE calls.state = 'open' ORDER BY calls.id"
)


class CallLedger:
    """The ledger of paid calls in a run folder; each method has committed when it returns.

    A call is "open" from its intent until its reply is there ("settled") or the service turned it down
    ("unbilled"). One that stays open was cut off or killed in flight: what it cost is not known.

    Args:
        ledger: of the run; several threads may use it through here.
        blobs: of the run; raw replies lie there.
    """

    def __init__(self, ledger: RunLedger, blobs: Blobs) -> None:
        self._ledger, self._blobs = ledger, blobs
        self._prices: set[str] = set()
        self._group = GroupCommit(ledger.changing)  # many calls end at once, and each commit waits for the disk

    def spending(self) -> Spending:
        """What was paid and may have to be paid, in picodollars."""
        found = self._ledger.read("prices", ("id", "price"), "ORDER BY id")
        prices = {number: self._ledger.parse(price) for number, price in found}
        counts: Counter[str] = Counter()
        settled = assumed = 0
        models: dict[str, ModelSpending] = {}
        for number, state, count, worst, cost, over, *rest in self._ledger.select(
            _TOTALS, {"unknown": _plain(UNKNOWN_USAGE)}
        ):
            unreported, unsure, highest_cost, highest_worst, _, sound = rest
            self._ledger.refuse_damaged("calls", [sound == count, number in prices])
            counts[state] += count
            counts["unreported"] += int(unreported)
            assumed += unsure
            model = str(prices[number]["model"])
            one = models.get(model, ModelSpending(model))
            if state == "settled":
                settled += cost
                ratio = max(one.ratio, Fraction(highest_cost, highest_worst or highest_cost or 1))
                one = replace(one, replies=one.replies + count, over=one.over + over, ratio=ratio)
            elif state == "open":
                one = replace(one, stated=one.stated + worst)
            models[model] = one
        return Spending(
            settled=settled,
            assumed=assumed,
            open=sum(one.open for one in models.values()),
            replies=counts["settled"],
            unreported=counts["unreported"],
            unanswered=counts["open"],
            unbilled=counts["unbilled"],
            prices=tuple(prices.values()),
            models=tuple(models[model] for model in sorted(models)),
        )

    def reply(self, key: str) -> RawReply | None:
        """The first reply recorded under a key whose blob is intact; None where there is none."""
        found = self._ledger.read(
            "calls", ("reply", "usage"), "WHERE key = ? AND state = 'settled' ORDER BY id", (key,)
        )
        for name, usage in found:
            try:
                return RawReply(self._blobs.json(name), json.loads(usage))
            except RunFolderError:
                continue  # it was paid and stays in the sum; only its text is lost
        return None

    def replies(self) -> dict[str, tuple[str, dict[str, int]]]:
        """The first reply recorded under each key: the name of its blob, and its usage."""
        rest = "WHERE state = 'settled' AND reply IS NOT NULL ORDER BY id DESC"
        found = self._ledger.read("calls", ("key", "reply", "usage"), rest)
        return {key: (blob, self._ledger.parse(usage)) for key, blob, usage in found}  # the first stands

    def intend(self, key: str, price: Mapping[str, JSON], worst: int) -> int:
        """A call is about to be sent: its price and its stated worst case; returns the intent's number."""
        row = (key, worst, self._keep_price(price))
        return self._group.run(lambda connection: _add_call(connection, row))

    def intend_batch(self, tag: str, calls: Sequence[OpenCall]) -> list[int]:
        """A batch is about to be sent: its calls, all or none; returns the intents' numbers."""
        rows = [(call.key, call.worst, self._keep_price(call.price)) for call in calls]
        with self._ledger.changing() as connection:
            connection.execute(insert("batches"), (tag, None))
            intents = [_add_call(connection, row) for row in rows]
            connection.executemany(insert("batched"), [(intent, tag) for intent in intents])
        return intents

    def name_batch(self, tag: str, name: str) -> None:
        """The service's name for a batch."""
        self._ledger.write(insert("batches", "REPLACE"), (tag, name))

    def open_batches(self) -> list[OpenBatch]:
        """The batches in which calls are open, the oldest first."""
        found: dict[tuple[str, str | None], dict[int, OpenCall]] = defaultdict(dict)
        self._ledger.read("batched", ("call",))  # a damaged row would join nothing
        for sound, tag, name, intent, key, price, worst in self._ledger.select(_BATCHES):
            self._ledger.refuse_damaged("calls", [sound])
            found[tag, name][intent] = OpenCall(key, self._ledger.parse(price), worst)
        return [OpenBatch(tag, name, calls) for (tag, name), calls in found.items()]

    def abandon_batch(self, tag: str) -> None:
        """A batch will never be answered: its open calls stay open, and may be sent again."""
        self._ledger.write("DELETE FROM batched WHERE tag = ?", (tag,))

    def _keep_price(self, price: Mapping[str, JSON]) -> str:
        """The price as the ledger knows it by."""
        text = _plain(price)
        if text not in self._prices:
            with self._ledger.changing() as connection:
                connection.execute("INSERT OR IGNORE INTO prices (price, checksum) VALUES (?, 0)", (text,))
                connection.execute(seal("prices", "price = ? AND checksum = 0"), (text,))
            self._prices.add(text)
        return text

    def settle(self, intent: int, reply: RawReply, cost: int) -> None:
        """The reply to an intent, as received, and its cost in picodollars."""
        name = self._blobs.put(Blob(_plain(reply.body).encode(), ".json"), dear=True)
        self._change_call(
            intent, "state = 'settled', cost = ?, usage = ?, reply = ?", (cost, _plain(reply.usage), name)
        )

    def release(self, intent: int) -> None:
        """The service turned an intent down without billing it."""
        self._change_call(intent, "state = 'unbilled'", ())

    def _change_call(self, intent: int, changes: str, values: Sequence[Any]) -> None:
        def change(connection: sqlite3.Connection) -> None:
            sql = f"UPDATE calls SET {changes} WHERE id = ? AND {is_sound('calls')}"  # noqa: S608
            # A row that was damaged meanwhile must not get a new checksum.
            self._ledger.refuse_damaged("calls", [connection.execute(sql, (*values, intent)).rowcount])
            connection.execute(seal("calls", "id = ?"), (intent,))

        self._group.run(change)

    def blobs(self) -> set[str]:
        """Names of all raw replies: they were paid for, and stay whatever the settings."""
        return {name for (name,) in self._ledger.read("calls", ("reply",), "WHERE reply IS NOT NULL")}


def _add_call(connection: sqlite3.Connection, row: Sequence[Any]) -> int:
    intent = connection.execute(_INTEND, row).lastrowid or 0
    connection.execute(seal("calls", "id = ?"), (intent,))
    return intent


def _plain(value: Mapping[str, Any]) -> str:
    return json.dumps(dict(value), sort_keys=True, separators=(",", ":"))
