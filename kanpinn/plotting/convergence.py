"""Error curves of studies with fitted orders, and spreads over seeds."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator
from matplotlib.transforms import offset_copy

from kanpinn.accuracy.orders import Fit, Theory, before_level, fit_order
from kanpinn.plotting import style
from kanpinn.plotting.style import STYLE


@dataclass(frozen=True)
class ErrorRange:
    """The median of some values, the least and the greatest value, and the number of values."""

    median: float
    low: float
    high: float
    count: int

    @staticmethod
    def of(values: Sequence[float | int]) -> "ErrorRange":
        """Return the range of at least one value."""
        low, high = float(min(values)), float(max(values))
        return ErrorRange(float(numpy.median(values)), low, high, len(values))


@dataclass(frozen=True)
class CurvePoint:
    """The ranges of x, the values on the horizontal axis, and of errors, over the runs of one size.

    Args:
        size: the size that all these runs have, such as the number of grid intervals.
    """

    size: float
    x: ErrorRange
    error: ErrorRange


@dataclass(frozen=True, eq=False)
class ErrorCurve:
    """The errors of one setting over ascending sizes.

    Args:
        label: the name of the setting.
        points: the errors at each size.
        fit: the order fitted over x to the first `fitted` points, before the errors level off; None
            if no order is fitted.
        overall: the order fitted to all points; None if no order is fitted.
        theory: the theoretical orders in the sizes, if they are known.
    """

    label: str
    points: tuple[CurvePoint, ...]
    fit: Fit | None = None
    overall: Fit | None = None
    fitted: int = 0
    theory: Theory | None = None

    @staticmethod
    def of(
        label: str,
        sizes: Sequence[float | int],
        errors: Sequence[float | int],
        *,
        x: Sequence[float | int] | None = None,
        order: bool = True,
        theory: Theory | None = None,
    ) -> "ErrorCurve":
        """Return the curve of the errors of k runs; runs with the same size are one point.

        Args:
            label: the name of the setting, for the legend.
            sizes: the sizes of the k runs, (k,).
            errors: the errors of the runs, (k,).
            x: the values on the horizontal axis, such as numbers of parameters, (k,); by default
                the sizes.
            order: whether an order is fitted, which needs two different sizes.
            theory: the theoretical orders in the sizes; None if they are not known.

        Raises:
            InputError: if an order is to be fitted to values that are not positive and finite.
        """
        n, at, e = (numpy.array(v, dtype=float) for v in (sizes, sizes if x is None else x, errors))

        def fitted(rows: numpy.ndarray) -> Fit | None:
            """Return the order fitted to the chosen rows; None if their sizes are all the same."""
            different = len(numpy.unique(at[rows])) > 1
            return fit_order(at[rows].tolist(), e[rows].tolist()) if different else None

        points = tuple(
            CurvePoint(size, *(ErrorRange.of(part[n == size].tolist()) for part in (at, e)))
            for size in numpy.unique(n).tolist()
        )
        if not order or len(points) < 2:
            return ErrorCurve(label, points, theory=theory)
        end = before_level(sizes, errors)[-1]
        fit, kept = fitted(n <= end), sum(point.size <= end for point in points)
        return ErrorCurve(label, points, fit, fitted(n > -math.inf), kept if fit else 0, theory)

    @property
    def levelled(self) -> tuple[CurvePoint, ...]:
        """The points after the errors level off, which are left out of the fit."""
        return self.points[self.fitted :] if self.fit else ()


def legend_lines(curves: Sequence[ErrorCurve]) -> int:
    """Return the number of text lines of the curves' legend, including its title and guide."""
    return 2 + sum(style.wrapped(legend_entry(curve)).count("\n") + 1 for curve in curves)


def legend_entry(curve: ErrorCurve) -> str:
    """Return a curve's legend entry, such as "degree 3: 4.1 ± 0.3 (4; 2), up to 16"."""
    label = style.plain_text(curve.label)
    if curve.fit is None:
        return label
    text = str(curve.fit)
    if curve.theory is not None:
        text += f" ({curve.theory})"
    if curve.levelled:
        text += f", up to {curve.points[curve.fitted - 1].x.median:g}"
    text = text.replace(" ", style.NO_BREAK_SPACE)
    return f"{label}: {text}" if label else text


THEORY = "best splines; guaranteed"  # the meaning of the orders in brackets


