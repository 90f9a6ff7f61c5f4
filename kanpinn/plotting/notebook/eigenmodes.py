"""What a notebook shows of the modes of an eigenvalue problem, and `Eigensolution.plot`."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kanpinn._support.errors import InputError, one_of
from kanpinn.plotting.fields import map_size
from kanpinn.plotting.modes import mode_title, plot_mode
from kanpinn.plotting.notation import cut_title, symbol
from kanpinn.plotting.notebook.card import Card, CardTable, Drawing, Fact
from kanpinn.plotting.notebook.panels import SMALL, Given, panels, returned, small_axes
from kanpinn.plotting.notebook.places import Place
from kanpinn.plotting.notebook.words import kind_of_problem, network_words, run_facts
from kanpinn.solvers import tables
from kanpinn.solvers.eigen import Eigensolution
from kanpinn.solvers.grid_fields import modes_on_grid
from kanpinn.solvers.regular_grid import GridFields


def plot(
    solution: Eigensolution,
    mode: int | Sequence[int] | None = None,
    field: str | None = None,
    *,
    imaginary: bool = False,
    along: str | Sequence[str] | None = None,
    at: Mapping[str, float | int] | None = None,
    nodes: int | None = None,
    ax: Given = None,
) -> Any:
    """Draw modes; the arguments are those of `Eigensolution.plot`."""
    numbers, field = _numbers(solution, mode), _field(solution, field)
    if imaginary and not solution.values.is_complex():
        raise InputError("imaginary is for complex modes: all modes of this problem are real")
    place = Place.of(solution.problem.domain, along, None, at)
    fields = modes_on_grid(solution, place.along, nodes, at=place.at)
    size = map_size(fields.axes, None, 2.4, 3.2) if place.dim == 2 else (4.0, 2.7)
    axes = panels(ax, len(numbers), 4, size)
    part = ("_imaginary" if imaginary else "_real") if solution.values.is_complex() else ""
    for one, number in zip(axes, numbers, strict=True):
        title = _title(solution, fields, number, field)
        plot_mode(one, solution, fields, f"{field}_{number}{part}", title)
        if place.dim == 1:
            one.set_ylabel(f"${symbol(field)}$")
    return returned(axes)


def _numbers(solution: Eigensolution, mode: int | Sequence[int] | None) -> list[int]:
    """Return the numbers of the modes to draw, from 1."""
    if not solution.count:
        raise InputError(f"there is no mode to draw: {solution.status}")
    if mode is None:
        return list(range(1, min(solution.count, 12) + 1))
    numbers = [mode] if isinstance(mode, int) else list(mode)
    known = [type(one) is int and 1 <= one <= solution.count for one in numbers]
    if not numbers or not all(known):
        raise InputError(f"mode must be an integer from 1 to {solution.count}, or several of them, "
                         f"got {mode!r}")  # fmt: skip
    return numbers


def _field(solution: Eigensolution, field: str | None) -> str:
    if field is None:
        return solution.fields[0]
    one_of("field", field, solution.fields)
    return field


def _title(solution: Eigensolution, fields: GridFields, number: int, field: str) -> str:
    """Return the eigenvalue, with the field of several and the values of fixed coordinates."""
    title = mode_title(solution, number - 1)
    if len(solution.fields) > 1:
        title = f"${symbol(field)}$, {title}"
    return f"{title}\n{cut_title(fields.fixed)}" if fields.fixed else title


def card(solution: Eigensolution) -> Card:
    """Return the card of an eigenvalue problem's solution."""
    return Card(
        title=f"Eigenvalues of {kind_of_problem(solution.problem)}",
        facts=_facts(solution),
        draw=(lambda: _picture(solution)) if solution.count else None,
        tables=_tables(solution),
    )


def _facts(solution: Eigensolution) -> Iterator[Fact]:
    yield from run_facts(solution)
    yield "fields", f"{', '.join(solution.fields)} over {solution.problem.domain!r}"
    yield "network", network_words(solution)
    yield from (("remark", line) for line in tables.remarks(solution))


def _tables(solution: Eigensolution) -> Iterator[CardTable]:
    if solution.count:
        head, *rows = tables.eigenvalue_rows(solution)
        yield CardTable(["mode", *head[1:]], rows)


def _picture(solution: Eigensolution) -> Drawing:
    """Draw the first field of the first mode."""
    place = Place.of(solution.problem.domain)
    fields = modes_on_grid(solution, place.along, SMALL[place.dim], at=place.at)
    ax, field = small_axes(fields.axes), solution.fields[0]
    plot_mode(ax, solution, fields, fields.fields[0], _title(solution, fields, 1, field))
    over = " and ".join(fields.axes)
    return Drawing(ax, f"The first mode, {field} over {over}, with its nodal lines.")
