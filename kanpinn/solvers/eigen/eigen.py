"""The solve of an eigenvalue problem: problem, network and points become modes."""

import math
import time
from collections.abc import Mapping

import torch

from kanpinn._support.distributed import world
from kanpinn._support.errors import InputError, integer
from kanpinn.geometry.sampling import Collocation
from kanpinn.networks.network import Network
from kanpinn.optimizers import load_libraries
from kanpinn.pde.eigen_problem import EigenProblem
from kanpinn.solvers.discretize import Discretization, discretize
from kanpinn.solvers.eigen.checks import check_linear
from kanpinn.solvers.eigen.eigensolution import Eigensolution
from kanpinn.solvers.eigen.finding import find_modes
from kanpinn.solvers.eigen.finish import failed, finish
from kanpinn.solvers.eigen.pencil import rule


def eigen(
    problem: EigenProblem,
    network: Network,
    count: int = 6,
    points: Collocation | None = None,
    *,
    near: float | int | None = None,
    boundary: str = "auto",
    weights: Mapping[str, float | int] | None = None,
    seed: int = 0,
) -> Eigensolution:
    """The smallest few eigenvalues of an operator, L u = λ M u, and their modes.

    The operator is inverted, in the sense of least squares, on the output layer's features; the
    largest eigenvalues of that compact inverse are the reciprocals of those wanted. There is no
    iteration: one singular value decomposition and one dense eigenvalue problem, O(P³) in the P
    coefficients of the output layer. Spurious modes are told by their residual at points that the
    solve has not seen, and are left out.

    Args:
        problem: operator, mass, domain and homogeneous conditions.
        network: whose output layer the modes are looked for in; its grids are placed, and the
            solution's own network has an output for each mode.
        count: how many, each as often as it is multiple.
        points: collocation points; by default as many for each coefficient as there are dimensions.
        near: those nearest to this number, in place of the smallest.
        boundary: as for `solve`; weights: of the loss terms, the operator's in units of its size.
        seed: of points that are random.

    Raises:
        InputError: where problem, network, points or weights do not fit together, operator or
            conditions are not linear and homogeneous, or the features are fewer than `count`.
    """
    load_libraries()
    started = time.perf_counter()
    points = default_points(network) if points is None else points
    discretization = discretize(
        problem, network, points, boundary, weights, integer("seed", seed, least=0)
    )
    prepare(discretization, count, near)
    try:
        found = find_modes(discretization, count, near)
    except torch.linalg.LinAlgError as error:  # type: ignore[attr-defined]
        return failed(discretization, str(error).splitlines()[0], started)
    return finish(discretization, found, count, near, started)


def prepare(discretization: Discretization, count: int, near: float | int | None) -> Discretization:
    """Check that so many modes can be looked for, and place the network's grids; see `eigen`."""
    problem, network = discretization.problem, discretization.surrogate.network
    count = integer("count", count)
    if near is not None and not math.isfinite(near):
        raise InputError(f"near must be a finite number, got {near!r}")
    if not isinstance(problem, EigenProblem):
        raise InputError(f"problem must be an instance of a kanpinn EigenProblem, got {problem!r}")
    if world() > 1:
        raise InputError("an eigenvalue problem is solved by one process, not by a group")
    if len(network.parts) > 1:
        raise InputError("network must be a single one for an eigenvalue problem, not side by side")
    check_linear(problem)
    columns = sum(layer.coefficients.numel() for layer in network.output_layers)
    if count > columns:
        raise InputError(
            f"count must be at most {columns}, the coefficients of the output layer, got {count}"
        )
    discretization.surrogate.prepare(rule(discretization))
    return discretization


def default_points(network: Network) -> Collocation:
    """As many for each coefficient of the output layer as there are inputs, at least 1681."""
    inputs = network.width[0]
    interior = max(1681, inputs * network.layers[-1].coefficients.numel())
    if inputs > 3:
        return Collocation(interior, math.ceil(interior / 4), "sobol")
    return Collocation(interior, max(164, math.ceil(4 * interior**0.5)), "gauss")
