"""One model, one seed: chains drawn, a KAN trained and pruned, and its formula read."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import sympy
from anderson_localization import polynomial, reading
from anderson_localization.chains import Model
from anderson_localization.logistic import Rows, accuracy, cross_entropy
from anderson_localization.sample import Sample, data, draw, theory_accuracy
from torch import Tensor

import kanpinn as kp
from kanpinn.interpret.graphs.graph import Graph, graph_of
from kanpinn.interpret.pruning.strategies import prune_greedily

WORTH = 1.2  # by which factor pruning may raise the loss
POLYNOMIAL_ENOUGH = 1.5  # a polynomial is taken if its cross entropy is that near to the splines'


@dataclass(frozen=True)
class Size:
    """How much is done: chains and states, starts of each network, and seeds."""

    chains: int = 500
    rows: int = 4000
    starts: int = 4
    steps: int = 60
    sites: int | None = None
    seeds: tuple[int, ...] = (0, 1, 2)


SMOKE = Size(chains=50, rows=300, starts=1, steps=10, sites=55, seeds=(0,))

WIDTHS = {"mosaic2": (2, 2, 1), "mosaic3": (2, 1), "gaam": (4, 3, 1), "maam": (4, 2, 1)}
FEWER = 3  # chains are enough for a plane of inputs
GRIDS: dict[str, int | list[int]] = {"mosaic2": [8, 5], "mosaic3": 16}  # 3 for the others
STARTS = {"mosaic2": 1, "mosaic3": 1}  # they arrive from everywhere


@dataclass(frozen=True, eq=False)
class Result:
    """What came of it; accuracies are shares of the test part's states."""

    model: Model
    seed: int
    sample: Sample
    graph: Graph
    width: tuple[int, ...]
    inputs: tuple[str, ...]  # that are left after pruning
    theory: float
    network: float
    automatic: float | None
    formula: sympy.Expr | None
    exact: bool | None


def study(model: Model, seed: int, size: Size) -> Result:
    """Everything for one model and one seed."""
    sites = size.sites or model.sites
    if model.name == "mosaic3" and size.sites:
        sites = 144  # three must divide it
    chains = size.chains if model.phased else max(size.chains // FEWER, 40)
    sample = draw(model, chains, sites, seed)
    parts = data(sample, size.rows, seed)
    fitted = best_fit(model, parts, seed, size)
    single = len(fitted.network.layers) == 1  # nothing to make smaller
    network = fitted.network if single else prune_greedily(fitted, WORTH).network
    graph = graph_of(network, fitted.surrogate.low, fitted.surrogate.high)
    train, choose, test = (_rows(part) for part in parts.parts.values())
    known = {i for layer, i, _ in graph.edges if layer == 0}
    formula, automatic, exact = None, None, None
    if model.name != "mosaic3":
        formula, automatic, exact = read(model, graph, train, choose, test)
    sys.stderr.write(f"{model.title}, seed {seed}: {automatic} {formula}\n")
    return Result(
        *(model, seed, sample, graph, network.width),
        tuple(name for i, name in enumerate(model.inputs) if i in known),
        theory_accuracy(parts.test, model) if parts.test else float("nan"),
        accuracy(graph(test[0])[:, 0], test[1]),
        *(automatic, formula, exact),
    )


def best_fit(model: Model, parts: kp.Data, seed: int, size: Size) -> kp.Fitted:
    """Of several starts the one with the least cross entropy on the part to choose by."""
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
    return min(fits, key=lambda fit: fit.scores["validation"].cross_entropy)


def read(
    model: Model, graph: Graph, train: Rows, choose: Rows, test: Rows
) -> tuple[sympy.Expr, float, bool]:
    """The formula, its accuracy, and whether it is the exact edge; nobody guides it.

    Were each edge a quadratic, the graph would be a polynomial: its coefficients are a convex
    problem. It is reduced to the terms that count, and its ratios are rounded. Where it does worse
    than the splines the edges are snapped to the library, and the likelier of both is taken.
    """
    x, y = choose
    enough = POLYNOMIAL_ENOUGH * cross_entropy(graph(x)[:, 0], y)
    terms = polynomial.monomials(graph, model.inputs)
    found = polynomial.reduced(terms, model.inputs, train, choose)
    loss = cross_entropy(found(x), y)
    if loss > enough:
        rich = reading.read(graph, train, choose)
        if cross_entropy(rich(x)[:, 0], y) < loss:
            formula = polynomial.expression(rich, model.inputs)
            return formula, accuracy(rich(test[0])[:, 0], test[1]), False
    found = polynomial.rounded(found, train) or found
    formula = found.expression
    return formula, accuracy(found(test[0]), test[1]), polynomial.equivalent(formula, model.name)


def _rows(table: kp.Table) -> tuple[Tensor, Tensor]:
    return table.inputs, table.targets.double()


def run(models: Sequence[Model], size: Size) -> list[Result]:
    """All models, all seeds."""
    return [study(model, seed, size) for model in models for seed in size.seeds]
