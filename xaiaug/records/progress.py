"""The progress of a run."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """One progress update, passed to the `watch` callback.

    Attributes:
        stage: name of the stage, such as "explain".
        done: finished items of the stage.
        total: all items of the stage.
        note: further information, such as the current loss.
    """

    stage: str
    done: int
    total: int
    note: str = ""
