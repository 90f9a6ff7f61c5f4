"""The finer solution that confirms the error of a trial, or corrects or refutes it."""

from kanpinn.solvers.auto.trial import Trial
from kanpinn.solvers.error_estimate import finer_solutions
from kanpinn.solvers.solution import Solution


def finer_solution(
    trial: Trial, left: float, wider: float = 1.25, dearer: float = 4.0
) -> Solution | None:
    """Return a finer solution than that of a trial, if it is of use and there is time for it.

    What an earlier trial says of a later one's error is a guess from their residuals: it was up to
    100 times too high for smooth solutions, whose errors decrease faster. A finer solution is for
    the later trial what that one is for the earlier one. Networks in cells have
    already been compared with a better solution.

    Args:
        trial: the later one of two trials, or the only one.
        left: the seconds left.
        wider: the factor by which the finer network has more hidden units and points.
        dearer: the most that its solve may take relative to that of the trial.
    """
    found = trial.solution.verification
    known = found is not None and not (found.overfitted or trial.failed or trial.observed)
    if trial.own_error is not None or trial.confirmed or not known or dearer * trial.seconds > left:
        return None
    return next(finer_solutions(trial.solution, wider, left))
