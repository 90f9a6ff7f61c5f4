"""Builds initial data, and data on walls, into surrogates in time windows."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn._support.shapes import Coords
from kanpinn.geometry import Points
from kanpinn.networks.constraints.boundary_data import (
    IMPOSITIONS,
    Imposition,
    check_data,
    numbers_of,
)
from kanpinn.networks.constraints.box import Fieldwise, on_box
from kanpinn.networks.constraints.distance import LiftedDirichlet, distance_from, on_any_domain
from kanpinn.networks.constraints.lifting import NotExact, OfCoords, Values, smooth_on
from kanpinn.networks.surrogate import OutputMap
from kanpinn.pde.boundary_value_problem import BoundaryValueProblem
from kanpinn.pde.conditions.condition import Prescribed
from kanpinn.pde.jumps import Jump, prescribed_data


def choose_imposition_in_windows(
    problem: BoundaryValueProblem, boundary: str, found: Sequence[Jump]
) -> Imposition:
    """Choose how data are imposed on a network in time windows.

    Initial data are always built in. `boundary` decides about the data on walls, which are the
    boundary pieces other than the initial and final time.

    Args:
        problem: the problem.
        boundary: "auto", "exact" or "penalty".
        found: the jumps of the problem's data.

    Raises:
        InputError: for another value of `boundary`, where "exact" is requested but impossible, and
            where a field has no initial values or they are not smooth.
    """
    if boundary not in IMPOSITIONS:
        raise InputError(f'boundary must be "auto", "exact" or "penalty", got {boundary!r}')
    why = ""
    if boundary != "penalty":
        try:
            if found:
                raise NotExact(str(found[0]))
            return Imposition(_started(problem, walls=True), numbers_of(problem, lambda one: True))
        except NotExact as reason:
            if boundary == "exact":
                raise InputError(
                    f'boundary = "exact" is impossible here, use "penalty": {reason}'
                ) from None
            why = str(reason)
    initial = problem.domain.dim - 1, False  # the side where the last coordinate begins
    met = numbers_of(problem, lambda one: one.piece.side == initial)
    return Imposition(_started(problem, walls=False), met, why)


def order_in_time(problem: BoundaryValueProblem) -> int:
    """Return the order in time of the initial data: 2 with initial rates, 1 without.

    Raises:
        InputError: where only some fields have initial rates, or a field has no initial values.
    """
    data = prescribed_data(problem)
    rates = {_initial(problem, name, data[name]).rate is not None for name in problem.fields}
    if len(rates) > 1:
        raise InputError(
            f"a network in time windows takes initial rates for all fields or for none, "
            f"{type(problem).__name__} has them for some"
        )
    return 2 if rates.pop() else 1


def _initial(problem: BoundaryValueProblem, name: str, data: Sequence[Prescribed]) -> Prescribed:
    found = [one for one in data if one.piece.side == (problem.domain.dim - 1, False)]
    if len(found) != 1:
        raise InputError(
            f"a network in time windows needs one initial value of each field, such as "
            f"kp.Initial(domain, value): {type(problem).__name__} has {len(found)} of {name} where "
            f"{problem.domain.names[-1]}, the last coordinate, begins"
        )
    return found[0]


def _started(problem: BoundaryValueProblem, walls: bool) -> OutputMap:
    if problem.enrichment():
        raise InputError(
            f"{type(problem).__name__}.enrichment() does not go with a network in time windows: "
            "known functions beside it need not vanish at the first moment"
        )
    data = prescribed_data(problem)
    maps = [_started_field(problem, name, data[name], walls) for name in problem.fields]
    return maps[0] if len(maps) == 1 else Fieldwise(tuple(maps))


def _started_field(
    problem: BoundaryValueProblem, name: str, prescribed: Sequence[Prescribed], walls: bool
) -> LiftedDirichlet:
    """Return the output map u = g + D·M of one field.

    The network M vanishes at the initial time and, with a prescribed rate, so does its time
    derivative. g equals the initial values. With `walls` it also equals the data on the walls,
    where D vanishes; without, D is one.
    """
    first, domain = _initial(problem, name, prescribed), problem.domain
    at_start = float(domain.bounds[0][-1])
    functions = [first.values] if first.rate is None else [first.values, first.rate]
    if not all(first.piece.dim == 0 or smooth_on(first.piece, f) for f in functions):
        raise InputError(
            f"a network in time windows has the initial value of {name} built in, whose "
            "derivatives must be known: it is not smooth"
        )
    lift: OfCoords = AtStart(first.values, domain.names, at_start)
    distant: OfCoords = _no_walls
    data = [p for p in prescribed if p is not first and p.piece != first.piece]
    if walls and data:
        if domain.is_box:
            lift = on_box(domain, [first, *data], False).extension
        else:  # without a lifting, where all data are zero, the initial values serve
            lift = on_any_domain(domain, [first, *data], False).lift or lift
        distant = distance_from(domain, [p.piece for p in data], False)
    if first.rate is not None:
        lift = WithRate(lift, AtStart(first.rate, domain.names, at_start))
    made = LiftedDirichlet(distant, lift)
    if walls:
        check_data(made, [first, *data], name)
    return made


@dataclass(frozen=True, eq=False)
class AtStart:
    """g(x, t) = u(x, t_0): the initial values, constant in time."""

    values: Values
    names: tuple[str, ...]
    start: float

    def __call__(self, coords: Coords) -> Tensor:
        first = torch.full_like(coords[:, -1:], self.start)
        return self.values(Points(torch.cat([coords[:, :-1], first], dim=1), self.names))


@dataclass(frozen=True, eq=False)
class WithRate:
    """g(x, t) + (t - t_0) (v(x) - ∂_t g(x, t_0)): a lifting with the rate v at t_0."""

    lift: OfCoords
    rate: AtStart

    def __call__(self, coords: Coords) -> Tensor:
        since = coords[:, -1:] - self.rate.start
        return self.lift(coords) + since * (self.rate(coords) - self._slope(coords))

    def _slope(self, coords: Coords) -> Tensor:
        """Return ∂_t g at the initial time, (n, 1), itself differentiable."""
        with torch.enable_grad():
            first = torch.full_like(coords[:, -1:], self.rate.start).requires_grad_()
            value = self.lift(torch.cat([coords[:, :-1], first], dim=1))
            if not value.requires_grad:
                return torch.zeros_like(first)
            (slope,) = torch.autograd.grad(
                value.sum(), first, create_graph=True, materialize_grads=True
            )
        return slope


def _no_walls(coords: Coords) -> Tensor:
    """The factor D = 1, for data on walls that are not built in."""
    return torch.ones_like(coords[:, :1])
