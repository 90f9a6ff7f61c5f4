"""Estimates of the time and the memory of a step before it is taken, for budgets."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from kanpinn._support.distributed import share
from kanpinn.loss.residuals import Residuals
from kanpinn.networks.layer import Layer


@dataclass(frozen=True)
class StepCost:
    """What a step is expected to take: seconds, and bytes of memory."""

    seconds: float
    bytes: int

    def __str__(self) -> str:
        return f"some {self.seconds:.2g} s and {max(self.bytes / 1e9, 0.01):.2g} GB"


def gradient_cost(residuals: Residuals) -> StepCost:
    """Return the cost of one loss with its gradient, from that of a few rows of each term."""
    few, part = _few(residuals)
    parameters = residuals.surrogate.network.parameter_count
    return StepCost(part * _timed(few.backward), 64 * parameters)


def dense_cost(residuals: Residuals, layers: Sequence[Layer], *, damped: bool) -> StepCost | None:
    """Return the cost of a least-squares step with a dense Jacobian.

    The rows J are evaluated at a few points; N rows are folded into R by some 3 N p² operations,
    and a singular value decomposition of R takes time in proportion to p³. The times of both are
    those of matrices with up to 256 columns, extrapolated.

    Args:
        residuals: the loss.
        layers: the layers whose p coefficients are the columns.
        damped: whether the step needs the whole decomposition, and several losses.

    Returns:
        The cost; None where most of J is zero, for which the estimate is far too large.
    """
    few, part = _few(residuals)
    rows: list[torch.Tensor] = []
    seconds = part * _timed(lambda: rows.extend(j for j, _ in few.rows(layers)))
    width = rows[0].shape[1]
    entries = sum(int(torch.count_nonzero(j)) for j in rows)
    if entries < 0.25 * sum(j.numel() for j in rows):
        return None
    total = part * sum(len(j) for j in rows)
    size = min(width, 256)
    generator = torch.Generator().manual_seed(0)
    block = torch.randn(3 * size, size, generator=generator, dtype=torch.float64).to(rows[0])
    folds = max(1.0, total / (2 * width))  # of 2 p new rows below the p rows of R
    seconds += folds * (width / size) ** 3 * _timed(lambda: torch.linalg.qr(block, mode="r"))
    square, right = block[:size], block[:size, :1]
    if damped:
        seconds *= 1.5  # for the losses at trial steps
        decompose = _timed(lambda: torch.linalg.svd(square))
    else:
        decompose = _timed(lambda: torch.linalg.lstsq(square, right, driver="gelsd"))
    held = 8 if damped else 6  # matrices (p, p) that are in memory together
    return StepCost(
        seconds + (width / size) ** 3 * decompose, held * width**2 * block.element_size()
    )


def _few(residuals: Residuals) -> tuple[Residuals, float]:
    """Return the loss at up to 256 rows of each term, and by how much the whole one is larger."""
    most, chosen = 256, []
    for term in residuals.terms:
        count = min(most, term.rows)
        rows = torch.linspace(0, term.rows - 1, count, device=term.points.coords.device)
        chosen.append(term.chosen(rows.long()))
    whole = sum(len(range(term.rows)[share(term.rows)]) for term in residuals.terms)
    part = whole / max(1, sum(len(range(term.rows)[share(term.rows)]) for term in chosen))
    return Residuals(residuals.surrogate, chosen), part


def _timed(work: Callable[[], object]) -> float:
    """Return the seconds that a call takes, after one that fills caches."""
    work()
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun
