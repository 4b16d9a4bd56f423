"""The run folder: ledger and blobs; the only room that writes a run."""

from .blobs import Blob, BlobFile
from .keys import digest, seed_of
from .models import ModelFolder
from .reader import Reader
from .store import Store

__all__ = ["Blob", "BlobFile", "ModelFolder", "Reader", "Store", "digest", "seed_of"]
