"""The fields of a solution and the modes of an eigenvalue problem on a regular grid."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from kanpinn.geometry import Points
from kanpinn.jets import Channels
from kanpinn.pde.evaluate import stack_equations
from kanpinn.solvers.eigen import Eigensolution
from kanpinn.solvers.regular_grid import KNOWN, GridFields, sampled
from kanpinn.solvers.solution import Solution


@torch.no_grad()
def on_grid(
    solution: Solution,
    free: Sequence[str] | None = None,
    nodes: int | None = None,
    chunk: int = 2**13,
    *,
    at: Mapping[str, float] | None = None,
    residuals: bool = True,
    compared: bool = True,
) -> GridFields:
    """The fields on an equispaced grid over the domain's bounding box, including its ends.

    Args:
        solution: a solution in any dimension.
        free: at most three coordinates that vary, by default the first ones; the others stay at the
            centre of the box. A single other one has another value where a cut through the centre
            has less than half of the points that a cut beside it has.
        nodes: points per axis, by default 401, 129 or 33 for one, two or three axes.
        chunk: the number of points evaluated at a time, which bounds the memory; fewer for networks
            of more than 512 units.
        at: values of coordinates that do not vary, in place of the centre.
        residuals: whether to evaluate the residuals, which takes most of the time.
        compared: whether to evaluate the exact solution or the reference, and the errors.
    """
    return sampled(
        solution.problem.domain,
        lambda points: fields_at_points(solution, points, chunk, residuals, compared),
        tuple(solution.problem.fields),
        free,
        nodes,
        at,
    )


def modes_on_grid(
    solution: Eigensolution,
    free: Sequence[str] | None = None,
    nodes: int | None = None,
    chunk: int = 2**13,
    *,
    at: Mapping[str, float] | None = None,
) -> GridFields:
    """The modes u_1, u_2, … of an eigenvalue problem on the grid of `on_grid`.

    Complex modes are given as two fields each. The arguments are those of `on_grid`.
    """
    names = [f"{name}_{j + 1}" for j in range(solution.count) for name in solution.fields]
    if is_complex := solution.values.is_complex():
        names = [f"{name}_{part}" for name in names for part in ("real", "imaginary")]

    def evaluate(points: Points) -> Mapping[str, Tensor]:
        parts = []
        for start in range(0, len(points), chunk):
            modes = solution(points[start : start + chunk])
            modes = modes[:, None] if modes.ndim == 2 else modes
            modes = modes.transpose(1, 2)
            modes = torch.view_as_real(modes) if is_complex else modes
            parts.append(modes.flatten(1).double().cpu())
        return dict(zip(names, torch.cat(parts).unbind(1), strict=True))

    return sampled(solution.problem.domain, evaluate, tuple(names), free, nodes, at)


@torch.no_grad()
def fields_at_points(
    solution: Solution,
    points: Points,
    chunk: int = 2**13,
    residuals: bool = False,
    compared: bool = True,
) -> dict[str, Tensor]:
    """The values of `GridFields` at n points, by name, (n,) each.

    chunk, residuals, compared: as for `on_grid`.
    """
    like = next(solution.network.parameters())
    chunk = min(chunk, max(256, 2**22 // max(solution.network.width)))
    parts: dict[str, list[Tensor]] = {}
    for start in range(0, len(points), chunk):
        some = points[start : start + chunk].to(like.dtype, like.device)
        for name, column in _named(solution, some, residuals, compared).items():
            parts.setdefault(name, []).append(column.detach().double().cpu())
    found = {name: torch.cat(columns) for name, columns in parts.items()}
    for name in solution.problem.fields:
        if name in solution.problem.unknowns:
            low, high = solution.interval(points, name)
            found |= {f"low_{name}": low.double().cpu(), f"high_{name}": high.double().cpu()}
    return found


def _named(
    solution: Solution, points: Points, residuals: bool, compared: bool
) -> dict[str, Tensor]:
    """The fields, what they are compared with, their errors and the residuals, (n,) each."""
    problem, approximate, reference = solution.problem, solution(points), solution.reference
    several = len(problem.fields) > 1
    named = {field: approximate[:, i] for i, field in enumerate(problem.fields)}
    name, exact = KNOWN[problem.exact is None], None
    if not compared:
        pass
    elif problem.exact is not None:
        exact = stack_equations(problem.exact(points), len(points), "exact")
    elif reference is not None and reference.points is None:  # it has values everywhere
        value = reference.jet(points.to(torch.float64), Channels(points.names)).value
        exact = value.to(points.coords)
    if exact is not None:
        for i, field in enumerate(problem.fields):
            suffix = f"_{field}" if several else ""
            named[name + suffix] = exact[:, i]
            named["error" + suffix] = approximate[:, i] - exact[:, i]
    residual = solution.residual(points) if residuals else approximate[:, :0]
    for i in range(residual.shape[1]):
        named["residual" if residual.shape[1] == 1 else f"residual_{i}"] = residual[:, i]
    return named
