"""The signature from the invariants: KANs and MLPs, fitted and tested on several splits."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import torch
from knot_theory.attribution import accuracies, attribution
from knot_theory.knots import TRANSLATIONS, Knots, only

import kanpinn as kp
from kanpinn.solvers.fitted import criterion

STRENGTHS = (1e-4, 3e-4, 1e-3)  # of L1 and entropy
RANDOM, GROUPED = "random", "grouped"
VALIDATION = 0.1  # of the rows, to choose by

# How far the first grid reaches, in standard deviations about the mean, with tangents beyond: three
# intervals over the whole range cannot tell signs of the meridional translation near zero.
REACHES = (0.4, 0.7, 1.0)
BATCH = 256
RATE = 2e-2  # of Adam, which goes first: from a random start L-BFGS often ends in a poor minimum


@dataclass(frozen=True)
class Size:
    """How much is done.

    KANs are trained by `warm` steps of Adam and `steps` of L-BFGS, the MLP with `units` in its
    hidden layers by `descent` steps of Adam. Relations are looked for from so many `starts` on so
    many `rows`, by so many `iterations` of L-BFGS each.
    """

    seeds: Sequence[int] = (0, 1, 2, 3, 4)
    warm: int = 960
    steps: int = 24
    descent: int = 1500
    units: Sequence[int] = (300, 300, 300, 300)
    starts: int = 40
    rows: int = 2000
    iterations: int = 150


SMOKE = Size(
    seeds=(0,), warm=2, steps=1, descent=2, units=(20, 20), starts=1, rows=150, iterations=30
)


@dataclass(frozen=True)
class Result:
    """The accuracies of a network on one split.

    reach: of its first grid. shares: of each input, by measure.
    """

    network: str
    split: str
    seed: int
    parameters: int
    train: float
    test: float
    seconds: float
    reach: float | None = None
    shares: dict[str, dict[str, float]] = field(default_factory=dict)


def all_invariants(knots: Knots, seed: int, grouped: bool, size: Size) -> list[Result]:
    """Fit a KAN [17,1,14], G = 3, k = 3, of the data's width, on the random split sparse too.

    The least sparsity acts from the random start, the others continue from it: at once they would
    leave nothing to learn.
    """
    data = knots.split(seed, grouped, VALIDATION)
    reach, fitted = fit_starts(data, kan_width(data), seed, size)
    results = [result("KAN, all invariants", fitted, seed, grouped, reach)]
    for strength, sparse in () if grouped else sparse_fits(data, reach, seed, size, STRENGTHS):
        results.append(result(f"KAN, sparsity {strength:g}", sparse, seed, grouped, reach))
    return results


def three_invariants(knots: Knots, seed: int, grouped: bool, size: Size) -> list[Result]:
    """Fit a KAN [3,1,14] to the translations alone."""
    data = only(knots.split(seed, grouped, VALIDATION), TRANSLATIONS)
    reach, fitted = fit_starts(data, kan_width(data), seed, size)
    return [result("KAN, three invariants", fitted, seed, grouped, reach)]


def perceptron(knots: Knots, seed: int, grouped: bool, size: Size) -> list[Result]:
    """Fit an MLP to all invariants by Adam; the state with the least validation error is kept."""
    data = knots.split(seed, grouped, VALIDATION)
    width = [len(data.train.names), *size.units, len(data.train.classes)]
    network = kp.MLP(width, "tanh", seed=seed, dtype=torch.float32)
    fitted = kp.fit(network, data, SparselyJudged(size.descent, 1e-3), batch=256, seed=seed)
    return [result("MLP, all invariants", fitted, seed, grouped)]


def kan_width(data: kp.Data) -> list[int]:
    """Return the width of a KAN with one hidden unit."""
    return [len(data.train.names), 1, len(data.train.classes)]


def sparse_fits(
    data: kp.Data, reach: float, seed: int, size: Size, strengths: Sequence[float]
) -> Iterator[tuple[float, kp.Fitted]]:
    """Yield fits with penalties on L1 and entropy of the edges' sizes, each from the one before.

    There are no validation rows: by these the state before it grew sparse would be kept.
    """
    width, sparsity = kan_width(data), [kp.Sparsity(strength) for strength in strengths]
    network = warm_start(data, width, reach, seed, size.warm, sparsity=sparsity[0])
    data = kp.Data(data.train, test=data.test)
    for i, (strength, own) in enumerate(zip(strengths, sparsity, strict=True)):
        optimizer = kp.LBFGS(max(1, size.steps * (2 if i else 5) // 5))
        fitted = kp.fit(network, data, optimizer, scaling="standard", seed=seed, sparsity=own)
        yield strength, fitted


def result(
    network: str, fitted: kp.Fitted, seed: int, grouped: bool, reach: float | None = None
) -> Result:
    """Return the result of one fit."""
    train, test = accuracies(fitted)
    split = GROUPED if grouped else RANDOM
    count, shares = fitted.parameters, attribution(fitted)
    return Result(network, split, seed, count, train, test, fitted.seconds, reach, shares)


@dataclass(frozen=True)
class SparselyJudged(kp.Adam):
    """Adam, whose errors are measured every 25 steps: measuring costs more than a step."""

    def measures(self, step: int) -> bool:
        return step % 25 == 0


def fit_starts(
    data: kp.Data, width: Sequence[int], seed: int, size: Size, intervals: int = 3
) -> tuple[float, kp.Fitted]:
    """Return the reach of the first grid whose fit is best on the validation rows, and the fit."""
    began = time.perf_counter()
    fits = {}
    for reach in REACHES:
        network = warm_start(data, width, reach, seed, size.warm, intervals)
        fits[reach] = kp.fit(network, data, kp.LBFGS(size.steps), scaling="standard", seed=seed)
    reach = min(fits, key=lambda one: _error(fits[one]))
    return reach, replace(fits[reach], seconds=time.perf_counter() - began)


def warm_start(
    data: kp.Data,
    width: Sequence[int],
    reach: float,
    seed: int,
    steps: int,
    intervals: int = 3,
    sparsity: kp.Sparsity | None = None,
) -> kp.KAN:
    """Return a KAN of degree 3 after some steps of Adam on batches of rows.

    It is in float64, which L-BFGS needs later.
    """
    network = kp.KAN(width, degree=3, grid=intervals, seed=seed)
    first = network.layers[0]
    first.basis = first.basis.on(reach * first.basis.breaks)
    adam = SparselyJudged(steps, RATE)
    train = kp.Data(data.train)
    kp.fit(network, train, adam, scaling="standard", batch=BATCH, sparsity=sparsity, seed=seed)
    return network


def _error(fitted: kp.Fitted) -> float:
    return getattr(fitted.scores["validation"], criterion(fitted.data.train))
