"""Newton's method on the output layer."""

import math
from dataclasses import dataclass

import torch

from kanpinn.loss.residuals import Residuals
from kanpinn.networks.layer import get_coefficients, set_coefficients
from kanpinn.optimizers.least_squares import LeastSquaresStage
from kanpinn.optimizers.method import Step
from kanpinn.optimizers.output_layer import solve_output
from kanpinn.optimizers.reduced import solve_reduced
from kanpinn.solvers.continuation.newton import NewtonAtValue, NotSolved


@dataclass
class NewtonOnOutputLayer(NewtonAtValue):
    """Newton's method on the output layer, until a full step hardly lowers the loss any more.

    kept: the loss of the last solution, relative to that of the zero function.
    """

    kept: float = 1e-2

    def solve(self, residuals: Residuals, steps: int, begun: bool) -> int:
        zero = _loss_of_zero(residuals)
        solve = solve_reduced if residuals.surrogate.has_unknowns else solve_output
        # After the first value it does not start from zero as well.
        stage = LeastSquaresStage(residuals, solve, None, begun=begun)
        before = residuals.loss()
        for count in range(1, steps + 1):
            try:
                step = stage.step()
            except torch.linalg.LinAlgError:  # type: ignore[attr-defined]
                step = Step(math.nan)
            if not math.isfinite(step.loss):
                raise NotSolved("it breaks down")
            full = step.notes["share"] == 1 and step.notes["damping"] == 0
            settled = full and step.loss >= 0.99 * before  # Newton's last step hardly lowers it
            if settled or step.converged:
                self._accept(step.loss / zero)
                return count
            if step.finished is not None:
                raise NotSolved(step.finished)
            before = step.loss
        raise NotSolved(f"it does not settle in {steps} steps")

    def _accept(self, part: float) -> None:
        """Keep a relative loss if it is that of a solution.

        Beyond a fold there is no solution: Newton's method may settle there, but at a loss of more
        than a hundred times that of the last solution. A relative loss of 1e-6 is always accepted.

        Args:
            part: the loss relative to that of the zero function.

        Raises:
            NotSolved: if it is too large.
        """
        most = max(1e-6, min(1e-2, 100 * self.kept))
        if part > most:
            raise NotSolved(
                f"it settles at {part:.2g} of the zero function's loss, more than {most:.2g}: "
                "there is no solution near, or the network or the points are too coarse for one"
            )
        self.kept = part


def _loss_of_zero(residuals: Residuals) -> float:
    """Return the loss with a zero output layer; infinity if it is not finite and positive."""
    layers = residuals.surrogate.network.output_layers
    present = get_coefficients(layers)
    set_coefficients(layers, torch.zeros_like(present))
    loss = residuals.loss()
    set_coefficients(layers, present)
    return loss if 0 < loss < math.inf else math.inf
