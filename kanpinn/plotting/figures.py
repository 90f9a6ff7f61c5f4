"""Writing the figures of a solve to files."""

from pathlib import Path

from kanpinn.cells import Cells
from kanpinn.plotting.drifts import drifts_figure
from kanpinn.plotting.edges import edges_figure, edges_of
from kanpinn.plotting.evolutions import evolution_figures
from kanpinn.plotting.history import has_course, history_figure
from kanpinn.plotting.outlines import outline_of
from kanpinn.plotting.solutions import residual_figure, solution_figure
from kanpinn.plotting.streamlines import streamlines_figure
from kanpinn.plotting.style import save
from kanpinn.plotting.trees import cells_figure
from kanpinn.plotting.unknowns import unknown_figures
from kanpinn.solvers.grid_fields import on_grid
from kanpinn.solvers.regular_grid import GridFields, plane_of
from kanpinn.solvers.solution import Solution


def draw_figures(solution: Solution, folder: Path, fields: GridFields | None = None) -> list[Path]:
    """Draw solution.png, history.png and, for KANs, edges.png.

    A history with a single value has no figure. A system has a file solution_u.png for each field
    u, and residuals.png. Unknown numbers are drawn in unknowns.png, the confidence intervals of a
    coefficient a in interval_a.png, the drift of invariants in drifts.png, cells in the plane in
    cells.png, flows in the plane in streamlines.png. With a time there are also the figures of
    `evolution_figures`.

    Args:
        solution: the solution of a problem in any dimension; above two dimensions, it is drawn on
            a cut through the centre, along the coordinates of `plane_of`.
        folder: the folder of the files; it is created if needed.
        fields: the solution on a grid, if it has been evaluated already.

    Returns:
        The paths of the files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    domain, names = solution.problem.domain, plane_of(solution.problem.domain)
    if fields is None or tuple(fields.axes) != names:
        fields = on_grid(solution, names)
    outline = None if domain.is_box or len(names) == 1 else outline_of(domain, fields)
    time, paths = domain.time_name, []
    for field in fields.fields:
        name = f"solution_{field}" if len(fields.fields) > 1 else "solution"
        figure = solution_figure(fields, field, outline, time)
        paths.append(save(figure, folder / f"{name}.png"))
    if len(fields.fields) > 1 or len(fields.residuals) > 1:
        paths.append(save(residual_figure(fields, outline, time), folder / "residuals.png"))
    velocity = solution.problem.velocity_fields
    if velocity is not None and time is None:
        figure = streamlines_figure(fields, velocity, outline)
        paths.append(save(figure, folder / "streamlines.png"))
    if isinstance(solution.network, Cells) and domain.dim == 2:
        paths.append(save(cells_figure(solution, fields, outline, time), folder / "cells.png"))
    if solution.problem.unknowns:
        for name, figure in unknown_figures(solution, fields):
            paths.append(save(figure, folder / f"{name}.png"))
    if solution.problem.invariants is not None:
        figure = drifts_figure(solution.invariants, domain.names[-1])
        paths.append(save(figure, folder / "drifts.png"))
    if time is not None and time == domain.names[-1] and domain.dim <= 3:
        figures = evolution_figures(solution)
        paths += [save(figure, folder / f"{name}.png") for name, figure in figures]
    if has_course(solution.history):
        paths.append(save(history_figure(solution), folder / "history.png"))
    edges = edges_of(solution)
    if any(edges):
        paths.append(save(edges_figure(edges), folder / "edges.png"))
    return paths
