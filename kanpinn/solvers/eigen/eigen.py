"""The solve of an eigenvalue problem, from problem, network and points to modes."""

import math
import time
from collections.abc import Mapping
from dataclasses import replace

import torch

from kanpinn._support.distributed import world
from kanpinn._support.errors import InputError, instance, integer, number
from kanpinn._support.threads import on_threads
from kanpinn.cells import Cells, Dissection
from kanpinn.cells.cells import require_cells
from kanpinn.geometry.sampling import Collocation
from kanpinn.networks.network import Network
from kanpinn.optimizers import Method, load_libraries
from kanpinn.pde.boundary_value_problem import stated
from kanpinn.pde.eigen_problem import EigenProblem
from kanpinn.solvers.discretization import Discretization, StrongDiscretization
from kanpinn.solvers.discretize import build_surrogate, checked_weights
from kanpinn.solvers.eigen.checks import check_linear
from kanpinn.solvers.eigen.eigensolution import Eigensolution
from kanpinn.solvers.eigen.finding import find_modes, modes_in_cells, search_in_cells
from kanpinn.solvers.eigen.finish import failed, finish
from kanpinn.solvers.eigen.pencil import rule
from kanpinn.solvers.own_methods import check_unweighted
from kanpinn.solvers.settings import SolveSettings


def eigen(
    problem: EigenProblem,
    network: Network,
    count: int = 6,
    points: Collocation | None = None,
    *,
    optimizers: Method | None = None,
    near: float | int | None = None,
    boundary: str = "auto",
    weights: Mapping[str, float | int] | None = None,
    seed: int = 0,
) -> Eigensolution:
    """Compute the smallest few eigenvalues of L u = λ M u and their modes.

    The operator is inverted, in the least-squares sense, on the span of the output layer's
    features. The eigenvalues λ nearest to a shift σ belong to the largest eigenvalues μ of this
    compact inverse: λ = σ + 1/μ. There is no iteration: for each shift that is tried, one singular
    value decomposition and one dense eigenvalue problem, O(P³) in the P coefficients of the output
    layer. A mode is spurious, and left out, if its residual is large at points that the solve has
    not used.

    For a network in cells the same inverse acts on a Krylov space, and the cells are halved until
    the estimated relative errors of the eigenvalues are below the tolerance of `optimizers`.

    Args:
        problem: the operator L, the mass M, the domain and homogeneous conditions.
        network: its output layer's features span the space of trial functions. Its grids are
            placed; the solution holds a copy with one output for each field of each mode.
        count: the number of eigenvalues, multiple ones counted as often as they occur.
        points: the collocation points; None for `default_eigen_points` of the network.
        optimizers: for a network in cells, with the tolerance and the largest number of cells; by
            default `Dissection()`. None for other networks.
        near: compute the eigenvalues nearest to this number; None for the smallest ones.
        boundary: how boundary conditions are met, as for `solve`.
        weights: of the loss terms, by name; the operator's is in units of the operator's size.
        seed: of random points.

    Returns:
        The modes with residuals, bounds and a status; without modes if the solve has failed.

    Raises:
        InputError: if problem, network, points or weights do not fit together, if operator, mass
            or conditions are not linear and homogeneous, or if the output layer has fewer than
            `count` coefficients.

    Example:
        >>> import kanpinn as kp
        >>> class String(kp.EigenProblem):
        ...     domain = kp.Box(x=(0, 1))
        ...     def operator(self, p, u):
        ...         return -kp.laplacian(u)
        ...     def conditions(self):
        ...         return [kp.Dirichlet(self.domain.boundary)]
        >>> modes = kp.eigen(String(), kp.KAN([1, 1], degree=9, grid=8), count=3)
        >>> f"{float(modes.values[0]):.6f}"
        '9.869604'
    """
    load_libraries()
    started = time.perf_counter()
    instance("network", network, Network)
    points = default_eigen_points(network) if points is None else points
    instance("points", points, Collocation)
    settings = SolveSettings(points=points, boundary=boundary, weights=weights)
    discretization = discretize_eigen(problem, network, settings, integer("seed", seed, least=0))
    prepare(discretization, count, near)
    dissection = _dissection(network, optimizers)
    try:
        if dissection is None:
            found = find_modes(discretization, count, near)
        else:
            with on_threads(network.threads):
                spectrum = search_in_cells(discretization, count, near, dissection)
                discretization = _with_points_for_cells(discretization)
                found = modes_in_cells(discretization, spectrum, count, near)
    except torch.linalg.LinAlgError as error:  # type: ignore[attr-defined]
        return failed(discretization, str(error).splitlines()[0], started)
    return finish(discretization, found, count, near, started)


def _dissection(network: Network, given: Method | None) -> Dissection | None:
    """Return the settings of a solve in cells; None for other networks.

    Raises:
        InputError: for settings that are not for the network.
    """
    if isinstance(network, Cells):
        found = Dissection() if given is None else given
        if not isinstance(found, Dissection):
            raise InputError(
                f"optimizers must be a Dissection for a network in cells, got {found!r}"
            )
        found.check(network)
        return found
    if given is not None:
        raise InputError(
            f"optimizers must be None for a {type(network).__name__}, whose eigenvalues are found "
            f"by linear algebra without settings, got {given!r}"
        )
    return None


def _with_points_for_cells(
    discretization: Discretization[EigenProblem], each: int = 30
) -> Discretization[EigenProblem]:
    """Return the discretization with at least `each` points for each cell, for inner products."""
    chosen, network = discretization.collocation, require_cells(discretization.surrogate.network)
    interior = max(chosen.interior, each * network.count)
    return replace(discretization, collocation=replace(chosen, interior=interior))


def discretize_eigen(
    problem: EigenProblem,
    network: Network,
    settings: SolveSettings,
    seed: int,
) -> Discretization[EigenProblem]:
    """Check the arguments of `eigen` against each other and build the discretization.

    Raises:
        InputError: if problem, network and settings do not fit together.
    """
    problem = stated(problem, EigenProblem)
    network.constants = None
    surrogate, met = build_surrogate(problem, network, settings.boundary)
    weights = checked_weights(settings.weights)
    if network.unweighted:
        check_unweighted(network.unweighted, weights, None)
    return StrongDiscretization(problem, surrogate, settings.points, weights, seed, met)


def prepare(
    discretization: Discretization[EigenProblem], count: int, near: float | int | None
) -> Discretization[EigenProblem]:
    """Check the input of an eigenvalue solve, place the grids, and return the discretization.

    Raises:
        InputError: as for `eigen`.
    """
    problem, network = discretization.problem, discretization.surrogate.network
    count = integer("count", count)
    if near is not None:
        number("near", near, -math.inf)
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


def default_eigen_points(network: Network) -> Collocation:
    """Return collocation points for a network: inputs · coefficients of the output layer.

    There are at least 1681 in the interior; they are Gauss points for up to three inputs, Sobol
    points for more.
    """
    inputs = network.width[0]
    interior = max(1681, inputs * network.layers[-1].coefficients.numel())
    if inputs > 3:
        return Collocation(interior, math.ceil(interior / 4), "sobol")
    return Collocation(interior, max(164, math.ceil(4 * interior**0.5)), "gauss")
