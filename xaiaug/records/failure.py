"""The failure of one item."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Failure:
    """Takes the place of a result in a plugin's list where one item failed; the other items continue.

    Attributes:
        kind: a short name to count failures by, such as "refusal" or "no-subject".
        message: what went wrong, for the user.
    """

    kind: str
    message: str