def plot_curves(
    ax: Axes,
    curves: Sequence[ErrorCurve],
    x: str = "grid",
    y: str = "relative $L^2$ error",
    *,
    logarithmic: bool = True,
    theory: str = THEORY,
) -> Axes:
    """Plot errors against sizes: medians, bars from least to largest, fitted lines, and a legend.

    Hollow points are errors that have levelled off and are not fitted. Dotted lines have the slope
    of the best spline approximation. The legend, below the axes, has each fitted order with its
    confidence interval, and the theoretical orders in brackets.

    Args:
        ax: the axes to draw in.
        curves: the curve of each setting.
        x, y: the labels of the axis of sizes and of the axis of errors.
        logarithmic: whether the size axis is logarithmic; the error axis always is.
        theory: the meaning of the numbers in brackets, for the legend's title.

    Returns:
        The axes `ax`.
    """
    for number, curve in enumerate(curves):
        _curve(ax, curve, style.style_of(number))
    size_axis(ax, [p.x.median for curve in curves for p in curve.points], logarithmic)
    every = [p.error for curve in curves for p in curve.points]
    error_axis(ax, [bound for error in every for bound in (error.low, error.high)])
    drawn: set[int] = set()
    for curve in curves:  # for each spline order one dotted line, from the first point
        if curve.theory and len(curve.points) > 1 and curve.theory.best not in drawn:
            drawn.add(curve.theory.best)
            n = numpy.array([p.size for p in curve.points])
            guide = curve.points[0].error.median * (n / n[0]) ** -curve.theory.best
            along = [p.x.median for p in curve.points]
            ax.plot(along, guide, ":", color=style.GREY, linewidth=1.0, zorder=1)
    ax.set_xlabel(x, fontsize=STYLE.small)
    ax.set_ylabel(y, fontsize=STYLE.small)
    guided, handles = any(curve.theory for curve in curves), []
    look: dict[str, Any]
    for number, curve in enumerate(curves):
        series = style.style_of(number) | ({"linestyle": "none"} if len(curve.points) < 2 else {})
        label = style.wrapped(legend_entry(curve))
        series |= {"markersize": STYLE.marker, "linewidth": 1.2}
        handles.append(Line2D([], [], label=label, **series))
    if guided:
        look = {"linestyle": ":", "color": style.GREY, "label": "order of the best splines"}
        handles.append(Line2D([], [], **look))
    title = f"order ± 95% ({theory})" if guided else "order ± 95%"
    below = offset_copy(ax.transAxes, ax.get_figure(root=True), y=-32, units="points")
    look = {"fontsize": STYLE.letter, "title_fontsize": STYLE.letter}
    look |= {"bbox_to_anchor": (-0.02, 0.0), "bbox_transform": below, "loc": "upper left"}
    look |= {"borderaxespad": 0, "frameon": False, "alignment": "left", "handlelength": 3.2}
    if any(handle.get_label() for handle in handles):
        shown = title if any(curve.fit for curve in curves) else None
        ax.legend(handles=handles, title=shown, **look)
    return style.tidy(ax, "y")


def plot_spreads(
    ax: Axes, settings: Mapping[str, Sequence[float | int]], x: str = "relative $L^2$ error"
) -> Axes:
    """Plot the errors of settings without a size, one row for each setting.

    A row has a tick for every run, a dot at the median and a line over the range.

    Args:
        ax: the axes to draw in.
        settings: the errors of all runs of each setting, by the label of the setting.
        x: the label of the error axis.

    Returns:
        The axes `ax`.
    """
    for row, errors in enumerate(settings.values()):
        spread = ErrorRange.of(errors)
        ax.plot([spread.low, spread.high], [row, row], color=style.BLUE, linewidth=1.2)
        ax.plot(errors, [row] * len(errors), "|", color=style.BLUE, markersize=8, alpha=0.7)
        ax.plot([spread.median], [row], "o", color=style.BLUE, markersize=STYLE.marker + 1)
    error_axis(ax, [error for errors in settings.values() for error in errors], "x")
    labels = [style.wrapped(style.plain_text(label)) for label in settings]
    ax.set_yticks(range(len(settings)), labels)
    if len(settings) == 1:
        ax.tick_params(axis="y", length=0)
        ax.spines["left"].set_visible(False)
    ax.set_ylim(len(settings) - 0.4, -0.6)  # the first row is on top
    ax.set_xlabel(x, fontsize=STYLE.small)
    return style.tidy(ax, "x")


