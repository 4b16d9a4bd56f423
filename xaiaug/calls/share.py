"""The share of the last items that failed."""

from __future__ import annotations

import threading
from collections import deque

LAST = 50
MOST = 0.2


class Share:
    """Remembers how the last items went."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last: deque[tuple[str, bool]] = deque(maxlen=LAST)

    def count(self, key: str, *, failed: bool) -> None:
        """An item is done; told again, the newer word stands."""
        with self._lock:
            found = next((place for place, (known, _) in enumerate(self._last) if known == key), None)
            if found is None:
                self._last.append((key, failed))
            else:
                self._last[found] = (key, failed)

    @property
    def failed(self) -> int:
        """How many of them failed."""
        with self._lock:
            return sum(failed for _, failed in self._last)

    @property
    def too_many(self) -> bool:
        """Whether more than a fifth of the last fifty failed; fewer items are given as many failures."""
        return self.failed > MOST * LAST
