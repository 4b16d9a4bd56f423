"""Paid calls: budget, ledger, concurrency limit, retries, batches."""

from ..errors import CallError
from ..records import RawReply
from .circuit_breaker import Clock
from .concurrency import ConcurrencyLimit
from .ledger import Ledger, MemoryLedger
from .paid import Calls
from .prices import Price, Prices
from .retry import classify, retry_after
from .threads import abandon, imap_unordered

__all__ = [
    "CallError",
    "Calls",
    "Clock",
    "ConcurrencyLimit",
    "Ledger",
    "MemoryLedger",
    "Price",
    "Prices",
    "RawReply",
    "abandon",
    "classify",
    "imap_unordered",
    "retry_after",
]
