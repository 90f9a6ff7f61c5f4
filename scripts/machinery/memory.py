"""Peak memory of a task in its own process: `python memory.py TASK POINTS ...` prints MiB."""

import resource
import subprocess
import sys
from pathlib import Path

TASKS = ("gradient", "fold")


def peaks(task: str, sizes: list[int]) -> list[float]:
    """Return the peak resident memory, MiB, of a task for each of ascending numbers of points.

    One process does all of them: a peak is that of the largest number so far.
    """
    command = [sys.executable, __file__, task, *map(str, sizes)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode:
        raise RuntimeError(f"{task} at {sizes} points: {run.stderr}")
    return [float(line) for line in run.stdout.split()]


def _measure(task: str, points: int) -> float:
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from machinery import timing

    from kanpinn.linalg import fold

    network = timing.kan(10)
    system = timing.residuals(network, points)
    if task == "gradient":
        system.backward()
    else:
        fold(system.rows(list(network.layers)))
    return _peak_mib()


def _peak_mib() -> float:
    # Linux' ru_maxrss is at least what the parent held when it started this process.
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = (t for t in status.read_text().splitlines() if t.startswith("VmHWM"))
        return int(line.split()[1]) / 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


if __name__ == "__main__":
    for size in sys.argv[2:]:
        print(_measure(sys.argv[1], int(size)))
