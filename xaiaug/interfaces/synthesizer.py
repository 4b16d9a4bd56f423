"""The synthesizer: makes training images."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from ..records import Failure, SynthesisRequest, SyntheticImage
from .plugin import Plugin


class Synthesizer(Plugin):
    """Makes training images from prompts, guidance or other images; says in `uses` which of them it reads."""

    @abstractmethod
    def synthesize(self, requests: Sequence[SynthesisRequest]) -> list[SyntheticImage | Failure]:
        """One image a request, in order.

        The same request with the same seed gives the same image, whatever else is in the batch.
        """
