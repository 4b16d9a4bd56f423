"""The progress of a run."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """One progress update, passed to the `watch` callback.

    Attributes:
        stage: name of the stage, such as "explain".
        done: finished items of the stage; of a training its steps, where the classifier tells them.
        total: all items of the stage.
        note: further information, such as a change of the settings.
        earlier: how many of `done` an earlier session finished; a pace counts the others.
        workers: what each worker of the engine does, a line each; none where this process does the work.
    """

    stage: str
    done: int
    total: int
    note: str = ""
    earlier: int = 0
    workers: tuple[str, ...] = ()
