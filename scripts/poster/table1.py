"""Table 1 of the poster: studies of orders, approximation, tables, page, figures and verdicts."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy
import torch
from common import script
from common.script import Verdict, verdict
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from poster import paper
from torch import Tensor

import kanpinn as kp
from kanpinn.accuracy import fit_order
from kanpinn.accuracy.orders import Fit, before_level
from kanpinn.jets import Channels, Coordinates, Jet, jet_of
from kanpinn.plotting.convergence import error_axis, size_axis
from kanpinn.plotting.style import GREY, STYLE, new_figure, style_of, tidy

SAMPLES = 8  # of an edge per grid interval
MARGIN = 0.05  # of a hidden unit's range, beyond it: what kanpinn's grids have
NAMES = ("x", "y")
HIGHEST = 2  # of m: the derivatives that a Hessian has

Edge = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class SmoothKAN:
    """A function with a smooth representation; edges[layer][input][output]."""

    name: str
    edges: Sequence[Sequence[Sequence[Edge]]]
    exact: Callable[[Tensor], Tensor]

    @property
    def width(self) -> list[int]:
        """The number of units in each layer, inputs first."""
        return [len(layer) for layer in self.edges] + [len(self.edges[-1][0])]

    def ranges(self) -> list[tuple[Tensor, Tensor]]:
        """Return the least and greatest inputs of each layer on the square."""
        axis = torch.linspace(-1, 1, 129, dtype=torch.float64)
        units = [torch.cartesian_prod(axis, axis)]
        for layer in self.edges[:-1]:
            units.append(torch.stack([_sum(unit, units[-1]) for unit in zip(*layer)], dim=1))  # noqa: B905
        return [(u.amin(0), u.amax(0)) for u in units]


def _sum(edges: Sequence[Edge], x: Tensor) -> Tensor:
    return sum((edge(x[:, i]) for i, edge in enumerate(edges)), start=torch.zeros_like(x[:, 0]))


EXPONENTIAL = SmoothKAN(
    "exp(sin πx + y²), [2,1,1]",
    [[[lambda x: torch.sin(torch.pi * x)], [torch.square]], [[torch.exp]]],
    lambda p: torch.exp(torch.sin(torch.pi * p[:, :1]) + p[:, 1:] ** 2),
)
PRODUCT = SmoothKAN(
    "sin πx sin πy², [2,2,1]",
    [
        [[lambda x: x, lambda x: x], [torch.square, lambda y: -(y**2)]],
        [[lambda h: -torch.cos(torch.pi * h) / 2], [lambda h: torch.cos(torch.pi * h) / 2]],
    ],
    lambda p: torch.sin(torch.pi * p[:, :1]) * torch.sin(torch.pi * p[:, 1:] ** 2),
)
FUNCTIONS = (EXPONENTIAL, PRODUCT)


@dataclass(frozen=True)
class Measured:
    """The C^m norm of an error: the largest partial derivative of any order up to m."""

    function: str
    degree: int
    m: int
    grid: int
    error: float


def measure(degrees: Sequence[int], grids: Sequence[int], nodes: int) -> Iterator[Measured]:
    """Yield the errors of every function, degree, grid and m ≤ k, 2, on nodes × nodes points."""
    axis = torch.linspace(-1, 1, nodes, dtype=torch.float64)
    points = torch.cartesian_prod(axis, axis)
    channels = Channels(NAMES, second="hessian")
    for function in FUNCTIONS:
        exact = jet_of(function.exact, points, channels)
        for degree in degrees:
            for grid in grids:
                jet = _jet(approximant(function, degree, grid), points, channels)
                for m, error in enumerate(_norms(jet - exact)[: degree + 1]):
                    yield Measured(function.name, degree, m, grid, error)


def approximant(function: SmoothKAN, degree: int, grid: int) -> kp.KAN:
    """Return the KAN whose edges approximate the smooth ones by least squares.

    The grid of a hidden unit covers its range, so that no edge extrapolates.
    """
    network = kp.KAN(function.width, degree=degree, grid=grid)
    ranges = function.ranges()
    for depth, (layer, edges) in enumerate(zip(network.layers, function.edges, strict=True)):
        low, high = ranges[depth]
        pad = MARGIN * (high - low) if depth else 0.0
        low, high = low - pad, high + pad
        layer.basis = layer.basis.uniform(low, high, grid, degree)
        x = low + (high - low) * _samples(grid)[:, None]
        values = [torch.stack([edge(x[:, i]) for edge in own], 1) for i, own in enumerate(edges)]
        with torch.no_grad():
            fitted = layer.basis.fit(x, torch.stack(values, dim=1))
            layer.coefficients.copy_(fitted)
    return network


def _samples(grid: int) -> Tensor:
    """Return SAMPLES Chebyshev points of each interval of [0, 1]."""
    angle = math.pi * (torch.arange(SAMPLES, dtype=torch.float64) + 0.5) / SAMPLES
    within = (1 - torch.cos(angle)) / 2
    return ((torch.arange(grid)[:, None] + within) / grid).flatten()


@torch.no_grad()
def _jet(network: kp.KAN, points: Tensor, channels: Channels) -> Jet:
    one = torch.ones(len(NAMES), dtype=torch.float64)
    parts = [network.jet(Coordinates(channels, p, one)) for p in points.split(8192)]
    tensors = [torch.cat(same) for same in zip(*(j.parts() for j in parts), strict=True)]
    return Jet(channels, *tensors)


def _norms(jet: Jet) -> list[float]:
    """Return the C^0, C^1 and C^2 norms of a jet with its Hessian."""
    assert jet.gradient is not None and jet.second is not None
    largest = [float(t.abs().max()) for t in (jet.value, jet.gradient, jet.second)]
    return [max(largest[: m + 1]) for m in range(HIGHEST + 1)]


HERE = Path(__file__).parent
POISSON = "../../problems/poisson2d.py:Poisson2D"
LOSS = {"interior": 0.01, "boundary": 1.0}  # the poster's
# By degree, of the search: intervals on which the loss tells which start arrives, the part of the
# zero solution's loss that does, and how much finer the lattice is: residuals of cubics have kinks.
SEARCH = {3: (12, 1e-3, 16 / 9), 5: (8, 1e-4, 1.0), 7: (6, 1e-4, 1.0)}
# Least squares for the outer functions of the structured network: of what.
BEST_L2, BEST_H1, RESIDUAL = "best in L2", "best in H1", "residual"
HARD, EXACT = "residual, boundary weighted 1e6", "residual, exact boundary"
CLASSES = {BEST_L2: "table1_classes.py:BestL2", BEST_H1: "table1_classes.py:BestH1"}
WEIGHTS = {BEST_L2: (1.0, 0.0), BEST_H1: (1.0, 0.0), HARD: (1e-6, 1.0)}
METHODS = (BEST_L2, BEST_H1, RESIDUAL, HARD, EXACT)
RANDOM, REFINED, BUILT = "at once", "refined", "constructed"
WIDTH = 10  # of the paper's KAN

Sections = dict[str, Any]
Base = Callable[..., Sections]


@dataclass(frozen=True)
class Size:
    """How much is done: the full studies, or those of a smoke run."""

    degrees: Sequence[int] = (3, 5, 7)
    grids: Sequence[int] = (12, 16, 24, 32, 48)
    coarse: Sequence[int] = (2, 4, 8)  # for the generic networks
    built: Sequence[int] = (2, 3, 4, 6, 8)  # for the constructed ones
    seeds: Sequence[int] = (0, 1, 2)
    lattice: int = 22500
    random: int = 10000  # the poster's
    descent: int = 3025
    steps: int = 100  # of Levenberg–Marquardt on each grid
    search: Sections = field(default_factory=dict)  # other settings of the search

    def found(self, degree: int, grid: int, seed: int) -> Sections:
        """Return the settings of [2, 3, 1] with everything free, from random starts."""
        network = {"type": "kan", "width": [2, 3, 1], "degree": [3, degree], "grid": [1, grid]}
        coarse, tolerance, finer = SEARCH[degree]
        search = {"type": "variable_projection", "coarse": coarse, "tolerance": tolerance}
        search |= self.search
        return _sections(network, [search], _lattice(round(finer * self.lattice)), seed)

    def structured(self, degree: int, grid: int, method: str) -> Sections:
        """Return the settings with exact inner functions, and least squares on a lattice."""
        sections = _sections(_exact_inner(degree, grid), [], _lattice(self.lattice))
        sections["problem"]["class"] = CLASSES.get(method, POISSON)
        if method in WEIGHTS:
            sections["loss"] = dict(zip(LOSS, WEIGHTS[method], strict=True))
        if method == EXACT:
            sections["network"]["boundary"] = "exact"
        return sections

    def sampled(self, degree: int, grid: int, seed: int) -> Sections:
        """Return the same with the poster's random points."""
        points = {"interior": self.random, "boundary": self.random // 12, "sampler": "uniform"}
        return _sections(_exact_inner(degree, grid), [], points, seed)

    def generic(self, degree: int, seed: int, start: str) -> Sections:
        """Return the settings of the paper's [2, 10, 1] from random coefficients.

        start: whether it is trained on the finest grid at once, or from coarse to fine grids.
        """
        levels = self.coarse if start == REFINED else self.coarse[-1:]
        network = {"type": "kan", "width": [2, WIDTH, 1], "degree": degree, "grid": levels[0]}
        descent = {"type": "levenberg_marquardt", "steps": self.steps}
        stages = [descent]
        for level in levels[1:]:
            stages += [{"type": "refine", "grid": level}, descent]
        return _sections(network, stages, _lattice(self.descent), seed)

    def constructed(self, degree: int, grid: int) -> Sections:
        """Return the settings of [2, 10, 1] with the exact inner functions in five copies.

        The grids of the copies are shifted; the outer functions are found by least squares.
        """
        return _sections(_exact_inner(degree, grid, WIDTH // 2), [], _lattice(self.lattice))

    def plans(self) -> Iterator[tuple[str, Base, dict[str, Sequence[Any]]]]:
        """Yield the studies: the name, the function that makes the settings, and its values."""
        seeds = {"seed": self.seeds}
        yield "structured", self.structured, {"grid": self.grids, "method": METHODS}
        yield "sampled", self.sampled, {"grid": self.grids} | seeds
        yield BUILT, self.constructed, {"grid": self.built}
        yield "found", self.found, {"grid": self.grids} | seeds
        yield REFINED, self.generic, seeds | {"start": [REFINED]}
        yield RANDOM, self.generic, seeds | {"start": [RANDOM]}

    def run(self, output: Path, executor: Executor) -> Iterator[tuple[str, kp.Study]]:
        """Yield every study when it is done; runs finished in `output` are not done again."""
        with executor:
            for name, base, over in self.plans():
                study = kp.sweep(
                    base,
                    {"degree": self.degrees} | over,
                    name=name,
                    output=output,
                    directory=HERE,
                    executor=executor,
                )
                yield name, study


HASTY = {"rounds": 1, "starts": 4, "steps": 6}
SMOKE = Size((3,), (12, 16), (2, 3), (2, 3), (0,), 1600, 400, 200, 2, HASTY)


def _sections(
    network: Sections, stages: Sequence[Sections], points: Sections, seed: int = 0
) -> Sections:
    return {
        "problem": {"class": POISSON},
        "network": network | {"boundary": "penalty"},
        "points": points,
        "loss": dict(LOSS),
        "optimizer": list(stages) or [{"type": "least_squares"}],
        "run": {"seed": seed},
    }


def _exact_inner(degree: int, grid: int, copies: int = 1) -> Sections:
    kind = "table1_classes.py:Structured"
    return {"type": kind, "degree": degree, "grid": grid, "copies": copies}


def _lattice(count: int) -> Sections:
    return {"interior": count, "boundary": 4 * round(count**0.5), "sampler": "grid"}


FROM = 12  # grids before are not yet in the range of the order
FLAT = 0.05  # an order below is none
STARTS = {BUILT: 4, REFINED: 2, RANDOM: 2}  # other firsts: these resolve more
NORMS = {"L2": "l2_squared", "H1": "h1_squared"}


@dataclass(frozen=True)
class Series:
    """The errors of one setting; each grid occurs once for each seed.

    theory: the order of the best splines. start: the first grid of the fit.
    """

    study: str
    setting: str
    degree: int
    norm: str
    theory: int
    grids: tuple[int, ...]
    errors: tuple[float, ...]
    start: int = FROM

    @property
    def fitted(self) -> tuple[int, int] | None:
        """The first and last grid of the fit, which ends before the errors level off."""
        kept = [(g, e) for g, e in zip(self.grids, self.errors, strict=True) if g >= self.start]
        if len({g for g, _ in kept}) < 2:
            return None
        grids = before_level(*zip(*kept, strict=True))
        return int(grids[0]), int(grids[-1])

    @property
    def fit(self) -> Fit | None:
        """The fit error ≈ constant · G^-order on these grids, None for fewer than two."""
        if self.fitted is None:
            return None
        low, high = self.fitted
        kept = [(g, e) for g, e in zip(self.grids, self.errors, strict=True) if low <= g <= high]
        return fit_order(*zip(*kept, strict=True))

    @property
    def order(self) -> str:
        """The order as text, with its confidence interval."""
        if self.fit is None:
            return ""
        return str(self.fit) if abs(self.fit.order) >= FLAT else "0"

    def at(self, grid: int) -> list[float]:
        """Return the errors on a grid."""
        return [e for g, e in zip(self.grids, self.errors, strict=True) if g == grid]


def approximation(rows: Iterable[Measured], start: int = FROM) -> list[Series]:
    """Return a series for each function, degree and m."""
    groups: dict[tuple[str, int, int], list[Measured]] = {}
    for row in rows:
        groups.setdefault((row.function, row.degree, row.m), []).append(row)
    return [
        Series(
            *("approximation", name, degree, f"C{m}", degree + 1 - m),
            *(tuple(r.grid for r in own), tuple(r.error for r in own), start),
        )
        for (name, degree, m), own in groups.items()
    ]


Run = tuple[int, dict[str, float]]  # a grid, and the errors there by the norm


def poisson(studies: Mapping[str, kp.Study]) -> list[Series]:
    """Return a series for each study, setting, degree and norm, of runs that did not fail."""
    groups: dict[tuple[str, str, int], list[Run]] = {}
    for name, study in studies.items():
        for row in study.rows:
            if row["l2_squared"] is not None:
                key = (name, row.get("method", ""), row["degree"])
                groups.setdefault(key, []).extend(_runs(study, row))
    return [
        Series(
            *(name, setting, degree, norm, degree + (norm == "L2")),
            tuple(grid for grid, _ in own),
            tuple(errors[norm] for _, errors in own),
            STARTS.get(name, FROM),
        )
        for (name, setting, degree), own in sorted(groups.items())
        for norm in NORMS
    ]


def _runs(study: kp.Study, row: dict[str, Any]) -> Iterator[Run]:
    """Return a row for each grid of a run; on the last one the errors are those of its end.

    The history's errors are by a rule of 24 x 24 points, which has errors up to some 10% in H1.
    """

    def errors(of: Mapping[str, Any]) -> dict[str, float]:
        return {norm: of[squared] ** 0.5 for norm, squared in NORMS.items()}

    if "grid" in row:
        yield row["grid"], errors(row)
        return
    stages = study.config(row)["optimizer"]
    grids = [study.config(row)["network"]["grid"], *(s["grid"] for s in stages if "grid" in s)]
    descents = [i for i, stage in enumerate(stages) if stage["type"] == "levenberg_marquardt"]
    history = kp.load(study.run(row)).history.rows
    for grid, stage in list(zip(grids, descents, strict=True))[:-1]:
        yield grid, errors([step for step in history if step["stage"] == stage][-1])
    yield grids[-1], errors(row)


def find(series: Sequence[Series], **wanted: object) -> list[Series]:
    """Return the series with these attributes."""
    return [s for s in series if all(getattr(s, key) == value for key, value in wanted.items())]


def one(series: Sequence[Series], **wanted: object) -> Series:
    """Return the one series with these attributes."""
    found = find(series, **wanted)
    assert len(found) == 1, (wanted, len(found))
    return found[0]


def excess(series: Sequence[Series], own: Series) -> float:
    """Return a series' error over the best approximation's on the finest grid, in the median."""
    best = BEST_L2 if own.norm == "L2" else BEST_H1
    reference = one(series, study="structured", setting=best, degree=own.degree, norm=own.norm)
    grid = max(own.grids)
    return float(numpy.median(own.at(grid)) / reference.at(grid)[0])


SLACK = 0.15  # of an order: what small grids and few of them cost


def judge(series: Sequence[Series]) -> dict[str, Verdict]:
    """Return the measured orders beside their targets."""
    figures: dict[str, Verdict] = {}
    for s in find(series, study="approximation"):
        name = f"{s.norm} order, k = {s.degree}, {s.setting}"
        figures[name] = _verdict(s, f"{s.theory}, k+1-m")
    for norm, slope in (("L2", paper.SLOPES[10][0]), ("H1", paper.SLOPES[10][1])):
        for s in find(series, study="found", norm=norm):
            known = f"; the paper: {slope / 2:g}" if s.degree == 3 else ""
            name = f"Poisson {norm} order, k = {s.degree}"
            figures[name] = _verdict(s, f"{s.theory}, that of the best splines{known}")
        squared = getattr(paper.KANS[10], f"{norm.lower()}_squared")
        own = one(series, study=REFINED, degree=3, norm=norm)
        if own.grids:
            figures[f"[2,10,1], k = 3, {norm}² by refined grids"] = _beside_paper(own, squared)
    return figures


def _verdict(s: Series, target: str) -> Verdict:
    fit = s.fit
    value = None if fit is None else [fit.order, fit.margin]
    met = None if fit is None else fit.order + max(fit.margin or 0.0, SLACK) >= s.theory
    return verdict(value, f"{target} (value: order, ±95%)", met)


def _beside_paper(own: Series, squared: Sequence[float]) -> Verdict:
    pairs = [
        (float(numpy.median(own.at(grid))) ** 2, theirs)
        for grid, theirs in zip(paper.GRIDS, squared, strict=True)
        if grid in own.grids
    ]
    grids = [grid for grid in paper.GRIDS if grid in own.grids]
    target = f"below the paper's {[theirs for _, theirs in pairs]} on grids {grids}"
    return verdict(
        [ours for ours, _ in pairs], target, all(ours < theirs for ours, theirs in pairs)
    )


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

RATIOS = """Ratios on {} intervals, medians over seeds. The best approximations are so for a sum
over the lattice; where rounding is near, others can come out below."""


def page(series: Sequence[Series], seeds: int) -> str:
    """Return the page in Markdown."""
    return script.page(
        "poster_table1",
        seeds=seeds,
        approximation=_table_approximation(series),
        poisson=_table_poisson(series),
        reasons=_table_reasons(series),
        conclusions="\n".join(_conclusions(series)),
        generic=_table_generic(series),
        closing="\n".join(_closing(series)),
    )


def _table_approximation(series: Sequence[Series]) -> str:
    own = find(series, study="approximation")
    functions = list(dict.fromkeys(s.setting for s in own))
    keys = list(dict.fromkeys((s.degree, s.norm, s.theory) for s in own))
    rows = [
        [str(k), norm[1:], str(theory)]
        + [one(own, setting=f, degree=k, norm=norm).order for f in functions]
        for k, norm, theory in keys
    ]
    grids = sorted({g for s in own if (f := s.fitted) for g in f})
    table = script.markdown(["k", "m", "k+1-m", *functions], rows)
    return f"C^m errors, grids {grids[0]} to {grids[-1]}:\n\n{table}"


def _table_poisson(series: Sequence[Series]) -> str:
    head = ["k", "L2 order", "k+1", "H1 order", "k", "k-1", "slope of L2²", "slope of H1²", "grids"]
    rows = []
    for k in _degrees(series):
        low, high = _pair(series, study="found", degree=k)
        squared = [f"{2 * s.fit.order:.1f}" if s.fit else "" for s in (low, high)]
        orders = [low.order, str(k + 1), high.order, str(k), str(k - 1)]
        rows.append([str(k), *orders, *squared, "{} … {}".format(*(low.fitted or ("", "")))])
    slopes = "{} of L2² and {} of H1²".format(*paper.SLOPES[10])
    note = f"The paper's slopes, k = 3, [2,10,1], grids 2 to 10: {slopes}."
    return f"{script.markdown(head, rows)}\n{note}\n"


def _table_reasons(series: Sequence[Series]) -> str:
    head = ["k", "what", "L2 order", "H1 order", "L2 error / best", "H1 error / best"]
    rows = []
    for degree in _degrees(series):
        for study, setting, words in REASONS:
            pair = _pair(series, study=study, setting=setting, degree=degree)
            ratios = [f"{excess(series, s):.3g}" for s in pair]
            rows.append([str(degree), words, *(s.order for s in pair), *ratios])
    finest = max(find(series, study="found")[0].grids)
    return f"{script.markdown(head, rows)}\n{RATIOS.format(finest)}\n"


def _table_generic(series: Sequence[Series]) -> str:
    head = ["k", "G", *(f"{words}, {n}²" for n in ("L2", "H1") for words in GENERIC.values())]
    head += ["paper, L2²", "paper, H1²"]
    rows = []
    for degree in _degrees(series):
        for grid in sorted(set(one(series, study=REFINED, degree=degree, norm="L2").grids)):
            cells = [
                script.spread(
                    [e**2 for e in one(series, study=study, degree=degree, norm=norm).at(grid)]
                )
                for norm in ("L2", "H1")
                for study in GENERIC
            ]
            rows.append([str(degree), str(grid), *cells, *_paper(degree, grid)])
    return script.markdown(head, rows)


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


FIGURE_NAMES = {"C0": "$C^0$ error", "C1": "$C^1$ error", "C2": "$C^2$ error"}
DRAWN_NORMS = {"L2": "$L^2$ error", "H1": "$H^1$ error"}
LETTER = 7
MANY = 9  # different grids: only powers of two have ticks
ASIDE = 0.5  # of the errors, where theory's lines are drawn


def draw_approximation(series: Sequence[Series]) -> Figure:
    """Draw the errors of one function: a panel for each m, a line for each degree."""
    figure = new_figure(10, 4.3)
    figure.suptitle(series[0].setting, fontsize=STYLE.small)
    for ax, (norm, name) in zip(
        figure.subplots(1, len(FIGURE_NAMES)), FIGURE_NAMES.items(), strict=True
    ):
        shown = find(series, norm=norm)
        _panel(ax, [(f"k = {s.degree}", s, s.degree - 1) for s in shown], name)
    return figure


def draw_orders(series: Sequence[Series], seeds: int) -> Figure:
    """Draw errors of networks found from random starts, with the paper's for k = 3."""
    figure = new_figure(9.5, 4.8)
    for ax, (norm, name) in zip(figure.subplots(1, 2), DRAWN_NORMS.items(), strict=True):
        shown = find(series, study="found", norm=norm)
        lines = [(f"k = {s.degree}", s, number) for number, s in enumerate(shown)]
        squared = getattr(paper.KANS[10], f"{norm.lower()}_squared")
        values = [value**0.5 for value in squared]
        ax.plot(paper.GRIDS, values, "*", color=GREY, markersize=6, label="paper, k = 3, [2,10,1]")
        _panel(ax, lines, name, extra=(paper.GRIDS, values))
        ax.set_title(
            f"found from random starts, {seeds} seeds: median and range", fontsize=STYLE.small
        )
    return figure


def draw_reasons(series: Sequence[Series], degree: int = 3) -> Figure:
    """Draw, for degree 3, the effects of loss, points and boundary, and of the optimizer."""
    figure = new_figure(11.5, 5.2)
    left, middle, right = figure.subplots(1, 3)
    of = [s for s in series if s.degree == degree]
    for ax, norm, best in ((left, "L2", BEST_L2), (middle, "H1", BEST_H1)):
        chosen = [(best, best.replace("best", "best approximation")), (RESIDUAL, RESIDUAL)]
        chosen += [(HARD, HARD), ("", "residual, 10 000 random points"), (EXACT, EXACT)]
        lines = []
        for number, (setting, label) in enumerate(chosen):
            study = "structured" if setting else "sampled"
            found = find(of, study=study, setting=setting, norm=norm)
            lines += [(label, s, number) for s in found]
        _panel(ax, lines, DRAWN_NORMS[norm], guides=False)
        ax.set_title(
            f"k = {degree}, inner functions given: {DRAWN_NORMS[norm]}", fontsize=STYLE.small
        )
    labels = {RANDOM: "LM at once", REFINED: "LM, grid refined", BUILT: "constructed"}
    lines = [
        (label, s, number)
        for number, (study, label) in enumerate(labels.items())
        for s in find(of, study=study, norm="L2")
    ]
    values = [value**0.5 for value in paper.KANS[10].l2_squared]
    right.plot(paper.GRIDS, values, "*", color=GREY, markersize=6, label="paper")
    _panel(right, lines, DRAWN_NORMS["L2"], guides=False, extra=(paper.GRIDS, values))
    right.set_title(f"k = {degree}, the network [2,10,1]: $L^2$ error", fontsize=STYLE.small)
    return figure


Line = tuple[str, Series, int]  # label, errors, number of the style


def _panel(
    ax: Axes,
    lines: Sequence[Line],
    name: str,
    guides: bool = True,
    extra: tuple[Sequence[int], Sequence[float]] = ((), ()),
) -> None:
    for label, series, number in lines:
        _line(ax, label, series, number, guides)
    sizes = sorted({*(grid for _, s, _ in lines for grid in s.grids), *extra[0]})
    size_axis(ax, sizes if len(sizes) < MANY else [s for s in sizes if s & (s - 1) == 0])
    error_axis(ax, [error for _, s, _ in lines for error in s.errors] + list(extra[1]))
    ax.set_xlabel("grid intervals G", fontsize=STYLE.small)
    ax.set_ylabel(name, fontsize=STYLE.small)
    ax.grid(axis="y", linewidth=0.4, color="#dddddd")
    title = f"order ± 95% (best splines{', dotted' if guides else ''})"
    look: dict[str, Any] = {"fontsize": LETTER, "title_fontsize": LETTER, "frameon": False}
    look |= {"bbox_to_anchor": (0, -0.16), "alignment": "left", "borderaxespad": 0}
    ax.legend(title=title, loc="upper left", handlelength=3.0, **look)
    tidy(ax)


def _line(ax: Axes, label: str, series: Series, number: int, guide: bool) -> None:
    """Draw medians with their ranges, and the theory's order below the fitted ones."""
    grids = sorted(set(series.grids))
    text = label if series.fit is None else f"{label}: {series.order} ({series.theory})"
    each = [series.at(grid) for grid in grids]
    script.draw_ranges(ax, grids, each, text, markersize=4.5, **style_of(number))
    if series.fit is not None and series.fitted is not None and guide:
        ends = numpy.array(series.fitted, dtype=float)
        start = ASIDE * series.fit(float(ends[0]))
        ax.plot(ends, start * (ends / ends[0]) ** -series.theory, ":", color=GREY, linewidth=1.2)
