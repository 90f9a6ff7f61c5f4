"""Eigenvalues against those that a problem gives."""

from collections.abc import Sequence
from numbers import Number

import numpy
import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.pde.eigen_problem import EigenProblem


def exact_values(
    problem: EigenProblem, values: Tensor, near: float | None, doublings: int = 8
) -> Tensor | None:
    """The exact eigenvalue that belongs to each value, (count,); None where none are given.

    They are paired so that the distances are least in all, each exact one once: a mode that is
    missing makes another one wrong. With `near` so many are asked for that those around it are
    among them, at most 4 · count · 2^doublings; None where the problem does not give as many.

    Raises:
        InputError: for too few, or what are no numbers.
    """
    count = len(values)
    if not problem.has_exact_eigenvalues or count == 0:
        return None
    if near is None:
        return _paired(values, _exact(problem, count)[:count])
    reach = float((values - near).abs().max())
    for asked in (4 * count * 2**power for power in range(doublings)):
        exact = _exact(problem, asked, least=count)
        if float((exact - near).abs()[-1]) > reach and float(exact[-1].abs()) > abs(near):
            return _paired(values, exact[(exact - near).abs().argsort()[:count]])
        if len(exact) < asked:
            return None
    return None


def _exact(problem: EigenProblem, count: int, least: int | None = None) -> Tensor:
    """What the problem gives, at least so many."""
    given = problem.exact_eigenvalues(count)
    what = f"{type(problem).__name__}.exact_eigenvalues({count})"
    least = count if least is None else least
    if not isinstance(given, Sequence | numpy.ndarray | Tensor) or len(given) < least:
        raise InputError(f"{what} must give {least} numbers, got {given!r}")
    if not all(isinstance(v, Number) or getattr(v, "ndim", 1) == 0 for v in given):
        raise InputError(f"{what} must give numbers, got {given!r}")
    exact = torch.tensor([complex(v) for v in given], dtype=torch.complex128)
    if not bool(torch.isfinite(exact).all()):
        raise InputError(f"{what} must give finite numbers, got {given!r}")
    return exact if bool(exact.imag.any()) else exact.real


def _paired(values: Tensor, exact: Tensor) -> Tensor:
    from scipy.optimize import linear_sum_assignment

    distances = (values.cpu()[:, None] - exact).abs().double()
    _, columns = linear_sum_assignment(distances.numpy())
    return exact[torch.from_numpy(columns)]


def relative_errors(values: Tensor, exact: Tensor) -> Tensor:
    """|λ - exact| / |exact|, without the division where that is 0."""
    size = exact.abs()
    return (values.cpu() - exact).abs() / torch.where(size > 0, size, torch.ones_like(size))
