"""Axes of sizes and of errors, with ticks that can be read."""

import math
from collections.abc import Callable, Sequence

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator

FEW = 10  # different sizes: the ticks are the sizes themselves
APART = 0.07  # of the width of the axis, between labels
LEAST = 1.3  # decades of an axis of errors
ROOM = 0.06  # of the axis, beyond the errors at each end


def size_axis(ax: Axes, sizes: Sequence[float], logarithmic: bool = True) -> None:
    """The horizontal axis, logarithmic or not; its ticks are the sizes where these are few."""
    different = sorted(set(sizes))
    if logarithmic:
        ax.set_xscale("log")
    if len(different) <= FEW and all(size == int(size) for size in different):
        ax.xaxis.set_major_locator(FixedLocator(_spaced(different, logarithmic)))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: plain(value)))
    elif logarithmic:
        low, high = ax.get_xlim()
        _logarithmic(ax.xaxis, low, high, plain if 1e-3 <= low and high < 1e5 else power)
    else:
        ax.xaxis.set_major_locator(MaxNLocator(8))


def error_axis(ax: Axes, errors: Sequence[float | int], name: str = "y") -> None:
    """A logarithmic axis of errors, "x" or "y", that shows more than one power of ten."""
    axis = ax.xaxis if name == "x" else ax.yaxis
    ax.set(**{f"{name}scale": "log"})
    low, high = min(errors), max(errors)
    decades = math.log10(high / low)
    more = max((LEAST - decades) / 2, 0.0) + max(decades, LEAST) * ROOM
    low, high = low * 10**-more, high * 10**more
    ax.set(**{f"{name}lim": (low, high)})
    _logarithmic(axis, low, high, power)


def plain(value: float | int) -> str:
    """A number in three digits, a large or small one with a power of ten."""
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
    return power(value)


def power(value: float | int) -> str:
    """A number with its power of ten, in mathtext."""
    exponent = math.floor(math.log10(abs(value)) + 1e-9)
    factor = f"{value / 10.0**exponent:.2g}"
    return f"$10^{{{exponent}}}$" if factor == "1" else f"${factor}·10^{{{exponent}}}$"


def _logarithmic(axis: Axis, low: float, high: float, text: Callable[[float], str]) -> None:
    decades = math.log10(high / low)
    subs = (1.0,) if decades > 2.5 else (1.0, 3.0) if decades > 1.2 else (1.0, 2.0, 5.0)
    axis.set_major_locator(LogLocator(subs=subs, numticks=9))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: text(value)))


def _spaced(sizes: Sequence[float], logarithmic: bool) -> list[float]:
    """Those of the sizes whose labels do not meet; the ends have the first choice."""
    place = [math.log(s) if logarithmic else s for s in sizes]
    span = (place[-1] - place[0]) or 1.0
    chosen: list[int] = []
    for i in sorted(range(len(sizes)), key=lambda i: (0 < i < len(sizes) - 1, i)):
        if all(abs(place[i] - place[j]) >= APART * span for j in chosen):
            chosen.append(i)
    return [sizes[i] for i in sorted(chosen)]
