"""The figure: errors of the L-shape's forms against coefficients, with theory's slopes."""

from collections.abc import Mapping, Sequence
from statistics import median

from library.lshape_cases import Result
from library.lshape_theory import THEORY
from matplotlib.axes import Axes

from kanpinn.plotting.style import MARKERS, PALETTE, STYLE, tidy

NAMES = {"l2": "relative $L_2$ error", "h1": "relative $H^1$ error"}
LABELS = {
    "r^(2j/3)": "strong, with $r^{2j/3}$",
    "r^(2j/3) and r² ln r": r"strong, with $r^{2j/3}$ and $r^2\ln r$",
}


def draw(axes: Axes, results: Sequence[Result], norm: str, floor: float) -> None:
    """Medians and ranges over seeds; thin lines have the orders of the best approximation."""
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
    """A thin line through the first median that falls like N^-order."""
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
    """The seeds' errors for each number of coefficients, ascending."""
    sizes = sorted({r.coefficients for r in results})
    return {n: [getattr(r, norm) for r in results if r.coefficients == n] for n in sizes}


def _note(axes: Axes) -> dict:
    """Text just above a line's left end, at data's y."""
    return {
        "xycoords": axes.get_yaxis_transform(),
        "xytext": (3, 2),
        "textcoords": "offset points",
        "fontsize": STYLE.small - 1,
        "color": "0.4",
    }
