"""Facts that the cards of solutions, modes and fits have in common."""

from collections.abc import Iterator
from typing import Any

from kanpinn.plotting.notebook.card import Fact
from kanpinn.solvers.eigen import Eigensolution
from kanpinn.solvers.fit import Fitted
from kanpinn.solvers.solution import Solution

Result = Solution | Eigensolution | Fitted


def kind_of_problem(problem: Any) -> str:
    """Return the name of a problem's class."""
    return type(problem).__name__


def network_words(result: Result) -> str:
    """Return the network with its size, such as "KAN [2, 64, 1], 1024 unknowns, float64"."""
    network = result.network
    words = f"{type(network).__name__} {list(network.width)}"
    if network.pieces is not None:
        words += f" in {len(network.pieces)} pieces"
    like = next(iter(network.parameters()))
    precision = str(like.dtype).removeprefix("torch.")
    return f"{words}, {result.parameters} unknowns, {precision} on {like.device}"


def run_facts(result: Result) -> Iterator[Fact]:
    """Yield how the run ended, its optimizers, steps and seconds."""
    yield "status", result.status
    steps = result.history.steps
    taken = f"{steps} step{'s' * (steps != 1)} in {result.seconds:.3g} s"
    if result.processes > 1:
        taken += f" by {result.processes} processes"
    titles = ", ".join(one.title for one in result.optimizers)
    yield "run", f"{titles}: {taken}" if titles else taken
