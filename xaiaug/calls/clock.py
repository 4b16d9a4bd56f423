"""The time, and waiting for it."""

import threading
import time


class Clock:
    """The machine's own time; a simulated one may take its place."""

    def now(self) -> float:
        """Seconds that only ever grow, whatever happens to the date."""
        return time.monotonic()

    def condition(self) -> threading.Condition:
        """What threads wait on, with a limit by this clock."""
        return threading.Condition()
