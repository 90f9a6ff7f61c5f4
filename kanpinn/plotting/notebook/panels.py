"""The axes that a method `plot` draws in: those that it is given, or those of a new figure."""

from collections.abc import Iterable
from typing import Any

import numpy
from matplotlib.axes import Axes

from kanpinn._support.errors import InputError
from kanpinn.plotting.fields import AxisValues, map_size
from kanpinn.plotting.style import new_figure

SMALL = {1: 201, 2: 65}  # points along each axis of a card's picture, by the number of axes
Given = Axes | Iterable[Any] | None


def panels(ax: Given, count: int, columns: int, size: tuple[float, float]) -> numpy.ndarray:
    """Return an array of axes, (count,).

    Args:
        ax: axes, or as many of them as there are panels; by default those of a new figure of
            pyplot, which notebooks show.
        count: the number of panels.
        columns: the most panels in a row of a new figure.
        size: the width and height of a panel of a new figure, in inches.

    Raises:
        InputError: if `ax` has not one axes for each panel.
    """
    if ax is None:
        from matplotlib import pyplot  # chooses a backend, which pictures without a screen spare

        (width, height), columns = size, min(columns, count)
        rows = -(-count // columns)
        figure = pyplot.figure(figsize=(columns * width, rows * height), layout="constrained")
        places = figure.subplots(rows, columns, squeeze=False).ravel()
        for unused in places[count:]:
            unused.remove()
        return places[:count]
    given = [ax] if isinstance(ax, Axes) else numpy.ravel(numpy.asarray(ax, dtype=object)).tolist()
    if len(given) != count or not all(isinstance(one, Axes) for one in given):
        wanted = "axes of Matplotlib"
        if count > 1:
            wanted = f"{count} {wanted}, one for each panel"
        raise InputError(f"ax must be {wanted}, got {ax!r}")
    found = numpy.empty(count, dtype=object)
    found[:] = given
    return found


def small_axes(axes: AxisValues, time: str | None = None) -> Axes:
    """Return the axes of a new figure for a card: for a line over one axis, or a map over two.

    time: the name of the time coordinate; a map over it does not have equal scales on both axes.
    """
    size = (3.6, 2.5) if len(axes) == 1 else map_size(axes, time, 2.2, 2.6)
    return new_figure(*size).subplots()


def values_words(values: numpy.ndarray) -> str:
    """Return the range of the finite values of a picture in words."""
    finite = values[numpy.isfinite(values)]
    if not len(finite):
        return "no value is finite"
    low, high = finite.min() + 0.0, finite.max() + 0.0  # no negative zeros
    return f"values from {low:.4g} to {high:.4g}"


def returned(drawn: numpy.ndarray) -> Any:
    """Return the axes of a single panel, or an array without the dimensions of length one."""
    return drawn.item() if drawn.size == 1 else drawn.squeeze()
