"""A residual that does not depend on the solution: no optimizer may say that it converged."""

import pytest
from cases import Line

import kanpinn as kp


class Free(Line):
    """A residual without u."""

    def residual(self, p, u):
        return 0 * u.value + p.x


OPTIMIZERS = {
    "least_squares": kp.LeastSquares(6),
    "levenberg_marquardt": kp.LevenbergMarquardt(6),
    "ss_broyden": kp.SSBroyden(6),
    "adam": kp.Adam(6),
    "lbfgs": kp.LBFGS(6),
    "variable_projection": kp.VariableProjection(6, rounds=1, starts=3),
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_a_residual_without_the_solution_is_told(optimizer):
    network = kp.KAN([1, 3, 1], [3, 5], [2, 4], seed=0)
    solution = kp.solve(Free(), network, optimizer, kp.Collocation(40, 2), errors=False)
    words = "stopped: to first order the residual does not depend on the"
    assert solution.status.startswith(words) and solution.history.steps == 1


@pytest.mark.parametrize("rcond", [1.0, 2.0])
def test_a_cut_off_above_everything_is_refused(rcond):
    with pytest.raises(kp.InputError, match="rcond must be below 1"):
        kp.LeastSquares(rcond=rcond)
