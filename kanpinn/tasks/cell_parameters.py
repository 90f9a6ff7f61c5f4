"""The search for unknown parameters of a problem that is solved in cells.

For given parameters the fields follow from the equation; the parameters follow from data.
"""

import copy
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.geometry import Points
from kanpinn.jets import Jet
from kanpinn.linalg.qr import TriangularFactor
from kanpinn.loss import Residuals, ResidualTerm
from kanpinn.loss.parameters import Measurements, Parameters, WithParameters
from kanpinn.optimizers.method import Kept
from kanpinn.spaces.cells.cells import require_cells
from kanpinn.spaces.cells.problem import CellProblem, refuse_free_data
from kanpinn.spaces.cells.system.cell_system import AnyTerm, CellSystem
from kanpinn.spaces.cells.system.functions import CellFunctions
from kanpinn.tasks.parameter_search import NO_FIT, MisfitModel, ParameterSearch


@dataclass(frozen=True, eq=False)
class CellFit(MisfitModel):
    """The misfit of data by the solution in cells for some values of the parameters.

    Args:
        fields: the coefficients of the solution in N cells of L polynomials, (N, L, m).
        directions: the coefficients of the derivatives of the solution by the K parameters,
            (N, L, K m): the m fields of the first parameter, then those of the second parameter,
            and so on.
    """

    fields: Tensor
    directions: Tensor

    def moved(self, change: Tensor) -> Tensor:
        """The solution to first order after a change of the parameters, (N, L, m).

        Args:
            change: the change of the parameters, (K,).
        """
        by_parameter = self.directions.unflatten(2, (len(change), -1))
        return self.fields + torch.einsum("nlkm,k->nlm", by_parameter, change)

    def state_dict(self) -> dict[str, Any]:
        """The state, for a checkpoint."""
        state = {one.name: getattr(self, one.name) for one in fields(self)}
        return state | {"model": self.model.factor}


def with_derivatives(system: CellSystem, count: int) -> dict[AnyTerm, Tensor]:
    """The right-hand sides of the least-squares problem for the solution and for its K derivatives.

    The solution and its derivatives by K parameters solve one problem with different right-hand
    sides. The right-hand side for a derivative is minus the derivative of the residuals by the
    parameter.

    Args:
        system: the least-squares problem; the equations of all its terms are `WithParameters`.
        count: the number of parameters K.

    Returns:
        For each term and interface the right-hand sides at q points in each of c cells,
        (c, q, equations, 1 + K).
    """

    def rates_of(term: ResidualTerm, p: Points, u: Jet) -> Tensor:
        """The negative derivatives of a term's residuals by the parameters."""
        assert isinstance(term.equation, WithParameters)
        return -term.equation.rates(p, u)

    found = system.right_hand_sides
    for term in (*system.equation, *system.boundary):
        rates = rates_of(term.term, term.at.points, term.jet(system.about))
        found[term] = torch.cat([found[term], rates.unflatten(0, term.at.weights.shape)], dim=-1)
    for interface in system.interfaces:
        own, points, jet = found[interface], interface.points, interface.jet
        every = [own.new_zeros(own.shape[0] * own.shape[1], 0, count)]
        every += [rates_of(term, points, jet) for term in interface.terms]
        rates = torch.cat(every, dim=1).unflatten(0, own.shape[:2])
        found[interface] = torch.cat([own, rates], dim=-1)
    return found


