"""The pace at which a file is written again and again."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(eq=False)
class Pace:
    """How often a file is written: not all the time, and for a small part of the time only.

    interval: the shortest time between two writes, in seconds.
    share: the largest fraction of the time that is spent on writing.
    """

    interval: float
    share: float
    _written: float = field(default_factory=time.monotonic, init=False)
    _cost: float = field(default=0.0, init=False)  # seconds that the last write took

    @property
    def is_due(self) -> bool:
        """Whether the file is to be written; at first, `interval` after this object was made."""
        pause = max(self.interval, self._cost / self.share)
        return time.monotonic() - self._written >= pause

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Measure the time of a write, which is made in the block."""
        begun = time.monotonic()
        yield
        self._written = time.monotonic()
        self._cost = self._written - begun
