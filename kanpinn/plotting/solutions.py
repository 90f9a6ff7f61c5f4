"""The card of a solution and of its errors, and `Solution.plot`."""

from collections.abc import Iterable, Mapping, Sequence
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
from kanpinn.plotting.evolution import plot_moments
from kanpinn.plotting.fields import (
    limits_of,
    map_size,
    outline_of,
    plot_lines,
    plot_magnitude,
    plot_values,
)
from kanpinn.plotting.figures import plot_band
from kanpinn.plotting.style import STYLE, cut_title, number_text, symbol
from kanpinn.solvers.grid_fields import KNOWN, GridFields, fields_at_points, on_grid
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
    names = _names(solution, field)
    moments = _moments(solution, time)
    places = [
        Place.of(solution.problem.domain, along, cut, {**(at or {}), **moment})
        for moment in moments
    ]
    first, shown = places[0], [_sample(solution, place, nodes, error) for place in places]
    if error and "error" not in shown[0].of(names[0]):
        raise InputError(
            "error needs an exact solution, or a reference that has values everywhere: this "
            "problem has neither"
        )
    if first.dim == 1:
        axes = panels(ax, len(names), 3, (4.6, 3.2))
        for one, name in zip(axes, names, strict=True):
            _draw_lines(one, solution, shown, name, first, error)
        return returned(axes)
    size = map_size(shown[0].axes, solution.problem.domain.time_name)
    columns = len(shown) if len(shown) > 1 else 3
    axes = panels(ax, len(names) * len(shown), columns, size).reshape(len(names), len(shown))
    for row, name in zip(axes, names, strict=True):
        _draw_maps(row, solution, shown, name, error)
    return returned(axes)


def _names(solution: Solution, field: str | None) -> tuple[str, ...]:
    if field is None:
        return solution.fields
    one_of("field", field, solution.fields)
    return (field,)


def _moments(
    solution: Solution, time: float | int | Sequence[float | int] | None
) -> Sequence[Mapping[str, float | int]]:
    """Return the fixed times, each as the value of a coordinate; an empty one without a time."""
    name = solution.problem.domain.time_name
    if time is None:
        return ({},)
    if name is None:
        raise InputError(f"time is for problems with a coordinate t, got time = {time!r}")
    times = numpy.atleast_1d(numpy.asarray(time, dtype=float))
    if times.ndim != 1 or not len(times):
        raise InputError(f"time must be a number or a list of numbers, got {time!r}")
    return [{name: float(one)} for one in times]


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
    values = fields.of(name)
    if len(shown) > 1:
        time = solution.problem.domain.time_name
        assert time is not None
        _draw_times(ax, shown, name, time, error)
    elif error:
        plot_magnitude(ax, fields.axes, values["error"], f"|error of {label}|")
    elif name in solution.problem.unknowns:
        plot_band(ax, fields, name)
    else:
        plot_lines(ax, coordinate, x, {k: v for k, v in values.items() if k != "error"}, label)
    if place.label is not None:
        ax.set_xlabel(place.label)
    if fields.fixed and len(shown) == 1:
        ax.set_title(_where(fields), fontsize=9)


def _draw_times(ax: Axes, shown: Sequence[GridFields], name: str, time: str, error: bool) -> None:
    """Draw a line for each time, with the exact solution or the reference dashed."""
    label = f"|error of ${symbol(name)}$|" if error else f"${symbol(name)}$"
    values = [fields.of(name) for fields in shown]
    curves = [numpy.abs(one["error"]) if error else one["solution"] for one in values]
    when = [f"${symbol(time)} = $ {number_text(fields.fixed[time])}" for fields in shown]
    compared = () if error else (known for known in KNOWN if known in values[0])
    known = {text: [one[text] for one in values] for text in compared}
    plot_moments(ax, shown[0].axes, list(zip(when, curves, strict=True)), known)
    if error:
        ax.set_yscale("log")
    ax.set_ylabel(label)
    ax.legend(fontsize=STYLE.small, frameon=False)


def _draw_maps(
    row: Iterable[Axes], solution: Solution, shown: Sequence[GridFields], name: str, error: bool
) -> None:
    """Draw one field over two coordinates, a panel for each time, with one scale of colours."""
    domain, label = solution.problem.domain, f"${symbol(name)}$"
    limits = limits_of(*(fields.values[name] for fields in shown))
    for ax, fields in zip(row, shown, strict=True):
        outline = None if domain.is_box else outline_of(domain, fields)
        where = f" {_where(fields)}" if fields.fixed else ""
        how: dict[str, Any] = {"outline": outline, "time": domain.time_name}
        if error:
            title = f"|error of {label}|{where}"
            plot_magnitude(ax, fields.axes, fields.of(name)["error"], title, **how)
        else:
            plot_values(ax, fields.axes, fields.values[name], limits, f"{label}{where}", **how)


def _where(fields: GridFields) -> str:
    """Return the values of the fixed coordinates, such as "at t = 0.5"."""
    return cut_title(fields.fixed).removeprefix("cut ")


def card(shown: Solution | Errors | Estimate) -> Card:
    """Return the card of a solution, of its errors or of their estimate."""
    if isinstance(shown, Errors):
        return Card("Errors", tables=[ShownTable(ERROR_HEAD, norm_rows(shown))])
    if isinstance(shown, Estimate):
        lines = [("estimate", line) for line in str(shown).splitlines()]
        found = [ShownTable(ERROR_HEAD, rows)] if (rows := estimate_rows(shown)) else []
        return Card("Estimated errors", lines, tables=found)
    return card_of(shown, f"Solution of {type(shown.problem).__name__}", partial(_picture, shown))


def _picture(solution: Solution) -> Drawing:
    """Draw the first field: over up to two coordinates, and at the last moment in a plane."""
    domain, name = solution.problem.domain, solution.fields[0]
    at, time = {}, domain.time_name
    if time is not None and domain.dim == 3:
        at[time] = float(domain.bounds[1][domain.names.index(time)])
    place = Place.of(domain, None, None, at)
    fields = _sample(solution, place, SMALL[place.dim], error=False)
    ax = small_axes(fields.axes, time)
    if place.dim == 1:
        _draw_lines(ax, solution, [fields], name, place, error=False)
    else:
        _draw_maps([ax], solution, [fields], name, error=False)
    kind = "Map" if place.dim == 2 else "Line"
    held = ", ".join(f"{key} = {value:.4g}" for key, value in fields.fixed.items())
    over = " and ".join(fields.axes) + (f" at {held}" if held else "")
    return Drawing(ax, f"{kind} of {name} over {over}: {values_words(fields.values[name])}.")
