"""Cards, which notebooks show for a result, and the parts of a domain that methods `plot` draw."""

import base64
import io
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy
import torch
from matplotlib.axes import Axes
from torch import Tensor

from kanpinn._support.errors import InputError, number
from kanpinn._support.shown import template
from kanpinn.geometry import Domain, Points
from kanpinn.plotting.fields import Sheet
from kanpinn.plotting.style import new_figure
from kanpinn.solvers.grid_fields import NODES, GridFields, plane_of, ranges_of, with_gaps
from kanpinn.solvers.summary import Fact, ShownTable, remarks, tables


class Drawing(NamedTuple):
    """Drawn axes, and a sentence on their contents, for readers who do not see the picture."""

    ax: Axes
    words: str


@dataclass(frozen=True, eq=False)
class Card:
    """The view of a result in a notebook: facts, tables, formulas and a picture.

    The parts are made when the card is shown. If a part fails, the card has the reason in its place
    and shows the other parts: a notebook would show nothing at all if an error were raised.

    Args:
        title: the title, such as "Solution of Poisson".
        facts: pairs of a name and a value.
        draw: draws the picture; None for a card without a picture.
        tables: the tables below the facts.
        formulas: formulas as elements of MathML, which are not escaped.
    """

    title: str
    facts: Iterable[Fact] = ()
    draw: Callable[[], Drawing] | None = None
    tables: Iterable[ShownTable] = ()
    formulas: Iterable[str] = ()
    _failures: list[str] = field(default_factory=list, init=False)

    def html(self) -> str:
        """Return the card as one element of HTML, which is well-formed XML.

        All texts are escaped. The element loads no other files, and takes the colours of the
        notebook, light or dark; pictures have their own background.
        """
        self._failures.clear()
        names = ("facts", "tables", "formulas")
        parts: dict[str, Any] = {n: self._complete(n, getattr(self, n)) for n in names}
        parts |= {"picture": self._picture(), "title": self.title, "failures": self._failures}
        return template("kanpinn.plotting", "card.html").render(**parts)

    def _complete(self, what: str, items: Iterable[Any]) -> list[Any]:
        """Return the items before the first item that raises an error, and note the error."""
        made = []
        try:
            for item in items:
                made.append(item)
        except Exception as error:  # functions of a user's problem may raise any exception
            self._failures.append(f"some {what} cannot be shown: {reason(error)}")
        return made

    def _picture(self) -> dict[str, Any] | None:
        """Return the picture as PNG in base64, with its width in pixels and its description.

        The result is None for a card without a picture, and if drawing the picture fails. The
        reason of the failure is then kept for the card.
        """
        if self.draw is None:
            return None
        try:
            (ax, words), stream = self.draw(), io.BytesIO()
            figure = ax.get_figure(root=True)
            assert figure is not None
            figure.savefig(stream, format="png", dpi=144)  # 1.5 times the 96 dpi of a screen
            data = base64.b64encode(stream.getvalue()).decode()
            return {"data": data, "width": round(figure.get_figwidth() * 96), "words": words}
        except Exception as error:  # a user's function or Matplotlib may raise anything
            self._failures.append(f"there is no picture: {reason(error)}")
            return None


def reason(error: Exception) -> str:
    """Return the first line of an error's message, with the name of its class."""
    text = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {text[:200]}" if text else type(error).__name__


def card_of(result: Any, title: str, draw: Callable[[], Drawing] | None) -> Card:
    """Return the card of a solution, of modes or of a fit, with its facts and tables.

    Args:
        result: the solution, the modes or the fit.
        title: the title of the card.
        draw: draws the picture; None for a card without a picture.
    """
    return Card(title, _facts(result), draw, tables(result))


