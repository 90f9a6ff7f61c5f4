"""The output layer eliminated: a loss, and Gauss–Newton steps, in the inner coefficients alone."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from kanpinn.jets.jet import Channels, Coordinates, Jet
from kanpinn.linalg.triangle import Triangle, column_scale, fold, rank_tolerance
from kanpinn.loss.residuals import Residuals
from kanpinn.networks.kan import KAN
from kanpinn.networks.network import get_coefficients, set_coefficients
from kanpinn.optimizers.damping import Probes, best_damping
from kanpinn.optimizers.output_layer import solve_output

REACH = 0.98  # of the output layer's grid [-1, 1] that the hidden units fill
NEWTON_STEPS = 20
STARTS = (0.0, 1.0, -1.0)  # output coefficients from which Newton's method is tried in turn
SETTLED = 1e-3  # a Newton step that lowers the loss by a smaller part of it is the last one


@dataclass(frozen=True)
class Projected:
    """What one step reached: the projected loss, the damping used and the evaluations spent."""

    loss: float
    damping: float
    evaluations: int


class Projection:
    """f(θ) = min_c ‖r(θ, c)‖² for inner coefficients θ, with the gauge fixed.

    The output coefficients c are the least-squares solution for given inner functions (by damped
    Newton where the residual is nonlinear in u). What the output layer undoes, shifts between the
    edges into a hidden unit and its scale, is fixed before: these directions would swamp the step.

    Reference: Golub and Pereyra (1973); Kaufman (1975) for the Jacobian (I - QQᵀ) J_inner.
    """

    def __init__(self, residuals: Residuals, linear: bool | None = None) -> None:
        network = residuals.surrogate.network
        assert isinstance(network, KAN)
        self.residuals, self.network = residuals, network
        self.linear = linear  # in the output layer; None: not known yet
        self.evaluations = 0
        self.rank = -1  # of the last solve; 0: to first order the residual does not depend on u
        channels = Channels(residuals.surrogate.domain.names)
        self._inputs = residuals.surrogate.coordinates(residuals.points, channels)

    @property
    def inner(self) -> Tensor:
        """θ: all coefficients but the output layer's."""
        return get_coefficients(self.network.layers[:-1])

    def zero(self) -> float:
        """The loss of the zero network: the scale of all others."""
        for layer in self.network.output_layers:
            layer.coefficients.detach().zero_()
        return self.residuals.loss()

    @property
    def outer(self) -> Tensor:
        """c: the output layer's coefficients."""
        return get_coefficients(self.network.output_layers)

    def __call__(self, inner: Tensor, outer: Tensor | None = None) -> float:
        """f(θ); leaves the network there, gauge fixed and output layer solved.

        Infinite where the residual or its derivatives have no number on the way.

        outer: where Newton's method starts if the residual is nonlinear; by default zero or, where
            it has no derivative there or does not depend on u, ones or minus ones.
        """
        set_coefficients(self.network.layers[:-1], inner)
        self._fix_gauge()
        if self.linear:
            return self._solved(self.outer)
        starts = [torch.full_like(self.outer, value) for value in STARTS]
        for start in starts if outer is None else [outer]:
            if math.isfinite(loss := self._solved(start)) and self.rank:
                break
            self.linear = False
        return loss

    def _solved(self, outer: Tensor) -> float:
        """f(θ) by a solve that starts from these output coefficients."""
        set_coefficients(self.network.output_layers, outer)
        return self._solve_output()

    @torch.no_grad()
    def _fix_gauge(self) -> None:
        h: Jet | Coordinates = self._inputs
        for layer in self.network.layers[:-2]:
            h = layer(h)
        self.network.layers[-2].spread(h.value, REACH)

    def _solve_output(self) -> float:
        """The output layer by least squares; repeated where the residual is nonlinear in it."""
        loss = math.inf
        for _ in range(NEWTON_STEPS):
            outer = self.outer
            try:
                done = solve_output(self.residuals, linear=self.linear)
            except torch.linalg.LinAlgError:  # type: ignore[attr-defined]
                set_coefficients(self.network.output_layers, outer)
                break
            loss, self.rank = done.loss, done.rank
            self.evaluations += done.evaluations
            if self.linear is None:
                self.linear = done.linear
            if self.linear or done.stationary or done.loss > (1 - SETTLED) * done.before:
                break
        return loss

    def step(self, loss: float, damping: float) -> Projected:
        """One damped Gauss–Newton step in θ from the network's state, whose f(θ) is `loss`.

        No step where the residual's derivatives are not all finite.
        """
        start, spent = (self.inner, self.outer), self.evaluations
        try:
            steps = self._projected_triangle().damped()
        except torch.linalg.LinAlgError:  # type: ignore[attr-defined]
            return Projected(loss, damping, 1)
        reached: dict[float, tuple[Tensor, Tensor]] = {}

        def loss_at(damping: float) -> float:
            # From one start for all: then f does not depend on what was tried before.
            loss = self(start[0] + steps.step(damping), start[1])
            reached[damping] = self.inner, self.outer
            return loss

        damping, lowest = best_damping(Probes(loss_at), damping, loss)
        lower = lowest < loss
        inner, outer = reached[damping] if lower else start
        set_coefficients(self.network.layers[:-1], inner)
        set_coefficients(self.network.output_layers, outer)
        return Projected(min(lowest, loss), damping, self.evaluations - spent)

    def _projected_triangle(self) -> Triangle:
        """The factor of (I - QQᵀ)[J_inner, r], Q a basis of the range of J_output.

        With the columns of J_output first that is the lower right block of the factor, and what of
        the upper right one is orthogonal to its left one: splines that see no point and constants
        in several units make the range smaller than the number of columns.
        """
        split = self.inner.numel()
        rows = self.residuals.rows(self.network.all_layers)
        factor = fold((j.roll(-split, dims=1), r) for j, r in rows).factor
        outputs = get_coefficients(self.network.output_layers).numel()
        left, upper = factor[:outputs, :outputs], factor[:outputs, outputs:]
        u, s, _ = torch.linalg.svd(left / column_scale(left), full_matrices=False)
        q = u[:, s > rank_tolerance(s.dtype) * s[0]]
        remains = torch.cat([upper - q @ (q.T @ upper), factor[outputs:, outputs:]])
        return Triangle(torch.linalg.qr(remains, mode="r").R)

    def polish(self, loss: float, damping: float, steps: int, tolerance: float) -> Projected:
        """Steps until one lowers the loss by less than `tolerance` of it, at most `steps`."""
        spent = self.evaluations
        for _ in range(steps):
            before = loss
            done = self.step(loss, damping)
            loss, damping = done.loss, done.damping
            if not loss < before * (1 - tolerance):
                break
        return Projected(loss, damping, self.evaluations - spent)
