"""Table 1 as a page: measured orders beside those of the theory, and what limits them."""

from collections.abc import Iterable, Sequence

import numpy
from poster import paper
from poster.table1_orders import Series, excess, find, one
from poster.table1_studies import BEST_H1, BEST_L2, BUILT, EXACT, HARD, RANDOM, REFINED, RESIDUAL

# What is compared: study, setting, words.
REASONS = (
    ("structured", BEST_L2, "best approximation in L2, inner functions given"),
    ("structured", BEST_H1, "best approximation in H1, inner functions given"),
    ("structured", RESIDUAL, "residual, penalty α = 0.01, points on a lattice"),
    ("structured", HARD, "the same, boundary weighted 1e6 against the interior"),
    ("sampled", "", "the same as the third, but the poster's 10 000 random points"),
    ("found", "", "all layers free, found by variable projection from random starts"),
    ("structured", EXACT, "residual, boundary data built in, u = D·N"),
)
GENERIC = {BUILT: "constructed", REFINED: "LM, grid refined", RANDOM: "LM at once"}

HEAD = """# Table 1, measured

Errors fall as G^-p; p is fitted by least squares on logarithms, ± its 95% confidence interval, over
the grids named, before the errors level off at rounding. With the width fixed, the number of
parameters N grows like G, so p is the exponent α of the poster's table too. Errors are not squared
here: squared ones fall with 2p.
"""
THEORIES = """## The poster's table

For a function of d variables and splines of degree k (here d = 2):

| source | idea | α | k = 3 |
|---|---|---|---|
| Sharma & Kaplan | intrinsic dimensionality | (k+1)/d | 2 |
| Michaud et al. | maximum arity 2 | (k+1)/2 (the poster prints 1) | 2 |
| Poggio et al. | compositional sparsity, m derivatives | m/2 | 2 for m = k+1 |
| KAN | Kolmogorov–Arnold representation | k+1 | 4 |"""
HOW = """
Measured: spline approximants of KANs with smooth edges (each edge by least squares) and, for the
Poisson problem, networks [2,3,1] found by variable projection from random starts on the residual of
the poster's loss, median and range over seeds.
"""
WHY = """## What is missing, and where

The Poisson problem has the structure sin πx sin πy² = (cos π(x - y²) - cos π(x + y²))/2, a KAN
[2,2,1]. With these inner functions given, only a linear problem is left, so approximation, loss,
points and optimizer can be told apart. Theory guarantees k-1 for a residual in L2 of an equation of
second order, and k+1 and k for the best splines in L2 and H1.
"""
READ = """
How to read it. A residual guarantees k-1 only, but its minimum is orthogonal to the splines, and so
has more (Aubin's and Nitsche's argument). Random points spoil that: the sum over n of them differs
from the integral by some 1/√n of the residual, whose order is k-1, and towards that the L2 order
falls. Boundary data built in spoil the structure: u/D is no sum of functions of x + y² and x - y².
"""
RATIOS = """Ratios on {} intervals, medians over seeds. The best approximations are so for a sum
over the lattice; where rounding is near, others can come out below."""
NETWORK = """## The paper's network [2,10,1]

"constructed": five copies each of x + y² and x - y², their grids a fifth of an interval apart, the
outer functions by least squares. It shows what the same network on the same grid can hold; what
lies between it and the others is the optimizer's.
"LM, grid refined": Levenberg–Marquardt on all coefficients from random ones, from grid 2 on, 100
steps on each grid; "LM at once": 100 steps on the finest. Squared errors: medians (least -
greatest) over seeds; "grid refined" before the last grid is measured with 24 x 24 points, right to
some 10% in H1.
"""


def page(series: Sequence[Series], seeds: int) -> str:
    """Return the page in Markdown."""
    parts = [HEAD, THEORIES, HOW, *_table_approximation(series), ""]
    parts += [f"## The Poisson problem, {seeds} seeds", "", *_table_poisson(series), ""]
    parts += [WHY, *_table_reasons(series), READ, *_conclusions(series), ""]
    return "\n".join([*parts, NETWORK, *_table_generic(series), "", *_closing(series), ""])


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(line) + " |" for line in lines]


def _table_approximation(series: Sequence[Series]) -> list[str]:
    own = find(series, study="approximation")
    functions = list(dict.fromkeys(s.setting for s in own))
    keys = list(dict.fromkeys((s.degree, s.norm, s.theory) for s in own))
    rows = [
        [str(k), norm[1:], str(theory)]
        + [one(own, setting=f, degree=k, norm=norm).order for f in functions]
        for k, norm, theory in keys
    ]
    grids = sorted({g for s in own if (f := s.fitted) for g in f})
    table = _table(["k", "m", "k+1-m", *functions], rows)
    return [f"C^m errors, grids {grids[0]} to {grids[-1]}:", "", *table]


