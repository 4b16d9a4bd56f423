"""An answer that cannot be used."""


class UnusableError(Exception):
    """A model's answer is of no use.

    Args:
        kind: one or two words, for a Failure: "refusal", "truncated", "empty", "too long", "bad reply", "bad prompt".
        reason: what is wrong with it; may be told to the model.
        mendable: whether the model may be asked to give it again.
    """

    def __init__(self, kind: str, reason: str, *, mendable: bool = True) -> None:
        super().__init__(kind, reason)
        self.kind = kind
        self.reason = reason
        self.mendable = mendable
