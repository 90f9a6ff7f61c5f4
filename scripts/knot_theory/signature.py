"""The signature from the invariants: KANs and MLPs, fitted and judged on several splits."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from knot_theory.attribution import attribution
from knot_theory.grids import choose_reach, new_kan
from knot_theory.knots import TRANSLATIONS, Knots, only

import kanpinn as kp

STRENGTHS = (1e-4, 3e-4, 1e-3)  # of L1 and entropy
RANDOM, GROUPED = "random", "grouped"


@dataclass(frozen=True)
class Size:
    """Seeds, steps of L-BFGS and of Adam, units of the MLP's layers, starts for relations."""

    seeds: Sequence[int] = (0, 1, 2, 3, 4)
    steps: int = 40
    descent: int = 1500
    units: Sequence[int] = (300, 300, 300, 300)
    starts: int = 40
    rows: int = 2000


SMOKE = Size((0,), 3, 40, (20, 20), 4, 300)


@dataclass(frozen=True)
class Result:
    """How well a network does on one split; reach: of its first grid; shares: of each input."""

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
    """KAN [17,1,14], G = 3, k = 3, its width that of the data; on the random split sparse as well.

    The least strength acts from the random start, the others from there: at once they would leave
    nothing to learn.
    """
    fitted, reach = fit_kan(knots, seed, grouped, size)
    results = [result("KAN, all invariants", fitted, seed, grouped, reach)]
    for strength, sparse in () if grouped else sparse_fits(fitted, reach, seed, size, STRENGTHS):
        results.append(result(f"KAN, sparsity {strength:g}", sparse, seed, grouped, reach))
    return results


def three_invariants(knots: Knots, seed: int, grouped: bool, size: Size) -> list[Result]:
    """KAN [3,1,14] on the translations alone."""
    fitted, reach = fit_kan(knots, seed, grouped, size, TRANSLATIONS)
    return [result("KAN, three invariants", fitted, seed, grouped, reach)]


def perceptron(knots: Knots, seed: int, grouped: bool, size: Size) -> list[Result]:
    """The MLP on all of them by Adam, the state kept that does best on a tenth of the rows."""
    data = knots.split(seed, grouped, validation=0.1)
    width = [len(data.train.names), *size.units, len(data.train.classes)]
    network = kp.MLP(width, "tanh", seed=seed, dtype=torch.float32)
    fitted = kp.fit(network, data, SparselyJudged(size.descent, 1e-3), batch=256, seed=seed)
    return [result("MLP, all invariants", fitted, seed, grouped)]


@dataclass(frozen=True)
class SparselyJudged(kp.Adam):
    """Adam, judged every 25 steps: a look at all rows costs more than the steps between."""

    @property
    def measure_every(self) -> int:
        return 25


def fit_kan(
    knots: Knots, seed: int, grouped: bool, size: Size, names: Sequence[str] | None = None
) -> tuple[kp.Fitted, float]:
    """A KAN with one hidden unit on some of the inputs, and the reach of its grid."""
    judging, data = (knots.split(seed, grouped, validation) for validation in (0.2, 0.0))
    if names is not None:
        judging, data = only(judging, names), only(data, names)
    width = [len(data.train.names), 1, len(data.train.classes)]
    reach = choose_reach(judging, width, seed, size.steps)
    network = new_kan(width, reach, seed)
    return kp.fit(network, data, kp.LBFGS(size.steps), scaling="standard", seed=seed), reach


def sparse_fits(
    fitted: kp.Fitted, reach: float, seed: int, size: Size, strengths: Sequence[float]
) -> Iterator[tuple[float, kp.Fitted]]:
    """Fits of such a network with L1 and entropy of its edges' sizes, each from the one before."""
    data = fitted.data
    network = new_kan(fitted.network.width, reach, seed).double()  # its line search needs digits
    for i, strength in enumerate(strengths):
        optimizer = kp.LBFGS(max(1, size.steps * (2 if i else 5) // 8))
        sparse = kp.Sparsity(strength)
        yield (
            strength,
            kp.fit(network, data, optimizer, scaling="standard", seed=seed, sparsity=sparse),
        )


def result(
    network: str, fitted: kp.Fitted, seed: int, grouped: bool, reach: float | None = None
) -> Result:
    train, test = (fitted.scores[part].accuracy for part in ("train", "test"))
    split = GROUPED if grouped else RANDOM
    count, shares = fitted.parameters, attribution(fitted)
    return Result(network, split, seed, count, train, test, fitted.seconds, reach, shares)
