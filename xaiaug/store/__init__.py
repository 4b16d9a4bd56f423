"""The run folder: ledger and blobs; the only room that writes a run."""

from .blobs import Blob, BlobFile
from .keys import digest, seed_of
from .models import ModelFolder
from .money import Money
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
