"""Newton's method for equations in time alone, with all stages coupled and many of them."""

import copy
import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import lapack
from torch import Tensor

from kanpinn.evolution.time.in_time import derivatives_of_parts, jet_of_parts
from kanpinn.evolution.window.control import StageChoice
from kanpinn.evolution.window.newton import Newton, TimeError
from kanpinn.evolution.window.window_equations import WindowEquations

Array = NDArray[Any]


class CoupledNewton(Newton):
    """Newton's method with the exact Jacobian, for equations in time alone with few unknowns.

    One dense linear system couples all stages. Unlike the diagonalisation of `SimplifiedNewton` it
    loses no digits with many stages, and its convergence is quadratic, so that windows are long.
    The residual is linearised at the stages, and at the moment at which the error is seen.
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
        self.points = interior.points(times.repeat(self.fields))

    def remaining(self, step: float, last: float) -> float:
        return step * (step / last) ** 2  # convergence is quadratic

    def norm(self, change: Tensor) -> float:
        return float((self.values @ change[:, 0]).norm(dim=1).max())

    def correction(self, unknowns: Tensor) -> Tensor | None:
        residual, slopes = self._linearised(unknowns)
        if not np.isfinite(residual).all():
            return None
        size = residual[:-1].size
        jacobian = self.by_unknowns @ slopes.swapaxes(0, 1)  # (s + 1, equations, s, m)
        matrix, right = jacobian[:-1].reshape(size, size), residual[:-1].ravel()
        _, _, found, info = lapack.dgesv(matrix.T.copy().T, right)
        if info:
            return None
        self.defect = residual[-1] - jacobian[-1].reshape(-1, size) @ found
        self.last_slopes = slopes[:, -1]
        return torch.from_numpy(found).view(unknowns.shape)

    def _linearised(self, unknowns: Tensor) -> tuple[Array, Array]:
        """The residuals of m equations, and their derivatives by the parts of the fields' jets.

        A single backward pass gives the derivatives of all equations, as it takes another copy of
        the moments for each of them.

        Returns:
            (s + 1, m), and (m, s + 1, parts, m).
        """
        term, fields = self.equations.system.interior.term, self.fields
        states = self.equations.states(unknowns)[:, 0]
        parts = torch.tensordot(self.from_states, states, dims=1)
        parts = parts.repeat(fields, 1, 1).requires_grad_()
        with torch.enable_grad():
            found = term.equation(self.points, jet_of_parts(term.channels, parts))
            found = found.view(fields, -1, found.shape[1])
            total = found.diagonal(dim1=0, dim2=2).sum()
            (slopes,) = torch.autograd.grad(total, parts, materialize_grads=True)
        return found[0].detach().numpy(), slopes.unflatten(0, (fields, -1)).numpy()

    def moved_to(self, equations: WindowEquations) -> "CoupledNewton":
        made = copy.copy(self)
        made.equations = equations
        return made

    def error(self, unknowns: Tensor) -> TimeError:
        form, length = self.equations.form, self.equations.length
        ratios = [factor * form.ratios[r] / length**r for r, factor in self.parts]
        total = np.einsum("gpf,p->gf", self.last_slopes, ratios)
        _, _, found, info = lapack.dgesv(total, self.defect)
        error = torch.from_numpy(found)[None, None] * form.mean
        at_end = torch.cat([error, *[torch.zeros_like(error)] * (self.equations.system.order - 1)])
        return TimeError(math.inf if info else float(error.norm()), at_end)
