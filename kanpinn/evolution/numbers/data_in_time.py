"""The misfit of data up to some time, and its Gauss–Newton model in the numbers of a path."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from kanpinn._support.errors import InputError, NumericalError
from kanpinn.evolution.march import March
from kanpinn.evolution.numbers.numbered_path import Path
from kanpinn.evolution.numbers.numbered_problem import NumberedProblem
from kanpinn.evolution.windows import require_windows
from kanpinn.loss.numbered import MisfitModel, spread_of_data
from kanpinn.loss.residuals import Residuals
from kanpinn.loss.terms import ResidualTerm


@dataclass(frozen=True, eq=False)
class DataFit(MisfitModel):
    """The misfit of the data in the windows of a path.

    path: the solution.
    """

    path: Path

    @property
    def numbers(self) -> Tensor:
        return self.path.numbers


@dataclass(frozen=True, eq=False)
class DataInTime:
    """The data of an evolution, and the solution that is compared with them.

    Args:
        problem: the evolution.
        equations: the number of values in each row of a term.
        variance: the weighted variance of each term's data, over all times.
    """

    problem: NumberedProblem
    equations: Sequence[int]
    variance: Sequence[float]

    @staticmethod
    def of(problem: NumberedProblem) -> "DataInTime":
        """The data of an evolution."""
        surrogate = problem.forward.residuals.surrogate
        equations, variances = zip(
            *(spread_of_data(term, surrogate) for term in problem.data), strict=True
        )
        return DataInTime(problem, equations, variances)

    @property
    def times(self) -> Tensor:
        """The times of all rows, in order; that of a row is its last one."""
        return torch.cat([_times(one) for one in self.problem.data]).sort().values

    def _until(self, time: float) -> list[tuple[float, ResidualTerm]]:
        """The terms with their rows up to a time, each with the part of these rows."""
        found = []
        for term in self.problem.data:
            rows = (_times(term) <= time).nonzero()[:, 0]
            part = len(rows) / term.rows
            found.append((part, replace(term.chosen(rows), factor=part)))
        return found

    def spread(self, time: float) -> float:
        """The loss of the data up to a time if the solution were their mean."""
        both = zip(self._until(time), self.variance, strict=True)
        return sum(part * variance for (part, _), variance in both)

    def fit(
        self,
        settings: March,
        numbers: Tensor,
        until: float,
        tolerant: bool,
        near: Path | None = None,
    ) -> DataFit | None:
        """Solve for numbers, and compare the data; None where that is not possible.

        Args:
            settings: of the march.
            numbers: the numbers.
            until: the last moment of the data, and of the march.
            tolerant: whether the result is None if the march refuses the equation, which may be
                ill-posed for numbers that the user has not chosen.
            near: a path for other numbers up to the same time, whose windows are used again.

        Raises:
            InputError: if the march refuses the equation and `tolerant` is False.
        """
        self.problem.assign(numbers)
        forward, path = self.problem.forward, None
        most = 1000.0 if near is None else 20.0 * len(near.pieces) + 100
        try:
            if near is not None:
                path = forward.followed(near, settings, numbers)
            if path is None:
                path = forward.marched(settings, numbers, until, most)
        except InputError:
            if tolerant:
                return None
            raise
        except (
            NumericalError,
            np.linalg.LinAlgError,
            torch.linalg.LinAlgError,  # type: ignore[attr-defined]
        ):
            return None
        surrogate = forward.residuals.surrogate
        network = require_windows(surrogate.network)
        forward.given_to(network, path, torch.zeros_like(numbers))
        chosen = [term for _, term in self._until(until)]
        model = Residuals(surrogate, [one for one in chosen if one.rows]).model(
            network.output_layers
        )
        if not bool(model.factor.isfinite().all()):
            return None
        rows = sum(one.rows * e for one, e in zip(chosen, self.equations, strict=True))
        return DataFit(model, rows, path)


def _times(term: ResidualTerm) -> Tensor:
    """The time of each row, that of its last point."""
    return term.points.coords[:, -1].view(-1, term.sites).amax(dim=1)