def _table_poisson(series: Sequence[Series]) -> list[str]:
    head = ["k", "L2 order", "k+1", "H1 order", "k", "k-1", "slope of L2²", "slope of H1²", "grids"]
    rows = []
    for k in _degrees(series):
        low, high = _pair(series, study="found", degree=k)
        squared = [f"{2 * s.fit.order:.1f}" if s.fit else "" for s in (low, high)]
        orders = [low.order, str(k + 1), high.order, str(k), str(k - 1)]
        rows.append([str(k), *orders, *squared, "{} … {}".format(*(low.fitted or ("", "")))])
    slopes = "{} of L2² and {} of H1²".format(*paper.SLOPES[10])
    note = f"The paper's slopes, k = 3, [2,10,1], grids 2 to 10: {slopes}."
    return [*_table(head, rows), "", note]


def _table_reasons(series: Sequence[Series]) -> list[str]:
    head = ["k", "what", "L2 order", "H1 order", "L2 error / best", "H1 error / best"]
    rows = []
    for degree in _degrees(series):
        for study, setting, words in REASONS:
            pair = _pair(series, study=study, setting=setting, degree=degree)
            ratios = [f"{excess(series, s):.3g}" for s in pair]
            rows.append([str(degree), words, *(s.order for s in pair), *ratios])
    finest = max(find(series, study="found")[0].grids)
    return [*_table(head, rows), "", RATIOS.format(finest)]


def _table_generic(series: Sequence[Series]) -> list[str]:
    head = ["k", "G", *(f"{words}, {n}²" for n in ("L2", "H1") for words in GENERIC.values())]
    head += ["paper, L2²", "paper, H1²"]
    rows = []
    for degree in _degrees(series):
        for grid in sorted(set(one(series, study=REFINED, degree=degree, norm="L2").grids)):
            cells = [
                _squares(one(series, study=study, degree=degree, norm=norm).at(grid))
                for norm in ("L2", "H1")
                for study in GENERIC
            ]
            rows.append([str(degree), str(grid), *cells, *_paper(degree, grid)])
    return _table(head, rows)


def _paper(degree: int, grid: int) -> list[str]:
    if degree != 3 or grid not in paper.GRIDS:
        return ["", ""]
    at, own = paper.GRIDS.index(grid), paper.KANS[10]
    return [f"{own.l2_squared[at]:.1e}", f"{own.h1_squared[at]:.1e}"]


def _conclusions(series: Sequence[Series]) -> list[str]:
    """Return the conclusions from the numbers, in sentences."""
    lines = []
    for degree in _degrees(series):
        residual, random, found = (
            "{:.2g} and {:.2g}".format(
                *(excess(series, s) for s in _pair(series, study=study, setting=m, degree=degree))
            )
            for study, m in (("structured", RESIDUAL), ("sampled", ""), ("found", ""))
        )
        lines.append(
            f"- k = {degree}: the residual's minimum has {residual} times the errors of the best "
            f"approximations in L2 and H1, with random points {random}, and what is found from "
            f"random starts {found}."
        )
    return lines


def _closing(series: Sequence[Series]) -> list[str]:
    """Compare optimisation with approximation on the finest common grid."""
    lines = []
    for degree in _degrees(series):
        refined, high = _pair(series, study=REFINED, degree=degree)
        finest = max(refined.grids)
        built, by_grids, at_once = (
            numpy.median(one(series, study=s, degree=degree, norm="L2").at(finest)) ** 2
            for s in GENERIC
        )
        slopes = " and ".join(f"{2 * s.fit.order:.1f}" for s in (refined, high) if s.fit)
        lines.append(
            f"- k = {degree}, G = {finest}: L2² is {at_once:.1e} at once, "
            f"{by_grids:.1e} by refined grids, {built:.1e} constructed. Slopes of L2² and H1² by "
            f"refined grids: {slopes}."
        )
    return lines


def _pair(series: Sequence[Series], **wanted: object) -> tuple[Series, Series]:
    """Return the errors of a setting in L2 and in H1."""
    return one(series, norm="L2", **wanted), one(series, norm="H1", **wanted)


def _degrees(series: Sequence[Series]) -> list[int]:
    return sorted({s.degree for s in find(series, study="found")})


def _squares(errors: Sequence[float]) -> str:
    """Return the median (least - greatest) of squared errors."""
    if not errors:
        return ""
    low, middle, high = (v**2 for v in (min(errors), float(numpy.median(errors)), max(errors)))
    if len(errors) == 1:
        return f"{middle:.1e}"
    return f"{middle:.1e} ({low:.0e} - {high:.0e})"
