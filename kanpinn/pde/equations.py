"""Ready-made problems for common equations, which problem files can name."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Unpack

from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.geometry import Domain, Points
from kanpinn.jets import Channels, Jet, laplacian, partial
from kanpinn.pde.conditions import Integral
from kanpinn.pde.conditions.condition import Data, values_of
from kanpinn.pde.equation import Equation, Function, Shared, jet


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
        self.diffusion = self.coefficient("diffusion", diffusion, 0, differentiable=True)
        if mean is not None:
            self._conditions.append(Integral(domain, mean * domain.measure))
        elif not any(c.fixes_constant for c in self._conditions):
            raise InputError(
                "mean is missing: no boundary value fixes the constant that u is determined up to"
            )

    def operator(self, p: Points, u: Jet) -> Tensor:
        return -self.diffusion_term(p, u, self.diffusion)


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
        self.diffusion = self.coefficient("diffusion", diffusion, 0, differentiable=True)
        self.add_initial(initial)

    def operator(self, p: Points, u: Jet) -> Tensor:
        rate = partial(u, str(self.time))
        return rate - self.diffusion_term(p, u, self.diffusion)


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
        self.speed = self.coefficient("speed", speed, 0)
        if rate is None and self.exact is not None:
            self.add_initial(initial, TimeDerivative(self.exact))
        else:
            self.add_initial(initial, self.value("rate", 0.0 if rate is None else rate))

    def operator(self, p: Points, u: Jet) -> Tensor:
        t, c = str(self.time), values_of(self.speed, p, 1, "speed")
        return partial(u, t, t) - c**2 * self.diffusion_term(p, u, 1.0)


@dataclass(frozen=True)
class TimeDerivative:
    """∂u/∂t of a known u at the initial time, where the outward normal is -t; a function (n, 1)."""

    known: Function

    def __call__(self, p: Points) -> Tensor:
        assert p.normals is not None
        slopes = jet(self.known, p, Channels(p.names, gradient=True)).gradient
        assert slopes is not None
        return -(p.normals * slopes[..., 0]).sum(dim=1, keepdim=True)


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
        self.wavenumber = self.coefficient("wavenumber", wavenumber)

    def operator(self, p: Points, u: Jet) -> Tensor:
        k = values_of(self.wavenumber, p, 1, "wavenumber")
        return -laplacian(u) - k**2 * u.value


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
        self.velocity = [self.coefficient(f"velocity[{i}]", v) for i, v in enumerate(velocity)]
        self.diffusion = self.coefficient(
            "diffusion", diffusion, 0, above=False, differentiable=True
        )
        self.reaction = self.coefficient("reaction", reaction)
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
