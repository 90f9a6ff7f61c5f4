"""The studies behind Table 1: spline orders of the Poisson problem, and what limits them."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import kanpinn as kp

HERE = Path(__file__).parent
POISSON = "../../problems/poisson2d.py:Poisson2D"
LOSS = {"interior": 0.01, "boundary": 1.0}  # the poster's
# By degree, of the search: intervals on which the loss tells which start arrives, the part of the
# zero solution's loss that does, and how much finer the lattice is: residuals of cubics have kinks.
SEARCH = {3: (12, 1e-3, 16 / 9), 5: (8, 1e-4, 1.0), 7: (6, 1e-4, 1.0)}
# Least squares for the outer functions of the structured network: of what.
BEST_L2, BEST_H1, RESIDUAL = "best in L2", "best in H1", "residual"
HARD, EXACT = "residual, boundary weighted 1e6", "residual, exact boundary"
CLASSES = {BEST_L2: "table1_classes.py:BestL2", BEST_H1: "table1_classes.py:BestH1"}
WEIGHTS = {BEST_L2: (1.0, 0.0), BEST_H1: (1.0, 0.0), HARD: (1e-6, 1.0)}
METHODS = (BEST_L2, BEST_H1, RESIDUAL, HARD, EXACT)
RANDOM, REFINED, BUILT = "at once", "refined", "constructed"
WIDTH = 10  # of the paper's KAN

Sections = dict[str, Any]
Base = Callable[..., Sections]


@dataclass(frozen=True)
class Size:
    """How much is done: the full studies, or those of a smoke run."""

    degrees: Sequence[int] = (3, 5, 7)
    grids: Sequence[int] = (12, 16, 24, 32, 48)
    coarse: Sequence[int] = (2, 4, 8)  # for the generic networks
    built: Sequence[int] = (2, 3, 4, 6, 8)  # for the constructed ones
    seeds: Sequence[int] = (0, 1, 2)
    lattice: int = 22500
    random: int = 10000  # the poster's
    descent: int = 3025
    steps: int = 100  # of Levenberg–Marquardt on each grid
    search: Sections = field(default_factory=dict)  # other settings of the search

    def found(self, degree: int, grid: int, seed: int) -> Sections:
        """Return the settings of [2, 3, 1] with everything free, from random starts."""
        network = {"type": "kan", "width": [2, 3, 1], "degree": [3, degree], "grid": [1, grid]}
        coarse, tolerance, finer = SEARCH[degree]
        search = {"type": "variable_projection", "coarse": coarse, "tolerance": tolerance}
        search |= self.search
        return _sections(network, [search], _lattice(round(finer * self.lattice)), seed)

    def structured(self, degree: int, grid: int, method: str) -> Sections:
        """Return the settings with exact inner functions, and least squares on a lattice."""
        sections = _sections(_exact_inner(degree, grid), [], _lattice(self.lattice))
        sections["problem"]["class"] = CLASSES.get(method, POISSON)
        if method in WEIGHTS:
            sections["loss"] = dict(zip(LOSS, WEIGHTS[method], strict=True))
        if method == EXACT:
            sections["network"]["boundary"] = "exact"
        return sections

    def sampled(self, degree: int, grid: int, seed: int) -> Sections:
        """Return the same with the poster's random points."""
        points = {"interior": self.random, "boundary": self.random // 12, "sampler": "uniform"}
        return _sections(_exact_inner(degree, grid), [], points, seed)

    def generic(self, degree: int, seed: int, start: str) -> Sections:
        """Return the settings of the paper's [2, 10, 1] from random coefficients.

        start: whether it is trained on the finest grid at once, or from coarse to fine grids.
        """
        levels = self.coarse if start == REFINED else self.coarse[-1:]
        network = {"type": "kan", "width": [2, WIDTH, 1], "degree": degree, "grid": levels[0]}
        descent = {"type": "levenberg_marquardt", "steps": self.steps}
        stages = [descent]
        for level in levels[1:]:
            stages += [{"type": "refine", "grid": level}, descent]
        return _sections(network, stages, _lattice(self.descent), seed)

    def constructed(self, degree: int, grid: int) -> Sections:
        """Return the settings of [2, 10, 1] with the exact inner functions in five copies.

        The grids of the copies are shifted; the outer functions are found by least squares.
        """
        return _sections(_exact_inner(degree, grid, WIDTH // 2), [], _lattice(self.lattice))

    def plans(self) -> Iterator[tuple[str, Base, dict[str, Sequence[Any]]]]:
        """Yield the studies: the name, the function that makes the settings, and its values."""
        seeds = {"seed": self.seeds}
        yield "structured", self.structured, {"grid": self.grids, "method": METHODS}
        yield "sampled", self.sampled, {"grid": self.grids} | seeds
        yield BUILT, self.constructed, {"grid": self.built}
        yield "found", self.found, {"grid": self.grids} | seeds
        yield REFINED, self.generic, seeds | {"start": [REFINED]}
        yield RANDOM, self.generic, seeds | {"start": [RANDOM]}

    def run(self, output: Path, executor: Executor) -> Iterator[tuple[str, kp.Study]]:
        """Yield every study when it is done; runs finished in `output` are not done again."""
        with executor:
            for name, base, over in self.plans():
                study = kp.sweep(
                    base,
                    {"degree": self.degrees} | over,
                    name=name,
                    output=output,
                    directory=HERE,
                    executor=executor,
                )
                yield name, study


HASTY = {"rounds": 1, "starts": 4, "steps": 6}
SMOKE = Size((3,), (12, 16), (2, 3), (2, 3), (0,), 1600, 400, 200, 2, HASTY)


def _sections(
    network: Sections, stages: Sequence[Sections], points: Sections, seed: int = 0
) -> Sections:
    return {
        "problem": {"class": POISSON},
        "network": network | {"boundary": "penalty"},
        "points": points,
        "loss": dict(LOSS),
        "optimizer": list(stages) or [{"type": "least_squares"}],
        "run": {"seed": seed},
    }


def _exact_inner(degree: int, grid: int, copies: int = 1) -> Sections:
    kind = "table1_classes.py:Structured"
    return {"type": kind, "degree": degree, "grid": grid, "copies": copies}


def _lattice(count: int) -> Sections:
    return {"interior": count, "boundary": 4 * round(count**0.5), "sampler": "grid"}
