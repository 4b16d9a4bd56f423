"""How many calls may be in flight: grows while the service keeps up, shrinks when it says 429."""

from __future__ import annotations

from ..errors import ConfigError


class Limit:
    """Doubles with every window of answers until the first 429; then three quarters on a 429, and slowly up.

    A window is as many answers as may be in flight. A 429 to a call that was sent before the last cut does not cut
    again: it tells what is known already. Errors of the service itself (5xx) leave the limit as it is.

    Args:
        start: calls in flight at first.
        most: calls in flight at most.

    Raises:
        ConfigError: not 1 ≤ start ≤ most.
    """

    def __init__(self, start: int = 8, most: int = 64) -> None:
        if not 1 <= start <= most:
            raise ConfigError(f"calls in flight: expected 1 ≤ start ≤ most, got start {start} and most {most}")
        self.most = most
        self._limit = float(start)
        self._ceiling: float | None = None  # where the last 429 came
        self._answers = 0  # since the limit last changed
        self._sent = 0
        self._last_before_cut = 0

    @property
    def allowed(self) -> int:
        """Calls that may be in flight now."""
        return int(self._limit)

    def sent(self) -> int:
        """A call is sent; returns its number."""
        self._sent += 1
        return self._sent

    def answered(self, *, crowded: bool) -> None:
        """The service kept up with a call; `crowded`: as many were in flight as allowed, so that more can be tried."""
        if not crowded:
            return
        self._answers += 1
        if self._answers >= self._windows * self._limit:
            self._set(self._limit * 2 if self._ceiling is None else self._limit + 1)

    def throttled(self, number: int) -> None:
        """The service said 429 to the call of that number."""
        if number > self._last_before_cut:
            self._ceiling = self._limit
            self._last_before_cut = self._sent
            self._set(self._limit * 0.75)

    @property
    def _windows(self) -> int:
        # Back to just below the last ceiling soon, beyond it only now and then: each look beyond costs a 429.
        near = self._ceiling is not None and self._limit + 1 > 0.9 * self._ceiling
        return 16 if near else 1

    def _set(self, limit: float) -> None:
        self._limit = min(max(1.0, limit), float(self.most))
        self._answers = 0
