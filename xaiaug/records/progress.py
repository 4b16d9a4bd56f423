"""How far a run has come."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """A step of a run, told to whoever watches.

    Attributes:
        stage: the stage's name, such as "explain".
        done: finished items of this stage.
        total: all items of this stage.
        note: what else a watcher may want to know, such as the current loss.
    """

    stage: str
    done: int
    total: int
    note: str = ""
