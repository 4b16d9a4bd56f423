"""The synthesizer: makes training images."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence

from ..records import Failure, SynthesisRequest, SyntheticImage
from .plugin import Plugin


class Synthesizer(Plugin):
    """Makes training images from prompts, guidance or other images; `uses` lists which of them it reads.

    Attributes:
        needs: which of "prompt", "guidance" and "image" it cannot do without.
    """

    needs: frozenset[str] = frozenset()

    @abstractmethod
    def synthesize(self, requests: Sequence[SynthesisRequest]) -> list[SyntheticImage | Failure]:
        """One image per request, in order.

        The same request with the same seed gives the same image, whatever else is in the batch.
        """

    def token_budget(self) -> tuple[Callable[[str], int], int] | None:
        """A function that counts the tokens of a prompt, and the most it reads; None where it has no limit.

        A loop passes both to the critic through its context. Loads no weights.
        """
        return None
