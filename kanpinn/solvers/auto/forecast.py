"""Forecasts of the time of a trial, and the choice of one that fits into the time left."""

import math

from kanpinn._support.distributed import from_first
from kanpinn.cells import Cells
from kanpinn.solvers.auto.choice import Choice
from kanpinn.solvers.auto.trial import Trial


def forecast(choice: Choice, known: Trial) -> float:
    """Return the seconds that a choice would take, extrapolated from another trial.

    The optimizers' time is proportional to the work, the rest to the number of interior points.
    Nothing is known, and no time forecast, from networks of another class, whose work has another
    unit; families begin with small networks. After a solution in cells the time of other networks
    is infinite: on an L-shape they took minutes and were less accurate.
    A network in cells goes on from the cells of the other trial, and its solve may end after any
    step. Its first step takes about as long as the last step of the other trial, and is of use only
    if there is some time left for one on smaller cells.
    """
    if choice.kind is not known.choice.kind:
        return math.inf if known.choice.kind is Cells else 0.0
    rows, beside = known.solution.history.rows, beside_steps(choice, known)
    if choice.kind is Cells and len(rows) > 1:
        last = from_first(float(rows[-1]["seconds"] - rows[-2]["seconds"]))  # the same on all ranks
        return 1.5 * last + beside
    return sum(known.solution.optimizer_seconds) * choice.work / known.choice.work + beside


def beside_steps(choice: Choice, known: Trial) -> float:
    """Return the seconds that a choice would take beside its steps, from those of another trial."""
    beside = known.seconds - sum(known.solution.optimizer_seconds)
    return beside * choice.points.interior / known.choice.points.interior


def unaffordable(choice: Choice, known: Trial, left: float) -> str | None:
    """Return why a choice does not fit into the time left, in words; None if it does."""
    seconds = forecast(choice, known)
    if seconds <= left:
        return None
    if math.isinf(seconds):
        return "networks in cells have been more accurate"
    return f"the next one would take {seconds:.2g} s, {max(left, 0):.2g} s are left"


def affordable(
    choice: Choice, known: Trial, left: float, worth: float = 1.1, safe: float = 0.9
) -> Choice | None:
    """Return a smaller version of a choice that fits into the time left, or None.

    Args:
        choice: one that would take too long.
        known: the trial before.
        left: the seconds left.
        worth: the result has at least this many times the hidden units of `known`, or is None.
        safe: the part of the seconds left that is used, since forecasts may be too low.
    """
    if not known.choice.units or known.choice.kind is not choice.kind:
        return None
    part = (safe * max(left, 0.0) / forecast(choice, known)) ** (1 / 3)
    enough = part * choice.units >= worth * known.choice.units
    return choice.smaller(part) if enough else None
