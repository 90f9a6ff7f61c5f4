"""The time that a search has taken, the same on all ranks."""

import time
from dataclasses import dataclass, field

from kanpinn._support.distributed import from_first


@dataclass
class TrialClock:
    """The seconds that a search has taken, by rank 0's clock, so that all ranks decide the same.

    Args:
        earlier: the seconds before this process continued the search.
        begun: when this process began, by `time.perf_counter`.
    """

    earlier: float = 0.0
    begun: float = field(default_factory=time.perf_counter)

    def set(self, seconds: float) -> None:
        """Let the clock show these seconds now."""
        self.earlier, self.begun = seconds, time.perf_counter()

    @property
    def seconds(self) -> float:
        """The seconds so far; every rank must ask at the same moments."""
        return from_first(self.earlier + time.perf_counter() - self.begun)
