"""A solve for which nothing is chosen beforehand: trials from small to large."""

from collections.abc import Sequence

import torch

from kanpinn._support.distributed import world
from kanpinn._support.errors import InputError
from kanpinn.accuracy.references import Recipe
from kanpinn.pde.problem import Problem, stated
from kanpinn.solvers.auto.choice import Choice
from kanpinn.solvers.auto.search import Announce, Search, Settings
from kanpinn.solvers.solution import Solution
from kanpinn.solvers.state import Observer


def auto(
    problem: Problem,
    *,
    tolerance: float | int | None = None,
    budget_seconds: float | int | None = None,
    boundary: str = "auto",
    reference: Recipe | None = None,
    errors: bool = True,
    seed: int = 0,
    dtype: torch.dtype = torch.float64,
    device: torch.device | str = "cpu",
    observers: Sequence[Observer] = (),
    announce: Announce | None = None,
) -> Solution:
    """Solve a PDE with a network, points and optimizers that trials choose.

    They go from small to large in families: random inner functions first, then finer grids or, for
    evolutions, windows in time, or the minimum of an energy where the class gives one; above three
    dimensions sums of functions of one coordinate, linear inner functions, and inner functions by
    variable projection. Two solutions tell the errors of both: where the second one leaves the part
    ρ of the residual at fresh points, the first one's is their distance / (1 - ρ), and the second
    one's ρ times that. Energies go by distances from one solution to the next. A family is left
    where ρ is above a half. With data that have noise the smallest network is kept that fits them
    as well as the next one, and its estimate includes the noise. The interior's weight is that by
    which its residual is in units of the conditions', whatever the problem's are. Names and exact
    solutions play no part. What was tried, and why, is in `Solution.log`.

    Args:
        problem: the equation, its domain and conditions.
        tolerance: the estimated relative L2 error that is enough, 1e-9 by default.
        budget_seconds: that the trials may take, 300 by default; none is begun that is forecast to
            take longer, except the first.
        boundary, reference, errors, seed, observers: as for `solve`.
        dtype, device: of the networks.
        announce: called with each choice before it is tried, and with why.

    Raises:
        InputError: where the problem does not fit together, or several processes would have to
            choose together.
    """
    if world() > 1:
        raise InputError("auto is for one process: name a network and optimizers for several")
    settings = Settings(
        Settings.tolerance if tolerance is None else tolerance,
        Settings.budget_seconds if budget_seconds is None else budget_seconds,
        boundary,
        reference,
        errors,
        seed,
        dtype,
        torch.device(device),
    )
    return Search(stated(problem), settings, observers, announce or _silent).run()


def _silent(choice: Choice, why: str) -> None:
    """Nobody is told."""
