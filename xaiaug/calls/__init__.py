"""A paid call: reserve, call, record, retry."""

from ..errors import CallError
from ..records import RawReply
from .clock import Clock
from .failures import classify, retry_after
from .ledger import Ledger
from .limit import Limit
from .memory import MemoryLedger
from .paid import Calls
from .price import Price
from .prices import Prices
from .window import sliding

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
