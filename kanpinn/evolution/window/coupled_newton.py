"""Newton's method for equations in time alone, with all stages coupled and many of them."""

import math
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import lapack
from torch import Tensor

from kanpinn.evolution.time.in_time import jet_of_parts, rates_of_parts
from kanpinn.evolution.time.polynomials import at_moments, at_stages
from kanpinn.evolution.time.stages import Stages
from kanpinn.evolution.window.control import StageChoice
from kanpinn.evolution.window.newton import Newton, TimeError
from kanpinn.evolution.window.window_equations import WindowEquations
from kanpinn.jets import join

Array = NDArray[Any]


class CoupledNewton(Newton):
    """Newton's method with the exact Jacobian, for equations in time alone with few unknowns.

    One dense linear system couples all stages. Unlike the diagonalisation of `SimplifiedNewton` it
    loses no digits with many stages, and its convergence is quadratic, so that windows are long.
    The residual is linearised at the stages, and at the moment at which the error is seen.
    """

    is_linear = False
    choice = StageChoice(39, overhead=20.0, reach=12, foresight=1.5)

    def __init__(self, equations: WindowEquations, guess: Tensor) -> None:
        super().__init__(equations, guess)
        stages, length = equations.stages, equations.length
        system, interior = equations.system, equations.system.interior
        self.fields = system.fields
        # Each part of the fields' jets is a factor times a derivative in time.
        self.parts = tuple(rates_of_parts(interior.term.channels))
        order, between = system.order, equations.form.moment
        unit = _of_unit_window(stages, between, self.parts, order, system.highest)
        powers = np.minimum(np.arange(unit.shape[2]), order - 1.0)
        derivatives = np.array([r for r, _ in self.parts])
        self.from_states = unit * length ** (powers - derivatives[:, None])
        by_unknowns = self.from_states[..., order:]
        self.by_unknowns = by_unknowns.swapaxes(1, 2)[:, None]  # (s + 1, 1, s, parts)
        times = equations.start + length * np.append(stages.nodes, between)
        self.points = interior.points(torch.from_numpy(np.tile(times, self.fields)))
        # There is a copy of all moments for each equation, at which that one is differentiated.
        self.seeds = torch.eye(self.fields).double().repeat_interleave(len(times), dim=0)

    def remaining(self, step: float, last: float) -> float:
        return step * (step / last) ** 2  # convergence is quadratic

    def norm(self, change: Tensor) -> float:
        # The first part of the jets is the value.
        values = self.by_unknowns[:-1, 0, :, 0] @ change[:, 0].numpy()
        return math.sqrt((values**2).sum(axis=1).max())

    def correction(self, unknowns: Tensor) -> Tensor | None:
        residual, slopes = self._linearised(unknowns)
        if not np.isfinite(residual).all():
            return None
        size = residual[:-1].size
        jacobian = self.by_unknowns @ slopes.swapaxes(0, 1)  # (s + 1, equations, s, m)
        matrix, right = jacobian[:-1].reshape(size, size), residual[:-1].ravel()
        *self.factors, found, info = lapack.dgesv(matrix.T.copy().T, right, overwrite_a=True)
        if info:
            return None
        self.defect = residual[-1] - jacobian[-1].reshape(-1, size) @ found
        self.last_slopes = slopes
        return torch.from_numpy(found).view(unknowns.shape)

    def _linearised(self, unknowns: Tensor) -> tuple[Array, Array]:
        """The residuals of m equations, and their derivatives by the parts of the fields' jets.

        A single backward pass gives the derivatives of all equations, as it takes another copy of
        the moments for each of them.

        Returns:
            (s + 1, m), and (m, s + 1, parts, m).
        """
        term = self.equations.system.interior.term
        states = self.equations.states(unknowns)[:, 0].numpy()
        copies, moments = self.fields, len(self.from_states)
        parts = np.tensordot(states, self.from_states, axes=(0, 2))  # (m, s + 1, parts)
        rows = torch.from_numpy(np.tile(parts.swapaxes(1, 2), copies))
        jets = [jet_of_parts(term.channels, one) for one in rows]
        leaves = [leaf.requires_grad_() for jet in jets for leaf in jet.parts()]
        with torch.enable_grad():
            found = term.equation(self.points, join(jets))
            slopes = torch.autograd.grad(found, leaves, self.seeds, allow_unused=True)
        both = zip(slopes, leaves, strict=True)
        known = [torch.zeros_like(leaf) if one is None else one for one, leaf in both]
        by_part = torch.cat([one.flatten(1) for one in known], dim=1).numpy()
        by_part = by_part.reshape(copies, moments, self.fields, -1)
        return found.detach().numpy()[:moments], by_part.swapaxes(2, 3)

    def carried(self, unknowns: Tensor, change: Tensor) -> Tensor:
        order, slopes = self.equations.system.order, self.last_slopes[:, :-1]
        parts = self.from_states[:-1, :, :order] @ change[:, 0].numpy()  # (s, parts, m)
        right = np.einsum("egpf,gpf->ge", slopes, parts).ravel()
        found, _ = lapack.dgetrs(*self.factors, right)
        return torch.cat([change, -torch.from_numpy(found).view(unknowns.shape)])

    def error(self, unknowns: Tensor) -> TimeError:
        form, length = self.equations.form, self.equations.length
        ratios = [factor * form.ratios[r] / length**r for r, factor in self.parts]
        total = np.einsum("gpf,p->gf", self.last_slopes[:, -1], ratios)
        _, _, found, info = lapack.dgesv(total, self.defect)
        error = torch.from_numpy(found)[None, None] * form.mean
        return TimeError(math.inf if info else float(error.norm()), error)


@lru_cache(maxsize=100)
def _of_unit_window(
    stages: Stages, moment: float, parts: tuple[tuple[int, float], ...], order: int, highest: int
) -> Array:
    """The polynomials of a window of length 1 for each part of the fields' jets.

    The other arguments are those of `at_stages`.

    Args:
        stages: the stages.
        moment: a moment besides them, the last one.
        parts: see `rates_of_parts`.

    Returns:
        (s + 1, parts, order + s).
    """
    both = (
        at_stages(stages, 1.0, order, highest),
        at_moments(stages, np.array([moment]), 1.0, order, highest),
    )
    found = [np.stack([factor * one.rates[r] for r, factor in parts], axis=1) for one in both]
    return np.concatenate(found)
