"""Anderson localization: edges of mobility of quasiperiodic chains, learned by KANs.

What: eigenstates of Mosaic chains (κ = 2, 3), of the generalised (GAAM) and the modified (MAAM)
Aubry–André model, rings of 377 to 987 sites with random parameters and phases. A state is called
localized where its fractal dimension D = -log IPR / log N is below the D at which the
distributions of D of shorter and longer rings cross. A KAN learns the classes from E, the
parameters and the phase (which does not matter; pruning finds that); its zero set is the edge of
mobility, which is read as a formula: coefficients of a polynomial, reduced and rounded, or edges
snapped to a library. Nothing is set by hand; theory is used to judge only.

How: three seeds, each with chains and networks of its own; states to judge by are of chains of
their own.

How long: some five minutes of one core; --smoke: ten seconds, its numbers mean nothing.

Writes to --output (results/anderson): anderson.md; anderson_edges and anderson_accuracies as .png
and .pdf; anderson.json; and pieces/, the results of each model and seed: a run that was stopped
continues from them.
"""

import itertools
import math
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial

import numpy
import sympy
import torch
from common import script
from common.pieces import Pieces
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.linalg import eigh
from scipy.spatial import cKDTree
from torch import Tensor

import kanpinn as kp
from kanpinn.interpret import Graph, prune_greedily, snap
from kanpinn.interpret.formula import Rounded, compose
from kanpinn.interpret.graph import Key, covering, graph_of
from kanpinn.interpret.snapping import Candidate
from kanpinn.linalg import fold
from kanpinn.optimizers.damping import best_damping
from kanpinn.plotting.style import BLACK, STYLE, VERMILLION, new_figure, style_of, tidy
from kanpinn.solvers import Fitted

Array = numpy.ndarray


@dataclass(frozen=True)
class Model:
    """A family of chains.

    inputs: the energy E, the parameters, and a phase that has no influence. ranges: the interval
    from which each parameter is drawn uniformly. hamiltonian(parameters, phase, sites): the matrix.
    margin(E, *parameters): positive where the theory has localized states. edge: the same as text.
    sites: three Fibonacci numbers of sites; a smoke run uses the first two.
    """

    name: str
    title: str
    inputs: tuple[str, ...]
    ranges: tuple[tuple[float, float], ...]
    hamiltonian: Callable[..., Array]
    margin: Callable[..., Array]
    edge: str
    sites: tuple[int, int, int] = (55, 144, 377)
    phased: bool = True  # whether the phase is an input

    def __reduce__(self) -> tuple[Callable[[str], "Model"], tuple[str]]:
        """Pickle the name alone: the functions cannot be pickled."""
        return model_of, (self.name,)


def model_of(name: str) -> Model:
    """Return the model of this name."""
    return next(model for model in MODELS if model.name == name)


def golden(sites: int) -> float:
    """Return the ratio of neighbouring Fibonacci numbers whose denominator is `sites`.

    Raises:
        ValueError: if `sites` is not a Fibonacci number.
    """
    a, b = 1, 2
    while b < sites:
        a, b = b, a + b
    if b != sites:
        raise ValueError(f"sites must be a Fibonacci number of at least 2, got {sites}")
    return a / b


def cosine(phase: float, sites: int) -> Array:
    """Return cos(2πnb + φ) for n = 1 … N."""
    return numpy.cos(2 * numpy.pi * golden(sites) * numpy.arange(1, sites + 1) + phase)


def ring(potential: Array) -> Array:
    """Return the Hamiltonian of a ring with hopping t = 1 to both neighbours and a potential."""
    one = numpy.eye(len(potential))
    return numpy.roll(one, 1, axis=0) + numpy.roll(one, -1, axis=0) + numpy.diag(potential)


def mosaic(period: int) -> Callable[..., Array]:
    """Return the Hamiltonian with V_n = λ cos(2πnb + φ) on every κ-th site.

    Reference: Wang et al., PRL 125, 196604 (2020), whose λ is half of ours.
    """

    def hamiltonian(lam: float, phase: float, sites: int) -> Array:
        on = numpy.arange(1, sites + 1) % period == 0
        return ring(lam * cosine(phase, sites) * on)

    return hamiltonian


def gaam(lam: float, alpha: float, phase: float, sites: int) -> Array:
    """Return the Hamiltonian with V_n = 2λ cos(2πnb + φ) / (1 - α cos(2πnb + φ)).

    Reference: Ganeshan, Pixley and Das Sarma, PRL 114, 146601 (2015).
    """
    c = cosine(phase, sites)
    return ring(2 * lam * c / (1 - alpha * c))