class ParametersInCells(Kept):
    """The search for the unknown parameters of a problem that is solved in cells.

    Each step of the search takes a solve in cells. The derivatives of the fields by the parameters
    solve the linearised least-squares problem of the cells with other right-hand sides, by the same
    elimination. For all values of the parameters, the fields satisfy the equation and conditions as
    far as cells permit. So the data alone determine the parameters.

    Args:
        residuals: the terms of the loss.
        problem: the equation and the conditions in cells.
        seed: the seed of random starts.

    Attributes:
        parameters: the coefficients of the network of coefficient fields, then the unknown scalars.
        search: the search for the parameters, by the Levenberg–Marquardt method.
        settled: whether the present parameters fit the data best, on the present cells.
        moved: whether the latest step has changed the parameters, which are not settled yet.
        may_restart: whether further random starts may be tried, which is only so on the first cells
            and for unknown scalars.
        left: the fraction of the data's loss that would remain with better cells; 0 before it is
            known.

    Raises:
        InputError: if there are no data.

    Reference: Golub and Pereyra (1973), variable projection.
    """

    kept = ("settled", "moved", "may_restart", "left", "search")

    def __init__(self, residuals: Residuals, problem: CellProblem, seed: int) -> None:
        self.surrogate, self.problem = residuals.surrogate, problem
        self.network = require_cells(self.surrogate.network)
        constants, coefficient = self.network.constants, self.network.coefficient
        self.parameters = Parameters(constants, coefficient, self.surrogate)
        self.data = Measurements.of(residuals.terms, self.surrogate)
        if not self.data.terms:
            raise InputError(
                "unknowns in cells need measurements, such as kp.Observed: there are none"
            )
        self.settled, self.moved, self.left = False, False, 0.0
        self.may_restart = constants is not None  # coefficient fields have no random starts
        self.search = ParameterSearch[CellFit](self.parameters, seed, starts=8)

    def state_dict(self) -> dict[str, Any]:
        now = self.search.now
        return super().state_dict() | {"now": now and now.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        known = dict(state)
        now = known.pop("now")
        super().load_state_dict(known)
        self.search.now = now and CellFit(**now | {"model": TriangularFactor(now["model"])})

    def on_new_tree(self) -> None:
        """Continue the search on other cells, from the same parameters."""
        self.settled, self.may_restart = False, False
        self.search.now, self.search.idle, self.search.damping = None, 0, 0.0

    def solved(self, system: CellSystem, accuracy: float) -> tuple[CellFunctions, Tensor]:
        """Solve in cells for the present parameters, and make a step of the search for them.

        The solution and its derivatives by the parameters are stored in the network. The search
        waits, without a step, while Newton's method for a nonlinear equation has not converged.

        Args:
            system: the least-squares problem for the present parameters.
            accuracy: the relative error at which conjugate gradients stop, as for
                `CellSystem.solve`.

        Returns:
            The solution after the step of the parameters, to first order; and each cell's share of
            the least-squares functional before the step, (N,).

        Raises:
            InputError: if data are of a field that is determined only up to a constant.
        """
        sides = with_derivatives(system, len(self.parameters.values))
        every = system.solve(sides, accuracy=accuracy)
        found, shares = every.first, every.shares[:, 0]
        directions = every.coefficients[..., 1:].transpose(2, 3).flatten(2)
        self._show(system, found.coefficients, directions)
        refuse_free_data(system, self.surrogate, self.data.terms)
        model, values = self.data.model(self.surrogate), self.parameters.values
        fit = CellFit(values, model, self.data.rows, found.coefficients, directions)
        self.moved, near = False, 1e-2
        norms, change = system.norms, found.minus(system.about)
        change = norms.without_means(change, system.free_fields)
        if not self.settled and norms.total(change) > near * norms.total(found):
            if not system.is_linear(found):
                return found, shares  # Newton's method has not converged yet
        fields = self._stepped(fit)
        self._show(system, fields, (self.search.now or fit).directions)
        return replace(found, coefficients=fields), shares

    def _stepped(self, fit: CellFit) -> Tensor:
        """Make a step from a new fit or, if it is refused, a shorter step from the accepted fit.

        `settled` and `moved` are updated. If the search has settled at parameters that do not fit
        the data, another search begins from random parameters, if any are left.

        Args:
            fit: the fit for the present parameters.

        Returns:
            The coefficients of the fields after the step, to first order, (N, L, m); zeros if
            another search begins.
        """
        patience, search = 6, self.search
        noise = max(len(fit.parameters) * fit.excess(0.2), 1e-20 * self.data.spread)
        damping = search.damping
        search.judge(fit, noise)
        now = search.now
        assert now is not None
        ends = now is fit and search.expected and fit.possible <= noise
        self.settled = ends or search.idle >= patience
        if self.settled:  # a longer step might leave the minimum
            search.damping = max(search.damping, damping)
        if self.settled and self.may_restart and not self.data.fits(now.loss):
            search.keep_best(now)
            self.settled, self.moved = False, True
            self.may_restart = search.begin_elsewhere()
            self._assign(search.values)
            return torch.zeros_like(fit.fields)
        self.moved = not self.settled
        step = search.step()
        self._assign(now.parameters + step)
        return now.moved(step)

    @property
    def words(self) -> str:
        """What the search is doing, in words for the progress line."""
        search = self.search
        return (
            f"start {search.tried} of {search.starts} others" if search.tried else "numbers change"
        )

    def verdict(self, status: str) -> str:
        """The status of a solve that has ended, in view of the parameters as well.

        Args:
            status: the status that the fields alone would give.

        Returns:
            `NO_FIT` if the parameters do not fit the data. Otherwise `status`, followed by a remark
            if the network of an unknown coefficient is visibly too coarse.
        """
        if not self.data.fits(self.data.model(self.surrogate).loss()):
            return NO_FIT
        by_cells = 0.5  # the least part of the misfit that remains with better cells
        left = self.network.coefficient is not None and self.left > by_cells**2
        if left and self.data.misfit_is_smooth(self.surrogate):
            return (
                f"{status}{';' if ':' in status else ':'} intervals leave out the error of the "
                "coefficient's network, which is visible: the data's misfit varies smoothly from "
                "point to point; a finer network helps"
            )
        return status

    def measure_errors(self, better: CellSystem, coefficients: Tensor) -> None:
        """Estimate the errors of the parameters due to the cells, and store them in the network.

        The errors are the difference of two undamped steps of the parameters from the same values:
        the step with the better solution, minus the step with the present solution. `left` becomes
        the predicted loss after the first of these steps, divided by the present loss.

        Args:
            better: the least-squares problem of the better solution.
            coefficients: the coefficients of the better solution, (N, L, m).
        """
        surrogate, own = copy.deepcopy(self.surrogate), self.data.model(self.surrogate)
        geometry = better.geometry
        surrogate.network = self.network.with_fields(
            better.polynomials, geometry.tree, geometry.frames, coefficients
        )
        finer = self.data.model(surrogate)
        step = finer.damped().step(0.0)
        change = step - own.damped().step(0.0)
        self.left = finer.loss(step) / max(own.loss(), torch.finfo().tiny)
        assert self.network.sensitivities is not None
        self.network.sensitivities.errors.copy_(change)

    @torch.no_grad()
    def _assign(self, values: Tensor) -> None:
        """Assign values to the parameters, and forget the integrals of the source, which change."""
        self.parameters.assign(values)
        self.problem.source_moments.known.clear()

    @torch.no_grad()
    def _show(self, system: CellSystem, fields: Tensor, directions: Tensor) -> None:
        """Store in the network a solution and its derivatives by the parameters.

        Args:
            system: the least-squares problem, which gives the cells.
            fields: the coefficients of the solution, (N, L, m).
            directions: the coefficients of the derivatives, (N, L, K m).
        """
        self.network.assign(system.about.of(fields))
        self.network.follow_numbers(directions)
