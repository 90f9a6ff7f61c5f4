"""The Levenberg–Marquardt method on all layers, with the damping chosen by the true loss."""

from dataclasses import dataclass

from torch import Tensor

from kanpinn._support.errors import CONVERGED, integer, number
from kanpinn.loss.residuals import Residuals
from kanpinn.networks.layer import get_coefficients, set_coefficients
from kanpinn.networks.network import Network
from kanpinn.optimizers.damping import best_damping, is_stationary
from kanpinn.optimizers.method import INDEPENDENT, Method, Stage, Step, StepCost, dense_cost
from kanpinn.optimizers.output_layer import rounding_of


@dataclass(frozen=True)
class LevenbergMarquardt(Method):
    """Damped Gauss–Newton steps on all coefficients, from an SVD of the Jacobian's QR factor.

    Each step tries three or more dampings, evaluates the true loss for each, and takes the best
    one. One SVD serves all dampings. A step costs 2NP² + O(P³) operations for N rows and P
    coefficients. If no damping lowers the loss, the method has converged if the linearised residual
    predicts no lower loss either; otherwise it stops, and the status says so. The method has also
    converged after three consecutive steps that lower the loss by less than `tolerance` times the
    loss.

    Args:
        steps: the largest number of steps.
        damping: the first damping, relative to the square of the Jacobian's largest singular value.
        tolerance: the smallest decrease of the loss that counts, relative to the loss.

    Raises:
        InputError: for values out of range.

    Reference: Marquardt (1963); Moré (1978) for the scaling.

    Example:
        >>> import kanpinn as kp
        >>> problem = kp.Poisson(kp.Box(x=(0, 1)), exact="sin(pi*x)")
        >>> network = kp.KAN([1, 3, 1], degree=5, grid=4)
        >>> solution = kp.solve(problem, network, kp.LevenbergMarquardt(steps=10))
        >>> solution.errors.l2_relative < 1e-3
        True
    """

    steps: int = 100
    damping: float = 1e-4
    tolerance: float = 1e-9

    def __post_init__(self) -> None:
        integer("steps", self.steps)
        number("damping", self.damping, above=True)
        number("tolerance", self.tolerance)

    def unknowns(self, network: Network) -> int:
        return network.parameter_count

    def cost(self, residuals: Residuals) -> StepCost | None:
        return dense_cost(residuals, residuals.surrogate.network.all_layers, damped=True)

    def start(self, residuals: Residuals, seed: int) -> "LevenbergMarquardtStage":
        network = residuals.surrogate.network
        return LevenbergMarquardtStage(residuals, network, self.tolerance, self.damping)


@dataclass
class LevenbergMarquardtStage(Stage):
    """The state of Levenberg–Marquardt between its steps.

    Args:
        residuals: the terms of the loss.
        network: the network.
        tolerance: the smallest decrease of the loss that counts, relative to the loss.
        damping: the damping of the last step.
        idle: the number of successive last steps that each lowered the loss by less than
            `tolerance` times the loss.
    """

    residuals: Residuals
    network: Network
    tolerance: float
    damping: float
    idle: int = 0
    kept = ("damping", "idle")

    def step(self) -> Step:
        triangle = self.residuals.model(self.network.all_layers)
        before = triangle.loss()
        if not bool(triangle.matrix.any()):  # rounding still makes losses differ
            finished = INDEPENDENT if before > 0 else CONVERGED
            return Step(before, finished=finished, notes={"damping": self.damping})
        steps = triangle.damped()
        start = {name: t.clone() for name, t in self.network.state_dict().items()}

        def loss_at(damping: float) -> float:
            """Return the loss after the step with this damping."""
            self._move(start, steps.step(damping))
            return self.residuals.loss()

        damping, loss, tried = best_damping(loss_at, self.damping, before)
        self.idle = self.idle + 1 if loss > before - self.tolerance * abs(before) else 0
        if loss < before:
            self._move(start, steps.step(damping))
            self.damping = damping
            stuck: str | None = CONVERGED if self.idle >= 3 else None
        else:
            self.network.load_state_dict(start)
            fall = before - min(triangle.loss(steps.step(d)) for d in tried)
            coefficients = get_coefficients(self.network.all_layers)
            stuck = CONVERGED
            if not is_stationary(fall, before, rounding_of(self.residuals, triangle, coefficients)):
                stuck = (
                    f"stopped: no damping from {tried[0]:.0e} to {tried[-1]:.0e} lowers the loss "
                    f"{before:.3g}, though a fall by {fall:.2g} was predicted"
                )
        return Step(
            min(loss, before),
            len(tried) + 1,
            finished=stuck,
            notes={"damping": damping},
            words=f"damping {damping:.0e}",
        )

    def _move(self, start: dict[str, Tensor], change: Tensor) -> None:
        """Add a change to the coefficients before the step, and adapt the grids to the activations.

        Without adapted grids, second derivatives would jump where activations leave their grids.

        Args:
            start: the network's `state_dict` before the step.
            change: the change of the coefficients of all layers, (p,).
        """
        self.network.load_state_dict(start)
        layers = self.network.all_layers
        set_coefficients(layers, get_coefficients(layers) + change)
        self.residuals.surrogate.follow(self.residuals.points)
