"""Eigenstates of many random chains, classified as localized or extended, as tables."""

from dataclasses import dataclass

import numpy
import torch
from anderson_localization.chains import Array, Model, states

import kanpinn as kp

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
