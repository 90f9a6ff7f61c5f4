"""Checks that an operator, a mass and conditions define a linear eigenvalue problem."""

import math
from functools import partial

import torch
from torch import Generator

from kanpinn._support.errors import InputError
from kanpinn._support.wording import of_class
from kanpinn.geometry import Points
from kanpinn.geometry.sampling import Collocation, sample
from kanpinn.jets import Jet
from kanpinn.pde.eigen_problem import EigenProblem
from kanpinn.pde.evaluate import ResidualFunction
from kanpinn.pde.random_jets import random_jets

FEW = Collocation(5, 16, "uniform")


def check_linear(problem: EigenProblem) -> None:
    """Raise if the operator, the mass or a condition is not linear and homogeneous.

    Raises:
        InputError: if one of them is not, with its name and the deviation; if the mass has another
            number of equations than the operator, or derivatives of the same or a higher order.
    """
    name = type(problem).__name__
    points = sample(problem.domain, FEW.interior, FEW.sampler)
    columns, orders = [], []
    for what, equation in (("operator", problem.operator_values), ("mass", problem.mass_values)):
        jet = _check(equation, points, len(problem.fields), f"{name}.{what}")
        orders.append(jet.channels.derivative_order)
        columns.append(equation(points, jet).shape[1])
    if columns[0] != columns[1]:
        raise InputError(
            f"{name}.mass must have as many equations as the operator: expected {columns[0]}, got "
            f"{columns[1]}"
        )
    if orders[0] <= orders[1]:
        raise InputError(
            f"{name}.operator has derivatives up to order {orders[0]}, its mass up to {orders[1]}: "
            "the eigenvalues are isolated only if the operator has the higher order"
        )
    for index, condition in enumerate(problem.conditions()):
        places = condition.points(FEW, 1.0, Generator().manual_seed(0))
        what = f"{name}.conditions()[{index}], {of_class(condition)},"
        equation = partial(condition.stacked_residual, problem.fields, what)
        _check(equation, places, len(problem.fields), what)


def _check(
    equation: ResidualFunction, points: Points, m: int, what: str, rounding: float = 1e-8
) -> Jet:
    """Raise if an equation is not linear and homogeneous in the jet, up to `rounding` · its size.

    Returns:
        A random jet with the derivatives that the equation uses.
    """
    jets = random_jets(equation, points, m)
    first, second = (equation(points, jet) for jet in jets)
    size = float(torch.maximum(first.abs().max(), second.abs().max()))
    if not math.isfinite(size):
        raise InputError(f"{what} must be finite: at some point of the domain it gives {size:g}")
    rest = float(equation(points, jets[0] * 0.0).abs().max())
    if not rest <= rounding * size:
        raise InputError(f"{what} must be homogeneous: for u = 0 it gives {rest:.3g}, expected 0")
    mixed = equation(points, jets[0] * 2.0 - jets[1] * 3.0)
    gap = float((mixed - (2 * first - 3 * second)).abs().max())
    if not gap <= rounding * size:
        raise InputError(
            f"{what} must be linear in the fields: it gives something else for 2u - 3v than "
            f"2 times that for u less 3 times that for v (by {gap:.1e} of {size:.1e})"
        )
    return jets[0]
