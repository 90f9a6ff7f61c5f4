"""Helmholtz's equation."""

from typing import Unpack

from torch import Tensor

from kanpinn.geometry import Domain, Points
from kanpinn.jets import Jet, laplacian
from kanpinn.pde.conditions.values import Data, values_of
from kanpinn.pde.equations.data import check_values
from kanpinn.pde.equations.equation import Equation, Shared


class Helmholtz(Equation):
    """Helmholtz equation -Δu - k² u = f, for time-harmonic waves.

    Args:
        wavenumber: the wavenumber k.
        domain, shared: see `Equation`.

    Raises:
        InputError: naming the invalid argument.

    Example:
        >>> import kanpinn as kp
        >>> problem = kp.Helmholtz(kp.Box(x=(0, 1)), wavenumber=20, exact="sin(20*x)")
        >>> kp.solve(problem, kp.KAN([1, 1], degree=9, grid=12)).errors.l2_relative < 1e-5
        True
    """

    def __init__(
        self,
        domain: Domain,
        *,
        wavenumber: Data,
        **shared: Unpack[Shared],
    ) -> None:
        super().__init__(domain, **shared)
        self.steady()
        self.wavenumber = self.value("wavenumber", wavenumber)

    def operator(self, p: Points, u: Jet) -> Tensor:
        k = values_of(self.wavenumber, p, 1, "wavenumber")
        return -laplacian(u) - k**2 * u.value

    def check_coefficients(self, inside: Points) -> None:
        check_values("wavenumber", self.wavenumber, inside)