def _facts(result: Any) -> Iterator[Fact]:
    """Yield the status, the optimizers, the fields or inputs, the network, and remarks."""
    yield "status", result.status
    steps = result.history.steps
    taken = f"{steps} step{'s' * (steps != 1)} in {result.seconds:.3g} s"
    if result.processes > 1:
        taken += f" by {result.processes} processes"
    titles = ", ".join(method.title for method in result.optimizers)
    yield "run", f"{titles}: {taken}" if titles else taken
    if hasattr(result, "problem"):
        yield "fields", f"{', '.join(result.fields)} over {result.problem.domain!r}"
    else:
        yield "inputs", ", ".join(result.data.train.names)
        if result.data.train.classes:
            yield "classes", ", ".join(result.data.train.classes)
    network, like = result.network, next(iter(result.network.parameters()))
    pieces = "" if network.pieces is None else f" in {len(network.pieces)} pieces"
    size = f"{type(network).__name__} {list(network.width)}{pieces}, {result.parameters} parameters"
    yield "network", f"{size}, {str(like.dtype).removeprefix('torch.')} on {like.device}"
    if getattr(result, "estimate", 0) is None and result.errors is None:
        yield "error", "not known: the problem has no exact solution and no reference"
    yield from remarks(result)


SMALL = {1: 201, 2: 65}  # points along each axis of a card's picture, by the number of axes


def small_axes(sheet: Sheet) -> Axes:
    """Return the axes of a new small figure, for a line plot over one axis or a map over two."""
    size = (3.6, 2.5) if len(sheet.axes) == 1 else sheet.size(2.2, 2.6)
    return new_figure(*size).subplots()


def values_words(values: numpy.ndarray) -> str:
    """Return the range of the finite values of a picture as text."""
    finite = values[numpy.isfinite(values)]
    if not len(finite):
        return "no value is finite"
    low, high = finite.min() + 0.0, finite.max() + 0.0  # no negative zeros
    return f"values from {low:.4g} to {high:.4g}"


DISTANCE = "distance"  # the name of the axis along a cut
Ends = tuple[Sequence[float | int], Sequence[float | int]]


