"""A limit on processor time."""

import math
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Deadline:
    """The processor time of this process, in seconds, at which work ends."""

    end: float = math.inf

    @property
    def left(self) -> float:
        """Seconds until then, below 0 afterwards."""
        return self.end - time.process_time()

    @property
    def over(self) -> bool:
        """Whether nothing more is to begin."""
        return self.left <= 0

    def within(self, seconds: float | int) -> "Deadline":
        """Not later than this many seconds from now."""
        return Deadline(min(self.end, time.process_time() + seconds))


NEVER = Deadline()
