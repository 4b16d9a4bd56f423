"""The run folder: ledger and blobs; the only room that writes a run."""

from .blobs import Blob, BlobFile
from .call_ledger import Money
from .keys import digest, seed_of
from .models import ModelFolder
from .reader import LEDGER, SPEEDS, Reader, parted
from .store import Store

__all__ = [
    "LEDGER",
    "SPEEDS",
    "Blob",
    "BlobFile",
    "ModelFolder",
    "Money",
    "Reader",
    "Store",
    "digest",
    "parted",
    "seed_of",
]
