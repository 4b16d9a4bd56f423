"""The synthesizer: makes training images."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence

from ..records import Failure, SynthesisRequest, SyntheticImage
from .plugin import Plugin


class Synthesizer(Plugin):
    """Makes training images from prompts, guidance, other images or heatmaps; `uses` lists which of them it reads.

    Attributes:
        needs: which of "prompt", "guidance" and "image" it requires.
        per_case: for a deterministic synthesizer, to which more requests for the same case give nothing new: the images
            of a case, each made for its "own" class, or, with a training image of that class as `base`, for "another"
            class than the predicted one; None: as many as the run asks for, each of its own class.
    """

    needs: frozenset[str] = frozenset()
    per_case: tuple[str, ...] | None = None

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
