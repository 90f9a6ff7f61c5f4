"""The search for unknown numbers in cells: the fields follow from them, and data decide."""

import copy
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.cells.cells import require_cells
from kanpinn.cells.geometry.prolongation import prolonged
from kanpinn.cells.numbers.cell_fit import CellFit
from kanpinn.cells.numbers.derivatives import rates_by_numbers
from kanpinn.cells.problems.cell_problem import CellProblem
from kanpinn.cells.system.cell_system import CellSolution, CellSystem
from kanpinn.linalg.triangle import TriangularFactor
from kanpinn.loss.numbered import spread_of_data
from kanpinn.loss.residuals import Residuals
from kanpinn.loss.terms import ResidualTerm
from kanpinn.networks.surrogate import Surrogate


class NumberSearch:
    """Steps of the Levenberg–Marquardt method for the numbers; the fields are solved for at each.

    The derivatives of the fields by the numbers solve the linearised least-squares problem of the
    cells with other right-hand sides, by the same elimination. So a solution satisfies equation and
    conditions for all numbers, as far as cells can, and the data alone determine the numbers. If
    the first search does not lead to a fit of the data, it begins again from other numbers.

    Args:
        residuals: the loss.
        problem: the equation and the conditions, for cells.
        data: the terms of the data.
        seed: of other starts.

    Attributes:
        settled: whether the present numbers are those that fit the data, on the present cells.
        moved: whether the latest step has changed the numbers before they were settled.

    Reference: Golub and Pereyra (1973), variable projection; Bard, Nonlinear parameter estimation
    (1974), chapter 8.
    """

    starts = 8  # other starts that are tried
    kept = tuple("settled moved damping refused tried first predicted best best_loss".split())

    def __init__(
        self, residuals: Residuals, problem: CellProblem, data: Sequence[ResidualTerm], seed: int
    ) -> None:
        self.surrogate, self.problem, self.data = residuals.surrogate, problem, data
        self.network, self.seed = require_cells(self.surrogate.network), seed
        assert self.network.constants is not None
        self.constants = self.network.constants
        spreads = [spread_of_data(term, self.surrogate) for term in data]
        self.rows = sum(t.rows * count for t, (count, _) in zip(data, spreads, strict=True))
        self.spread = sum(spread for _, spread in spreads)
        self.settled, self.moved, self.first, self.tried = False, False, True, 0
        self.best, self.best_loss = self._numbers(), math.inf
        self._begin()

    def _begin(self) -> None:
        """Begin a search from the present numbers."""
        self.now: CellFit | None = None
        self.damping, self.refused, self.predicted = 0.0, 0, math.inf

    @classmethod
    def of(cls, residuals: Residuals, problem: CellProblem, seed: int) -> "NumberSearch | None":
        """The search for the unknown numbers of a loss; None without unknowns.

        Raises:
            InputError: where there are no data.
        """
        if residuals.surrogate.network.constants is None:
            require_cells(residuals.surrogate.network).forget_numbers()  # of another problem
            return None
        data = [one for one in residuals.terms if one.measured and isinstance(one, ResidualTerm)]
        if not data:
            raise InputError(
                "unknown numbers in cells need measurements, such as kp.Observed: there are none"
            )
        return cls(residuals, problem, data, seed)

    def state_dict(self) -> dict[str, Any]:
        """The state, for a checkpoint."""
        now = None
        if self.now is not None:
            now = vars(self.now) | {"model": self.now.model.factor}
            now.pop("newton", None)
        return {name: getattr(self, name) for name in self.kept} | {"now": now}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take a state that `state_dict` has returned."""
        for name in self.kept:
            setattr(self, name, state[name])
        now, self.now = state["now"], None
        if now is not None:
            self.now = CellFit(**now | {"model": TriangularFactor(now["model"])})

    def on_new_tree(self) -> None:
        """Go on with other cells, from the same numbers."""
        self.settled, self.first, self.now = False, False, None

    def solved(self, system: CellSystem, before: Tensor) -> CellSolution:
        """The solution for better numbers, which the network gets, with the derivatives by them.

        Args:
            system: the least-squares problem for the present numbers.
            before: the solution about which it is linearised, (N, L, m).

        Raises:
            InputError: if data depend on a constant that the equation leaves open.
        """
        found, directions = system.solve_with(rates_by_numbers(system, before))
        self._show(system, found.coefficients, directions)
        self._check_free(system)
        fit = CellFit(
            self._model(self.surrogate), self.rows, self._numbers(), found.coefficients, directions
        )
        self.moved, near = False, 1e-2
        change = system.norm(system.without_means(found.coefficients - before))
        if not self.settled and change > near * system.norm(found.coefficients):
            if not system.is_linear(found.coefficients):
                return found  # it is not yet the solution for these numbers
        fields = self._stepped(fit)
        self._show(system, fields, (self.now or fit).directions)
        return replace(found, coefficients=fields)

    def _stepped(self, fit: CellFit) -> Tensor:
        """Take a step of the numbers from a new fit, or a shorter one from that before.

        Returns:
            The fields after the step, (N, L, m).
        """
        slight, patience = 0.2**2, 6  # a fifth of the standard deviation
        now, enough = self.now, max(slight * fit.variance, 1e-20 * self.spread)
        if now is not None and fit.loss > now.loss + enough:
            fit, self.refused = now, self.refused + 1
            self.damping, self.settled = max(10 * self.damping, 1e-2), self.refused >= patience
        else:
            expected = abs(fit.loss - self.predicted) <= max(0.1 * fit.loss, enough)
            self.settled = expected and fit.possible <= enough
            self.damping = self.damping / 10 if expected and self.damping > 1e-3 else 0.0
            self.now, self.refused = fit, 0
        if self.settled and self.first and not self._fits(fit.loss):
            return self._restarted(fit)
        self.moved = not self.settled
        step = self.constants.limited(fit.numbers, fit.model.damped().step(self.damping))
        self.predicted = fit.model.loss(step)
        self._assign(fit.numbers + step)
        return fit.moved(step)

    def _restarted(self, fit: CellFit) -> Tensor:
        """Begin again from random numbers, or, if there were enough of them, from the best ones."""
        if fit.loss < self.best_loss:
            self.best, self.best_loss = fit.numbers, fit.loss
        self._begin()
        self.tried, self.settled, self.moved = self.tried + 1, False, True
        if self.tried <= self.starts:
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.tried)
            self._assign(self.constants.random(generator).double().cpu())
        else:
            self.first = False
            self._assign(self.best)
        return torch.zeros_like(fit.fields)

    def _fits(self, loss: float) -> bool:
        return loss <= 0.05 * self.spread

    @property
    def words(self) -> str:
        """The present state, in words."""
        return f"start {self.tried} of {self.starts} others" if self.tried else "numbers change"

    def verdict(self, status: str) -> str:
        """The status of a solve that has ended; status: what is said of the fields."""
        loss = self._model(self.surrogate).loss()
        return status if self._fits(loss) else "stopped: no start leads to a fit of the data"

    def measure_errors(self, system: CellSystem) -> None:
        """Give the network the errors of the numbers that are due to the cells.

        They are the change of the numbers by a step in a solution of a degree that is higher by 2,
        and with smaller cells at singular corners.
        """
        surrogate, own = copy.deepcopy(self.surrogate), self._model(self.surrogate)
        richer, network = self.network.richer(), self.network
        geometry, fine = system.geometry, self.problem.deeper(system.geometry)
        present = network.layer.coefficients.detach().double().cpu()
        start = prolonged(network.polynomials, geometry.tree, geometry.frames, present, fine)
        start = richer.polynomials.padded(start)
        better = self.problem.on(fine, richer.polynomials, start, limit=True).solve()
        richer.layer.reset(fine.tree, fine.frames, better.coefficients)
        surrogate.network = richer
        change = self._model(surrogate).damped().step(0.0) - own.damped().step(0.0)
        assert network.sensitivities is not None
        network.sensitivities.errors.copy_(change.abs())

    def _check_free(self, system: CellSystem) -> None:
        """Refuse data of a field that is determined only up to a constant."""
        for term in self.data if system.free_fields else ():
            jet = self.surrogate.jet(term.points, term.channels)
            before = term.equation(term.points, jet)
            value = jet.value.clone()
            value[:, system.free_fields] += 1.0
            after = term.equation(term.points, jet.with_parts([value, *jet.parts()[1:]]))
            if not torch.equal(before, after):
                raise InputError(
                    f"the data of the term {term.name} are of a field that equation and "
                    "conditions on the boundary determine only up to a constant: cells take data "
                    "of other fields"
                )

    def _numbers(self) -> Tensor:
        return self.constants.coefficients.detach().double().cpu().clone()

    @torch.no_grad()
    def _assign(self, numbers: Tensor) -> None:
        """Give numbers to the equation, whose source may depend on them."""
        self.constants.coefficients.copy_(numbers)
        self.problem.forget_sources()

    @torch.no_grad()
    def _show(self, system: CellSystem, fields: Tensor, directions: Tensor) -> None:
        """Make the network a solution, with its derivatives by the numbers."""
        geometry = system.geometry
        self.network.layer.reset(geometry.tree, geometry.frames, fields)
        self.network.follow_numbers(directions)

    def _model(self, surrogate: Surrogate) -> TriangularFactor:
        """The model of the misfit of the data for changes of the numbers."""
        found = Residuals(surrogate, self.data).model(surrogate.network.output_layers)
        return TriangularFactor(found.factor.double().cpu())
