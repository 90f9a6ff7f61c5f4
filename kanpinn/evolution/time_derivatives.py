"""The order in time of an equation, and of the initial data that it needs."""

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.evolution.in_time import powers_in_time
from kanpinn.jets import jet_of, total
from kanpinn.loss.terms import PROBE_POINTS, ResidualTerm
from kanpinn.networks.constraints.boundary_data import at_start
from kanpinn.pde.boundary_value_problem import BoundaryValueProblem
from kanpinn.pde.jumps import prescribed_data


def order_in_time(problem: BoundaryValueProblem) -> int:
    """Return the order in time of the initial data: 2 with initial rates, 1 without.

    Raises:
        InputError: where only some fields have initial rates.
    """
    data = prescribed_data(problem)
    rates = {
        any(one.rate is not None for one in data[name] if at_start(one)) for name in problem.fields
    }
    if len(rates) > 1:
        raise InputError(
            f"a network in time windows takes initial rates for all fields or for none, "
            f"{type(problem).__name__} has them for some"
        )
    return 2 if rates.pop() else 1


def check_order(equation: ResidualTerm, fields: int, order: int) -> None:
    """Check that an equation has no higher derivatives in time than its initial data allow.

    Args:
        equation: the equation.
        fields: the number of fields.
        order: 2 with initial rates, 1 without.

    Raises:
        InputError: for an equation with a derivative of higher order in time.
    """
    found = _order_of(equation, fields)
    if found <= order:
        return
    name = equation.points.names[-1]
    raise InputError(
        f"the equation has a derivative of order {found} in {name}, "
        + (
            "and march is for equations of order 1 or 2"
            if found > 2
            else "so that march needs initial rates, such as kp.Initial(domain, value, rate)"
        )
    )


def _order_of(equation: ResidualTerm, fields: int) -> int:
    """The highest order of derivatives in time, by linearising at some points around a wave."""
    points, channels, small = equation.points[:PROBE_POINTS], equation.channels, 1e-8
    scales = points.coords.abs().amax(dim=0).clamp_min(1e-300)

    def wave(coords: Tensor) -> Tensor:
        return (coords / scales).sum(dim=1, keepdim=True).exp()

    def still(coords: Tensor) -> Tensor:
        return wave(torch.cat([coords[:, :-1], 0 * coords[:, -1:]], dim=1))

    def same(t: Tensor) -> Tensor:
        return t.expand(*t.shape[:-1], fields)

    jet = jet_of(wave, points.coords, channels).map(same)
    parts = [t.detach().clone().requires_grad_() for t in jet.parts()]
    with torch.enable_grad():
        residual = equation.equation(points, jet.with_parts(parts))
        slopes = [
            torch.autograd.grad(one.sum(), parts, retain_graph=True, materialize_grads=True)
            for one in residual.unbind(dim=1)
        ]
    highest, largest = 0, 0.0
    space = jet_of(still, points.coords, channels).map(same)
    for r, power in enumerate(powers_in_time(space, channels.derivative_order)):
        for one in slopes:
            products = zip(one, power.parts(), strict=True)
            size = float(total([(a * b).flatten(1).sum(dim=1) for a, b in products]).abs().max())
            highest, largest = (r if size > small * largest else highest), max(size, largest)
    return highest