def maam(lam: float, p: float, phase: float, sites: int) -> Array:
    """Return the Hamiltonian with V_n = λ cos(2πnb + φ) and hopping beyond neighbours.

    The hopping is t e^(-p|n - n'|) with t = e^p, so that it is 1 between neighbours.

    Reference: Biddle and Das Sarma, PRL 104, 070601 (2010).
    """
    n = numpy.arange(sites)
    apart = numpy.abs(n[:, None] - n)
    apart = numpy.minimum(apart, sites - apart)
    hopping = numpy.exp(p * (1 - apart)) * (apart > 0)
    return hopping + numpy.diag(lam * cosine(phase, sites))


def states(hamiltonian: Array) -> tuple[Array, Array]:
    """Return energies and fractal dimensions D = -log IPR / log N of all eigenstates."""
    # Without "evd" nearly degenerate states cost several times as much.
    energies, psi = eigh(hamiltonian, driver="evd")
    return energies, -numpy.log(participation(psi)) / numpy.log(len(hamiltonian))


def participation(psi: Array) -> Array:
    """Return the inverse participation ratio Σ|ψ|⁴ / (Σ|ψ|²)² of each column."""
    density = numpy.abs(psi) ** 2
    return (density**2).sum(axis=0) / density.sum(axis=0) ** 2


MODELS = (
    Model(
        *("mosaic2", "Mosaic κ = 2", ("E", "lam"), ((0.2, 4.0),), mosaic(2)),
        lambda e, lam: lam * numpy.abs(e) - 2,
        "λ |E| = 2",
        (34, 144, 610),
        phased=False,
    ),
    Model(
        *("mosaic3", "Mosaic κ = 3", ("E", "lam"), ((0.2, 4.0),), mosaic(3)),
        lambda e, lam: lam * numpy.abs(e**2 - 1) - 2,
        "λ |E² - 1| = 2",
        (21, 144, 987),
        phased=False,
    ),
    Model(
        *("gaam", "GAAM", ("E", "lam", "alpha", "phi"), ((0.2, 2.0), (-0.8, 0.8)), gaam),
        lambda e, lam, alpha: alpha * e - 2 * (1 - lam),
        "αE = 2 (1 - λ)",
    ),
    Model(
        *("maam", "MAAM", ("E", "lam", "p", "phi"), ((0.5, 4.0), (1.0, 4.0)), maam),
        lambda e, lam, p: lam * numpy.cosh(p) - e - numpy.exp(p),
        "λ cosh p = E + eᵖ",
    ),
)


CLASSES = ("extended", "localized")
LEAST, MOST = 0.3, 0.8  # where the threshold is looked for
PARTS = (0.6, 0.8)  # of the chains: training up to here, validation up to there, then test


@dataclass(frozen=True, eq=False)
class Sample:
    """States of chains: inputs (n, d) with E first, D (n,), chain numbers (n,), D's threshold."""

    model: Model
    inputs: Array
    dimension: Array
    chain: Array
    threshold: float

    @property
    def localized(self) -> Array:
        """Whether D is below the threshold, (n,)."""
        return self.dimension < self.threshold


def draw(model: Model, chains: int, sites: tuple[int, int], seed: int, kept: int = 40) -> Sample:
    """Draw `kept` states of each of so many chains, with uniform parameters and phases.

    The states are those of long rings. Of each chain a short ring is solved too, for the threshold.
    """
    generator = numpy.random.default_rng(seed)
    rows, dimensions, short, long = [], [], [], []
    for _ in range(chains):
        parameters = [generator.uniform(*limits) for limits in model.ranges]
        phase = generator.uniform(0, 2 * numpy.pi)
        short.append(states(model.hamiltonian(*parameters, phase, sites[0]))[1])
        energies, dimension = states(model.hamiltonian(*parameters, phase, sites[1]))
        long.append(dimension)
        chosen = generator.choice(sites[1], min(kept, sites[1]), replace=False)
        given = [*parameters, phase] if model.phased else parameters
        fixed = numpy.broadcast_to(given, (len(chosen), len(given)))
        rows.append(numpy.column_stack([energies[chosen], fixed]))
        dimensions.append(dimension[chosen])
    chain = numpy.repeat(numpy.arange(chains), [len(d) for d in dimensions])
    threshold = crossing(numpy.concatenate(short), numpy.concatenate(long))
    return Sample(model, numpy.concatenate(rows), numpy.concatenate(dimensions), chain, threshold)


def crossing(short: Array, long: Array) -> float:
    """Return the D below which as large a share of the states of short rings lies as of long ones.

    As rings grow, D goes to 0 for localized and to 1 for extended states. The distributions of D
    for two lengths therefore cross at the D of states at the mobility edge. The theory is not used.
    """
    at = numpy.linspace(LEAST, MOST, 501)
    below = [numpy.searchsorted(numpy.sort(d), at) / len(d) for d in (short, long)]
    more = numpy.cumsum(below[1] - below[0])  # crosses zero once, though noise does more often
    return float(at[int(numpy.argmax(more))])


