"""A start of the output layer from the solution of another network."""

from torch import Tensor

from kanpinn.geometry import Points
from kanpinn.jets import Channels, Jet
from kanpinn.loss.residuals import Residuals
from kanpinn.loss.terms import ResidualTerm
from kanpinn.optimizers.output_layer import solve_output
from kanpinn.solvers.discretization import Discretization
from kanpinn.solvers.solution import Solution


def start_from(known: Solution, discretization: Discretization) -> None:
    """Fit a discretization's output layer to a known solution by least squares, in place.

    From there Newton's method needs a few steps; from zero it would need many.
    """
    discretization.prepare()
    inside, names = discretization.points()[0], discretization.problem.domain.names

    def distance(p: Points, u: Jet) -> Tensor:
        return u.value - known(p)

    term = ResidualTerm("values", inside, 1.0, Channels(names), distance)
    solve_output(Residuals(discretization.surrogate, [term]), linear=True)
