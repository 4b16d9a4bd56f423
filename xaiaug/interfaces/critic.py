"""The critic: why the classifier failed, and what would mend it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from ..records import Case, Critique, Failure
from .plugin import Plugin


class Critic(Plugin):
    """Says why a classifier failed, and what a new training image should show."""

    @abstractmethod
    def critique(self, cases: Sequence[Case]) -> list[Critique | Failure]:
        """One critique a case, in order."""