def data(sample: Sample, rows: int, seed: int) -> kp.Data:
    """Return parts of different chains: `rows` training states, half as many for validation."""
    generator = numpy.random.default_rng(seed)
    rank = generator.permutation(sample.chain.max() + 1)[sample.chain] / (sample.chain.max() + 1)
    first, second = PARTS
    masks = (rank < first, (rank >= first) & (rank < second), rank >= second)
    counts = (rows, rows // 2, len(rank))
    parts = [
        generator.permutation(numpy.flatnonzero(mask))[:count]
        for mask, count in zip(masks, counts, strict=True)
    ]
    return kp.Data(*(_table(sample, part) for part in parts))


def _table(sample: Sample, rows: Array) -> kp.Table:
    return kp.Table(
        torch.from_numpy(sample.inputs[rows]),
        torch.from_numpy(sample.localized[rows].astype(numpy.int64)),
        sample.model.inputs,
        ("state",),
        CLASSES,
    )


def margin(inputs: Array, model: Model) -> Array:
    """Return the margin of each state (n, d) by the theory, positive for localized ones, (n,)."""
    return model.margin(*inputs[:, : 1 + len(model.ranges)].T)


def theory_accuracy(table: kp.Table, model: Model) -> float:
    """Return the share of states that the exact edge classifies as D does."""
    says = margin(table.inputs.numpy(), model) > 0
    return float((says == table.targets.numpy().astype(bool)).mean())


MIXED = 1e-2  # of the class itself in the curvature: a row that is quite wrong must not drown all
STALLED, IDLE_STEPS = 1e-3, 3
RIDGE = 1e-6

Rows = tuple[Tensor, Tensor]  # inputs (n, d) and classes (n,)


def row_losses(odds: Tensor, y: Tensor) -> Tensor:
    """Return log(1 + exp(∓ odds)) of each row; y (n,) is 0 or 1."""
    return torch.nn.functional.softplus(torch.where(y > 0.5, -odds, odds))


def cross_entropy(odds: Tensor, y: Tensor) -> float:
    """Return the mean of `row_losses`, infinity if it is not finite."""
    loss = float(row_losses(odds, y).mean())
    return loss if math.isfinite(loss) else math.inf


def accuracy(odds: Tensor, y: Tensor) -> float:
    """Return the share of rows that are classified rightly."""
    return float(((odds > 0) == (y > 0.5)).double().mean())


def _rows(odds: Tensor, y: Tensor, jacobian: Tensor) -> tuple[Tensor, Tensor]:
    """Return the Gauss–Newton rows of the cross entropy and their right-hand sides."""
    p = odds.sigmoid()
    q = (p + MIXED * y) / (1 + MIXED)
    root = (q * (1 - q)).clamp_min(1e-12).sqrt()
    return jacobian * root[:, None], (p - y) / root


def refit(graph: Graph, x: Tensor, y: Tensor, steps: int = 30) -> Graph:
    """Minimise the cross entropy over the parameters of a graph with one output, locally."""
    graph = covering(graph, x)
    damping, idle = 1e-3, 0
    loss = cross_entropy(graph(x)[:, 0], y)
    for _ in range(steps):
        values, jacobian = graph.jacobian(x)
        if not (math.isfinite(loss) and jacobian.isfinite().all()):
            break
        triangle = fold([_rows(values[:, 0], y, jacobian[:, 0])])
        start, moves = graph.parameters, triangle.damped()

        def loss_at(damping: float) -> float:
            return cross_entropy(graph.moved(start + moves.step(damping))(x)[:, 0], y)  # noqa: B023

        damping, reached, _ = best_damping(loss_at, damping, loss)
        if not reached < loss:
            break
        graph = covering(graph.moved(start + moves.step(damping)), x)
        idle = idle + 1 if reached > (1 - STALLED) * loss else 0
        loss = reached
        if idle >= IDLE_STEPS:
            break
    return graph


def regress(columns: Tensor, y: Tensor, steps: int = 60) -> tuple[Tensor, float]:
    """Return the coefficients of columns (n, k) with the least cross entropy, and its value.

    They are found by Newton's method from zero.
    """
    scale = columns.abs().amax(dim=0)
    a, w = columns / scale, columns.new_zeros(columns.shape[1])
    loss = cross_entropy(a @ w, y)
    for _ in range(steps):
        p = (a @ w).sigmoid()
        hessian = a.T @ (a * (p * (1 - p))[:, None])
        hessian.diagonal().mul_(1 + RIDGE).add_(1e-9)
        step, length = torch.linalg.solve(hessian, a.T @ (y - p)), 1.0
        while (reached := cross_entropy(a @ (w + length * step), y)) > loss and length > RIDGE:
            length /= 2
        if not reached < (1 - RIDGE) * loss:
            break
        w, loss = w + length * step, reached
    return w / scale, loss


FOLLOWED = 4  # sets of one size that are kept
IDLE_SIZES = 2  # sizes without gain before the search ends
STRONG = 6.0  # difference in BIC that is called strong evidence

Set = tuple[int, ...]


@dataclass
class _Search:
    """Sets of columns of (n, p) that have been tried, with coefficients and cross entropies."""

    columns: Tensor
    y: Tensor
    tried: dict[Set, tuple[Tensor, float]] = field(default_factory=dict)

    def best(self, sets: Iterable[Set]) -> list[Set]:
        """Return a few of the sets, those with the least cross entropy, the best first."""
        sets = sorted(set(sets))
        for chosen in sets:
            if chosen not in self.tried:
                self.tried[chosen] = regress(self.columns[:, list(chosen)], self.y)
        return sorted(sets, key=lambda chosen: self.tried[chosen][1])[:FOLLOWED]

    def cost(self, chosen: Set) -> float:
        """Return the extended BIC with γ = 1.

        Sizes of which there are many sets must explain more.
        """
        (n, p), k = self.columns.shape, len(chosen)
        return 2 * n * self.tried[chosen][1] + k * math.log(n) + 2 * math.log(math.comb(p, k))


def search(columns: Tensor, y: Tensor) -> tuple[Set, Tensor]:
    """Return the fewest columns against which no other set has strong evidence, and coefficients.

    A floating search: the best sets of one size, each extended by one column, and from the larger
    sets back with one column fewer. The columns may be far from orthogonal, and a search in one
    direction would go astray.

    Reference: Pudil, Novovičová and Kittler, Pattern Recognition Letters 15, 1119 (1994); Chen and
    Chen, Biometrika 95, 759 (2008); Kass and Raftery, JASA 90, 773 (1995) for what is strong.
    """
    found, count = _Search(columns, y), columns.shape[1]
    level: list[Set] = [()]
    records: list[Set] = []
    least, idle = math.inf, 0
    while len(records) < count and idle < IDLE_SIZES:
        level = found.best(
            tuple(sorted({*s, i})) for s in level for i in range(count) if i not in s
        )
        records.append(level[0])
        smaller = level
        for size in range(len(records) - 1, 0, -1):
            smaller = found.best(s[:i] + s[i + 1 :] for s in smaller for i in range(len(s)))
            if found.cost(smaller[0]) >= found.cost(records[size - 1]):
                break
            records[size - 1] = smaller[0]
        cost = min(map(found.cost, records))
        least, idle = (cost, 0) if cost < least else (least, idle + 1)
    chosen = next(s for s in records if found.cost(s) <= least + STRONG)
    return chosen, found.tried[chosen][0]


DENOMINATOR, ROUNDED = 4, 0.05  # rationals tried, and by which part a coefficient may change

E, LAM, P = sympy.Symbol("E", real=True), sympy.Symbol("lam", positive=True), sympy.Symbol("p")
ALPHA = sympy.Symbol("alpha", real=True)
SYMBOLS = {"E": E, "lam": LAM, "alpha": ALPHA, "p": P, "phi": sympy.Symbol("phi")}
EXACT = {
    "mosaic2": 2 / sympy.Abs(E),
    "mosaic3": 2 / sympy.Abs(E**2 - 1),
    "gaam": 1 - ALPHA * E / 2,
    "maam": (E + sympy.exp(P)) / sympy.cosh(P),
}  # λ on the edge


@dataclass(frozen=True, eq=False)
class Polynomial:
    """Σ_m c_m Π_i x_i^m_i, which is the log odds up to a factor; terms: {powers: c}."""

    names: tuple[str, ...]
    terms: dict[tuple[int, ...], float | Fraction]

    def __call__(self, x: Tensor) -> Tensor:
        """Return the values (n,) at x (n, d)."""
        c = torch.tensor([float(c) for c in self.terms.values()], dtype=x.dtype)
        return columns(x, list(self.terms)) @ c

    @property
    def expression(self) -> sympy.Expr:
        """The polynomial as a sympy expression."""
        symbols = [SYMBOLS[name] for name in self.names]
        return sympy.Add(
            *(
                sympy.sympify(c) * sympy.prod([s**n for s, n in zip(symbols, m, strict=True)])
                for m, c in self.terms.items()
            )
        )


def columns(x: Tensor, powers: list[tuple[int, ...]]) -> Tensor:
    """Return the values of the monomials at x, (n, k)."""
    return torch.stack([(x ** torch.tensor(m)).prod(dim=1) for m in powers], dim=1)


def monomials(graph: Graph) -> list[tuple[int, ...]]:
    """Return the powers of all monomials of the inputs left by pruning, up to the graph's degree.

    The degree is that of quadratics of quadratics, as deep as the graph. The graph does not say
    which products occur: a sum of curves can stand for a product too, as log xy = log x + log y.
    """
    degree, count = 2 ** (len(graph.width) - 1), graph.width[0]
    kept = {i for layer, i, _ in graph.edges if layer == 0}
    every = itertools.product(*(range(degree + 1 if i in kept else 1) for i in range(count)))
    return [powers for powers in every if sum(powers) <= degree]


def reduced(powers: list[tuple[int, ...]], names: tuple[str, ...], train: Rows) -> Polynomial:
    """Return the polynomial of few terms that explains the classes best."""
    x, y = train
    chosen, c = search(columns(x, powers), y)
    return Polynomial(names, {powers[i]: float(v) for i, v in zip(chosen, c, strict=True)})


def rounded(polynomial: Polynomial, train: Rows) -> Polynomial | None:
    """Return the polynomial divided by one of its coefficients, all ratios replaced by rationals.

    Among the rationals within a few per cent of the fitted ratios the simplest are taken with
    which, a common factor alone being fitted, the cross entropy is as small as BIC demands. None if
    there are no such rationals.
    """
    x, y = train
    least = regress(columns(x, list(polynomial.terms)), y)[1]
    allowed = least + (len(polynomial.terms) - 1) * math.log(len(y)) / (2 * len(y))
    found = []
    for unit in polynomial.terms.values():
        choices = [_simple(float(c) / float(unit)) for c in polynomial.terms.values()]
        for ratios in itertools.product(*choices):
            sign = 1 if unit > 0 else -1
            trial = Polynomial(
                polynomial.names,
                {m: sign * r for m, r in zip(polynomial.terms, ratios, strict=True)},
            )
            value = trial(x)
            if cross_entropy(float(regress(value[:, None], y)[0]) * value, y) <= allowed:
                found.append(trial)

    def size(trial: Polynomial) -> int:
        ratios = [Fraction(c) for c in trial.terms.values()]
        return sum(abs(ratio.numerator) + ratio.denominator for ratio in ratios)

    return min(found, key=size, default=None)


def _simple(ratio: float) -> list[Fraction]:
    """Return the rationals of small denominators near a ratio."""
    near = {Fraction(round(ratio * q), q) for q in range(1, DENOMINATOR + 1)}
    return [f for f in near if f and abs(float(f) - ratio) <= ROUNDED * abs(ratio)]


def equivalent(formula: sympy.Expr, model: str) -> bool:
    """Return whether formula = 0 is the exact edge, with that λ > 0 alone for E of either sign."""
    for sign in ({"positive": True}, {"negative": True}):
        e = sympy.Symbol("E", **sign)
        left, exact = formula.subs(E, e), EXACT[model].subs(E, e)
        if sympy.simplify(left.subs(LAM, exact)) != 0 or len(sympy.solve(left, LAM)) != 1:
            return False
    return True


@dataclass(frozen=True, eq=False)
class Formula:
    """The mobility edge as the zero set of an expression.

    fitted: the expression before its ratios were rounded. exact: whether its zero set is that of
    the theory. accuracy: the share of test rows that the expression's sign classifies rightly.
    """

    expression: sympy.Expr
    fitted: sympy.Expr
    exact: bool
    accuracy: float


def read(
    model: Model, graph: Graph, train: Rows, choose: Rows, test: Rows, snapped: bool = False
) -> Formula:
    """Return the formula of a KAN, without any guidance.

    Were each edge a quadratic, the graph would be a polynomial of the inputs that pruning left,
    and its coefficients the solution of a convex problem. This polynomial is reduced to the terms
    that count, and its ratios are rounded. Only where the splines explain the classes so much
    better that one more parameter for each edge would pay, the edges are snapped to the library,
    and the formula with the lesser BIC on the rows `choose` is returned. snapped: snap the edges in
    any case, and return their formula.
    """
    found = reduced(monomials(graph), model.inputs, train)
    cost = _cost(found(choose[0]), choose, len(found.terms))
    if snapped or _cost(graph(choose[0])[:, 0], choose, len(graph.edges)) < cost:
        rich = read_edges(graph, train, choose)
        if snapped or _cost(rich(choose[0])[:, 0], choose, len(rich.parameters)) < cost:
            (expression,) = compose(Rounded(rich), [SYMBOLS[name] for name in model.inputs])
            return Formula(expression, expression, False, accuracy(rich(test[0])[:, 0], test[1]))
    simple = rounded(found, train) or found
    exact = equivalent(simple.expression, model.name)
    right = accuracy(simple(test[0]), test[1])
    return Formula(simple.expression, found.expression, exact, right)


def _cost(odds: Tensor, rows: Rows, parameters: float) -> float:
    return 2 * len(odds) * cross_entropy(odds, rows[1]) + parameters * math.log(len(odds))


WORTH = 1.2  # by which factor pruning may raise the loss


@dataclass(frozen=True)
class Size:
    """How much is done.

    chains, rows: chains that are drawn, and states to train with. starts, steps: of each network.
    long: draw the longer two of the model's rings, else the shorter two. curves: models whose edge
    stays a curve, of which no formula is read: λ² (E² - 1)² = 4 has a higher degree than quadratics
    of quadratics. snapped: models whose edges are snapped whatever the polynomial's cost.
    """

    chains: int = 500
    rows: int = 4000
    starts: int = 4
    steps: int = 60
    long: bool = True
    seeds: tuple[int, ...] = (0, 1, 2)
    curves: tuple[str, ...] = ("mosaic3",)
    snapped: tuple[str, ...] = ()


SMOKE = Size(
    chains=40, rows=100, starts=1, steps=3, long=False, seeds=(0,), curves=(), snapped=("mosaic3",)
)

WIDTHS = {"mosaic2": (2, 2, 1), "mosaic3": (2, 1), "gaam": (4, 3, 1), "maam": (4, 2, 1)}
FEWER = {"mosaic3": 3}  # by which factor; its chains are long, and no formula is read
GRIDS: dict[str, int | list[int]] = {"mosaic2": [8, 5], "mosaic3": 16}  # 3 for the others
STARTS = {"mosaic2": 1, "mosaic3": 1}  # they arrive from everywhere


@dataclass(frozen=True, eq=False)
class Result:
    """The result of one model and seed; accuracies are shares of the test part's states."""

    model: Model
    seed: int
    sample: Sample
    graph: Graph
    width: tuple[int, ...]
    inputs: tuple[str, ...]  # that are left after pruning
    theory: float
    network: float
    formula: Formula | None

    @property
    def automatic(self) -> float | None:
        """The accuracy of the formula, None if there is none."""
        return self.formula.accuracy if self.formula else None


def study(model: Model, seed: int, size: Size) -> Result:
    """Return the result of one model and one seed."""
    sites = model.sites[1:] if size.long else model.sites[:2]
    chains = max(size.chains // FEWER.get(model.name, 1), 40)
    sample = draw(model, chains, sites, seed)
    parts = data(sample, size.rows, seed)
    fitted = best_fit(model, parts, seed, size)
    single = len(fitted.network.layers) == 1  # nothing to make smaller
    network = fitted.network if single else prune_greedily(fitted, WORTH).network
    assert isinstance(network, kp.KAN)
    graph = graph_of(network, fitted.surrogate.low, fitted.surrogate.high)
    train, choose, test = ((p.inputs, p.targets.double()) for p in parts.parts.values())
    known = {i for layer, i, _ in graph.edges if layer == 0}
    formula = None
    if model.name not in size.curves:
        formula = read(model, graph, train, choose, test, model.name in size.snapped)
    sys.stderr.write(f"{model.title}, seed {seed}: {formula.expression if formula else 'done'}\n")
    return Result(
        *(model, seed, sample, graph, network.width),
        tuple(name for i, name in enumerate(model.inputs) if i in known),
        theory_accuracy(parts.test, model) if parts.test else float("nan"),
        accuracy(graph(test[0])[:, 0], test[1]),
        formula,
    )


def best_fit(model: Model, parts: kp.Data, seed: int, size: Size) -> Fitted:
    """Return, of several starts, the fit with the least cross entropy on the validation part."""
    fits = [
        kp.fit(
            kp.KAN(
                WIDTHS[model.name], degree=3, grid=GRIDS.get(model.name, 3), seed=100 * seed + i
            ),
            parts,
            kp.LevenbergMarquardt(size.steps),
            patience=15,
        )
        for i in range(STARTS.get(model.name, size.starts))
    ]
    return min(fits, key=lambda fit: fit.scores["validation"].cross_entropy or 0.0)


def run(models: Sequence[Model], size: Size, pieces: Pieces) -> list[Result]:
    """Return the results of all models and seeds; those that `pieces` holds are read."""
    return [
        pieces.pickled(
            {"model": model.name, "seed": seed, "size": repr(size)},
            partial(study, model, seed, size),
        )
        for model in models
        for seed in size.seeds
    ]


FUNCTIONS = ("0", "x", "x^2", "x^3", "1/x", "sqrt", "exp", "log", "abs", "sin", "tanh", "cosh")
BEAM, SAMPLES = 4, 200
ACCURACY, PRICE = 0.03, 0.3  # of an edge that classes determine; of a unit of complexity


def read_edges(graph: Graph, train: Rows, choose: Rows) -> Graph:
    """Replace all splines by functions of the library, layer by layer.

    For each edge the functions that fit its curve best are tried, and all other parameters are
    fitted again to the classes of `train`. The function with the least 2n·(cross entropy) +
    complexity·ln n on `choose` stays: far from the mobility edge the classes do not determine a
    curve, so that its shape alone is no sufficient criterion.
    """
    for key in sorted(graph.edges):
        candidates = _candidates(graph, key, train[0])[:BEAM]
        trials = [refit(graph.with_edge(key, one.curve), *train, steps=15) for one in candidates]
        costs = [
            _cost(trial(choose[0])[:, 0], choose, candidate.function.complexity)
            for trial, candidate in zip(trials, candidates, strict=True)
        ]
        graph = trials[costs.index(min(costs))]
    return refit(graph, *train, steps=60)


def _candidates(graph: Graph, key: Key, x: Tensor) -> tuple[Candidate, ...]:
    """Return the functions that fit an edge's curve near the mobility edge, the best first."""
    p = graph(x)[:, 0].sigmoid()
    u = graph.units(x)[key[0]][:, key[1]]
    at = torch.linspace(0, len(x) - 1, min(SAMPLES, len(x))).round().long()
    rows = u.sort().indices[at]
    weights = (p * (1 - p) + 1e-3)[rows]
    curve = graph.edges[key](u[rows])
    return snap(
        u[rows], curve, FUNCTIONS, weights=weights, accuracy=ACCURACY, price=PRICE
    ).candidates


PAPER = {"gaam": ("99.2 %", "99.0 %"), "maam": ("98.6 %", "97.1 %")}  # theory, KAN's formula
GOALS = {"gaam": 0.985, "maam": 0.97}


def of(results: Sequence[Result], name: str) -> list[Result]:
    """Return the results of one model."""
    return [result for result in results if result.model.name == name]


MODEL_COLUMNS = ["model", "exact edge", "theory", "KAN", "its formula", "edge found"]
RESULT_COLUMNS = ["model", "seed", "D below", "inputs kept", "width", "fitted edge: 0 =", "rounded"]


def page(results: Sequence[Result]) -> str:
    """Return the page in Markdown: the table, and every formula."""
    models = [_row(model, found) for model in MODELS if (found := of(results, model.name))]
    first = script.markdown([*MODEL_COLUMNS, "paper: theory, KAN"], models)
    second = script.markdown(RESULT_COLUMNS, map(_formula, results))
    return script.page("anderson", models=first, formulas=second)


def _row(model: Model, found: Sequence[Result]) -> list[str]:
    exact = [r.formula.exact for r in found if r.formula]
    return [
        *(model.title, model.edge.replace("|", "\\|")),
        *(_percent([r.theory for r in found]), _percent([r.network for r in found])),
        _percent([r.automatic for r in found if r.automatic is not None]),
        f"{sum(exact)} of {len(exact)}" if exact else "–",
        ", ".join(PAPER.get(model.name, ("–",))),
    ]


def _percent(values: Sequence[float]) -> str:
    return script.spread([100 * value for value in values], ".2f", ".2f") or "–"


def _formula(result: Result) -> list[str]:
    formula = result.formula
    return [
        *(result.model.title, str(result.seed), f"{result.sample.threshold:.3f}"),
        *(", ".join(result.inputs), str(list(result.width))),
        f"`{formula.fitted.evalf(4)}`" if formula else "–",
        f"`{formula.expression}`" if formula and formula.expression != formula.fitted else "–",
    ]


def judge(results: Sequence[Result]) -> dict[str, script.Verdict]:
    """Return the measured values beside their targets; the worst seed decides."""
    judged: dict[str, script.Verdict] = {}
    for name, goal in GOALS.items():
        found = [r.automatic for r in of(results, name) if r.automatic is not None]
        judged[f"{name} accuracy of the automatic formula"] = script.verdict(
            sorted(found), f">= {goal} with every seed", bool(found) and min(found) >= goal
        )
    exact = {
        name: [r.formula is not None and r.formula.exact for r in of(results, name)]
        for name in ("mosaic2", "gaam")
    }
    judged["exact edge recovered"] = script.verdict(
        {name: f"{sum(e)} of {len(e)}" for name, e in exact.items()},
        "with every seed for Mosaic κ = 2 or for GAAM",
        any(e and all(e) for e in exact.values()),
    )
    for model in MODELS:
        for what in ("theory", "network"):
            judged[f"{model.name} accuracy: {what}"] = script.verdict(
                sorted(getattr(r, what) for r in of(results, model.name)), "beside the formula's"
            )
    return judged


NEAR = 0.03  # of the panel's sides: farther from all states the KAN knows of no edge
SLICE = 0.1  # of a range: states that are shown for one value of the other parameter
LETTERS = {"alpha": "α", "p": "p"}


def draw_edges(results: Sequence[Result]) -> Figure:
    """Draw D over (E, λ) with the exact edge and, where there are states, the learned one."""
    figure = new_figure(8.0, 6.6)
    for ax, model in zip(figure.subplots(2, 2).flat, MODELS, strict=True):
        result = next(r for r in results if r.model.name == model.name)
        # α = 0 would be the one chain without an edge
        other = [low + 0.75 * (high - low) for low, high in model.ranges[1:]]
        rows = _slice(result, other)
        x, dimension = result.sample.inputs[rows, :2], result.sample.dimension[rows]
        dots = ax.scatter(*x.T, c=dimension, s=2, lw=0, vmin=0, vmax=1, rasterized=True)
        _edges(ax, result, x, other)
        fixed = [f"{LETTERS[n]} ≈ {v:g}" for n, v in zip(model.inputs[2:], other, strict=False)]
        ax.set_title(", ".join([f"{model.title}: {model.edge}", *fixed]), fontsize=9)
        ax.set_xlabel("E", fontsize=STYLE.small)
        ax.set_ylabel("λ", fontsize=STYLE.small)
        tidy(ax)
    bar = figure.colorbar(dots, ax=figure.axes, shrink=0.6, aspect=30)
    bar.set_label("fractal dimension D", fontsize=STYLE.small)
    bar.ax.tick_params(labelsize=STYLE.small)
    figure.axes[0].plot([], [], label="exact edge", color=BLACK, lw=1.0)
    label = "the KAN's edge, where there are states"
    figure.axes[0].plot([], [], label=label, color=VERMILLION, lw=2.0)
    script.legend(figure, 2)
    return figure


def _slice(result: Result, other: Sequence[float]) -> Array:
    x, rows = result.sample.inputs, numpy.ones(len(result.sample.inputs), dtype=bool)
    for column, value, (low, high) in zip(x.T[2:], other, result.model.ranges[1:], strict=False):
        rows &= numpy.abs(column - value) < SLICE * (high - low)
    return rows


def _edges(ax: Axes, result: Result, states: Array, other: Sequence[float]) -> None:
    low, high = states.min(axis=0), states.max(axis=0)
    grids = numpy.meshgrid(*(numpy.linspace(a, b, 301) for a, b in zip(low, high, strict=True)))
    rest = [numpy.full_like(grids[0], value) for value in other]
    theory = result.model.margin(*grids, *rest)
    rest += [numpy.full_like(grids[0], numpy.pi)] * result.model.phased
    flat = numpy.stack([g.ravel() for g in (*grids, *rest)], axis=1)
    learned = result.graph(torch.from_numpy(flat))[:, 0].reshape(grids[0].shape).numpy()
    scale = high - low
    apart, _ = cKDTree(states / scale).query(flat[:, :2] / scale)
    known = numpy.ma.masked_where(apart.reshape(learned.shape) > NEAR, learned)
    ax.contour(*grids, known, levels=[0.0], colors=VERMILLION, linewidths=2.0)
    ax.contour(*grids, theory, levels=[0.0], colors=BLACK, linewidths=1.0)


def draw_accuracies(results: Sequence[Result]) -> Figure:
    """Draw the accuracies, medians and ranges over the seeds."""
    figure = new_figure(6.0, 3.2)
    ax = figure.subplots()
    kinds = {"theory": "exact edge", "network": "KAN", "automatic": "the KAN's formula"}
    for k, (kind, label) in enumerate(kinds.items()):
        shown = {
            i: [100 * getattr(r, kind) for r in results if r.model.name == model.name]
            for i, model in enumerate(MODELS)
            if any(r.model.name == model.name and getattr(r, kind) is not None for r in results)
        }
        at = [i + 0.2 * (k - 1) for i in shown]
        style = style_of(k) | {"linestyle": "none", "markersize": 5}
        script.draw_ranges(ax, at, list(shown.values()), label, **style)
    ax.set_xticks(range(len(MODELS)), [model.title for model in MODELS])
    ax.set_ylabel("accuracy in per cent", fontsize=STYLE.small)
    ax.grid(axis="y", lw=0.4)
    tidy(ax)
    script.legend(figure, 3)
    return figure


def main(given: Sequence[str] | None = None) -> None:
    chosen = script.options("anderson", __doc__, given)
    pieces = Pieces.under(chosen.output, again=chosen.smoke)
    results = run(MODELS, SMOKE if chosen.smoke else Size(), pieces)
    drawn = {"anderson_edges": draw_edges(results), "anderson_accuracies": draw_accuracies(results)}
    script.publish(chosen, page(results), judge(results), drawn)


if __name__ == "__main__":
    main()
