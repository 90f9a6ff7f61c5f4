"""One model and one seed: chains are drawn, a KAN is trained and pruned, its formula is read."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from anderson_localization.chains import Model
from anderson_localization.formulas import Formula, read
from anderson_localization.logistic import accuracy
from anderson_localization.sample import Sample, data, draw, theory_accuracy
from common.pieces import Pieces
from torch import Tensor

import kanpinn as kp
from kanpinn.interpret import Graph, prune_greedily
from kanpinn.interpret.graph import graph_of

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
    chains=40,
    rows=100,
    starts=1,
    steps=3,
    long=False,
    seeds=(0,),
    curves=(),
    snapped=("mosaic3",),
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
    train, choose, test = (_rows(part) for part in parts.parts.values())
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


def best_fit(model: Model, parts: kp.Data, seed: int, size: Size) -> kp.Fitted:
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


def _rows(table: kp.Table) -> tuple[Tensor, Tensor]:
    return table.inputs, table.targets.double()


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
