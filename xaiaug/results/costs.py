"""What a run paid, and may have to pay."""

from __future__ import annotations

from ..records import PICO
from ..report.schema import Costs
from ..store import Money, Reader


def costs(reader: Reader) -> Costs:
    """From the ledger of paid calls."""
    spent = Money(reader.ledger, reader.blobs).spending()
    days = [str(price["date"]) for price in spent.prices]
    return Costs(
        usd=spent.settled / PICO,
        calls=spent.replies,
        unanswered=spent.unanswered,
        unknown_usd=spent.open / PICO,
        price_date=max(days, default=None),
    )
