"""Orthonormal functions on parts of surfaces that are given by points."""

import torch
from torch import Tensor


def orthonormal(values: Tensor, weights: Tensor) -> Tensor:
    """Orthonormal functions at the points of several rules times weights, (p, q, functions).

    They are orthonormal in the weighted sum over the points of each rule, and the first ones span
    the same functions as the first ones given. With fewer points than functions the last functions
    are zero.

    Args:
        values: of the functions at the points of each rule, (p, q, functions).
        weights: of the rules, (p, q); 0 for points that only fill up, which come last.
    """
    roots, found = weights.sqrt()[..., None], torch.zeros_like(values)
    some = torch.linalg.qr(values * roots).Q
    counts = (weights > 0).sum(dim=1)[:, None]
    # With fewer points than functions the last columns of Q are not zero at points that fill up.
    some = torch.where((torch.arange(some.shape[2]) < counts)[:, None], some, 0)
    found[:, :, : some.shape[2]] = some * roots
    return found
