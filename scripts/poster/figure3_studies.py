"""The studies behind Figure 3: their runs and settings."""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poster.paper import GRIDS

import kanpinn as kp

PROBLEMS = Path(__file__).parents[2] / "problems"
POSTER = PROBLEMS / "poisson2d_poster.toml"
FIT = "figure3_fit.py:Fit"
Lists = dict[str, Sequence[Any]]
VARIANTS = ("exact", "penalty")  # how the boundary data are met


@dataclass(frozen=True)
class Size:
    """How much is done: the paper's own sizes, or those of a smoke run."""

    interior: int = 10000
    boundary: int = 800
    steps: int = 50  # of L-BFGS on each grid
    stages: int = 5  # grids, of the paper's
    gauss: tuple[int, int] = (3721, 480)  # interior and boundary points of the fair comparison
    # Residuals of cubics have kinks, which a Gauss rule of fewer points does not see.
    lattice: tuple[int, int] = (22500, 1200)
    first: int = 200  # steps of Levenberg–Marquardt on the first grid
    later: int = 120  # and on each finer one
    rounds: int = 20  # of the search for structure, at most


SMOKE = Size(200, 40, 2, 2, (144, 24), (144, 24), 3, 2, 1)


def poster_kan(widths: Sequence[int], seeds: Sequence[int], size: Size, **options: Any) -> kp.Study:
    """Run the poster's protocol as in problems/poisson2d_poster.toml for KANs [2, width, 1].

    One run gives the errors of all grids, at the end of each stage of L-BFGS.
    """
    over: Lists = {
        "network.width": [[2, width, 1] for width in widths],
        "run.seed": list(seeds),
    }
    return kp.sweep(_poster(size), over, name="kan", directory=PROBLEMS, **options)


def poster_mlp(
    shapes: Sequence[tuple[int, int]], seeds: Sequence[int], size: Size, **options: Any
) -> kp.Study:
    """Run the same for MLPs of (depth, width) in as many steps; depth counts layers of weights."""
    sections = _poster(size)
    sections["network"] = {"type": "mlp", "width": [2, 5, 1], "boundary": "penalty"}
    steps = size.steps * size.stages
    sections["optimizer"] = [{"type": "lbfgs", "history": 300, "steps": steps}]
    over: Lists = {
        "network.width": [mlp_width(*s) for s in shapes],
        "run.seed": list(seeds),
    }
    return kp.sweep(sections, over, name="mlp", directory=PROBLEMS, **options)


def mlp_width(depth: int, width: int) -> list[int]:
    """Return [2, width, …, 1] with so many layers of weights."""
    return [2, *[width] * (depth - 1), 1]


def _poster(size: Size) -> dict[str, Any]:
    """Return the poster's problem file, for a smoke run with fewer points, stages and steps."""
    sections = tomllib.loads(POSTER.read_text(encoding="utf-8"))
    sections["points"] |= {"interior": size.interior, "boundary": size.boundary}
    stages = sections["optimizer"][: 2 * size.stages - 1]
    sections["optimizer"] = [s | {"steps": size.steps} if "steps" in s else s for s in stages]
    return sections


def fair_kan(
    widths: Sequence[int],
    degrees: Sequence[int],
    variants: Sequence[str],
    seeds: Sequence[int],
    size: Size,
    **options: Any,
) -> kp.Study:
    """Run Levenberg–Marquardt on all layers of KANs [2, width, 1], from coarse to fine grids."""

    def fair_kan(variant: str, degree: int, seed: int, width: int) -> dict[str, Any]:
        return _staircase(width, degree, variant, seed, size)

    over: Lists = {
        "variant": variants,
        "degree": degrees,
        "seed": seeds,
        "width": widths,
    }
    return kp.sweep(fair_kan, over, name="fair-kan", directory=PROBLEMS, **options)


def fit(
    widths: Sequence[int],
    degrees: Sequence[int],
    seeds: Sequence[int],
    size: Size,
    **options: Any,
) -> kp.Study:
    """Fit the same KANs, with the same grids and steps, to the solution in L2."""

    def fit(degree: int, seed: int, width: int) -> dict[str, Any]:
        return _staircase(width, degree, "exact", seed, size) | {"problem": {"class": FIT}}

    over: Lists = {"degree": degrees, "seed": seeds, "width": widths}
    return kp.sweep(fit, over, name="fit", directory=Path(__file__).parent, **options)


