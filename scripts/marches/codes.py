"""The codes that are compared: each solves a case at several tolerances or resolutions."""

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
import torch
from marches import splines
from marches.cases import Case, fields_of, spectral_values
from numpy import ndarray
from peers.environments import PeerError, interpreter

import kanpinn as kp

RUNNER = Path(__file__).with_name("run_dedalus.py")


@dataclass(frozen=True)
class Point:
    """A solve: the code, its tolerance or resolution, seconds of the processor, and the error."""

    case: str
    code: str
    setting: str
    seconds: float
    error: float


def march(case: Case, tolerance: float) -> tuple[kp.Solution, float]:
    """Solve by kanpinn's march; return the solution and the seconds of the processor."""
    begin = time.process_time()
    solution = kp.solve(
        case.problem(),
        kp.Windows([2, case.fields]),
        kp.March(tolerance),
        errors=False,
        verified=False,
    )
    return solution, time.process_time() - begin


def marches(case: Case, exact: ndarray, budget: float) -> Iterator[tuple[Point, float, ndarray]]:
    """Yield a point for each tolerance, the tolerance, and the intervals where they are most."""
    x = torch.from_numpy(case.points)
    ends = torch.stack([x, torch.full_like(x, case.last)], dim=1)
    low, high = case.equation.low, case.equation.high
    for tolerance in case.tolerances:
        solution, seconds = march(case, tolerance)
        error = case.error(solution(ends).T.numpy(), exact)
        network = solution.network
        assert isinstance(network, kp.Windows)
        bases: list[Any] = [one.layers[0].basis for one in network.members]
        finest = max((basis.breaks[0].numpy() for basis in bases), key=len)
        breaks = low + (finest + 1) / 2 * (high - low)
        yield _point(case, "kanpinn", f"{tolerance:g}", seconds, error), tolerance, breaks
        if seconds > budget:
            return


def radau(case: Case, exact: ndarray, tolerance: float, breaks: ndarray) -> Point:
    """Return the point of SciPy's Radau on the intervals of a march of the same tolerance."""
    found, seconds = splines.radau(case, breaks, 9, tolerance)
    error = case.error(found, exact)
    return _point(case, "splines, scipy Radau", f"{tolerance:g}", seconds, error)


def etdrk4(case: Case, exact: ndarray, modes: int, step: float) -> Point:
    """Return the point of Fourier modes and ETDRK4 steps."""
    begin = time.process_time()
    found = fields_of(spectral_values(case, modes, step), case.fields)
    seconds = time.process_time() - begin
    error = case.error(found, exact)
    return _point(case, "Fourier, ETDRK4", f"{modes}, {step:g}", seconds, error)


def dedalus(case: Case, exact: ndarray, modes: int, step: float, folder: Path) -> Point:
    """Return the point of Dedalus, with its Runge-Kutta method RK443.

    Raises:
        PeerError: if Dedalus cannot be installed or fails.
    """
    log = folder / "dedalus.log"
    python = interpreter("dedalus", ("dedalus",), folder, log)
    start = case.equation.initial(case.equation.grid(modes))
    low, high = case.equation.low, case.equation.high
    with tempfile.TemporaryDirectory() as empty:
        first, last = Path(empty) / "first.npy", Path(empty) / "last.npy"
        numpy.save(first, start + 0j if case.fields > 1 else start)
        command = [str(python), str(RUNNER), case.name, "--ends", *map(str, (low, high, case.last))]
        command += ["--modes", str(modes), "--step", str(step)]
        command += ["--start", str(first), "--values", str(last)]
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        environment["OMP_NUM_THREADS"] = "1"
        done = subprocess.run(command, capture_output=True, text=True, cwd=empty, env=environment)
        if done.returncode:
            raise PeerError(f"Dedalus failed: {done.stderr.strip().splitlines()[-1:]}")
        values = numpy.load(last)
    (line,) = [one for one in done.stdout.splitlines() if one.startswith("{")]
    k = case.equation.waves(modes)
    waves = numpy.exp(1j * numpy.outer(case.points - low, k))
    found = fields_of(waves @ numpy.fft.fft(values) / modes, case.fields)
    seconds = json.loads(line)["seconds"]
    error = case.error(found, exact)
    return _point(case, "Dedalus, RK443", f"{modes}, {step:g}", seconds, error)


def _point(case: Case, code: str, setting: str, seconds: float, error: float) -> Point:
    return Point(case.name, code, setting, seconds, error)
