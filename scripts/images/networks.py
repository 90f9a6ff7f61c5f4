"""The networks: for each image size all have as many parameters, about 0.3 for each pixel."""

from collections.abc import Callable, Mapping, Sequence

import torch

import kanpinn as kp
from kanpinn.networks import Network

SINE, KAN, MLP = "sine network", "KAN", "MLP"
NAMES = (SINE, KAN, MLP)
FREQUENCIES = (15.0, 30.0)  # Sitzmann's is 30

Make = Callable[[int], Network]  # from a seed


def _mlp(width: int, activation: str, frequency: float | None = None) -> Make:
    widths, dtype = [2, width, width, width, 1], torch.float32
    return lambda seed: kp.MLP(widths, activation, frequency=frequency, seed=seed, dtype=dtype)


def _kan(width: Sequence[int], grid: Sequence[int]) -> Make:
    return lambda seed: kp.KAN(width, degree=3, grid=grid, seed=seed, dtype=torch.float32)


def _variants(
    width: int, kans: Sequence[tuple[Sequence[int], Sequence[int]]]
) -> dict[str, Mapping[str, Make]]:
    return {
        SINE: {f"frequency {f:g}": _mlp(width, "sine", f) for f in FREQUENCIES},
        KAN: {"-".join(map(str, shape)): _kan(shape, grid) for shape, grid in kans},
        MLP: {activation: _mlp(width, activation) for activation in ("tanh", "silu")},
    }


# By pixels along an edge: the variants of each network. The KANs have one hidden layer, two, and
# five as Liu et al.'s for images, each with the grids that its number of parameters leaves.
VARIANTS = {
    32: _variants(
        11,
        [
            ([2, 8, 1], [11, 8]),
            ([2, 5, 4, 1], [11, 4, 5]),
            ([2, 3, 3, 3, 3, 3, 1], [4] * 6),
        ],
    ),
    64: _variants(
        24,
        [
            ([2, 16, 1], [27, 17]),
            ([2, 8, 8, 1], [27, 8, 8]),
            ([2, 6, 6, 6, 6, 6, 1], [5] * 6),
        ],
    ),
}
