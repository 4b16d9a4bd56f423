"""One thing the doctor looked at."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """One thing the doctor looked at.

    Attributes:
        topic: what it is about, such as "packages".
        state: "ok"; "missing": something optional is not there; "wrong": it has to be mended.
        text: what was found.
        todo: what to do about it; empty where nothing has to be done.
    """

    topic: str
    state: Literal["ok", "missing", "wrong"]
    text: str
    todo: str = ""
