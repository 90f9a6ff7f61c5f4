"""The networks: for each size of image all have as many parameters, some 0.3 for a pixel."""

from collections.abc import Callable, Sequence

import torch

import kanpinn as kp
from kanpinn.networks import Network

KAN, SINE = "KAN", "sine network"
FREQUENCY = 30.0  # Sitzmann's


def _mlp(width: int, activation: str, frequency: float | None = None) -> Callable[[int], kp.MLP]:
    widths, dtype = [2, width, width, width, 1], torch.float32
    return lambda seed: kp.MLP(widths, activation, frequency=frequency, seed=seed, dtype=dtype)


def _kan(width: Sequence[int], grid: Sequence[int]) -> Callable[[int], kp.KAN]:
    return lambda seed: kp.KAN(width, degree=3, grid=grid, seed=seed, dtype=torch.float32)


def _all(
    width: int, kan: Sequence[int], grid: Sequence[int]
) -> dict[str, Callable[[int], Network]]:
    return {
        SINE: _mlp(width, "sine", FREQUENCY),
        KAN: _kan(kan, grid),
        "MLP tanh": _mlp(width, "tanh"),
        "MLP silu": _mlp(width, "silu"),
    }


# By pixels along an edge.
NETWORKS = {
    32: _all(11, [2, 5, 4, 1], [11, 4, 5]),
    64: _all(24, [2, 8, 8, 1], [27, 8, 8]),
}
NAMES = tuple(NETWORKS[32])
