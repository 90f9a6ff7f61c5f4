"""What a trial will take, and which one the time that is left is enough for."""

from kanpinn.solvers.auto.choice import Choice
from kanpinn.solvers.auto.judging import Trial


def forecast(choice: Choice, known: Trial) -> float:
    """The seconds that a choice would take, going by what another trial took.

    What is not the optimizers' time grows as the number of points.
    """
    stages = sum(known.solution.optimizer_seconds)
    points = choice.points.interior / known.choice.points.interior
    other = (known.seconds - stages) * points
    return stages * choice.work / known.choice.work + other


def unaffordable(choice: Choice, known: Trial, left: float) -> str | None:
    """Why there is no time for a choice; None where there is."""
    seconds = forecast(choice, known)
    if seconds <= left:
        return None
    return f"the next one would take {seconds:.2g} s, {max(left, 0):.2g} s are left"


def affordable(
    choice: Choice, known: Trial, left: float, worth: float = 1.1, safe: float = 0.9
) -> Choice | None:
    """A choice between the known one and one that there is no time for, if it is worth it.

    Args:
        choice: that there is no time for.
        known: the trial before.
        left: the seconds that are left.
        worth: a choice of fewer than so many times the known one's hidden units is not worth it.
        safe: the part of the time that is planned for, since forecasts may be too low.
    """
    if not known.choice.units or known.choice.kind is not choice.kind:
        return None
    part = (safe * max(left, 0.0) / forecast(choice, known)) ** (1 / 3)
    enough = part * choice.units >= worth * known.choice.units
    return choice.smaller(part) if enough else None
