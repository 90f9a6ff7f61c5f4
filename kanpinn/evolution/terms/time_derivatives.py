"""The order in time of an equation, and of the initial data that it needs."""

from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.evolution.terms.evolution_terms import EvolutionTerms
from kanpinn.evolution.time.in_time import powers_in_time
from kanpinn.jets import jet_of, slopes_by_parts
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


def with_orders(terms: EvolutionTerms, fields: int, order: int, scheme: str) -> EvolutionTerms:
    """The terms, with the numbers of the algebraic fields.

    Args:
        terms: the terms.
        fields: the number of fields.
        order: 2 with initial rates, 1 without.
        scheme: that of the collocation in time.

    Raises:
        InputError: for an equation with a derivative of higher order in time, or of lower order
            than its initial rates need, or for algebraic fields and Gauss stages.
    """
    sizes = _sizes_by_order(terms.equation, fields)
    _check_order(terms.equation, _highest(sizes), order)
    # Coefficients may be tiny, but those of derivatives that do not occur are zero.
    occurs = (sizes[1:] > 0).any(dim=0).any(dim=0)
    algebraic = (~occurs).nonzero().flatten().tolist() if order == 1 else []
    if algebraic and scheme == "gauss":
        raise InputError(
            'scheme must be "radau" where no equation has a derivative in time of a field, as here '
            f"of field number {algebraic[0] + 1}, got {scheme!r}: only a method that damps finds it"
        )
    return replace(terms, algebraic=algebraic)


def _check_order(equation: ResidualTerm, found: int, order: int) -> None:
    """Check that an equation has the order in time for which its initial data are."""
    name = equation.points.names[-1]
    if found < order == 2:
        raise InputError(
            f"the initial rates are for an equation of order 2 in {name}, and this one has order "
            f"{found}; kp.laplacian(u) contains the second derivative in {name}, too"
        )
    if found <= order:
        return
    raise InputError(
        f"the equation has a derivative of order {found} in {name}, "
        + (
            "and march is for equations of order 1 or 2"
            if found > 2
            else "so that march needs initial rates, such as kp.Initial(domain, value, rate)"
        )
    )


def _highest(sizes: Tensor) -> int:
    """The highest order of the derivatives in time, from `_sizes_by_order`."""
    small = 1e-8  # relative to the largest coefficient of the equation
    occurs = (sizes > small * sizes.amax(dim=(0, 2), keepdim=True)).any(dim=2).any(dim=1)
    return int(occurs.nonzero().max()) if occurs.any() else 0


def _sizes_by_order(equation: ResidualTerm, fields: int) -> Tensor:
    """The sizes of the coefficients of the derivatives in time, by linearising around a wave.

    Returns:
        (orders, equations, fields).
    """
    points, channels = equation.points[:PROBE_POINTS], equation.channels
    scales = points.coords.abs().amax(dim=0).clamp_min(1e-300)

    def wave(coords: Tensor) -> Tensor:
        return (coords / scales).sum(dim=1, keepdim=True).exp()

    def still(coords: Tensor) -> Tensor:
        return wave(torch.cat([coords[:, :-1], 0 * coords[:, -1:]], dim=1))

    def same(t: Tensor) -> Tensor:
        return t.expand(*t.shape[:-1], fields)

    jet = jet_of(wave, points.coords, channels).map(same)
    _, slopes = slopes_by_parts(partial(equation.equation, points), jet)
    space = jet_of(still, points.coords, channels).map(same)
    sizes = []
    for power in powers_in_time(space, channels.derivative_order):
        rows = [(one.stacked() * power.stacked()).sum(dim=1) for one in slopes]
        sizes.append(torch.stack([found.abs().amax(dim=0) for found in rows]))
    return torch.stack(sizes)
