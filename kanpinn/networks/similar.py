"""Random KANs with the degrees and grids of another one."""

import copy
from collections.abc import Sequence

import torch

from kanpinn.networks.kan import KAN


@torch.no_grad()
def random_like(
    network: KAN,
    width: Sequence[int],
    seed: int,
    *,
    intervals: int | None = None,
    basis: str | None = None,
    first: int = 0,
    own: bool = False,
    stretch: bool = False,
) -> KAN:
    """Return a random KAN with at most one hidden layer and the degrees and grids of a network.

    Args:
        network: gives the degrees and grids of its first and its last layer, dtype and device.
        width: units per layer, [inputs, outputs] or [inputs, hidden, outputs].
        seed: of the random functions.
        intervals: of the output layer's grid; by default as many as the network's.
        basis: as for `KAN`; by default that of the network.
        first: the index of the network's layer that is taken for its first one.
        own: whether the first hidden functions are those of the network.
        stretch: whether it stretches the coordinates before its first layer as the network does.
    """
    ends = [network.layers[first], network.layers[-1]][3 - len(width) :]
    degrees, grids = [one.basis.degree for one in ends], [one.basis.intervals for one in ends]
    grids[-1] = grids[-1] if intervals is None else intervals
    made = KAN(width, degrees, grids, basis=basis or network.basis_name, stretch=stretch, seed=seed)
    if stretch:
        made.layers[0].load_state_dict(network.layers[0].state_dict())
    if own:
        layer, known = made.layers[0], ends[0].coefficients
        if known.shape[:2] == layer.coefficients.shape[:2]:  # not with a base term
            layer.basis = copy.deepcopy(ends[0].basis).to("cpu", layer.coefficients.dtype)
            layer.randomise(torch.Generator().manual_seed(seed))  # on its knots, where some are new
            layer.coefficients[:, :, : known.shape[2]] = known.to(layer.coefficients)
    like = next(network.parameters())
    return made.to(like.device, like.dtype)