def fair_mlp(
    shapes: Sequence[tuple[int, int]],
    variants: Sequence[str],
    seeds: Sequence[int],
    size: Size,
    **options: Any,
) -> kp.Study:
    """Run the same for MLPs of (depth, width), with as many steps in all."""

    def fair_mlp(depth: int, width: int, variant: str, seed: int) -> dict[str, Any]:
        network = {"type": "mlp", "width": mlp_width(depth, width)}
        steps = size.first + (size.stages - 1) * size.later
        return _fair(network, variant, seed, size) | {"optimizer": [_marquardt(steps)]}

    over: Lists = {"variant": list(variants), "seed": list(seeds)}
    zipped = {"depth": [d for d, _ in shapes], "width": [w for _, w in shapes]}
    return kp.sweep(fair_mlp, over, zipped=zipped, name="fair-mlp", directory=PROBLEMS, **options)


STRUCTURE = {  # by degree: output grids, and the search's coarse grid and tolerance
    3: ((10, 14, 20, 28, 40), 10, 5e-3),
    5: ((6, 8, 11, 16, 22), 6, 2e-3),
    7: ((6, 8, 11, 16), 6, 1e-3),
}


def structure(seeds: Sequence[int], size: Size, **options: Any) -> kp.Study:
    """Run variable projection from random starts; inner functions are cubics on one interval.

    It finds x and ±y², which the cubics hold exactly: the error is that of two output splines.
    """

    def structure(degree: int, grid: int, seed: int) -> dict[str, Any]:
        _, coarse, tolerance = STRUCTURE[degree]
        network = {"type": "kan", "width": [2, 3, 1], "degree": [3, degree], "grid": [1, grid]}
        search = {"type": "variable_projection", "coarse": coarse, "tolerance": tolerance}
        search |= {"rounds": size.rounds}
        interior, boundary = size.lattice
        points = {"sampler": "grid", "interior": interior, "boundary": boundary}
        sections = _fair(network, "penalty", seed, size) | {"points": points}
        return sections | {"optimizer": [search]}

    pairs = [(k, grid) for k, (grids, _, _) in STRUCTURE.items() for grid in grids]
    pairs = pairs[:: 1 if size.stages == 5 else len(pairs)]
    zipped = {"degree": [k for k, _ in pairs], "grid": [grid for _, grid in pairs]}
    over: Lists = {"seed": seeds}
    return kp.sweep(structure, over, zipped=zipped, name="structure", directory=PROBLEMS, **options)


def _staircase(width: int, degree: int, variant: str, seed: int, size: Size) -> dict[str, Any]:
    network = {"type": "kan", "width": [2, width, 1], "degree": degree, "grid": GRIDS[0]}
    if variant == "penalty":
        network["base"] = "silu"  # as the paper's edges have it
    sections = _fair(network, variant, seed, size)
    sections["optimizer"] = [_marquardt(size.first)]
    for grid in GRIDS[1 : size.stages]:
        refine = {"type": "refine", "grid": grid}
        # The new splines are put to use at once.
        sections["optimizer"] += [refine, {"type": "least_squares"}, _marquardt(size.later)]
    return sections


def _marquardt(steps: int) -> dict[str, Any]:
    return {"type": "levenberg_marquardt", "steps": steps, "tolerance": 1e-4}


def _fair(network: dict[str, Any], variant: str, seed: int, size: Size) -> dict[str, Any]:
    """Return the problem on Gauss points, with the poster's loss or exact boundary values."""
    weights = {"interior": 0.01 if variant == "penalty" else 1.0, "boundary": 1.0}
    return {
        "problem": {"class": "poisson2d.py:Poisson2D"},
        "network": network | {"boundary": variant},
        "points": {"sampler": "gauss", "interior": size.gauss[0], "boundary": size.gauss[1]},
        "loss": weights,
        "run": {"seed": seed, "dtype": "float64", "device": "cpu"},
    }
