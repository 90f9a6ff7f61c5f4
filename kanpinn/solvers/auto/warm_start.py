"""A network that starts from another solution."""

from torch import Tensor

from kanpinn.geometry import Points
from kanpinn.jets.jet import Channels, Jet
from kanpinn.loss.residuals import Residuals
from kanpinn.loss.terms import ResidualBlock
from kanpinn.optimizers.output_layer import solve_output
from kanpinn.solvers.discretize import Assembly
from kanpinn.solvers.solution import Solution


def start_from(known: Solution, assembly: Assembly) -> None:
    """Give the output layer of an assembly's network the coefficients that fit a solution best.

    Newton's method then needs a few steps where it would need many from zero.
    """
    assembly.prepare()
    inside, names = assembly.points()[0], assembly.problem.domain.names

    def distance(p: Points, u: Jet) -> Tensor:
        return u.value - known(p)

    block = ResidualBlock("values", inside, 1.0, Channels(names), distance)
    solve_output(Residuals(assembly.surrogate, [block]), linear=True)
