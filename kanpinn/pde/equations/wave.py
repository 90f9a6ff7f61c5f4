"""The wave equation."""

from dataclasses import dataclass
from typing import Unpack

from torch import Tensor

from kanpinn.geometry import Domain, Points
from kanpinn.jets import Channels, Jet, partial
from kanpinn.pde.conditions.values import Data, values_of
from kanpinn.pde.equations.data import Function, check_values, jet
from kanpinn.pde.equations.equation import Equation, Shared


class Wave(Equation):
    """Wave equation ∂²u/∂t² - c² Δu = f.

    Args:
        speed: the wave speed c > 0.
        initial: u at the initial time, by default that of `exact`.
        rate: ∂u/∂t at the initial time, by default that of `exact`, or 0 without.
        domain, shared: see `Equation`.

    Raises:
        InputError: naming the invalid argument.

    Example:
        >>> import kanpinn as kp
        >>> string = kp.Box(x=(0, 1), t=(0, 0.5))
        >>> problem = kp.Wave(string, speed=2.0, initial="sin(pi*x)", rate=0, boundary="0")
        >>> kp.solve(problem, kp.Windows([2, 1], degree=7, grid=8), kp.March(1e-4)).status
        'converged'
    """

    def __init__(
        self,
        domain: Domain,
        *,
        speed: Data = 1.0,
        initial: Data | None = None,
        rate: Data | None = None,
        **shared: Unpack[Shared],
    ) -> None:
        super().__init__(domain, **shared)
        self.speed = self.value("speed", speed)
        if rate is None and self.exact is not None:
            self.add_initial(initial, TimeDerivative(self.exact))
        else:
            self.add_initial(initial, self.value("rate", 0.0 if rate is None else rate))

    def operator(self, p: Points, u: Jet) -> Tensor:
        t, c = str(self.time), values_of(self.speed, p, 1, "speed")
        return partial(u, t, t) - c**2 * self.diffusion_term(p, u, 1.0)

    def check_coefficients(self, inside: Points) -> None:
        check_values("speed", self.speed, inside, least=0)


@dataclass(frozen=True)
class TimeDerivative:
    """∂u/∂t of a known u at the initial time, where the outward normal is -t; a function (n, 1)."""

    known: Function

    def __call__(self, p: Points) -> Tensor:
        assert p.normals is not None
        slopes = jet(self.known, p, Channels(p.names, gradient=True)).gradient
        assert slopes is not None
        return -(p.normals * slopes[..., 0]).sum(dim=1, keepdim=True)
