"""The failure of one item."""

from dataclasses import dataclass

CALL_FAILED = "call failed"  # the kind of a failure that has nothing to do with the item: no answer came
INTERRUPTED = "interrupted"  # an answer came, and is not whole
NOT_ASKED = "not asked"  # of a critic: the mistake is in no slice, and only slices are asked about
PASSING = (CALL_FAILED, INTERRUPTED)


@dataclass(frozen=True)
class Failure:
    """Takes the place of a result in a plugin's list where one item failed; the other items continue.

    Attributes:
        kind: a short name to count failures by, such as "refusal" or "no-subject". "call failed" and "interrupted" are
            passing: the next run asks for these items again.
        message: what went wrong, for the user.
    """

    kind: str
    message: str

    @property
    def is_passing(self) -> bool:
        """Whether the same item may succeed another time, so that the next session asks again."""
        return self.kind in PASSING
