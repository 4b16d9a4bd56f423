"""The run folder: ledger and blobs; the only room that writes a run."""

from .blobs import Blob, BlobFile
from .call_ledger import CallLedger
from .models import ModelFolder
from .reader import LEDGER, SPEEDS, Reader, parse_stage
from .store import Store

__all__ = [
    "LEDGER",
    "SPEEDS",
    "Blob",
    "BlobFile",
    "CallLedger",
    "ModelFolder",
    "Reader",
    "Store",
    "parse_stage",
]
