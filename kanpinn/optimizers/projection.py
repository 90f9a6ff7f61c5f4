"""The output layer eliminated: a loss, and Gauss–Newton steps, in the inner coefficients alone."""

from dataclasses import dataclass

import torch
from torch import Tensor

from kanpinn.jet import Channels, Coordinates, Jet
from kanpinn.linalg import Triangle, column_scale, fold, rank_tolerance
from kanpinn.networks.kan import KAN
from kanpinn.networks.network import get_coefficients, set_coefficients
from kanpinn.optimizers.damping import Probes, best_damping
from kanpinn.optimizers.output_layer import solve_output
from kanpinn.residuals import Residuals

REACH = 0.98  # of the output layer's grid [-1, 1] that the hidden units fill
NEWTON_STEPS = 20
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

        outer: where Newton's method starts if the residual is nonlinear, zero by default.
        """
        set_coefficients(self.network.layers[:-1], inner)
        self._fix_gauge()
        if not self.linear:
            outer = torch.zeros_like(self.outer) if outer is None else outer
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
        for _ in range(NEWTON_STEPS):
            done = solve_output(self.residuals, linear=self.linear)
            self.evaluations += done.evaluations
            if self.linear is None:
                self.linear = done.linear
            if self.linear or done.stationary or done.loss > (1 - SETTLED) * done.before:
                break
        return done.loss

    def step(self, loss: float, damping: float) -> Projected:
        """One damped Gauss–Newton step in θ from the network's state, whose f(θ) is `loss`."""
        start, spent = (self.inner, self.outer), self.evaluations
        steps = self._projected_triangle().damped()
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
