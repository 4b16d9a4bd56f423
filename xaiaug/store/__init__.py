"""The run folder: ledger and blobs; the only room that writes a run."""

from .blobs import Blob, BlobFile, KeptBlob
from .call_ledger import CallLedger
from .models import ModelFolder
from .reader import Reader, blame_run_folder, open_reader
from .run_files import to_run_folder
from .schema import LEDGER, Fact, StageName
from .source_files import SourceFile, read_source_files
from .store import Store
from .unfinished import UnfinishedWork

__all__ = [
    "LEDGER",
    "Blob",
    "BlobFile",
    "CallLedger",
    "Fact",
    "KeptBlob",
    "ModelFolder",
    "Reader",
    "SourceFile",
    "StageName",
    "Store",
    "UnfinishedWork",
    "blame_run_folder",
    "open_reader",
    "read_source_files",
    "to_run_folder",
]
