"""Turns folders, manifests and datasets into splits."""

from .entries import SPLITS, UnusableFile
from .fingerprint import Fingerprint, compute_fingerprints
from .leaks import Leak, SplitImage, display_name
from .split_table import format_splits
from .splits import DataCheck, Splits

__all__ = [
    "SPLITS",
    "DataCheck",
    "Fingerprint",
    "Leak",
    "SplitImage",
    "Splits",
    "UnusableFile",
    "compute_fingerprints",
    "display_name",
    "format_splits",
]
