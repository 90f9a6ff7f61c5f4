"""Equidistribution: a steady problem is solved in coordinates that its solution stretches."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from kanpinn._support.errors import CONVERGED, InputError, integer
from kanpinn.geometry import Box, Points
from kanpinn.jets import Channels
from kanpinn.loss.residuals import Residuals
from kanpinn.loss.terms import ResidualTerm
from kanpinn.networks.kan import KAN
from kanpinn.networks.kan_layer import interpolate, set_stretch
from kanpinn.networks.network import Network
from kanpinn.networks.surrogate import Surrogate
from kanpinn.optimizers.method import Optimizer, Stage, Step, require_kan
from kanpinn.optimizers.output_layer import solve_newton
from kanpinn.spaces.evolution_terms import as_residual_term

Stretches = list[tuple[Tensor, Tensor]]  # for each coordinate: ξ and s(ξ), both from -1 to 1


def check_stretchable(surrogate: Surrogate) -> None:
    """Check that a layer of the surrogate's network can stretch the coordinates.

    Raises:
        InputError: unless the domain is a box and its coordinates are the network's inputs.
    """
    if not isinstance(surrogate.domain, Box) or surrogate.inputs is not None:
        what = "inputs of its own" if surrogate.inputs is not None else repr(surrogate.domain)
        raise InputError(
            "coordinates are stretched on boxes only, where the network sees them as they are: "
            f"here it has {what}; set stretch = false"
        )


def no_stretch(dim: int) -> Stretches:
    """Return the identity s(ξ) = ξ for `dim` coordinates."""
    return [(_line(), _line()) for _ in range(dim)]


def _line() -> Tensor:
    """Return the points in [-1, 1] between which stretches are interpolated linearly."""
    return torch.linspace(-1, 1, 1001, dtype=torch.float64)


def apply(stretches: Stretches, network: KAN) -> None:
    """Set the stretches in a network's first layer, for as many coordinates as it has inputs."""
    for axis, (xi, s) in enumerate(stretches[: len(network.layers[0].coefficients)]):
        set_stretch(network.layers[0], axis, xi, s)


def unstretched(stretches: Stretches, s: Tensor) -> Tensor:
    """Return the scaled coordinates ξ with stretched coordinates s, both (n, d)."""
    columns = [
        interpolate(column.contiguous(), to.to(s).contiguous(), xi.to(s))
        for column, (xi, to) in zip(s.unbind(dim=1), stretches, strict=True)
    ]
    return torch.stack(columns, dim=1)


def widths(stretches: Stretches, xi: Tensor) -> Tensor:
    """Return Π dξ_i / ds_i, (n, 1), at scaled coordinates ξ, (n, d).

    These are the quadrature weights in ξ, up to a factor, of points that are even in s.
    """
    total = torch.ones_like(xi[:, :1])
    for column, (at, s) in zip(xi.unbind(dim=1), stretches, strict=True):
        middle = (at[1:] + at[:-1]) / 2
        width = at.diff() / s.diff()
        total = total * interpolate(column.contiguous(), middle.to(xi), width.to(xi))[:, None]
    return total.clamp_min(0)


@torch.no_grad()
def stretches_for(surrogate: Surrogate, axes: Sequence[int], old: Stretches) -> Stretches:
    """Return stretches with those of some coordinates computed anew from the surrogate.

    The monitor function of a coordinate x is the maximum of |∂²u/∂x²|^½ over the other coordinates
    and the fields.

    Args:
        surrogate: the solution u.
        axes: the indices of the coordinates with new stretches.
        old: the present stretches; the monitor is evaluated at points that are even in their s.
    """
    made = list(old)
    for axis in axes:
        xi = unstretched(old, _line()[:, None].expand(-1, len(old)))[:, axis].contiguous()
        xi[0], xi[-1] = -1, 1
        others = _others(len(old))
        rows = torch.cat(
            [xi.repeat_interleave(len(others))[:, None], others.repeat(len(xi), 1)], dim=1
        )
        monitor = _second(surrogate, rows, axis).abs().sqrt().amax(dim=1)
        monitor = monitor.view(len(xi), -1).amax(dim=1)
        monitor[0], monitor[-1] = monitor[1], monitor[-2]
        made[axis] = (xi, equidistributed(xi, monitor))
    return made


