"""Newton's method for equations in time alone, with all stages coupled and many of them."""

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import lapack
from torch import Tensor

from kanpinn.evolution.control import StageChoice
from kanpinn.evolution.in_time import derivatives_of_parts, jet_of_parts
from kanpinn.evolution.newton import Newton
from kanpinn.evolution.window_equations import WindowEquations

Array = NDArray[Any]


class CoupledNewton(Newton):
    """Newton's method with the exact Jacobian, for equations in time alone with few unknowns.

    One dense linear system couples all stages. Unlike the diagonalisation of `SimplifiedNewton` it
    loses no digits with many stages, and its convergence is quadratic, so that windows are long.
    The residual is linearised at the stages, and at the moment at which the error is seen. Once
    steps are short the Jacobian is kept.
    """

    is_linear = False
    choice = StageChoice(31, overhead=20.0, reach=6)

    def __init__(self, equations: WindowEquations, guess: Tensor) -> None:
        super().__init__(equations, guess)
        between = equations.moment(equations.form.moment)
        both = zip(equations.moments.rates, between.rates, strict=True)
        rates = [torch.cat(pair) for pair in both]
        interior, self.fields = equations.system.interior, equations.system.fields
        # Each part of the fields' jets is a factor times a derivative in time.
        self.parts = derivatives_of_parts(interior.term.channels)
        self.from_states = torch.stack([factor * rates[r] for r, factor in self.parts], dim=1)
        by_unknowns = self.from_states[..., equations.system.order :].numpy()
        self.by_unknowns = by_unknowns.swapaxes(1, 2)[:, None]  # (s + 1, 1, s, parts)
        times = torch.cat([equations.moments.times, between.times])
        self.points, self.copies = (
            interior.points(times),
            interior.points(times.repeat(self.fields)),
        )
        self.factors: tuple[Array, Array] | None = None
        self.kept = False  # whether the last step has taken the Jacobian of an earlier one

    def remaining(self, step: float, last: float) -> float:
        rate = step / last
        if self.kept:  # convergence is linear
            return step * rate / (1 - rate) if rate < 0.3 else math.inf
        return step * rate**2

    def norm(self, change: Tensor) -> float:
        return float((self.values @ change[:, 0]).norm(dim=1).max())

    def correction(self, unknowns: Tensor) -> Tensor | None:
        short, fast = 1e-3, 0.1
        self.kept = self.factors is not None and self.step < short and self.rate < fast
        parts = torch.tensordot(self.from_states, self.equations.states(unknowns)[:, 0], dims=1)
        residual = self._residual(parts) if self.kept else self._linearised(parts)
        if residual is None or not np.isfinite(residual).all():
            return None
        assert self.factors is not None
        found, _ = lapack.dgetrs(*self.factors, residual[:-1].ravel())
        self.defect = residual[-1] - self.between @ found
        return torch.from_numpy(found).view(unknowns.shape)

    def _residual(self, parts: Tensor) -> Array:
        """The residuals of m equations, (s + 1, m), from the parts of the fields' jets."""
        term = self.equations.system.interior.term
        found: Array = term.equation(self.points, jet_of_parts(term.channels, parts)).numpy()
        return found

    def _linearised(self, parts: Tensor) -> Array | None:
        """The same, after the Jacobian has been factored; None if it is singular.

        A single backward pass gives the derivatives of all equations, as it takes another copy of
        the moments for each of them.
        """
        term, fields = self.equations.system.interior.term, self.fields
        copies = parts.repeat(fields, 1, 1).requires_grad_()
        with torch.enable_grad():
            found = term.equation(self.copies, jet_of_parts(term.channels, copies))
            found = found.view(fields, -1, found.shape[1])
            total = found.diagonal(dim1=0, dim2=2).sum()
            (slopes,) = torch.autograd.grad(total, copies, materialize_grads=True)
        residual: Array = found[0].detach().numpy()
        by_parts = slopes.unflatten(0, (fields, -1)).numpy().swapaxes(0, 1)
        if not (np.isfinite(residual).all() and np.isfinite(by_parts).all()):
            return None
        jacobian = self.by_unknowns @ by_parts  # (s + 1, equations, s, m)
        size = residual[:-1].size
        lu, pivots, info = lapack.dgetrf(jacobian[:-1].reshape(size, size))
        self.factors = lu, pivots
        self.between, self.last_slopes = jacobian[-1].reshape(-1, size), by_parts[-1]
        return None if info else residual

    def error(self, unknowns: Tensor) -> float:
        form, length = self.equations.form, self.equations.length
        ratios = [factor * form.ratios[r] / length**r for r, factor in self.parts]
        total = np.einsum("gpf,p->gf", self.last_slopes, ratios)
        _, _, found, info = lapack.dgesv(total, self.defect)
        return math.inf if info else float(np.linalg.norm(found)) * form.mean
