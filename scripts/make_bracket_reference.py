"""The reference solution of the library's bracket, by finite elements, and the solve of its file.

What: plane stress on problems/bracket.msh by scikit-fem's elements of degree 4, on triangles whose
edges follow the arcs, on two meshes, whose difference is a generous estimate of the finer one's
error. The file has values and slopes at the points of a quadrature rule. problems/bracket.toml is
solved beside it: error and seconds.

How long: two minutes on one idle core; --smoke: some seconds, its file is of no use.

Writes to --output: bracket.h5, to be copied to problems/, and make_bracket_reference.json.
"""

import time
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy
import torch
from common import options, verdicts
from common.problem_files import PROBLEMS, solve_job
from elasticity.plane_stress import plane_stress
from numpy import ndarray

import kanpinn as kp
from kanpinn.geometry import Planar, Points

NAME = Path(__file__).stem
COLUMNS = ("u", "v", "u_x", "u_y", "v_x", "v_y")


def main(given: Sequence[str] | None = None) -> None:
    chosen = options.finish(NAME, options.parser(NAME, __doc__).parse_args(given))
    chosen.output.mkdir(parents=True, exist_ok=True)
    domain = kp.Mesh(PROBLEMS / "bracket.msh")
    assert isinstance(domain, Planar)
    points, weights = domain.quadrature(16)
    coarse, fine = (
        plane_stress(domain, size, 0.3, "bolts", "pin", 1.0)(points)
        for size in ((0.5, 0.4) if chosen.smoke else (0.1, 0.05))
    )
    write(chosen.output / "bracket.h5", points, weights.numpy(), fine)
    difference = relative(coarse - fine, fine, weights.numpy())
    error, seconds = own_error(points, weights.numpy(), fine, 1 if chosen.smoke else None)
    print(f"two meshes: {difference:.1e}; cells: {error:.1e} in {seconds:.0f} s")
    limits = {
        "relative L2 difference of two meshes": (difference, 2e-5),
        "relative L2 error of cells": (error, 1e-4),
        "seconds of cells": (seconds, 120.0),
    }
    figures: dict[str, verdicts.Figure] = {
        what: {
            "value": value,
            "target": f"<= {limit:g}",
            "met": None if chosen.smoke else value <= limit,
        }
        for what, (value, limit) in limits.items()
    }
    verdicts.write(chosen.output / f"{NAME}.json", figures)


def write(path: Path, points: Points, weights: ndarray, values: ndarray) -> None:
    """Write the reference's file: coordinates, weights, values and slopes."""
    with h5py.File(path, "w") as file:
        names = (*points.names, "weight", *COLUMNS)
        for one, column in zip(names, (*points.coords.T, weights, *values.T), strict=True):
            data = numpy.asarray(column)
            file.create_dataset(one, data=data, compression="gzip", shuffle=True)


def relative(errors: ndarray, exact: ndarray, weights: ndarray) -> float:
    """Return the relative L2 norm of the first two columns of errors."""
    squares = [(weights @ part[:, :2] ** 2).sum() for part in (errors, exact)]
    return float((squares[0] / squares[1]) ** 0.5)


def own_error(
    points: Points, weights: ndarray, exact: ndarray, steps: int | None
) -> tuple[float, float]:
    """Return the error of the solve of the problem's file, and its seconds.

    steps: the largest number of solves; None for as many as it takes.
    """
    pairs = [] if steps is None else [f"optimizer[0].steps={steps}", "network.degree=5"]
    job = solve_job("bracket", pairs)
    started = time.perf_counter()
    solution = job.run(())
    seconds = time.perf_counter() - started
    found = solution(torch.as_tensor(points.coords)).numpy()
    return relative(found - exact[:, :2], exact, weights), seconds


if __name__ == "__main__":
    main()
