"""The solve of a PDE whose network, points and optimizers are found by trials."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from kanpinn._support.observers import entered
from kanpinn.accuracy.references import Recipe
from kanpinn.pde.boundary_value_problem import stated
from kanpinn.pde.problem import Problem
from kanpinn.solvers.auto.choice import Choice
from kanpinn.solvers.auto.final_errors import measured
from kanpinn.solvers.auto.journal import trials_of
from kanpinn.solvers.auto.search import Announce, TrialSearch
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
    checkpoint: Mapping[str, Any] | None = None,
) -> Solution:
    """Solve a PDE with a network, points and optimizers that are chosen by trials.

    Trials run in families, each from small to large networks. Up to three dimensions: the minimum
    of an energy if the problem's class gives one, for evolutions in time alone, in one space
    dimension or in a rectangle windows in time, for those in the plane also with cells in space, in
    one dimension splines, also in coordinates that
    the solution stretches, random inner functions, finer grids, and sums of functions of one
    coordinate. In boxes of two and three dimensions, domains in the plane and solids, networks in
    cells come before random inner functions for many waves, outflow layers, corners and edges that
    point inwards and small holes in the plane, and otherwise after them; in space after the three
    smallest of them, since larger ones take longer than cells.
    Above three dimensions: such sums, linear inner functions, and inner functions found by variable
    projection. A family is left after trials that lower the residual little. When all have been
    tried, that with the least residual goes on, at first with other points, until the time is used
    up. While networks of another kind have not been tried, a trial that would take more than a
    quarter of the time left is postponed, or more than 0.6 of it for a march with cells in space.

    Two successive solutions give the errors of both: if the second one's residual at fresh points
    is ρ times the first one's, the first error is their distance / (1 - ρ), and the second error is
    ρ^0.8 times that, as errors decrease more slowly than residuals. Where ρ > 0.7 or a solution is
    overfitted, their distance is no measure of the errors, which are then not known. A second error
    is a guess that may be 100 times too high: within the tolerance, or at the end, a solution with
    1.25 times the hidden units replaces it, as in `estimate_error`, if time is left. Networks in
    cells estimate their own errors; if no time is left to compare one with a better solution, the
    status is "stopped". An overfitted trial is made again with more points. For energies, ρ is the
    ratio of successive distances, and the second error is ρ times the first. With noisy data, the
    smallest network that fits them as well as the next larger one is kept, and its error estimate
    includes the noise. Except for energies, time windows, cells, data and unknowns, residuals are
    divided by their sizes (`balance="sizes"` of `solve`), so that the units of coordinates, fields
    and equations do not matter. Neither the problem's name nor its exact solution influences a
    choice. `Solution.log` lists the trials, the reasons, and what would be tried with more time.

    Args:
        problem: the equation, its domain and conditions.
        tolerance: the estimated relative L2 error at which trials end; None for 1e-9.
        budget_seconds: for all trials; None for 300. Except for the first one, no trial starts that
            is forecast to take longer than the time left, and within a trial no step. Where a
            machine becomes slower meanwhile, a step that has begun still ends.
        boundary, reference, errors, seed, observers: as for `solve`.
        dtype, device: of the networks.
        announce: called before each trial with the choice, the name of its family and the state of
            the search, and at the end with the choice that is kept; None to announce nothing.
        checkpoint: a state of a search, as `announce` got it, which goes on with what is left of
            the budget. The problem, the seed and `boundary` must be those of that search.

    With a torch.distributed process group, all its processes make each trial together, and decide
    by the clock of the first one.

    Returns:
        The solution with the least estimated error or, where no error is known, with the least
        residual at fresh points; then the status is "failed: ...".

    Raises:
        InputError: if the parts of the problem do not fit together, or the checkpoint is not
            the state of a search.

    Example:
        >>> import kanpinn as kp
        >>> problem = kp.Poisson(kp.Box(x=(0, 1)), exact="sin(pi*x)")
        >>> solution = kp.auto(problem, tolerance=1e-6)
        >>> solution.errors.l2_relative < 1e-6
        True
    """
    search = TrialSearch(
        problem=stated(problem, Problem),
        boundary=boundary,
        seed=seed,
        dtype=dtype,
        device=device,
        tolerance=TrialSearch.tolerance if tolerance is None else tolerance,
        budget_seconds=TrialSearch.budget_seconds if budget_seconds is None else budget_seconds,
        observers=observers,
        announce=announce or _silent,
        earlier=trials_of(checkpoint),
    )
    with entered(observers):  # around all trials: one line shows the progress of all
        solution = search.run()
    return measured(solution, reference) if errors else solution


def _silent(choice: Choice, why: str, state: Mapping[str, Any]) -> None:
    """Announce nothing."""
