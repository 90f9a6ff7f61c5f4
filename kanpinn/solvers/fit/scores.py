"""The scores of a fit on a table: errors of numbers, accuracy and cross entropy of classes."""

from dataclasses import dataclass

import torch
from torch import Tensor

from kanpinn.data import Data, Table
from kanpinn.geometry import Points
from kanpinn.jets import Channels
from kanpinn.solvers.fit.terms import full_logits
from kanpinn.solvers.measure import Evaluate


@dataclass(frozen=True)
class Scores:
    """The scores of a fit on a table; a score that does not apply is None.

    Args:
        rows: the number of rows.
        rmse: for numbers, the root mean square error over rows and targets, in the targets' units.
        max_error: for numbers, the greatest absolute error, in the targets' units.
        r2: for numbers, the explained part of the variance, the mean over the targets; None if a
            target has no variance.
        accuracy: for classes, the share of rows whose likeliest class is the right one.
        cross_entropy: for classes, the mean cross entropy.

    Example:
        >>> import torch
        >>> import kanpinn as kp
        >>> x = torch.linspace(-1, 1, 100, dtype=torch.float64)[:, None]
        >>> scores = kp.fit(kp.KAN([1, 1]), kp.Table(x, x**2)).scores["train"]
        >>> scores.rows, scores.r2 > 0.999
        (100, True)
    """

    rows: int
    rmse: float | None = None
    max_error: float | None = None
    r2: float | None = None
    accuracy: float | None = None
    cross_entropy: float | None = None


def score(outputs: Tensor, table: Table) -> Scores:
    """Return the scores of a surrogate's outputs (n, m) for the n rows of a table."""
    if table.classes:
        return _classified(full_logits(outputs.detach().cpu().double()), table)
    error = outputs.detach().cpu().double() - table.targets
    mean_square = error.square().mean(dim=0)
    variance = table.targets.var(dim=0, correction=0)
    r2 = float((1 - mean_square / variance).mean()) if bool((variance > 0).all()) else None
    rmse = float(mean_square.mean().sqrt())
    return Scores(len(table), rmse, float(error.abs().max()), r2)


def _classified(logits: Tensor, table: Table) -> Scores:
    accuracy = float((logits.argmax(dim=1) == table.targets).double().mean())
    entropy = float(torch.nn.functional.cross_entropy(logits, table.targets))
    return Scores(len(table), accuracy=accuracy, cross_entropy=entropy)


def criterion(table: Table) -> str:
    """Return the name of the score by which fits are compared; smaller is better."""
    return "cross_entropy" if table.classes else "rmse"


def recorded(table: Table) -> tuple[str, ...]:
    """Return the names of the scores that the history records for each part of the data."""
    return ("cross_entropy", "accuracy") if table.classes else ("rmse",)


@dataclass(frozen=True, eq=False)
class Scoring:
    """The scores of a surrogate on all parts of the data, for the history and for the end."""

    data: Data

    def __call__(self, evaluate: Evaluate, until: float | None = None) -> dict[str, float]:
        names = recorded(self.data.train)
        return {
            f"{part}_{name}": getattr(scores, name)
            for part, scores in self.scores(evaluate).items()
            for name in names
        }

    def scores(self, evaluate: Evaluate, chunk: int = 2**15) -> dict[str, Scores]:
        """Return the `Scores` of each part of the data, by name.

        Args:
            evaluate: the surrogate's evaluation.
            chunk: the number of rows evaluated at a time, which bounds the memory.
        """
        channels = Channels(self.data.train.names)
        found = {}
        for part, table in self.data.parts.items():
            pieces = [
                evaluate(Points(x, table.names), channels).value for x in table.inputs.split(chunk)
            ]
            found[part] = score(torch.cat(pieces), table)
        return found
