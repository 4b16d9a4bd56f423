"""A paid call: reserve, call, record, retry."""

from ..errors import CallError
from ..records import RawReply
from .circuit_breaker import Clock
from .concurrency import Limit
from .ledger import Ledger, MemoryLedger
from .paid import Calls
from .prices import Price, Prices
from .retry import classify, retry_after
from .threads import sliding

__all__ = [
    "CallError",
    "Calls",
    "Clock",
    "Ledger",
    "Limit",
    "MemoryLedger",
    "Price",
    "Prices",
    "RawReply",
    "classify",
    "retry_after",
    "sliding",
]
