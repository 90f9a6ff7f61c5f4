"""Comparison of computed eigenvalues with the exact ones that a problem gives."""

from collections.abc import Sequence
from numbers import Number

import numpy
import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.pde.eigen_problem import EigenProblem


def paired_exact_values(
    problem: EigenProblem, values: Tensor, near: float | None, doublings: int = 8
) -> Tensor | None:
    """Return the exact eigenvalue that is paired with each computed one, (count,).

    The pairing is one to one and minimises the sum of the distances, so a mode that is missing
    shows as an error of another one.

    Args:
        problem: which may give exact eigenvalues.
        values: the computed eigenvalues, (count,).
        near: the number that the values are nearest to; None if they are the first ones. With it,
            more and more exact eigenvalues are requested until they enclose those around `near`.
        doublings: the largest number of these requests; the first is for 4 · count eigenvalues,
            each later one for twice as many as the one before.

    Returns:
        The exact eigenvalues; None if the problem gives none, or too few of them around `near`.

    Raises:
        InputError: if the problem gives fewer than `count`, or anything but finite numbers.
    """
    count = len(values)
    if not problem.has_exact_eigenvalues or count == 0:
        return None
    if near is None:
        return paired(values, _exact(problem, count)[:count])
    reach = float((values - near).abs().max())
    for asked in (4 * count * 2**power for power in range(doublings)):
        exact = _exact(problem, asked, least=count)
        if float((exact - near).abs()[-1]) > reach and float(exact[-1].abs()) > abs(near):
            return paired(values, exact[(exact - near).abs().argsort()[:count]])
        if len(exact) < asked:
            return None
    return None


def _exact(problem: EigenProblem, count: int, least: int | None = None) -> Tensor:
    """Request `count` exact eigenvalues; raise if there are fewer than `least`, or no numbers."""
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


def paired(values: Tensor, others: Tensor) -> Tensor:
    """Return the other number that is paired with each value, (count,); others: at least as many.

    The pairing is one to one and minimises the sum of the distances.
    """
    from scipy.optimize import linear_sum_assignment

    distances = (values.cpu()[:, None] - others).abs().double()
    _, columns = linear_sum_assignment(distances.numpy())
    return others[torch.from_numpy(columns)]


def relative_errors(values: Tensor, exact: Tensor) -> Tensor:
    """Return |λ - exact| / |exact|, (count,); the absolute error where the exact value is zero."""
    size = exact.abs()
    return (values.cpu() - exact).abs() / torch.where(size > 0, size, torch.ones_like(size))
