"""Files that may be damaged or hostile: walked, read, written and removed without leaving their folder."""

from .content import MAX_PIXELS, MAX_TEXT, parse_array, parse_image, parse_json, refuse_truncated
from .directory import Directory, Entry, NewFile
from .sealed_folder import SEAL, find_broken_seal, read_seal, seal_folder

__all__ = [
    "MAX_PIXELS",
    "MAX_TEXT",
    "SEAL",
    "Directory",
    "Entry",
    "NewFile",
    "find_broken_seal",
    "parse_array",
    "parse_image",
    "parse_json",
    "read_seal",
    "refuse_truncated",
    "seal_folder",
]
