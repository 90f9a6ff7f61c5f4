"""The theory of the orders of the L-shape's forms, and the errors drawn beside it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from lshape_forms.solves import Result
from matplotlib.axes import Axes

from kanpinn.plotting.style import MARKERS, PALETTE, STYLE, tidy

LIMIT = 22 / 3  # r^(22/3), the first function of the inward corner beyond ten of them


@dataclass(frozen=True)
class Theory:
    """Orders in h = N^(-1/2), as for a quasi-uniform space of N functions of high degree.

    guaranteed: the orders by the form's error estimate, None if it gives none. best: the orders of
    the best approximation in that norm; errors may fall faster where the degree rather than the
    grid resolves (with twice the order for polynomials at a corner). why: where the orders come
    from.

    References: Grisvard, Elliptic problems in nonsmooth domains (1985); Babuška and Suri, The
    optimal convergence rate of the p-version of the finite element method (1987).
    """

    guaranteed: dict[str, float | None]
    best: dict[str, float]
    why: str


def _strong(power: float, why: str) -> Theory:
    """Return the theory of a strong form whose roughest remaining part is r^power.

    That part lies in H^(power + 1 - ε). The residual's L2 norm converges like the best
    approximation in H², so with order power - 1, and |e| ≤ C (|r| + |e on the boundary|) in L2
    norms, for the domain and H^(1/2) alike. By an inverse estimate the order in H1 is then half an
    order less.
    """
    least = power - 1
    guaranteed: dict[str, float | None] = {"l2": None, "h1": None}
    if least > 0:
        guaranteed = {"l2": least, "h1": least - 0.5}
    return Theory(guaranteed, {"l2": power + 1, "h1": power}, why)


THEORY = {
    "plain strong form": _strong(
        2 / 3,
        "u has r^(2/3), which is not in H²: no residual of a spline need be small. That it falls "
        "all the same is due to the penalty: with the singular point shifted by h out of the "
        "domain, r^(2/3) has no residual inside and one of h^(7/6) on the boundary, so that L2 "
        "7/6 and H1 2/3 can be expected of functions that resolve the scale h; with exact "
        "boundary values it would not fall",
    ),
    "energy": Theory(
        {"l2": 4 / 3, "h1": 2 / 3},
        {"l2": 5 / 3, "h1": 2 / 3},
        "Céa: best in H1, u in H^(5/3 - ε); Aubin and Nitsche: twice that in L2",
    ),
    "energy, stretched": Theory(
        {"l2": None, "h1": None},
        {"l2": 3, "h1": 2},
        "no order holds for long: in stretched coordinates r^(2/3) is smooth down to r = size, and "
        "r² ln r at the other corners is the roughest; what is inside r < size stays, a part of "
        "order size^(4/3) in L2 and size^(2/3) in H1",
    ),
    "r^(2j/3)": _strong(2, "r² ln r at the five convex corners is left, in H^(3 - ε)"),
    "r^(2j/3) and r² ln r": _strong(
        LIMIT,
        "r^(22/3) is left at the inward corner and r^8 ln r at the others; the splines' degree 9 "
        "would allow 10 and 9. In practice convergence is that of smooth functions until rounding",
    ),
}


NAMES = {"l2": "relative $L_2$ error", "h1": "relative $H^1$ error"}
LABELS = {
    "r^(2j/3)": "strong, with $r^{2j/3}$",
    "r^(2j/3) and r² ln r": r"strong, with $r^{2j/3}$ and $r^2\ln r$",
}


def draw(axes: Axes, results: Sequence[Result], norm: str, floor: float) -> None:
    """Draw medians and ranges over seeds; thin lines have the orders of the best approximation."""
    for number, (case, theory) in enumerate(THEORY.items()):
        groups = by_size([r for r in results if r.case == case], norm)
        if not groups:
            continue
        colour, sizes = PALETTE[number], list(groups)
        middle = [median(errors) for errors in groups.values()]
        reach = [(m - min(e), max(e) - m) for m, e in zip(middle, groups.values(), strict=True)]
        axes.errorbar(
            sizes,
            middle,
            yerr=list(zip(*reach, strict=True)),
            color=colour,
            marker=MARKERS[number],
            markersize=4,
            linewidth=1.2,
            capsize=2,
            label=LABELS.get(case, case),
        )
        side = "bottom" if number % 2 else "top"  # some lines end in the same place
        slope(axes, sizes, middle[0], theory.best[norm] / 2, colour, side)
    axes.axhline(floor, color="0.6", linewidth=0.8, linestyle=":")
    axes.annotate("reference's own error", (0, floor), **_note(axes))
    axes.set(xscale="log", yscale="log", ylabel=NAMES[norm])
    axes.set_xlabel("coefficients $N$ that are solved for")
    axes.grid(alpha=0.2)
    tidy(axes)


def slope(
    axes: Axes, sizes: Sequence[int], start: float, order: float, colour: str, side: str
) -> None:
    """Draw a thin line through the first median that falls like N^-order."""
    ends = [start * (size / sizes[0]) ** -order for size in (sizes[0], sizes[-1])]
    axes.plot([sizes[0], sizes[-1]], ends, color=colour, linewidth=0.7, linestyle=(0, (4, 2)))
    text = f"$N^{{-{order:.2g}}}$"
    axes.annotate(
        text,
        (sizes[-1], ends[1]),
        xytext=(3, 0),
        textcoords="offset points",
        va=side,
        color=colour,
        fontsize=STYLE.letter,
    )


def by_size(results: Sequence[Result], norm: str) -> Mapping[int, list[float]]:
    """Return the seeds' errors for each number of coefficients, ascending."""
    sizes = sorted({r.coefficients for r in results})
    return {n: [getattr(r, norm) for r in results if r.coefficients == n] for n in sizes}


def _note(axes: Axes) -> dict[str, Any]:
    """Return the options of a text just above a line's left end, at the data's y."""
    return {
        "xycoords": axes.get_yaxis_transform(),
        "xytext": (3, 2),
        "textcoords": "offset points",
        "fontsize": STYLE.small - 1,
        "color": "0.4",
    }
