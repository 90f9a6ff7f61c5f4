"""The flux condition on an interface inside the domain, where a coefficient jumps."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor

from kanpinn._support.errors import InputError
from kanpinn._support.shapes import Vector
from kanpinn.geometry import Boundary, Domain, Piece, Points
from kanpinn.geometry.sampling import Collocation, sample
from kanpinn.jets import Jet, normal_derivative
from kanpinn.pde.conditions.condition import Condition
from kanpinn.pde.conditions.values import Data, values_of


@dataclass(frozen=True)
class Interface(Condition):
    """Flux condition (a ∂u/∂n)_outside - (a ∂u/∂n)_inside = flux on an interface.

    The interface is the boundary of a part of the domain, and n points out of that part. The
    surrogate has to have a kink at the interface: give its network the distance |φ(x)| from the
    interface as a further input, by `Problem.inputs`. Networks in cells (`Cells`) need no such
    input and leave it out: they are divided by the interface, which in space consists of spheres
    and faces of boxes. In the energy form the condition with flux = 0 is natural and need not be
    listed.

    Args:
        domain: the whole domain.
        on: the boundary of the part, or some pieces of it.
        coefficient: a, a number, a formula or a function of points; it is evaluated on both sides.
        flux: a number, a formula or a function of points, such as a heat source on the interface.

    Raises:
        InputError: for data of another kind, and in a solve in float32, where the points of the
            two sides coincide.

    Example:
        >>> import kanpinn as kp
        >>> box, wire = kp.Box(x=(-1, 1), y=(-1, 1)), kp.Disk((0, 0), 0.5)
        >>> flux = kp.Interface(box, wire.boundary, "where(x**2 + y**2 < 0.25, 80, 1)")
        >>> flux.coefficient is not None, flux.weight
        (True, 1.0)
    """

    domain: Domain
    on: Boundary
    coefficient: Data
    flux: Data = 0.0

    places: ClassVar = {"on": (Boundary,)}
    data: ClassVar = ("coefficient", "flux")

    def __post_init__(self) -> None:
        super().__post_init__()
        vars(self).update(sites=2, surface=self.on.measure)  # a point on each side

    @property
    def seats(self) -> tuple[Piece, ...]:
        return self.on.pieces

    @property
    def kinks(self) -> tuple[Piece, ...]:
        return self.on.pieces

    def points(
        self,
        collocation: Collocation,
        share: float,
        generator: Generator,
        units: Vector | None = None,
    ) -> Points:
        count = max(1, round(share * collocation.boundary))
        p = sample(self.on, count, collocation.sampler, generator, units)
        return p.on_both_sides(self.domain.bounds)

    def residual(self, p: Points, *fields: Jet) -> Tensor:
        """Return the jump of a ∂u/∂n across the interface minus the flux, (rows, m)."""
        if torch.equal(p.coords[0::2], p.coords[1::2]):
            raise InputError(f"Interface needs float64, its two sides are one in {p.coords.dtype}")
        slopes = torch.cat([normal_derivative(u, p) for u in fields], dim=1)
        m = slopes.shape[1]
        across = values_of(self.coefficient, p, m, "Interface's coefficient") * slopes
        flux = values_of(self.flux, p, m, "Interface's flux")
        return across[1::2] - across[0::2] - (flux[1::2] + flux[0::2]) / 2
