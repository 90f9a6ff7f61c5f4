"""Whether an equation and its conditions leave a constant open."""

import warnings
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Generator, Tensor

from kanpinn._support.errors import InputError
from kanpinn.geometry import Points
from kanpinn.geometry.sampling import Collocation, sample
from kanpinn.jets.jet import Channels, Jet
from kanpinn.pde.evaluate import find_channels
from kanpinn.pde.problem import Problem

FEW = Collocation(5, 16, "uniform")
SEEDS = (0, 1)
SAME = 1e-10  # of the residual and its terms: a change so small is rounding

Equation = Callable[[Points, Jet], Tensor]


def check_uniqueness(problem: Problem) -> None:
    """Refuse a problem of which u + constant is a solution wherever u is one.

    Equation and conditions are tried on random values and derivatives, once as they are and once
    with a constant added to the values of one field.

    Raises:
        InputError: naming the field, and what fixes the constant.
    """
    try:
        equations = _equations(problem)
        differential = any(channels.derivative_order for _, _, channels in equations)
        free = [
            name
            for index, name in enumerate(problem.fields)
            if name not in problem.free_constant
            and not any(_sees(*equation, index, problem) for equation in equations)
        ]
    except Exception:
        return  # whatever is wrong with an equation is said where it is used
    if free:
        field = f', field="{free[0]}"' if len(problem.fields) > 1 else ""
        raise InputError(
            f"the equation and conditions of {type(problem).__name__} leave a constant of "
            f"{', '.join(free)} undetermined: add kp.Integral(self.domain, 0.0{field}) to "
            "conditions(), or list it in free_constant where any constant will do"
        )
    if differential and problem.solved_by == "solve" and not problem.conditions():
        warnings.warn(
            f"{type(problem).__name__} has no conditions: its solution is not unique", stacklevel=4
        )


def _equations(problem: Problem) -> list[tuple[Equation, Points, Channels]]:
    """The residual and those of the conditions, with points and the derivatives they use."""
    places: list[tuple[Equation, Points]] = [
        (problem.equation, sample(problem.domain, FEW.interior, "uniform"))
    ]
    for index, condition in enumerate(problem.conditions()):
        points = condition.points(FEW, 1.0, Generator().manual_seed(0))
        places.append((problem.condition_equation(index), points))
    return [(*place, channels_of(*place, len(problem.columns))) for place in places]


def channels_of(equation: Equation, points: Points, m: int) -> Channels:
    """The derivatives that an equation of m columns, fields and numbers, uses."""
    return find_channels(lambda c: equation(points, random_jet(points, c, m, 0)), points.names)


def _sees(
    equation: Equation, points: Points, channels: Channels, field: int, problem: Problem
) -> bool:
    """Whether the equation changes with a constant that is added to a field."""
    for seed in SEEDS:
        jet = random_jet(points, channels, len(problem.columns), seed)
        shift = torch.zeros_like(jet.value)
        shift[:, field] = 1.0
        before = equation(points, jet)
        change = equation(points, replace(jet, value=jet.value + shift)) - before
        # What is not a number tells nothing, so it leaves the problem alone.
        if not (change.abs() <= SAME * (1 + before.abs())).all():
            return True
    return False


def random_jet(points: Points, channels: Channels, m: int, seed: int) -> Jet:
    """A jet of numbers between ½ and 1½, the same ones for the same seed."""
    generator = Generator().manual_seed(seed)
    n, d = points.coords.shape

    def draw(*shape: int) -> Tensor:
        return 0.5 + torch.rand(n, *shape, m, generator=generator, dtype=points.coords.dtype)

    return Jet(
        channels,
        draw(),
        draw(d) if channels.gradient else None,
        draw(channels.second_count) if channels.second != "none" else None,
        draw(len(channels.directions), channels.order) if channels.directions else None,
    )
