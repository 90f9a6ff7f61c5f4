"""The `Eigensolution` of a saved state."""

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor

from kanpinn.loss.residuals import Residuals
from kanpinn.pde.eigen_problem import EigenProblem
from kanpinn.solvers.discretization import Discretization
from kanpinn.solvers.eigen.bounds import residual_norms
from kanpinn.solvers.eigen.eigensolution import Eigensolution
from kanpinn.solvers.eigen.finding import fresh_points
from kanpinn.solvers.eigen.finish import failed, terms_of
from kanpinn.solvers.eigen.modes import as_modes, widened
from kanpinn.solvers.eigen.samples import samples
from kanpinn.solvers.history import History


def restored(
    discretization: Discretization[EigenProblem], state: Mapping[str, Any]
) -> Eigensolution:
    """Return the modes of a saved state; each eigenvalue minimises ‖L u - λ M u‖ of its mode.

    There are no bounds and no errors, and the status is a failure for an unknown reason.

    Args:
        discretization: of the eigenvalue problem, with the network before the solve.
        state: a `SolverState.state_dict()`.
    """
    without, rows = failed(discretization, "not known", time.perf_counter()), list(state["history"])
    if not rows:
        return without
    problem, count = discretization.problem, int(rows[-1]["modes"])
    m = len(problem.fields)
    network = discretization.surrogate.network
    last = state["network"][f"layers.{len(network.layers) - 1}.coefficients"]
    size = sum(layer.coefficients.numel() for layer in network.output_layers)
    columns = last.new_zeros(size, last.shape[-1] // m)
    surrogate = widened(discretization.surrogate, columns.to(discretization.surrogate.low), m)
    surrogate.network.load_state_dict(state["network"])
    seen = samples(problem, surrogate, fresh_points(discretization))
    values = _quotients(seen.operator, seen.mass, count)
    residuals = Residuals(surrogate, terms_of(discretization, surrogate, values))
    return replace(
        without,
        surrogate=surrogate,
        residuals=residuals,
        values=values,
        residual_norms=residual_norms(values, seen),
        history=History(rows),
        seconds=sum(state["seconds"]),
        loss_terms=residuals.term_values(),
        optimizer_seconds=list(state["seconds"]),
    )


def _quotients(left: Tensor, right: Tensor, count: int) -> Tensor:
    """Return ∫ Mu*·Lu / ∫ |Mu|² of each mode, (count,); complex if there are 2 count columns."""
    like = left.new_zeros(count)
    like = like if left.shape[1] == count else like.to(like.dtype.to_complex())
    left, right = as_modes(left, like), as_modes(right, like)
    return (right.conj() * left).sum(dim=0) / right.abs().square().sum(dim=0)
