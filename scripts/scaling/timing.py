"""Strong and weak scaling of one task, measured by contenders in turn."""

import statistics
from dataclasses import dataclass

from scaling import tasks
from scaling.workers import Workers

ONE, TWO, TWICE = "1 process", "2 processes", "2 processes, twice the points"
THREADS, HALVES, WHOLES = "1 process of 2 threads", "side by side, half each", "side by side"


@dataclass(frozen=True)
class Scaling:
    """Seconds of each contender, round by round."""

    task: str
    points: int
    parameters: int
    seconds: dict[str, list[float]]

    def over(self, contender: str) -> float:
        """Return how many times as fast as one process on all points, the median of the rounds."""
        pairs = zip(self.seconds[ONE], self.seconds[contender], strict=True)
        return statistics.median(one / other for one, other in pairs)

    @property
    def strong(self) -> float:
        """Speed-up of two processes on the same points."""
        return self.over(TWO)

    @property
    def strong_limit(self) -> float:
        """Speed-up of two processes with half the points each that do not wait for each other."""
        return self.over(HALVES)

    @property
    def weak(self) -> float:
        """Efficiency of two processes on twice the points."""
        return self.over(TWICE)

    @property
    def weak_limit(self) -> float:
        """Efficiency of two processes that do the same work and do not wait for each other."""
        return self.over(WHOLES)

    @property
    def rate(self) -> float:
        """Operations a second of one process, 2NP² being counted."""
        work = 2 * self.points * self.parameters**2
        return work / statistics.median(self.seconds[ONE])


def measure(workers: Workers, task: str, points: int, width: int, rounds: int) -> Scaling:
    def run(contender: str) -> float:
        half = points // 2
        seconds = {
            ONE: lambda: workers.together(1, tasks.timed, task, points, width, 1),
            TWO: lambda: workers.together(2, tasks.timed, task, points, width, 1),
            TWICE: lambda: workers.together(2, tasks.timed, task, 2 * points, width, 1),
            THREADS: lambda: workers.together(1, tasks.timed, task, points, width, 2),
            HALVES: lambda: workers.apart(2, tasks.timed, task, half, width, 1),
            WHOLES: lambda: workers.apart(2, tasks.timed, task, points, width, 1),
        }[contender]()
        return max(seconds)

    contenders = (ONE, TWO, TWICE, THREADS, HALVES, WHOLES)
    found: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds + 1):
        for name in contenders:
            spent = run(name)
            if number:  # the first round warms up
                found[name].append(spent)
    return Scaling(task, points, tasks.parameters(task, width), found)
