"""Whether a problem has one solution, as far as its equations tell at a few points."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Generator, Tensor

from kanpinn._support.errors import InputError
from kanpinn.geometry import Points
from kanpinn.geometry.sampling import Collocation, sample
from kanpinn.jets import Channels, Jet
from kanpinn.pde.conditions import Condition
from kanpinn.pde.evaluate import find_channels
from kanpinn.pde.problem import Problem

Equation = Callable[[Points, Jet], Tensor]


def check_well_posed(problem: Problem, strong: bool = True) -> None:
    """Refuse a problem whose conditions are out of place, or that leaves its solution open.

    Conditions have to hold in the domain, or on its boundary. A system needs as many equations in
    its domain as fields: constraints in the domain count, and with measurements a field may be a
    coefficient that has no equation. No field may be determined up to a constant only, unless
    `free_constant` names it.

    Args:
        problem: the problem, whose conditions are asked for once here.
        strong: whether the residual is to vanish, so that its equations count; an energy is not a
            number of equations.

    Raises:
        InputError: naming the condition and a point of it, the numbers of equations and fields, or
            the field whose constant is open.
    """
    conditions = problem.conditions()
    few = Collocation(5, 16, "uniform")
    places = [c.points(few, 1.0, Generator().manual_seed(0)) for c in conditions]
    for index, (condition, points) in enumerate(zip(conditions, places, strict=True)):
        what = f"conditions()[{index}], a {type(condition).__name__},"
        _check_place(problem, condition, points, what)
    fields = problem.fields
    names = [name for name in fields if name not in problem.free_constant]
    try:
        equations: list[tuple[Equation, Points]] = [
            (problem.equation, sample(problem.domain, 5, "uniform"))
        ]
        equations += [(problem.condition_equation(i), points) for i, points in enumerate(places)]
        probes = [(*one, random_jets(*one, len(problem.columns))) for one in equations]
        seen = {name for name in names for probe in probes if _sees(*probe, fields.index(name))}
        count = sum(
            equation(points, jets[0]).shape[1]
            for condition, (equation, points, jets) in zip((None, *conditions), probes, strict=True)
            if len(fields) > 1 and (condition is None or condition.inside)
        )
    except Exception:  # of the user's own functions; it is raised again where they are used
        return
    if strong and count < len(fields) > 1 and not any(c.measurements for c in conditions):
        many = f"{count} equation" + "s" * (count > 1)
        raise InputError(
            f"{type(problem).__name__}.residual gives {many} for the {len(fields)} fields "
            f"{', '.join(fields)}: expected one for each, a tuple of columns (n, 1)"
        )
    if free := [name for name in names if name not in seen]:
        field = f', field="{free[0]}"' if len(fields) > 1 else ""
        raise InputError(
            f"the equation and conditions of {type(problem).__name__} leave a constant of "
            f"{', '.join(free)} undetermined: add kp.Integral(self.domain, 0.0{field}) to "
            "conditions(), or list it in free_constant where any constant will do"
        )
    differential = any(jets[0].channels.derivative_order for _, _, jets in probes)
    if differential and problem.needs_conditions and not conditions:
        warnings.warn(
            f"{type(problem).__name__} has no conditions: its solution is not unique", stacklevel=4
        )


def _sees(equation: Equation, points: Points, jets: Sequence[Jet], field: int) -> bool:
    """Whether an equation changes by more than rounding with a constant added to a field."""
    for jet in jets:
        shift = torch.zeros_like(jet.value)
        shift[:, field] = 1.0
        before = equation(points, jet)
        change = equation(points, replace(jet, value=jet.value + shift)) - before
        # What is not a number tells nothing, so it leaves the problem alone.
        if not (change.abs() <= 1e-10 * (1 + before.abs())).all():
            return True
    return False


def random_jets(equation: Equation, points: Points, m: int) -> tuple[Jet, Jet]:
    """Two random jets of m fields at points, with the derivatives that an equation uses."""
    channels = find_channels(lambda c: equation(points, _random_jet(points, c, m)), points.names)
    return _random_jet(points, channels, m), _random_jet(points, channels, m, seed=1)


def _random_jet(points: Points, channels: Channels, m: int, seed: int = 0) -> Jet:
    """A jet with numbers between ½ and 1½, the same for the same seed."""
    generator, dtype = Generator().manual_seed(seed), points.coords.dtype
    n, d = points.coords.shape
    second, lines = channels.second_count, len(channels.directions)
    shapes: dict[str, tuple[int, ...]] = {"value": (n,)}
    shapes |= {"gradient": (n, d)} if channels.gradient else {}
    shapes |= {"second": (n, second)} if second else {}
    shapes |= {"lines": (n, lines, channels.order)} if lines else {}
    parts = {
        name: 0.5 + torch.rand(*shape, m, generator=generator, dtype=dtype)
        for name, shape in shapes.items()
    }
    return Jet(channels, **parts)


def _check_place(problem: Problem, condition: Condition, points: Points, what: str) -> None:
    """Refuse points of a condition out of the domain, or inside it where they have to be on it."""
    domain = problem.domain
    own = domain.boundary.pieces
    if condition.is_at_boundary and all(piece in own for piece in condition.pieces):
        return
    if points.names != domain.names:
        raise InputError(
            f"{what} has the coordinates {', '.join(points.names)}, the domain of "
            f"{type(problem).__name__} has {', '.join(domain.names)}"
        )
    low, high = domain.bounds
    reach = 1e-7 * float((high - low).max())  # within which a point is on the boundary
    outside = ~domain.contains(points.coords, reach)
    if outside.any():
        raise InputError(f"{what} is outside of the domain, at {points[outside].show(0)}")
    inside = domain.contains(points.coords, -reach)
    if condition.is_at_boundary and inside.any():
        raise InputError(
            f"{what} is not on the domain's boundary but inside of it, at "
            f"{points[inside].show(0)}: for values inside take Observed or Constraint"
        )
