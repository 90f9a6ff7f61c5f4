"""Integrals over space that an equation conserves, and their changes in a solution over time."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy
import torch
from numpy import ndarray
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.geometry import Points
from kanpinn.geometry.quadrature import domain_rule
from kanpinn.geometry.rules import gauss_legendre, tensor_grid
from kanpinn.geometry.sampling import sample
from kanpinn.jets import Channels, Jet, find_channels, random_jets, stack_equations
from kanpinn.networks.surrogate import Surrogate
from kanpinn.pde.problem import Problem
from kanpinn.spaces.function_space import space_of
from kanpinn.spaces.windows import NetworkOfWindows


@dataclass(frozen=True, eq=False)
class Invariant:
    """An integral over space that the equation conserves, of a solution at several times.

    Args:
        times: the times, (k,).
        values: the integral at each time, (k,). If the problem has `outflow`, the amount that has
            left through the boundary since the first time is added to the integral.
        size: the largest integral, over the times, of the density's absolute value. Relative drifts
            are divided by it.

    Example:
        >>> import numpy
        >>> mass = Invariant(numpy.array([0.0, 1.0]), numpy.array([2.0, 2.0002]), size=2.0)
        >>> f"{mass.relative_drift:.0e}"
        '1e-04'
    """

    times: ndarray
    values: ndarray
    size: float

    @property
    def drifts(self) -> ndarray:
        """The changes of the integral since the first time, (k,)."""
        return self.values - self.values[0]

    @property
    def drift(self) -> float:
        """The largest absolute change of the integral since the first time."""
        return float(abs(self.drifts).max())

    @property
    def relative_drift(self) -> float:
        """The drift divided by the size; 0 for an integral that is always zero."""
        return self.drift / self.size if self.size else 0.0


@dataclass(frozen=True, eq=False)
class InvariantMoments:
    """The times at which the invariants of a solution are integrated.

    Args:
        ends: the ends of time intervals in each of which the solution is smooth, (k,).
        chosen: the indices of the times among `ends`.
        windows: the network in time windows; None for another network.
    """

    ends: ndarray
    chosen: Sequence[int]
    windows: NetworkOfWindows[Any] | None = None

    @classmethod
    def of(cls, surrogate: Surrogate, most: int = 200) -> "InvariantMoments":
        """Return the times for a solution.

        They are the ends of at most `most` time windows. For a network without time windows they
        are the ends of 32 equal intervals.
        """
        low, high = surrogate.domain.time_span
        network = surrogate.network
        if not isinstance(network, NetworkOfWindows):
            ends = numpy.linspace(low, high, 33)
            return cls(ends, range(len(ends)))
        ends = low + network.ends.cpu().double().numpy() / 2 * (high - low)
        chosen = numpy.linspace(0, network.count, min(most, network.count) + 1).round()
        return cls(ends, chosen.astype(int).tolist(), network)

    def rule(self, surrogate: Surrogate, number: int) -> tuple[Points, Tensor]:
        """Return a quadrature rule over space at one of the times.

        For splines in time windows the rule consists of Gauss rules on all grid intervals, which
        are exact for products of three splines. For other networks it is a Gauss rule with 48 nodes
        per axis. Without coordinates in space it is a single point with the weight 1.

        Args:
            surrogate: the solution.
            number: the index of the time among `ends`, which is the end of the time window with
                this number, counted from 1.

        Returns:
            The n points in space and time, and the weights, (n,).
        """
        domain, windows, window = surrogate.domain, self.windows, max(0, number - 1)
        if domain.dim == 1:
            places, weights = torch.empty(1, 0).double(), torch.ones(1).double()
        elif windows is not None and (intervals := windows.breaks(window)):
            low, high = domain.bounds
            degree = windows.members[window].layers[-1].basis.degree
            nodes, shares = gauss_legendre(3 * (degree + 1) // 2)
            rules = []
            for axis, breaks in enumerate(intervals):
                ends = low[axis] + (breaks.cpu().double() + 1) * (high[axis] - low[axis]) / 2
                widths = ends.diff()[:, None]
                rules.append(((ends[:-1, None] + widths * nodes).flatten(), widths * shares))
            places = tensor_grid([places for places, _ in rules])
            weights = tensor_grid([shares.flatten() for _, shares in rules]).prod(dim=1)
        else:
            parts = list(domain_rule(space_of(domain), 48))
            places = torch.cat([points.coords for points, _ in parts])
            weights = torch.cat([shares for _, shares in parts])
        return _at(places, [float(self.ends[number])], domain.names), weights


Densities = Callable[..., Mapping[str, Tensor]]


def densities_at(what: str, densities: Densities, p: Points, u: Jet) -> dict[str, Tensor]:
    """Return the densities of a solution at n points by name, (n,) each.

    Args:
        what: the name of the method, "Class.invariants", for messages.
        densities: a problem's method `invariants` or `outflow`.
        p: the points.
        u: the jet of all fields at these points.

    Raises:
        InputError: if the method does not return a dict from names to columns (n, 1).
    """
    n, found = len(p), densities(p, *u.components())
    if not isinstance(found, Mapping) or not found or not all(isinstance(k, str) for k in found):
        needed = 'a dict from names to densities, {"mass": u.value}'
        raise InputError(f"{what} must return {needed}, got {found!r}")
    columns = {name: stack_equations(one, n, f"{what}[{name!r}]") for name, one in found.items()}
    for name, column in columns.items():
        if column.shape[1] != 1:
            got = f"with n = {n} points here, got {tuple(column.shape)}"
            raise InputError(f"{what}[{name!r}] must have shape (n, 1) {got}")
    return {name: column[:, 0] for name, column in columns.items()}


def check_invariants(problem: Problem) -> None:
    """Check a problem's methods `invariants` and `outflow` by calling them with random jets.

    Raises:
        InputError: if a method does not return a dict from names to columns, if `outflow` has a
            name that `invariants` does not have, or if time is not the domain's last coordinate.
    """
    _ = problem.domain.time_span  # refuses a time that is not the last coordinate
    if problem.domain.dim > 1:
        space_of(problem.domain)
    p, kind = sample(problem.domain, 5, "uniform"), type(problem).__name__
    p = Points(p.coords, p.names, torch.ones_like(p.coords))  # `outflow` needs normals
    known: dict[str, Tensor] = {}
    for method, densities in (("invariants", problem.invariants), ("outflow", problem.outflow)):
        tried: dict[str, Tensor] = {}

        def stacked(
            p: Points, u: Jet, what: str = f"{kind}.{method}", of: Any = densities
        ) -> Tensor:
            """Return the densities of a method at points, side by side, and add them to `tried`."""
            tried.update(densities_at(what, of, p, u))  # noqa: B023
            return torch.stack([*tried.values()], dim=1)  # noqa: B023

        if densities is not None:
            random_jets(stacked, p, len(problem.columns))
        if known and (other := [name for name in tried if name not in known]):
            none = f"which is none of the invariants {', '.join(known)}"
            raise InputError(f"{kind}.{method} has {other[0]!r}, {none}")
        known = known or tried


@torch.no_grad()
def invariants_of(problem: Problem, surrogate: Surrogate) -> dict[str, Invariant]:
    """Integrate the invariants of a problem over space, at the times of `InvariantMoments`.

    Args:
        problem: the problem; time is the last coordinate of its domain.
        surrogate: the solution.

    Returns:
        The invariants by name; none if the problem has no method `invariants`.
    """
    if problem.invariants is None:
        return {}
    method, moments = f"{type(problem).__name__}.invariants", InvariantMoments.of(surrogate)
    values: dict[str, list[float]] = {}
    sizes: dict[str, float] = {}
    for number in moments.chosen:
        points, weights = moments.rule(surrogate, number)
        for name, density in _densities(method, problem.invariants, points, surrogate).items():
            density = density.cpu().double()
            values.setdefault(name, []).append(float(weights @ density))
            sizes[name] = max(sizes.get(name, 0.0), float(weights @ density.abs()))
    left = _outflow(problem, surrogate, moments)
    times = moments.ends[moments.chosen]
    return {
        name: Invariant(times, numpy.array(sums) + left.get(name, 0.0), sizes[name])
        for name, sums in values.items()
    }


def _outflow(
    problem: Problem, surrogate: Surrogate, moments: InvariantMoments
) -> dict[str, ndarray]:
    """Return the amount of each invariant that has left through the boundary, by name.

    Args:
        problem: the problem, with the method `outflow`.
        surrogate: the solution.
        moments: the times.

    Returns:
        The amounts from the first time up to each of the chosen times, (k,); empty if the problem
        has no `outflow`, or no coordinate in space.
    """
    if problem.outflow is None or problem.domain.dim == 1:
        return {}
    walls, weights = space_of(problem.domain).boundary.quadrature(48)
    nodes, shares = gauss_legendre(12)
    ends = torch.from_numpy(moments.ends)
    lengths = ends.diff()[:, None]
    times = (ends[:-1, None] + lengths * nodes).flatten().tolist()
    points = _at(walls.coords, times, problem.domain.names, walls.normals)
    method = f"{type(problem).__name__}.outflow"
    left = {}
    for name, flux in _densities(method, problem.outflow, points, surrogate).items():
        rates = flux.cpu().double().view(len(lengths), len(nodes), -1) @ weights
        sums = (lengths * shares * rates).sum(dim=1).cumsum(dim=0).numpy()
        left[name] = numpy.concatenate([[0.0], sums])[moments.chosen]
    return left


def _at(
    places: Tensor, times: Sequence[float], names: tuple[str, ...], normals: Tensor | None = None
) -> Points:
    """Return points in space and time: all places at the first time, at the second time and so on.

    Args:
        places: the places, (n, d - 1).
        times: the times, k numbers.
        names: the names of the d coordinates, with the time last.
        normals: outward unit normals at the places, (n, d - 1); None without normals.

    Returns:
        The k n points.
    """
    t = torch.tensor(times, dtype=torch.float64).repeat_interleave(len(places))[:, None]
    coords = torch.cat([places.double().repeat(len(times), 1), t], dim=1)
    if normals is None:
        return Points(coords, names)
    outward = torch.cat([normals.double().repeat(len(times), 1), torch.zeros_like(t)], dim=1)
    return Points(coords, names, outward)


def _densities(
    what: str, densities: Densities, points: Points, surrogate: Surrogate
) -> dict[str, Tensor]:
    """Return the densities of a solution at n points, (n,) each, by name.

    Args:
        what: the name of the method, "Class.invariants", for messages.
        densities: a problem's method `invariants` or `outflow`.
        points: the points.
        surrogate: the solution.
    """
    like = next(surrogate.network.parameters())
    points = points.to(like.dtype, like.device)

    def evaluate(p: Points, channels: Channels) -> dict[str, Tensor]:
        """Return the densities at points by name, from jets of the solution with these channels."""
        return densities_at(what, densities, p, surrogate.evaluate(p, channels))

    channels, _ = find_channels(partial(evaluate, points[:1]), points.names)
    return evaluate(points, channels)
