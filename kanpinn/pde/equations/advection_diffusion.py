"""The advection-diffusion-reaction equation."""

from collections.abc import Sequence
from typing import Unpack

from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.geometry import Domain, Points
from kanpinn.jets import Jet, partial
from kanpinn.pde.conditions.values import Data, values_of
from kanpinn.pde.equations.data import check_values
from kanpinn.pde.equations.equation import Equation, Shared


class AdvectionDiffusion(Equation):
    """Advection-diffusion-reaction equation ∂u/∂t + v·∇u - ∇·(a ∇u) + r u = f.

    On a domain without time the term ∂u/∂t is absent.

    Args:
        velocity: the velocity v, a list with a component for each coordinate of space.
        diffusion: the diffusivity a ≥ 0, differentiable everywhere. With a = 0 there is no boundary
            condition on the outflow, whose pieces have to be given as "none".
        reaction: the reaction rate r.
        initial: u at the initial time, by default that of `exact`.
        domain, shared: see `Equation`.

    Raises:
        InputError: naming the invalid argument.

    Example:
        >>> import kanpinn as kp
        >>> channel = kp.Box(x=(0, 1), y=(0, 1))
        >>> data = {"source": "y", "boundary": "0"}
        >>> problem = kp.AdvectionDiffusion(channel, velocity=["1", "x"], diffusion=0.1, **data)
        >>> problem.fields, len(problem.conditions())
        (('u',), 1)
    """

    def __init__(
        self,
        domain: Domain,
        *,
        velocity: Sequence[Data],
        diffusion: Data,
        reaction: Data = 0.0,
        initial: Data | None = None,
        **shared: Unpack[Shared],
    ) -> None:
        super().__init__(domain, **shared)
        if isinstance(velocity, str) or len(velocity) != len(self.space):
            raise InputError(
                f"velocity must be a list of {len(self.space)}, the components along "
                f"{', '.join(self.space)}, got {velocity!r}"
            )
        self.velocity = [self.value(f"velocity[{i}]", v) for i, v in enumerate(velocity)]
        self.diffusion = self.differentiable("diffusion", diffusion)
        self.reaction = self.value("reaction", reaction)
        if self.time is not None:
            self.add_initial(initial)
        elif initial is not None:
            raise InputError("initial is for a domain with time")
        elif not any(c.fixes_constant for c in self._conditions):
            if self.reaction == 0:
                raise InputError(
                    "boundary has no value that fixes the constant that u is determined up to"
                )

    def operator(self, p: Points, u: Jet) -> Tensor:
        found = values_of(self.reaction, p, 1, "reaction") * u.value
        for name, v in zip(self.space, self.velocity, strict=True):
            found = found + values_of(v, p, 1, "velocity") * partial(u, name)
        if self.diffusion != 0:
            found = found - self.diffusion_term(p, u, self.diffusion)
        return found if self.time is None else found + partial(u, self.time)

    def check_coefficients(self, inside: Points) -> None:
        for i, v in enumerate(self.velocity):
            check_values(f"velocity[{i}]", v, inside)
        check_values("reaction", self.reaction, inside)
        check_values("diffusion", self.diffusion, inside, least=0, above=False)
