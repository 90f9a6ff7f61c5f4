"""The heat equation."""

from typing import Unpack

from torch import Tensor

from kanpinn.geometry import Domain, Points
from kanpinn.jets import Jet, partial
from kanpinn.pde.conditions.values import Data
from kanpinn.pde.equations.data import check_values
from kanpinn.pde.equations.equation import Equation, Shared


class Heat(Equation):
    """Heat equation ∂u/∂t - ∇·(a ∇u) = f.

    Args:
        diffusion: the diffusivity a > 0, differentiable everywhere.
        initial: u at the initial time, by default that of `exact`.
        domain, shared: see `Equation`.

    Raises:
        InputError: naming the invalid argument.

    Example:
        >>> import kanpinn as kp
        >>> rod = kp.Box(x=(0, 1), t=(0, 1))
        >>> problem = kp.Heat(rod, diffusion=0.1, initial="sin(pi*x)", boundary="0")
        >>> network = kp.Windows([2, 1], degree=7, grid=8)
        >>> kp.solve(problem, network, kp.March(tolerance=1e-4)).status
        'converged'
    """

    def __init__(
        self,
        domain: Domain,
        *,
        diffusion: Data = 1.0,
        initial: Data | None = None,
        **shared: Unpack[Shared],
    ) -> None:
        super().__init__(domain, **shared)
        self.diffusion = self.differentiable("diffusion", diffusion)
        self.add_initial(initial)

    def operator(self, p: Points, u: Jet) -> Tensor:
        rate = partial(u, str(self.time))
        return rate - self.diffusion_term(p, u, self.diffusion)

    def check_coefficients(self, inside: Points) -> None:
        check_values("diffusion", self.diffusion, inside, least=0)
