"""The card of a solution and of its errors, and `Solution.plot`."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy
from matplotlib.axes import Axes

from kanpinn._support.errors import InputError, one_of
from kanpinn.accuracy.errors import Errors, Estimate
from kanpinn.plotting.card import (
    SMALL,
    Card,
    Drawing,
    Ends,
    Given,
    Place,
    card_of,
    panels,
    returned,
    small_axes,
    values_words,
)
from kanpinn.plotting.evolution import plot_maps, plot_times
from kanpinn.plotting.fields import Sheet, plot_lines, plot_magnitude
from kanpinn.plotting.figures import plot_band
from kanpinn.plotting.style import STYLE, cut_title, symbol
from kanpinn.solvers.grid_fields import GridFields, fields_at_points, on_grid
from kanpinn.solvers.solution import Solution
from kanpinn.solvers.summary import ERROR_HEAD, ShownTable, estimate_rows, norm_rows


def plot(
    solution: Solution,
    field: str | None = None,
    *,
    along: str | Sequence[str] | None = None,
    cut: Ends | None = None,
    at: Mapping[str, float | int] | None = None,
    time: float | int | Sequence[float | int] | None = None,
    error: bool = False,
    nodes: int | None = None,
    ax: Given = None,
) -> Any:
    """Draw a solution; the arguments are those of `Solution.plot`."""
    domain, names = solution.problem.domain, solution.fields
    if field is not None:
        one_of("field", field, names)
        names = (field,)
    moments: list[Mapping[str, float]] = [{}]
    if time is not None:
        if domain.time_name is None:
            raise InputError(f"time is for problems with a coordinate t, got time = {time!r}")
        times = numpy.atleast_1d(numpy.asarray(time, dtype=float))
        if times.ndim != 1 or not len(times):
            raise InputError(f"time must be a number or a list of numbers, got {time!r}")
        moments = [{domain.time_name: float(moment)} for moment in times]
    places = [Place.of(domain, along, cut, {**(at or {}), **moment}) for moment in moments]
    first, shown = places[0], [_sample(solution, place, nodes, error) for place in places]
    if error and "error" not in shown[0].of(names[0]):
        raise InputError(
            "error needs an exact solution, or a reference that has values everywhere: this "
            "problem has neither"
        )
    if first.dim == 1:
        axes = panels(ax, len(names), 3, (4.6, 3.2))
        for panel, name in zip(axes, names, strict=True):
            _draw_lines(panel, solution, shown, name, first, error)
        return returned(axes)
    size, columns = Sheet.of(domain, shown[0]).size(), len(shown) if len(shown) > 1 else 3
    axes = panels(ax, len(names) * len(shown), columns, size).reshape(len(names), len(shown))
    for row, name in zip(axes, names, strict=True):
        plot_maps(row, solution, shown, name, [_where(fields) for fields in shown], error)
    return returned(axes)


def _sample(solution: Solution, place: Place, nodes: int | None, error: bool) -> GridFields:
    """Evaluate the fields and, for errors and lines, what they are compared with.

    A reference that would first have to be made is used for errors alone.
    """
    reference = solution.reference
    at_hand = solution.problem.exact is not None or (reference is not None and reference.is_ready)
    compared = error or (place.dim == 1 and at_hand)
    if place.cut is None:
        options = {"residuals": False, "compared": compared}
        return on_grid(solution, place.along, nodes, at=place.at, **options)
    return place.on_cut(
        lambda points: fields_at_points(solution, points, compared=compared),
        tuple(solution.fields),
        nodes,
    )


def _draw_lines(
    ax: Axes, solution: Solution, shown: Sequence[GridFields], name: str, place: Place, error: bool
) -> None:
    """Draw one field over one coordinate or along a cut: at one place, or at several times."""
    fields, label = shown[0], f"${symbol(name)}$"
    ((coordinate, x),) = fields.axes.items()
    values, time = fields.of(name), solution.problem.domain.time_name
    if len(shown) > 1 and time is not None:
        plot_times(ax, shown, name, time, error)
        ax.legend(fontsize=STYLE.small, frameon=False)
    elif error:
        plot_magnitude(ax, Sheet(fields.axes), values["error"], f"|error of {label}|")
    elif name in solution.problem.unknowns:
        plot_band(ax, fields, name)
    else:
        plot_lines(ax, coordinate, x, {k: v for k, v in values.items() if k != "error"}, label)
    if place.label is not None:
        ax.set_xlabel(place.label)
    if fields.fixed and len(shown) == 1:
        ax.set_title(_where(fields), fontsize=9)


def _where(fields: GridFields) -> str:
    """Return the values of the fixed coordinates, such as "at t = 0.5"; "" if there are none."""
    return cut_title(fields.fixed).removeprefix("cut ") if fields.fixed else ""


def card(shown: Solution | Errors | Estimate) -> Card:
    """Return the card of a solution, of its errors or of their estimate."""
    if isinstance(shown, Errors):
        return Card("Errors", tables=[ShownTable(ERROR_HEAD, norm_rows(shown))])
    if isinstance(shown, Estimate):
        lines = [("estimate", line) for line in str(shown).splitlines()]
        tables = [ShownTable(ERROR_HEAD, rows)] if (rows := estimate_rows(shown)) else []
        return Card("Estimated errors", lines, tables=tables)
    return card_of(shown, f"Solution of {type(shown.problem).__name__}", partial(_picture, shown))


def _picture(solution: Solution) -> Drawing:
    """Draw the first field: over up to two coordinates, and at the last moment in a plane."""
    domain, name = solution.problem.domain, solution.fields[0]
    at, time = {}, domain.time_name
    if time is not None and domain.dim == 3:
        at[time] = float(domain.bounds[1][domain.names.index(time)])
    place = Place.of(domain, None, None, at)
    fields = _sample(solution, place, SMALL[place.dim], error=False)
    ax = small_axes(Sheet(fields.axes, time=time))
    if place.dim == 1:
        _draw_lines(ax, solution, [fields], name, place, error=False)
    else:
        plot_maps([ax], solution, [fields], name, [_where(fields)])
    kind = "Map" if place.dim == 2 else "Line"
    held = ", ".join(f"{key} = {value:.4g}" for key, value in fields.fixed.items())
    over = " and ".join(fields.axes) + (f" at {held}" if held else "")
    return Drawing(ax, f"{kind} of {name} over {over}: {values_words(fields.values[name])}.")
