"""One linear solve on a uniform tree, in a process of its own: `python solves.py CASE` as JSON."""

import ctypes
import gc
import json
import math
import resource
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Case:
    """A solve in [0, 1]^d.

    Args:
        dim: the number of coordinates d.
        degree: the degree of the polynomials.
        side: the number of cells along each coordinate.
        varying: whether the coefficients of the equation vary.
    """

    dim: int
    degree: int
    side: int
    varying: bool

    @property
    def series(self) -> str:
        """What cases of different sizes have in common."""
        kind = "varying" if self.varying else "constant"
        return f"{self.dim}-D, degree {self.degree}, {kind}"


@dataclass(frozen=True)
class Solve:
    """What a solve took.

    Args:
        unknowns: the number of coefficients N.
        cpu, wall: seconds of the processor and of the clock.
        gib: the peak of memory in GiB, beyond that of a process after a solve in 2^d cells.
        error: the largest error at 1000 points over the largest exact value.
    """

    unknowns: int
    cpu: float
    wall: float
    gib: float
    error: float


def measured(case: Case) -> Solve:
    """Solve in a new process.

    Raises:
        RuntimeError: if it fails.
    """
    command = [sys.executable, __file__, json.dumps(asdict(case))]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode:
        raise RuntimeError(f"{case}: {run.stderr}")
    return Solve(**json.loads(run.stdout))


def solve(case: Case) -> Any:
    """The solution in cells of a case, by one least-squares solve."""
    import kanpinn as kp
    from kanpinn.spaces.cells.system.cell_system import CellSystem

    CellSystem.by_one_solve = 0.0  # no correction for rounding, which so small a tolerance has
    network = kp.Cells([case.dim, 1], case.degree, case.side)
    # No error is as small as this tolerance, so no solution is compared with a better one.
    settings = kp.AdaptiveLeastSquares(tolerance=1e-60, cells=10**7, marking=1e-9, steps=1)
    return kp.solve(problem(case), network, settings, errors=False, verified=False)


def problem(case: Case) -> Any:
    """-a Δu + b u = f with u a product of sines, in a square or a cube.

    Either a = 1 and b = 0, or both vary, so that each cell has a matrix of its own.
    """
    import torch

    import kanpinn as kp

    names = "xyz"[: case.dim]

    class Sines(kp.Problem):
        domain = kp.Box(**{name: (0, 1) for name in names})

        def residual(self, p, u):
            a, b = self.coefficients(p)
            return -a * kp.laplacian(u) + b * u.value - self.source(p)

        def coefficients(self, p):
            total = sum(p.coords.T)[:, None]
            if case.varying:
                return 1 + torch.sin(total) / 2, torch.cos(total)
            return torch.ones_like(total), torch.zeros_like(total)

        def source(self, p):
            a, b = self.coefficients(p)
            return (9 * case.dim * a + b) * self.exact(p)

        def conditions(self):
            return [kp.Dirichlet(self.domain.boundary, self.exact)]

        def exact(self, p):
            return torch.sin(3 * p.coords + 0.3).prod(dim=1, keepdim=True)

    return Sines()


def timed(case: Case) -> tuple[float, float]:
    """Seconds of the clock and of the processor on this rank, for a solve by all ranks."""
    import torch.distributed as dist

    solve(Case(case.dim, case.degree, 2, case.varying))
    if dist.is_initialized():
        dist.barrier()
    wall, cpu = time.perf_counter(), time.process_time()
    solve(case)
    return time.perf_counter() - wall, time.process_time() - cpu


def _main(case: Case) -> Solve:
    import torch

    import kanpinn as kp

    torch.set_num_threads(1)
    solve(Case(case.dim, case.degree, 2, case.varying))  # imports what a solve needs
    _return_freed()
    before = _resident("VmRSS")
    _forget_peak()
    wall, cpu = time.perf_counter(), time.process_time()
    found = solve(case)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = _resident("VmHWM") - before
    generator = torch.Generator().manual_seed(0)
    points = torch.rand(1000, case.dim, dtype=torch.float64, generator=generator)
    exact = problem(case).exact(kp.Points(points, tuple("xyz"[: case.dim])))
    gap = (found(points).detach() - exact).abs().max() / exact.abs().max()
    return Solve(found.parameters, cpu, wall, peak, float(gap))


def _resident(name: str) -> float:
    """The present (VmRSS) or the largest (VmHWM) resident memory in GiB."""
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = (t for t in status.read_text().splitlines() if t.startswith(name))
        return int(line.split()[1]) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def _return_freed() -> None:
    """Return memory that is allocated no more to the system, where the C library is that of GNU.

    Else small solves fit into what the imports have freed, and seem to need no memory.
    """
    gc.collect()
    library = ctypes.CDLL(None)
    if hasattr(library, "malloc_trim"):
        library.malloc_trim(0)


def _forget_peak() -> None:
    """Reset the largest resident memory, where Linux permits it."""
    peak = Path("/proc/self/clear_refs")
    if peak.exists():
        peak.write_text("5")


def exponent(sizes: list[int], values: list[float]) -> float:
    """The exponent p of values that grow like N^p, by least squares of logarithms."""
    logarithms = [[math.log(max(v, 1e-9)) for v in column] for column in (sizes, values)]
    return statistics.linear_regression(*logarithms).slope


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asdict(_main(Case(**json.loads(sys.argv[1]))))))