def _curve(ax: Axes, curve: ErrorCurve, series: dict[str, Any]) -> None:
    """Draw the medians of a curve's points, their ranges and, if there is one, the fitted line.

    Args:
        ax: the axes.
        curve: the curve.
        series: the colour, the marker and the style of the line, as arguments for matplotlib.
    """
    x, y = ([getattr(p, name) for p in curve.points] for name in ("x", "error"))
    at, medians = ([float(r.median) for r in ranges] for ranges in (x, y))
    across, up = (  # from the medians to the ends of the ranges, where any range has a length
        [[r.median - r.low for r in ranges], [r.high - r.median for r in ranges]]
        if any(r.high > r.low for r in ranges)
        else None
        for ranges in (x, y)
    )
    look = {"color": series["color"]}
    bars: dict[str, Any] = {"elinewidth": 0.9, "capsize": 1.8, "capthick": 0.9, "fmt": "none"}
    ax.errorbar(at, medians, up, across, ecolor=series["color"], **bars)
    if len(curve.points) > 1:
        # Next to a fitted line, the line that joins the medians is drawn thin and pale.
        dashes, width, alpha = ("-", 0.5, 0.6) if curve.fit else (series["linestyle"], 1.1, 1.0)
        ax.plot(at, medians, linestyle=dashes, linewidth=width, alpha=alpha, **look)
    if curve.fit:
        ends = at[: curve.fitted]
        along = numpy.geomspace(min(ends), max(ends), 20)
        fitted = [curve.fit(value) for value in along.tolist()]
        ax.plot(along, fitted, linestyle=series["linestyle"], linewidth=1.3, **look)
    solid = len(curve.points) - len(curve.levelled)
    marks: dict[str, Any] = {"marker": series["marker"], "markersize": STYLE.marker, "zorder": 3}
    for part, face in ((slice(solid), series["color"]), (slice(solid, None), "white")):
        marks["markerfacecolor"] = face
        ax.plot(at[part], medians[part], linestyle="none", **marks, **look)


def size_axis(ax: Axes, sizes: Sequence[float], logarithmic: bool = True) -> None:
    """Set the scale and the ticks of the horizontal axis, which shows sizes.

    Up to ten different integer sizes are the ticks, except sizes too close to another tick.

    Args:
        ax: the axes.
        sizes: all sizes that are shown.
        logarithmic: whether the axis is logarithmic.
    """
    different = sorted(set(sizes))
    if logarithmic:
        ax.set_xscale("log")
    if len(different) <= 10 and all(size == int(size) for size in different):
        place = [math.log(size) if logarithmic else size for size in different]
        ticks: list[int] = []  # indices at least 7% of the axis apart; ends first
        for i in sorted(range(len(place)), key=lambda i: (0 < i < len(place) - 1, i)):
            if all(abs(place[i] - place[j]) >= 0.07 * (place[-1] - place[0]) for j in ticks):
                ticks.append(i)
        ax.xaxis.set_major_locator(FixedLocator([different[i] for i in sorted(ticks)]))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: style.number_text(value)))
    elif logarithmic:
        low, high = ax.get_xlim()
        text = style.number_text if 1e-3 <= low and high < 1e5 else style.power_text
        _logarithmic(ax.xaxis, low, high, text)
    else:
        ax.xaxis.set_major_locator(MaxNLocator(8))


def error_axis(ax: Axes, errors: Sequence[float | int], name: str = "y") -> None:
    """Make the error axis logarithmic, with a range of at least 1.3 decades.

    Args:
        ax: the axes.
        errors: all errors that are shown, positive numbers.
        name: "x" or "y", the axis with the errors.
    """
    axis = ax.xaxis if name == "x" else ax.yaxis
    ax.set(**{f"{name}scale": "log"})
    low, high = min(errors), max(errors)
    decades = math.log10(high / low)
    more = max((1.3 - decades) / 2, 0.0) + max(decades, 1.3) * 0.06  # margin at each end, decades
    low, high = low * 10**-more, high * 10**more
    ax.set(**{f"{name}lim": (low, high)})
    _logarithmic(axis, low, high, style.power_text)


def _logarithmic(axis: Axis, low: float, high: float, text: Callable[[float], str]) -> None:
    """Set ticks at powers of ten and, on a short range, at multiples between them.

    Args:
        axis: the axis.
        low, high: the ends of the range.
        text: returns the label of a tick.
    """
    decades = math.log10(high / low)
    subs = (1.0,) if decades > 2.5 else (1.0, 3.0) if decades > 1.2 else (1.0, 2.0, 5.0)
    axis.set_major_locator(LogLocator(subs=subs, numticks=9))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: text(value)))
