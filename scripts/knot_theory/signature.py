"""The signature from the invariants: KANs and MLPs, fitted and judged on several splits."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from knot_theory.knots import TRANSLATIONS, Knots
from torch import Tensor

import kanpinn as kp

# The first grid covers the mean ± 0.7 standard deviations, with tangents beyond: three intervals
# over the whole range cannot tell signs of the meridional translation near zero.
CENTRAL = 0.7
TWIN = 0.96  # correlation: the injectivity radius is half a geodesic in most rows
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
    """How well a network does on one split; shares: of each input, by two measures."""

    network: str
    split: str
    seed: int
    parameters: int
    train: float
    test: float
    seconds: float
    shares: dict[str, dict[str, float]] = field(default_factory=dict)
    fitted: kp.Fitted | None = None


def all_invariants(knots: Knots, seed: int, grouped: bool, size: Size) -> Result:
    """KAN [17,1,14], G = 3, k = 3, its width that of the data."""
    data = knots.split(seed, grouped)
    fitted = fit_kan(data, seed, size.steps)
    return result("KAN, all invariants", fitted, seed, grouped, attribution(fitted))


def distinct_invariants(knots: Knots, seed: int, grouped: bool, size: Size) -> Result:
    """It without twins of other inputs: two edges that cancel say nothing of either."""
    data = knots.split(seed, grouped)
    fitted = fit_kan(only(data, without_twins(data.train)), seed, size.steps)
    return result("KAN, without twins", fitted, seed, grouped, attribution(fitted))


def three_invariants(knots: Knots, seed: int, grouped: bool, size: Size) -> Result:
    """KAN [3,1,14] on the translations alone."""
    data = only(knots.split(seed, grouped), TRANSLATIONS)
    return result("KAN, three invariants", fit_kan(data, seed, size.steps), seed, grouped)


def perceptron(knots: Knots, seed: int, grouped: bool, size: Size) -> Result:
    """The MLP on all of them by Adam, the state kept that does best on a tenth of the rows."""
    data = knots.split(seed, grouped, validation=0.1)
    width = [len(data.train.names), *size.units, len(data.train.classes)]
    network = kp.MLP(width, "tanh", seed=seed, dtype=torch.float32)
    fitted = kp.fit(network, data, kp.Adam(size.descent, 1e-3), batch=256, seed=seed)
    return result("MLP, all invariants", fitted, seed, grouped)


def fit_kan(data: kp.Data, seed: int, steps: int) -> kp.Fitted:
    """A KAN with one hidden unit from a random start."""
    width = [len(data.train.names), 1, len(data.train.classes)]
    network = kp.KAN(width, degree=3, grid=3, seed=seed)
    network.layers[0].knots *= CENTRAL
    return kp.fit(network, data, kp.LBFGS(steps), scaling="standard", seed=seed)


def without_twins(table: kp.Table) -> list[str]:
    """The inputs that are not nearly a multiple of a later one."""
    similar = torch.corrcoef(table.inputs.T).abs().triu(diagonal=1)
    alone = similar.amax(dim=1) < TWIN
    return [name for name, kept in zip(table.names, alone, strict=True) if kept]


def only(data: kp.Data, names: Sequence[str]) -> kp.Data:
    """The data with these inputs alone."""
    return kp.Data(**{part: table.only(names) for part, table in data.parts.items()})


def result(
    network: str,
    fitted: kp.Fitted,
    seed: int,
    grouped: bool,
    shares: dict[str, dict[str, float]] | None = None,
) -> Result:
    train, test = (fitted.scores[part].accuracy for part in ("train", "test"))
    split = GROUPED if grouped else RANDOM
    count, seconds = fitted.parameters, fitted.seconds
    return Result(network, split, seed, count, train, test, seconds, shares or {}, fitted)


def attribution(fitted: kp.Fitted) -> dict[str, dict[str, float]]:
    """What the signature owes to each input, shares that add up to one.

    By the standard deviation of its edge into the hidden unit, and by the accuracy that is lost
    when its column is shuffled; both on the rows to test with.
    """
    test = fitted.data.test
    assert test is not None
    edges = hidden_edges(fitted, test.inputs).std(dim=0)
    lost = torch.stack([_lost(fitted, test, i) for i in range(len(test.names))]).clamp_min(0)
    named = {"edge": edges, "shuffling": lost}
    return {
        kind: dict(zip(test.names, (values / values.sum()).tolist(), strict=True))
        for kind, values in named.items()
    }


@torch.no_grad()
def hidden_edges(fitted: kp.Fitted, inputs: Tensor) -> Tensor:
    """The edges into the hidden unit, (n, inputs)."""
    low, high = fitted.surrogate.low, fitted.surrogate.high
    scaled = 2 * (inputs - low) / (high - low) - 1
    return fitted.network.layers[0].edges(scaled)[:, 0, :, 0]


def _lost(fitted: kp.Fitted, test: kp.Table, column: int) -> Tensor:
    order = torch.randperm(len(test), generator=torch.Generator().manual_seed(column))
    shuffled = test.inputs.clone()
    shuffled[:, column] = shuffled[order, column]
    right = (fitted.predict(shuffled) == test.targets).double().mean()
    return fitted.scores["test"].accuracy - right
