"""A limit on processor time."""

import math
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Deadline:
    """The processor time of this process, in seconds, after which no further work begins."""

    end: float = math.inf

    @property
    def left(self) -> float:
        """Seconds of processor time until the deadline, negative after it."""
        return self.end - time.process_time()

    @property
    def over(self) -> bool:
        """True if the deadline has passed."""
        return self.left <= 0

    def within(self, seconds: float | int) -> "Deadline":
        """Return the earlier of this deadline and the time `seconds` from now."""
        return Deadline(min(self.end, time.process_time() + seconds))


NEVER = Deadline()
