"""One item that could not be done."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Failure:
    """Stands in a plugin's result list where one item failed; the other items go on.

    Attributes:
        kind: a short name that failures can be counted by, such as "refusal" or "no-subject".
        message: what went wrong with this item, for a person.
    """

    kind: str
    message: str
