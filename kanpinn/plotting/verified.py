"""The pictures of a verification: a field, the solution with which it is compared, the error."""

from collections.abc import Iterator
from typing import Any

import numpy
import torch
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from kanpinn.jets import Channels
from kanpinn.plotting import style
from kanpinn.plotting.card import Card
from kanpinn.plotting.fields import Sheet, solution_figure
from kanpinn.solvers.grid_fields import KNOWN, GridFields, RegularGrid, plane_of
from kanpinn.solvers.summary import ERROR_HEAD, ShownTable, norm_rows
from kanpinn.solvers.verify import Verified


def figures(verified: Verified, fields: GridFields | None = None) -> Iterator[tuple[str, Figure]]:
    """Yield a name and a figure for each field of the problem.

    If the verified field is known at points only, the figure shows the errors there. Otherwise it
    shows the field, the solution with which it is compared, and the error, as maps or lines.

    Args:
        verified: the verified field.
        fields: the field on a grid; None if it is still to be evaluated.
    """
    problem, domain = verified.problem, verified.problem.domain
    several = len(problem.fields) > 1
    if verified.field.points is not None:
        for name in problem.fields:
            yield f"error_{name}" if several else "error", _at_points(verified, name)
        return
    fields = _on_grid(verified) if fields is None else fields
    sheet = Sheet.of(domain, fields)
    for name in problem.fields:
        yield f"error_{name}" if several else "error", solution_figure(fields, sheet, name)


def _on_grid(verified: Verified) -> GridFields:
    """Return the verified fields, the fields that they are compared with, and their differences.

    All of them are on a regular grid.
    """
    problem = verified.problem
    grid = RegularGrid.over(problem.domain, plane_of(problem.domain))
    points, channels = grid.points, Channels(problem.domain.names)
    with torch.no_grad():
        values = verified.field.jet(points, channels).value
        others = verified.reference.jet(points, channels).value
    named = {}
    for i, name in enumerate(problem.fields):
        suffix = f"_{name}" if len(problem.fields) > 1 else ""
        named[name] = values[:, i]
        named[KNOWN[verified.solution is not None] + suffix] = others[:, i]
        named["error" + suffix] = values[:, i] - others[:, i]
    return grid.fields(named, tuple(problem.fields))


def _at_points(verified: Verified, name: str) -> Figure:
    """Return a figure of a field's errors at points, over one coordinate or as coloured points."""
    problem = verified.problem
    index, names = problem.fields.index(name), plane_of(problem.domain)
    points, gaps = verified.gaps()
    columns = [points.names.index(n) for n in names]
    x = points.coords[:, columns].numpy()
    size = gaps[:, index].numpy()
    least = float(size[size > 0].min(initial=1.0)) if bool((size > 0).any()) else 1e-16
    size = numpy.maximum(size, least)
    label = f"|error of ${style.symbol(name)}$|"
    figure = style.new_figure(4.6, 3.2 if len(names) == 1 else 3.8)
    ax = style.tidy(figure.subplots())
    if len(names) == 1:
        ax.plot(x[:, 0], size, ".", color=style.BLUE, markersize=3)
        ax.set(yscale="log", ylabel=label)
    else:
        top = max(float(size.max()), 10 * least)
        drawn = ax.scatter(x[:, 0], x[:, 1], c=size, s=6, cmap="magma", norm=LogNorm(least, top))
        figure.colorbar(drawn, ax=ax).outline.set_visible(False)
        ax.set(ylabel=f"${style.symbol(names[1])}$", title=label, facecolor="0.9")
        ax.locator_params(nbins=5)
        if problem.domain.time_name not in names:
            ax.set_aspect("equal")
    ax.set_xlabel(f"${style.symbol(names[0])}$")
    return figure


def card(verified: Verified) -> Card:
    """Return the card that notebooks show for a verification."""
    facts: list[Any] = [("status", verified.status)]
    facts += [("", line) for line in str(verified).splitlines()[2:]]
    return Card(
        "Verified field", facts, tables=[ShownTable(ERROR_HEAD, norm_rows(verified.errors))]
    )
