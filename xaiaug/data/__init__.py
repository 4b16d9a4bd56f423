"""Folders, manifests and data sets become splits."""

from .entries import SPLITS, Refusal
from .fingerprint import Fingerprint, fingerprints
from .leaks import Leak, Place, file_name
from .split_check import DataCheck
from .splits import Splits

__all__ = ["SPLITS", "DataCheck", "Fingerprint", "Leak", "Place", "Refusal", "Splits", "file_name", "fingerprints"]