def _others(dim: int) -> Tensor:
    """Return 64 quasi-random points in all coordinates but one, (64, d - 1)."""
    if dim == 1:
        return torch.zeros(1, 0, dtype=torch.float64)
    engine = torch.quasirandom.SobolEngine(dim - 1, scramble=True, seed=0)
    return 2 * engine.draw(64, dtype=torch.float64) - 1


def _second(surrogate: Surrogate, rows: Tensor, axis: int) -> Tensor:
    """Return ∂²u/∂ξ² by the scaled coordinate `axis`, (n, m), at n points.

    Args:
        surrogate: the solution u.
        rows: scaled coordinates (n, d), with that of `axis` in the first column.
        axis: the index of the coordinate.
    """
    xi = torch.cat([rows[:, 1 : axis + 1], rows[:, :1], rows[:, axis + 1 :]], dim=1)
    low, high = (corner.to(xi) for corner in surrogate.domain.bounds)
    points = Points(low + (xi + 1) / 2 * (high - low), surrogate.domain.names)
    jet = surrogate.evaluate(points, Channels(points.names, second="diagonal"))
    assert jet.second is not None
    return jet.second[:, axis] * ((high - low)[axis] / 2) ** 2


def equidistributed(xi: Tensor, monitor: Tensor, floor: float = 0.5, blur: float = 0.1) -> Tensor:
    """Return a stretch s(ξ) from -1 to 1 with ds/dξ ∝ monitor + floor · mean of the monitor.

    The logarithm of ds/dξ is smoothed in s.

    Args:
        xi: points ξ that increase from -1 to 1, (n,).
        monitor: the values of the monitor function there, at least 0, (n,).
        floor: the multiple of the monitor's mean that is added to it, so that no region is left
            without points; at least 0, and larger values make the stretch weaker.
        blur: the width in s over which the slope may change; above 0, well below 2.

    Returns:
        s at ξ, (n,); ξ itself if the monitor is zero or not finite.

    Reference: de Boor, Good approximation by splines with variable knots (1974); Huang and Russell,
    Adaptive moving mesh methods (2011), chapter 2.
    """
    mean = torch.trapezoid(monitor, xi) / 2
    if not (torch.isfinite(monitor).all() and mean > 0):
        return xi.clone()
    density = monitor + floor * mean
    s = _running(xi, density)
    even = torch.linspace(-1, 1, 2 * len(xi) - 1, dtype=xi.dtype)
    smooth = _blurred(interpolate(even, s, density.log()), blur / float(even[1] - even[0]))
    return _running(xi, interpolate(s, even, smooth).exp())


def _running(xi: Tensor, density: Tensor) -> Tensor:
    """Return the running integral of a density over xi, scaled to increase from -1 to 1."""
    total = torch.cat([xi.new_zeros(1), torch.cumulative_trapezoid(density, xi)])
    return 2 * total / total[-1] - 1


def _blurred(values: Tensor, width: float) -> Tensor:
    """Return values smoothed by a Gaussian of `width` intervals, then by one of half of it."""
    from scipy.ndimage import gaussian_filter1d

    for w in (width, width / 2):
        values = torch.from_numpy(gaussian_filter1d(values.numpy(), w, mode="nearest"))
    return values


def stretched_points(points: Points, surrogate: Surrogate, stretches: Stretches) -> Points:
    """Return points whose stretched coordinates s are the given points' scaled coordinates.

    Coordinates on the boundary of the bounding box are not changed.
    """
    low, high = surrogate.low, surrogate.high
    s = 2 * (points.coords - low) / (high - low) - 1
    coords = low + (unstretched(stretches, s) + 1) / 2 * (high - low)
    on_wall = (points.coords == low) | (points.coords == high)
    return replace(points, coords=torch.where(on_wall, points.coords, coords))


