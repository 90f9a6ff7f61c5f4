"""Poisson's equation."""

from typing import Unpack

from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.geometry import Domain, Points
from kanpinn.jets import Jet
from kanpinn.pde.conditions import Integral
from kanpinn.pde.conditions.values import Data
from kanpinn.pde.equations.data import check_values
from kanpinn.pde.equations.equation import Equation, Shared


class Poisson(Equation):
    """Poisson equation -∇·(a ∇u) = f, such as steady heat conduction with a heat source f.

    Args:
        diffusion: the diffusivity a > 0, differentiable everywhere.
        mean: the mean of u over the domain; needed where no boundary value fixes the constant up to
            which u is determined.
        domain, shared: see `Equation`.

    Raises:
        InputError: naming the invalid argument.

    Example:
        >>> import kanpinn as kp
        >>> problem = kp.Poisson(kp.Box(x=(-1, 1), y=(-1, 1)), exact="sin(pi*x) * sin(pi*y)")
        >>> solution = kp.solve(problem, kp.KAN([2, 24, 1], degree=7, grid=[4, 6]))
        >>> solution.errors.l2_relative < 1e-3
        True
    """

    def __init__(
        self,
        domain: Domain,
        *,
        diffusion: Data = 1.0,
        mean: float | int | None = None,
        **shared: Unpack[Shared],
    ) -> None:
        super().__init__(domain, **shared)
        self.steady()
        self.diffusion = self.differentiable("diffusion", diffusion)
        if mean is not None:
            self._conditions.append(Integral(domain, mean * domain.measure))
        elif not any(c.fixes_constant for c in self._conditions):
            raise InputError(
                "mean is missing: no boundary value fixes the constant that u is determined up to"
            )

    def operator(self, p: Points, u: Jet) -> Tensor:
        return -self.diffusion_term(p, u, self.diffusion)

    def check_coefficients(self, inside: Points) -> None:
        check_values("diffusion", self.diffusion, inside, least=0)
