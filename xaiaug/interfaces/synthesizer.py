"""The synthesizer: makes training images."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence

from ..records import Failure, SynthesisRequest, SyntheticImage
from .plugin import Plugin


class Synthesizer(Plugin):
    """Makes training images from prompts, guidance or other images; says in `uses` which of them it reads.

    Attributes:
        needs: which of "prompt", "guidance" and "image" it makes nothing without.
    """

    needs: frozenset[str] = frozenset()

    @abstractmethod
    def synthesize(self, requests: Sequence[SynthesisRequest]) -> list[SyntheticImage | Failure]:
        """One image a request, in order.

        The same request with the same seed gives the same image, whatever else is in the batch.
        """

    def token_budget(self) -> tuple[Callable[[str], int], int] | None:
        """How it counts the tokens of a prompt, and most of them it reads; None where it has no such limit.

        A loop asks before it prepares the critic, which is told both: loads no weights.
        """
        return None
