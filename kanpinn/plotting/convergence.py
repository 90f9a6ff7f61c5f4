"""Errors against sizes with their orders, and errors of settings that have no size."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy
from matplotlib.axes import Axes

from kanpinn.plotting.curves import Curve, Spread
from kanpinn.plotting.legend import MARKER, THEORY, orders_legend, plain_text, style_of, wrapped
from kanpinn.plotting.scales import error_axis, size_axis
from kanpinn.plotting.style import BLUE, GREY, SMALL, tidy


def plot_curves(
    ax: Axes,
    curves: Sequence[Curve],
    x: str = "grid",
    y: str = "relative $L^2$ error",
    *,
    logarithmic: bool = True,
    theory: str = THEORY,
) -> Axes:
    """Errors against sizes: medians, bars from least to largest, fitted lines, a legend below.

    Hollow points no longer fall and are not fitted; dotted lines fall with the order of the best
    splines. In the legend stands each fitted order with its confidence, theory's in brackets.

    Args:
        x: what the sizes are. y: of what the errors are.
        logarithmic: the axis of the sizes; that of the errors is.
        theory: what the numbers in brackets are.
    """
    for number, curve in enumerate(curves):
        _curve(ax, curve, style_of(number))
    size_axis(ax, [p.x.median for curve in curves for p in curve.points], logarithmic)
    every = [p.error for curve in curves for p in curve.points]
    error_axis(ax, [bound for error in every for bound in (error.low, error.high)])
    _guides(ax, curves)
    ax.set_xlabel(x, fontsize=SMALL)
    ax.set_ylabel(y, fontsize=SMALL)
    ax.grid(axis="y", linewidth=0.4, color="#dddddd")
    orders_legend(ax, curves, theory)
    return tidy(ax)


def plot_spreads(
    ax: Axes, settings: Mapping[str, Sequence[float | int]], x: str = "relative $L^2$ error"
) -> Axes:
    """Errors of settings without order, each in its line: every run, the median and the range."""
    for row, errors in enumerate(settings.values()):
        spread = Spread.of(errors)
        ax.plot([spread.low, spread.high], [row, row], color=BLUE, linewidth=1.2)
        ax.plot(errors, [row] * len(errors), "|", color=BLUE, markersize=8, alpha=0.7)
        ax.plot([spread.median], [row], "o", color=BLUE, markersize=MARKER + 1)
    error_axis(ax, [error for errors in settings.values() for error in errors], "x")
    ax.set_yticks(range(len(settings)), [wrapped(plain_text(label)) for label in settings])
    if len(settings) == 1:
        ax.tick_params(axis="y", length=0)
        ax.spines["left"].set_visible(False)
    ax.set_ylim(len(settings) - 0.4, -0.6)  # the first on top
    ax.set_xlabel(x, fontsize=SMALL)
    ax.grid(axis="x", linewidth=0.4, color="#dddddd")
    return tidy(ax)


def _curve(ax: Axes, curve: Curve, style: dict[str, Any]) -> None:
    colour, marker = style["color"], style["marker"]
    x, y = ([getattr(p, name) for p in curve.points] for name in ("x", "error"))
    _bars(ax, x, y, colour)
    if len(curve.points) > 1:
        # Beside a fitted line the one that joins the medians is a hint.
        dashes, width, alpha = ("-", 0.5, 0.6) if curve.fit else (style["linestyle"], 1.1, 1.0)
        ax.plot(
            _medians(x), _medians(y), color=colour, linestyle=dashes, linewidth=width, alpha=alpha
        )
    if curve.fit:
        ends = _medians(x[: curve.fitted])
        along = numpy.geomspace(min(ends), max(ends), 20)
        fitted = [curve.fit(value) for value in along.tolist()]
        ax.plot(along, fitted, color=colour, linestyle=style["linestyle"], linewidth=1.3)
    solid = len(curve.points) - len(curve.levelled)
    for part, face in ((slice(solid), colour), (slice(solid, None), "white")):
        ax.plot(
            _medians(x[part]),
            _medians(y[part]),
            linestyle="none",
            marker=marker,
            markersize=MARKER,
            color=colour,
            markerfacecolor=face,
            zorder=3,
        )


def _bars(ax: Axes, x: Sequence[Spread], y: Sequence[Spread], colour: str) -> None:
    """Ranges across and along; without a length they would only thicken the markers."""
    ax.errorbar(
        _medians(x),
        _medians(y),
        xerr=_reach(x) if any(s.high > s.low for s in x) else None,
        yerr=_reach(y) if any(s.high > s.low for s in y) else None,
        fmt="none",
        ecolor=colour,
        elinewidth=0.9,
        capsize=1.8,
        capthick=0.9,
    )


def _medians(spreads: Sequence[Spread]) -> list[float]:
    return [spread.median for spread in spreads]


def _reach(spreads: Sequence[Spread]) -> list[list[float]]:
    return [[s.median - s.low for s in spreads], [s.high - s.median for s in spreads]]


def _guides(ax: Axes, curves: Sequence[Curve]) -> None:
    """One for each order of theory."""
    drawn: set[int] = set()
    for curve in curves:
        if curve.theory and len(curve.points) > 1 and curve.theory.best not in drawn:
            drawn.add(curve.theory.best)
            x, y = zip(*curve.guide(), strict=True)
            ax.plot(x, y, ":", color=GREY, linewidth=1.0, zorder=1)