@dataclass(frozen=True, eq=False)
class Place:
    """A part of a domain over which a result is drawn: a line, a plane section, or a straight cut.

    Args:
        domain: the domain.
        along: the names of the one or two coordinates that vary; empty for a cut.
        cut: the two ends of a straight cut, in the coordinates that are not fixed; None for no cut.
        at: the values of the fixed coordinates, by name. `on_grid` chooses values for coordinates
            that are neither in `along` nor in `at`.
    """

    domain: Domain
    along: tuple[str, ...]
    cut: Ends | None
    at: Mapping[str, float | int]

    @classmethod
    def of(
        cls,
        domain: Domain,
        along: str | Sequence[str] | None = None,
        cut: Ends | None = None,
        at: Mapping[str, float | int] | None = None,
    ) -> "Place":
        """Check the choices of a user, and choose the coordinates that vary if they are left out.

        Args:
            domain: the domain.
            along: the names of the one or two coordinates that vary, see `varying_names`; None for
                all coordinates that are not fixed, or for two of them if there are more than two.
            cut: the two ends of a straight cut, in the coordinates that are not fixed; None for no
                cut.
            at: the values of fixed coordinates, by name; None if no coordinate is fixed.

        Raises:
            InputError: for names that are no coordinates, values outside the domain's box, both
                `along` and `cut`, or a cut whose ends are equal or have not one number for each
                coordinate that is not fixed.
        """
        at = fixed_values(ranges_of(domain), at or {})
        free = tuple(name for name in domain.names if name not in at)
        if cut is not None and along is not None:
            raise InputError(f"cut and along exclude each other, got along = {along!r} as well")
        if cut is not None:
            try:
                start, end = (tuple(map(float, point)) for point in cut)
            except (TypeError, ValueError):
                raise InputError(f"cut must be two points, ((0, 0), (1, 1)), got {cut!r}") from None
            if not len(start) == len(end) == len(free) or start == end:
                names = ", ".join(free)
                raise InputError(f"cut must be two different points of ({names}), got {cut!r}")
            return cls(domain, (), (start, end), at)
        if along is None:
            shown = [name for name in plane_of(domain) if name in free]
            more = [name for name in free if name not in shown]
            along = [*shown, *more][:2] if len(free) > 2 else free
        return cls(domain, varying_names(free, along), None, at)

    @property
    def dim(self) -> int:
        """The number of dimensions: 1 for a line plot, 2 for a map."""
        return 1 if self.cut is not None else len(self.along)

    @property
    def label(self) -> str | None:
        """The label of the horizontal axis of a cut; None if the axis is a coordinate."""
        if self.cut is None:
            return None
        start, end = (f"({', '.join(f'{x:.4g}' for x in point)})" for point in self.cut)
        return f"distance from {start} to {end}"

    def on_cut(
        self,
        evaluate: Callable[[Points], Mapping[str, Tensor]],
        fields: tuple[str, ...],
        nodes: int | None,
    ) -> GridFields:
        """Evaluate functions at equidistant points of the cut; NaN outside the domain.

        Args:
            evaluate: returns the values of functions at n points, (n,) each, by name.
            fields: the names of those functions that are fields of the solution.
            nodes: the number of points; None for 401.

        Raises:
            InputError: if the cut does not meet the domain.
        """
        assert self.cut is not None
        start, end = (torch.tensor(point, dtype=torch.float64) for point in self.cut)
        share = torch.linspace(0, 1, NODES[1] if nodes is None else nodes, dtype=torch.float64)
        moving = iter((start + share[:, None] * (end - start)).unbind(1))
        fixed = {name: torch.full_like(share, value) for name, value in self.at.items()}
        columns = [fixed[n] if n in fixed else next(moving) for n in self.domain.names]
        coords = torch.stack(columns, dim=1)
        inside = self.domain.contains(coords, tolerance=1e-12 * float(coords.abs().max()))
        if not bool(inside.any()):
            raise InputError(f"cut must meet the domain {self.domain!r}, got {self.cut!r}")
        values = evaluate(Points(coords[inside], self.domain.names))
        grids = {name: with_gaps(column, inside) for name, column in values.items()}
        distances: numpy.ndarray = (share * math.dist(*self.cut)).numpy()
        return GridFields({DISTANCE: distances}, grids, dict(self.at), fields)


def fixed_values(
    ranges: Mapping[str, tuple[float, float]], at: Mapping[str, float | int]
) -> dict[str, float]:
    """Return the checked values of fixed coordinates.

    Args:
        ranges: the least and the greatest value of each coordinate, by name.
        at: the values to check, by name.

    Raises:
        InputError: for a name that is not in `ranges`, or a value outside the range.
    """
    for name, value in at.items():
        if name not in ranges:
            raise InputError(f"at must name some of {', '.join(ranges)}, got {name!r}")
        low, high = ranges[name]
        number(f"at[{name!r}]", value, -math.inf)
        margin = 1e-12 * (high - low)
        if not low - margin <= value <= high + margin:
            raise InputError(f"{name} must lie between {low:g} and {high:g}, got {value:g}")
    return {name: float(value) for name, value in at.items()}


def varying_names(free: Sequence[str], along: str | Iterable[str]) -> tuple[str, ...]:
    """Return the checked names of coordinates that vary, in the order of `free`.

    Args:
        free: the names of all coordinates that are not fixed.
        along: the name of one coordinate, or a sequence of one or two names.

    Raises:
        InputError: for a name that is not in `free`, or if there are not one or two names.
    """
    if not free:
        raise InputError("time and at leave no coordinate to draw over")
    names = (along,) if isinstance(along, str) else tuple(along)
    if not set(names) <= set(free) or len(set(names)) != len(names) or len(names) not in (1, 2):
        raise InputError(f"along must be one or two of {', '.join(free)}, got {along!r}")
    return tuple(name for name in free if name in names)