def mean_over_space(term: ResidualTerm, surrogate: Surrogate, stretches: Stretches) -> ResidualTerm:
    """Return the term, with points that are even in s, weighted so that it is a mean over space."""
    mean = _widths(term.points, surrogate, stretches).mean().sqrt()

    def root(p: Points) -> Tensor:
        return p.once("widths", lambda: _widths(p, surrogate, stretches).sqrt() / mean)

    equation = term.equation
    return replace(term, equation=lambda p, u: equation(p, u) * root(p))


def _widths(p: Points, surrogate: Surrogate, stretches: Stretches) -> Tensor:
    low, high = surrogate.low, surrogate.high
    return widths(stretches, 2 * (p.coords - low) / (high - low) - 1)


@dataclass(frozen=True)
class Equidistribute(Optimizer):
    """Solve for the output layer of a KAN with `stretch`, in coordinates stretched by the solution.

    The first step solves in the original coordinates. Every further step computes from the last
    solution a stretch x → s(x) of each coordinate with ds/dx ∝ max |∂²u/∂x²|^½ + a floor. The
    network's first layer maps x to s, so that its knots are evenly spaced in s; the collocation
    points are moved to be evenly spaced in s, too. Newton's method then starts from a zero output
    layer. A step that does not lower the loss is undone and ends the method. It is not a
    `Transform`, since that changes the network once and leaves its function unchanged.

    Args:
        steps: the largest number of solves.

    Raises:
        InputError: in a solve, for a network without a stretching layer or a domain that is not a
            box.

    Reference: de Boor, Good approximation by splines with variable knots (1974); Huang and Russell,
    Adaptive moving mesh methods (2011).

    Example:
        >>> import kanpinn as kp
        >>> layer = "x - exp((x - 1) / 0.02)"
        >>> problem = kp.Poisson(kp.Box(x=(0, 1)), exact=layer)
        >>> network = kp.KAN([1, 1], degree=7, grid=20, stretch=True)
        >>> solution = kp.solve(problem, network, kp.Equidistribute(steps=6))
        >>> solution.errors.l2_relative < 1e-4
        True
    """

    steps: int = 4
    needs_fixed_points = True

    def __post_init__(self) -> None:
        integer("steps", self.steps)

    def check(self, network: Network) -> None:
        if not require_kan(network, "equidistribute").stretched:
            raise InputError("equidistribute needs a layer that stretches: stretch = true")

    def start(self, residuals: Residuals, seed: int) -> "EquidistributeStage":
        return EquidistributeStage(residuals)


class EquidistributeStage(Stage):
    """The state of an equidistribution: the stretches and the loss of the last accepted step."""

    kept = ("stretches", "loss")

    def __init__(self, residuals: Residuals) -> None:
        self.surrogate, self.residuals = residuals.surrogate, residuals
        self.network = require_kan(self.surrogate.network, "equidistribute")
        check_stretchable(self.surrogate)
        self.stretches: Stretches | None = None
        self.loss = math.inf

    def step(self) -> Step:
        before = {name: t.clone() for name, t in self.network.state_dict().items()}
        stretches = no_stretch(self.surrogate.domain.dim)
        if self.stretches is not None:
            axes = range(len(stretches))
            stretches = stretches_for(self.surrogate, axes, self.stretches)
        loss, evaluations = self._solve(stretches)
        if not loss < self.loss and self.stretches is not None:
            self.network.load_state_dict(before)
            return Step(self.loss, evaluations, CONVERGED, words="stretch taken back")
        self.stretches, self.loss = stretches, loss
        return Step(loss, evaluations)

    def _solve(self, stretches: Stretches) -> tuple[float, int]:
        """Solve in stretched coordinates; return the loss and the number of evaluations."""
        apply(stretches, self.network)
        terms = []
        for index, term in enumerate(self.residuals.terms):
            own = as_residual_term(term, "equidistribute")
            made = replace(own, points=stretched_points(own.points, self.surrogate, stretches))
            terms.append(made if index else mean_over_space(made, self.surrogate, stretches))
        with torch.no_grad():
            self.network.layers[-1].coefficients.zero_()
        self.network.placed = False
        residuals = Residuals(self.surrogate, terms)
        self.surrogate.prepare(residuals.points)
        return solve_newton(residuals)
