"""The choices of network, points and optimizers that trials try, in families from small networks to
large networks. They depend on traits of the problem, not on its name or exact solution.
"""

import inspect
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.geometry import Domain, Planar
from kanpinn.geometry.sampling import Collocation, sample
from kanpinn.jets import Channels, Linearised, coefficients_along, find_channels, zero_jet
from kanpinn.networks import KAN, Beside, Network
from kanpinn.networks.combined import SEEDS
from kanpinn.optimizers import LeastSquares, Method, VariableProjection
from kanpinn.pde.boundary_value_problem import stated
from kanpinn.pde.problem import Problem
from kanpinn.pde.weak_form import WeakForm
from kanpinn.solvers.discretization import Loss, SolveSettings, input_counts
from kanpinn.spaces import Cells, CellWindows, Windows
from kanpinn.spaces.cells.geometry.plane import Outline
from kanpinn.spaces.cells.geometry.regions import regions_of
from kanpinn.tasks import AdaptiveLeastSquares, March, Ritz, Shooting
from kanpinn.tasks.adapt import waves_along

SIZES = Loss(balance="sizes")
FEW_POINTS = Collocation(1681, 164, "gauss")  # for methods that choose their own points


@torch.no_grad()
def mean_phase(problem: Problem) -> tuple[float, bool]:
    """Return the mean phase of waves over a problem's domain, and whether the problem is linear.

    For the operator c₂ u_xx + c₀ u with c₀/c₂ > 0 and a domain of the width L, waves have the phase
    √(c₀/c₂) L over the domain. The equations are linearised about zero fields. At each point the
    largest phase over all equations, fields and coordinates counts, and the result is the mean over
    points.

    Args:
        problem: the problem.

    Returns:
        The mean phase, and whether the equation is linear. The phase is 0 if the highest order of
        derivatives is not 2, if the coefficients of the second derivatives are 0, or if a phase is
        not finite.
    """
    few = 64
    p, fields = sample(problem.domain, few, "sobol"), len(problem.fields)

    def residual(channels: Channels) -> Tensor:
        """The residual of the equation for zero fields with the given derivatives."""
        return problem.equation(p, zero_jet(channels, p.coords, fields))

    channels, _ = find_channels(residual, p.names)
    found = Linearised.at_zero(problem.equation, p, channels, fields)
    linear, parts = found.is_affine(), found.slopes
    if channels.derivative_order != 2:
        return 0.0, linear
    axes = range(channels.dim)
    second = max(float(coefficients_along(parts, channels, a, 2).abs().max()) for a in axes)
    waves = torch.stack([waves_along(parts, channels, axis) for axis in axes]).amax(dim=0)
    low, high = problem.domain.bounds
    if not (0 < second < math.inf and float(waves.max()) < math.inf):
        return 0.0, linear
    return float(waves.mean() * (high - low).max()), linear


class Traits:
    """The traits of a problem on which the choice of network, points and optimizers depends.

    Args:
        problem: the problem; its name and exact solution are not used.

    Attributes:
        dim: the number of coordinates.
        inputs: the number of the network's inputs, which are the coordinates or the functions
            `problem.inputs()`. Periodic coordinates are not mapped to circles, since with the
            additional inputs random inner functions are less accurate by many digits.
        fields: the number of fields.
        widths: the widths of the domain's bounding box, (dim,).
        boxed: whether the domain is a box and the network's inputs are its coordinates.
        energetic: whether the class gives an energy, and no coefficient is unknown.
        observed: whether some conditions are measurements of the solution.
        unknown: for each field, whether it is an unknown coefficient.
        numbers: whether there are unknown scalar parameters.
        sampler: the sampler of collocation points: "gauss", but "sobol" above three dimensions or
            if Gauss points are very uneven, as on domains with holes. On random elliptic problems
            with holes, Sobol points gave a tenth of the errors of Gauss points.
        marches: whether the problem can be marched in time, that is solved in one span of time
            after another. It must be an evolution in no or one space dimension, or an evolution
            without unknowns in a box of two or three space dimensions, whose conditions hold at the
            initial time or at all times.
        marches_in_cells: whether the problem can be marched in time with cells in space. It must be
            an evolution in a domain of the plane, without unknowns and kinks, with conditions as
            for `marches`.
        takes_cells: whether networks in cells can solve the problem: in a box of up to three
            coordinates, a domain in the plane or a solid, without unknowns.
        linear: whether the equation is linear, for problems that take cells; otherwise true.
        mixed: whether several fields in a box in space, with an equation whose quadratic energy is
            known, have values on some sides and fluxes on others. At edges between such sides
            solutions like r^0.7 are usual, so that continuous functions that minimise the energy
            are tried before least squares in cells. A single field is like r or smoother there:
            least squares found it as well, in a fifth of the time.
        early_cells: whether cells are tried before random inner functions. This is so for problems
            that cannot be marched, and for those with kinks at interfaces, or with singular
            solutions at corners or edges that point inwards. On 17 problems in the plane cells were
            always faster. In space networks without cells gave an answer later, and often without
            an estimate of its error.
        waves: the mean phase of waves over the domain, for problems that take cells; otherwise 0.
    """

    def __init__(self, problem: Problem) -> None:
        domain, conditions, known = problem.domain, problem.conditions(), problem.inputs()
        unknowns, names = problem.unknowns, problem.fields
        self.dim, self.fields = domain.dim, len(names)
        self.inputs = input_counts(problem, known)[0]
        self.boxed = domain.is_box and known is None
        self.widths = domain.bounds[1] - domain.bounds[0]
        self.energetic = type(problem).energy is not Problem.energy and not unknowns
        self.observed = any(c.measurements for c in conditions)
        self.unknown = tuple(name in unknowns for name in names)
        self.numbers = bool(unknowns) and bool(problem.numbers)
        uneven = 1 < self.dim <= 3 and _uneven(domain)
        self.sampler = "sobol" if uneven or self.dim > 3 else "gauss"
        kinks = [piece for condition in conditions for piece in condition.kinks]
        evolves = known is None and _is_evolution(problem)
        most = 4 if domain.is_box and not unknowns else 2
        self.marches = evolves and self.dim <= most and not any(self.unknown)
        self.marches_in_cells = evolves and self.dim == 3 and not (kinks or unknowns)
        cut = isinstance(domain, Planar) or (self.dim == 3 and domain.time_name is None)
        self.takes_cells = self.boxed or (cut and known is None and self.dim <= 3)
        self.takes_cells &= self.dim <= 3 and not unknowns
        if kinks:  # pieces of the interfaces divide the domain into regions with cells
            self.takes_cells = not (unknowns or any(c.periodic_in for c in conditions))
            try:
                regions_of(domain, kinks) if self.takes_cells else None
            except InputError:
                if known is None:
                    raise
                self.takes_cells = False
        self.waves, self.linear = mean_phase(problem) if self.takes_cells else (0.0, True)
        self.mixed = self.boxed and self.dim == 3 and self.fields > 1
        self.mixed = self.mixed and not self.energetic and _is_mixed(problem)
        self.early_cells = self.dim == 1 or not self.marches or bool(kinks) or is_reentrant(domain)


def _is_mixed(problem: Problem) -> bool:
    """Return whether a problem in a box has a `WeakForm`, and values on some sides only."""
    try:
        prescribed = WeakForm.of(stated(problem, Problem)).prescribed
    except InputError:
        return False
    counts = [sum(one.field == name for one in prescribed) for name in problem.fields]
    return any(0 < count < 2 * problem.domain.dim for count in counts)


def _is_evolution(problem: Problem) -> bool:
    """Return whether a problem is an evolution in time, which `March` can solve.

    It is an evolution if each condition holds at the initial time or at all times, if at least one
    condition holds at the initial time, and if the problem adds no functions to the network.
    """
    domain = problem.domain
    if problem.enrichment() or domain.time_name != domain.names[-1]:
        return False
    low, high = domain.time_span
    conditions = [c for c in problem.conditions() if not c.measurements]
    others = [c for c in conditions if not c.is_initial]
    few = Collocation(256, 256, "grid")
    moments = [c.points(few, 1.0, torch.Generator()).coords[:, -1] for c in others]
    at_all_times = all(float(t.max() - t.min()) > (high - low) / 2 for t in moments)
    return at_all_times and len(others) < len(conditions)


def is_reentrant(domain: Domain) -> bool:
    """Return whether a planar domain has a corner, or a solid an edge, that points inwards.

    The result is False for other domains, and for solids whose edges are not known.

    Args:
        domain: the domain.
    """
    if not isinstance(domain, Planar):
        return domain.dim == 3 and len(domain.edges.reentrant.segments) > 0
    outline = Outline(domain)
    return any(angle > math.pi + outline.sharp for _, angle in outline.interior_angles)


def _uneven(domain: Domain) -> bool:
    """Return whether gaps between Gauss points are 1.4 times as wide as between Sobol points.

    The width of gaps is the 99 % quantile of the distance from a random place in the domain to the
    nearest of about 1000 points, in coordinates in which the bounding box is a cube. The ratio of
    the widths is 1.1 on boxes and disks, 1.3 on an L-shape, 1.5 to 2.5 with holes.
    """
    low, high = domain.bounds

    def scaled(number: int, sampler: str) -> Tensor:
        """Points in the domain, in coordinates in which the bounding box is a cube."""
        return (sample(domain, number, sampler).coords - low) / (high - low)

    places, gaps = scaled(600, "uniform"), []
    for sampler in ("gauss", "sobol"):
        points = scaled(1000, sampler)
        width = torch.cdist(places, points).amin(dim=1).quantile(0.99)
        gaps.append(float(width) * len(points) ** (1 / domain.dim))
    return gaps[0] > 1.4 * gaps[1]


@dataclass(frozen=True)
class Choice:
    """The settings of one trial: the network, the collocation points, the optimizers and the loss.

    Args:
        kind: the network's class.
        arguments: the arguments of this class, as in a problem file. For `Beside` there is a list
            "of" with a table for each network, which has its "type" and its arguments.
        points: the collocation points.
        optimizers: the optimizers, run in order.
        work: the number of operations up to a factor that depends on `kind` only. The times of
            trials are forecast from it.
        loss: the weights, the form and the balance of the loss.
    """

    kind: type[Network]
    arguments: Mapping[str, Any]
    points: Collocation
    optimizers: tuple[Method, ...]
    work: float
    loss: Loss = SIZES

    def network(self, seed: int, dtype: torch.dtype, device: torch.device | str) -> Network:
        """Return a new network with the class and the arguments of this choice.

        Args:
            seed: the seed of the network's random functions.
            dtype, device: the dtype and the device of the network.
        """
        network: Network
        if issubclass(self.kind, Beside):
            tables = [_without_type(table) for table in self.arguments["of"]]
            network = Beside(
                [KAN(**table, seed=seed + SEEDS * i) for i, table in enumerate(tables)]
            )
        else:
            random = "seed" in inspect.signature(self.kind).parameters
            network = self.kind(**self.arguments, **{"seed": seed} if random else {})
        return network.to(device=device, dtype=dtype)

    def settings(self, boundary: str) -> SolveSettings:
        """Return the settings of a solve with this choice; `boundary` is as for `solve`."""
        return SolveSettings(points=self.points, boundary=boundary, loss=self.loss)

    def within(self, part: float, known: "Choice") -> "Choice | None":
        """Return a choice between an earlier choice and this choice; None if it is not worthwhile.

        A KAN with one hidden layer gets fewer units, but at least 1.1 times those of the earlier
        choice. A march gets a larger tolerance, which is at most a quarter of the earlier one.

        Args:
            part: the ratio of the work of the new choice to the work of this choice, from 0 to 1.
            known: the earlier choice of the same family.
        """
        if known.units:
            fewer = part ** (1 / 3)
            return self.smaller(fewer) if fewer * self.units >= 1.1 * known.units else None
        method, before = self.optimizers[-1], known.optimizers[-1]
        if not (isinstance(method, March) and isinstance(before, March)):
            return None
        steps = math.log(part * self.work / known.work) / math.log(self.work / known.work)
        aim = before.tolerance * (method.tolerance / before.tolerance) ** steps
        if aim > before.tolerance / 4:
            return None
        return replace(self, optimizers=(replace(method, tolerance=aim),), work=part * self.work)

    def smaller(self, part: float) -> "Choice":
        """Return this choice with fewer hidden units and fewer points.

        Args:
            part: the ratio of the new to the old number of units, and of points, from 0 to 1.
        """
        assert self.kind is KAN
        inputs, units, outputs = self.arguments["width"]
        arguments = {**self.arguments, "width": [inputs, math.floor(part * units), outputs]}
        return replace(self._with_points(part, part), arguments=arguments, work=self.work * part**3)

    def with_more_points(self, factor: float, only_boundary: bool = False) -> "Choice":
        """Return this choice with more points.

        Args:
            factor: the ratio of the new to the old number of points.
            only_boundary: whether the number of interior points stays the same.
        """
        denser = self._with_points(1.0 if only_boundary else factor, factor)
        counts = [choice.points.interior + choice.points.boundary for choice in (denser, self)]
        return replace(denser, work=self.work * counts[0] / counts[1])

    def _with_points(self, inside: float, around: float) -> "Choice":
        """Return this choice with other numbers of points.

        Args:
            inside, around: the ratios of the new to the old number of interior and of boundary
                points.
        """
        interior = math.ceil(inside * self.points.interior)
        boundary = math.ceil(around * self.points.boundary)
        return replace(self, points=replace(self.points, interior=interior, boundary=boundary))

    def with_other_points(self) -> "Choice | None":
        """Return this choice with twice as many points, by another sampler.

        The result is None for energies, which need the points of a quadrature rule, and for marches
        and cells, which place their points themselves.
        """
        if self.kind is not KAN or self.loss.form == "energy":
            return None
        sampler = "sobol" if self.points.sampler == "gauss" else "gauss"
        if self.arguments["width"][0] > 3:
            sampler = "halton"  # products of Gauss rules would be too large
        more = self.with_more_points(2.0)
        return replace(more, points=replace(more.points, sampler=sampler))

    @property
    def aim(self) -> float:
        """The relative error at which a solve by least squares in cells ends; 0 for others."""
        methods = (one for one in self.optimizers if isinstance(one, AdaptiveLeastSquares))
        return max((one.tolerance for one in methods), default=0.0)

    @property
    def units(self) -> int:
        """The number of hidden units; 0 if the network is not a KAN with one hidden layer."""
        width: list[int] = self.arguments["width"] if self.kind is KAN else []
        return width[1] if len(width) == 3 else 0

    def __str__(self) -> str:
        tables = self.arguments["of"] if self.kind is Beside else [self.arguments]
        name = "KAN" if self.kind is Beside else self.kind.__name__
        network = " beside ".join(
            f"{name} with {', '.join(f'{k} {v}' for k, v in _without_type(table).items())}"
            for table in tables
        )
        stages = ", ".join(
            f"{one.title.lower()} to {one.tolerance:.1e}"
            if isinstance(one, March)
            else one.title.lower()
            for one in self.optimizers
        )
        kind = "" if self.points.sampler == "gauss" else f" {self.points.sampler}"
        return f"{network}, {self.points.interior} + {self.points.boundary}{kind} points, {stages}"


def _without_type(table: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of a table of settings, except "type"."""
    return {name: value for name, value in table.items() if name != "type"}


@dataclass(frozen=True)
class Family:
    """A list of choices of one kind, such as networks with random inner functions.

    Args:
        name: the name of the family, for the log.
        choices: the choices, from small to large networks.
        patience: the number of successive trials that lower the residual little after which
            another family is tried.
        rate: the usual power of the seconds with which errors fall, for the forecast after the
            first trial.
        alone: whether no further family is tried after a trial of this family that has not failed,
            or that only the budget has ended.
    """

    name: str
    choices: tuple[Choice, ...]
    patience: float = 2.0
    rate: float = 2.0
    alone: bool = False


def first_choice(problem: Problem, boundary: str = "auto") -> Choice:
    """Return the choice of the first trial for a problem; `boundary` is as for `solve`."""
    choices = (one for family in families(Traits(problem)) for one in family.choices)
    return next(one for one in choices if boundary != "exact" or not one.kind.unweighted)


def families(traits: Traits, tolerance: float = 1e-9) -> Iterator[Family]:
    """Yield the families that suit a problem, the cheapest first.

    The solution of a problem with an energy is the minimum of the energy. This minimum may be too
    rough for the strong form, and then the residual does not measure the error. So the energy is
    minimised first. Solutions of the strong form, which are far more accurate if the strong form
    converges, are compared with the minimum.

    Args:
        traits: the traits of the problem.
        tolerance: the relative L2 error at which the search for a solution ends.
    """
    if traits.observed:
        if traits.marches and traits.numbers:
            yield Family("marches fitted to data", _windows(traits, Shooting))
        yield Family("random inner functions, by equation and data", tuple(_informed(traits)))
        return
    if traits.marches:
        # Least squares over all times have minima far from the solution of a nonlinear system. In
        # space, networks for all times had errors of 1e-3 where marches had 1e-6.
        rate, alone = 10.0 if traits.dim < 3 else 8.0, traits.dim in (1, 4)
        yield Family("windows in time", _windows(traits, March), rate=rate, alone=alone)
    if traits.dim > 3:
        yield from _in_many_dimensions(traits)
        return
    by_energy = Family("continuous functions in cells, by the energy", (_ritz(traits, tolerance),))
    if traits.energetic and traits.boxed and traits.dim == 3:
        yield by_energy
    if traits.energetic:
        yield Family("random inner functions, by the energy", tuple(_energies(traits)))
    if traits.marches_in_cells:
        # On three evolutions in the plane no other network was as accurate after four minutes, and
        # in a plate with 17 holes one was wrong by 0.85 (estimated 0.08). The tolerance of the last
        # march is half the tolerance of the search, but at least 1e-14.
        aims = [aim for aim in (1e-2, 1e-4, 1e-6) if aim > tolerance]
        marches = tuple(
            _placing(CellWindows, traits, March(aim), aim ** (-3 / 9), degree=8, cells=2)
            for aim in (*aims, max(1e-14, 0.5 * tolerance))
        )
        yield Family("windows in time, cells in space", marches, rate=3.0, alone=True)
    if traits.dim == 1 and traits.boxed:
        yield Family("splines", _splines(traits, [16 * 2**i for i in range(11)]))
    cells = []
    if traits.takes_cells:
        # The error is like N^(-(degree + 1) / d) for N cells, and the time like N^1.5.
        found = tuple(_cells(traits, tolerance))
        rate = (found[-1].arguments["degree"] + 1) / (1.5 * traits.dim)
        alone = traits.dim == 3 and traits.early_cells  # all other networks were less accurate
        cells.append(Family("cells", found, rate=rate, alone=alone))
    early = traits.early_cells
    if traits.mixed:
        cells.insert(0, by_energy)
    yield from cells if early else []
    # Degree 11 on few intervals: on four smooth problems in two dimensions this was ten times more
    # accurate than fewer units of degree 9 on ten intervals with the same number of coefficients.
    smooth = [(units, 11, 4) for units in _growing(traits, first=24)]
    yield Family("random inner functions", _random(traits, smooth), 1.0 if cells else 2.0)
    yield from [] if early else cells
    sizes = ((32, 16), (48, 24), (64, 32), (96, 40), (128, 56), (192, 72), (256, 96))
    fine = [(units, [9, 7], grid) for units, grid in sizes]
    yield Family("random inner functions, finer grids", _random(traits, fine))
    if traits.dim > 1 and traits.boxed:
        yield Family("sums of functions of one coordinate", _splines(traits, [8, 32]))


def _cells(traits: Traits, wanted: float) -> Iterator[Choice]:
    """Yield networks in cells, to be solved to smaller and smaller tolerances.

    In space there is a single solve. It begins with a low degree, so that there is an early answer,
    and raises the degree if the solution is smooth. In fewer dimensions each solve starts with the
    cells and the function of the solve before. For nonlinear equations in the plane, the first
    solve has polynomials of a low degree. For the flow in a cavity this first solve took a fifth of
    the time of the second solve, and did not shorten the second solve. The last tolerance is half
    of the wanted tolerance, since errors were up to 1.1 times their estimates. There is no other
    tolerance between 1e-7 and the last tolerance: its solve would not be corrected for rounding,
    which the error estimate does not see.

    Args:
        traits: the traits of the problem.
        wanted: the relative L2 error at which the search for a solution ends.
    """
    if traits.dim == 3:
        method = AdaptiveLeastSquares(0.5 * wanted, highest=14)
        yield _placing(Cells, traits, method, 1.0, degree=4, cells=4)
        return
    degree, count = {1: 14, 2: 12}[traits.dim], 4
    if traits.dim == 2 and traits.waves > degree:
        # Measured: waves are resolved if the degree is at least their phase over a cell plus 10.
        most = 14
        largest = 64  # cells along each coordinate, above which a first solve takes too long
        count = min(largest, max(count, 2 ** math.ceil(math.log2(traits.waves / most))))
        degree = min(Cells.highest, max(degree, math.ceil(traits.waves / count) + 10))
    aims = [(degree, aim) for aim in (1e-4, 1e-7) if aim > wanted]
    rough, low = 1e-2, 6
    if rough > wanted and traits.dim == 2 and not traits.linear and count == 4:
        aims.insert(0, (low, rough))
    for k, aim in (*aims, (degree, 0.5 * wanted)):
        size = math.comb(k + traits.dim, traits.dim)  # polynomials in a cell
        work = size**1.5 * aim ** (-1.5 * traits.dim / (k + 1))
        yield _placing(Cells, traits, AdaptiveLeastSquares(aim), work, degree=k, cells=count)


def _ritz(traits: Traits, wanted: float) -> Choice:
    """Return the choice that minimises a quadratic energy in cells, see `Ritz`.

    There is one cell along the shortest side, and cells are about as wide as long.

    Args:
        traits: the traits of the problem.
        wanted: the relative L2 error at which the search for a solution ends.
    """
    most, degree = 8, 8
    widths = traits.widths / traits.widths.min()
    cells = [min(most, max(1, round(float(width)))) for width in widths]
    choice = _placing(Cells, traits, Ritz(wanted), 1.0, degree=degree, cells=cells)
    return replace(choice, loss=Loss(form="energy")) if traits.energetic else choice


def _windows(traits: Traits, kind: Callable[[float], Method]) -> tuple[Choice, ...]:
    """Return choices of networks in time windows, to be solved to smaller and smaller tolerances.

    A window is a span of time that is solved at once. In the plane the first tolerance is 1e-2. If
    initial and boundary values contradict each other, a march to 1e-4 takes minutes, and a march to
    1e-2 takes seconds. In space marches begin with few intervals and refine them. There 1e-6 is the
    second tolerance: on ten problems a march to 1e-6 took at most twice as long as a march to 1e-2.
    For systems in time alone there are only three tolerances: a march to 1e-12 took 1.2 times as
    long as a march to 1e-4, in the median of twelve systems.

    Args:
        traits: the traits of the problem.
        kind: returns the optimizer for a tolerance, such as `March`.
    """
    usual, few = (1e-4, 1e-6, 1e-8, 1e-10, 1e-12), (1e-6, 1e-10, 1e-13)
    degree, rate, grid, aims = {
        1: (9, 0.1, 10, few),
        2: (9, 1, 10, usual),
        3: (7, 2, 10, (1e-2, *usual)),
        4: (7, 1, 4, (1e-2, *usual[1:])),
    }[traits.dim]
    return tuple(
        _placing(
            Windows, traits, kind(aim), aim ** (-rate / (degree + 1)), degree=degree, grid=grid
        )
        for aim in aims
    )


def _placing(
    kind: type[Network], traits: Traits, method: Method, work: float, **arguments: Any
) -> Choice:
    """Return a choice whose method places its own points and sets its own loss weights.

    Args:
        kind: the network's class.
        traits: the traits of the problem.
        method: the optimizer.
        work: the number of operations up to a factor, see `Choice`.
        arguments: the arguments of the network's class other than the width.
    """
    arguments = {"width": [traits.dim, traits.fields], **arguments}
    return Choice(kind, arguments, FEW_POINTS, (method,), work, Loss())


def _growing(traits: Traits, first: int) -> Iterator[int]:
    """Yield growing numbers of hidden units up to 2000.

    Args:
        traits: the traits of the problem.
        first: the first number for a problem with a single field. For m fields the first number is
            `first` / √m.
    """
    units = math.ceil(first / traits.fields**0.5)
    while units <= 2000:
        yield units
        units = math.ceil(1.6 * units)


def _kan(
    traits: Traits,
    hidden: list[int],
    degree: int | list[int],
    grid: int | list[int],
    splines: int,
    points: Collocation,
    method: Method | None = None,
    work: float | None = None,
    loss: Loss = SIZES,
) -> Choice:
    """Return a choice with a KAN that has the inputs and outputs of a problem.

    Args:
        traits: the traits of the problem.
        hidden, degree, grid: the arguments of `KAN`.
        splines: the number of output coefficients per field.
        points: the collocation points.
        method: the optimizer; by default least squares with at most 8 Newton steps, since a
            solution that takes more steps is not resolved.
        work: the number of operations up to a factor; by default for least squares with a dense
            Jacobian.
        loss: the weights, the form and the balance of the loss.
    """
    arguments = {"width": [traits.inputs, *hidden, traits.fields], "degree": degree, "grid": grid}
    if work is None:
        work = float(traits.fields * points.interior * (splines * traits.fields) ** 2)
    return Choice(KAN, arguments, points, (method or LeastSquares(steps=8),), work, loss)


def _random(
    traits: Traits, sizes: Iterable[tuple[int, int | list[int], int]]
) -> tuple[Choice, ...]:
    """Return choices of KANs with one hidden layer of random functions.

    Args:
        traits: the traits of the problem.
        sizes: for each network the number of hidden units, the degree of all functions or of the
            functions of both layers, and the number of grid intervals of the output layer.
    """
    choices = []
    for units, degree, grid in sizes:
        splines = units * (grid + (degree if isinstance(degree, int) else degree[1]))
        points = _points(traits, max(1024 + splines // 2, math.ceil(1.5 * splines)))
        choices.append(_kan(traits, [units], degree, [4, grid], splines, points))
    return tuple(choices)


def _points(traits: Traits, count: int, sampler: str = "", around: int = 0) -> Collocation:
    """Return collocation points for a given number of interior points.

    The density of the boundary points is 1.5 times that of the interior points: with too few points
    an oscillation between boundary points is not penalised.

    Args:
        traits: the traits of the problem.
        count: the number of interior points.
        sampler: the sampler; by default `traits.sampler`.
        around: the number of interior points from which the density of the boundary points is
            computed; by default `count`.
    """
    d = traits.dim
    boundary = math.ceil(1.5 * 2 * d * (around or count) ** ((d - 1) / d))
    return Collocation(count, boundary, sampler or traits.sampler)


def _splines(traits: Traits, grids: Sequence[int]) -> tuple[Choice, ...]:
    """Return choices of KANs without a hidden layer, with finer and finer grids.

    In one dimension these networks are splines. In more dimensions they are sums of splines, each a
    function of one coordinate.

    Args:
        traits: the traits of the problem.
        grids: the number of grid intervals of each network.
    """
    choices = []
    for grid in grids:
        unknowns = traits.inputs * traits.fields * (9 + grid)
        points = _points(traits, 256 + math.ceil(1.5 * (9 + grid)))
        # The Jacobian is sparse, but its triangular factor is not. Measured for n unknowns: n³ for
        # the dense factor, n² for the rows, and a constant that equals n³ for n = 1000.
        work = 1e9 + 2e3 * unknowns**2 + unknowns**3
        choices.append(_kan(traits, [], 9, grid, unknowns, points, work=work))
    return tuple(choices)


def _energies(traits: Traits) -> Iterator[Choice]:
    """Yield choices that minimise an energy, with more and more units and many quadrature points.

    With fewer than 7 points per coefficient in one dimension, and 50 points in more dimensions, the
    discrete energy has no lower bound.
    """
    for units in _growing(traits, first=16):
        splines = units * (7 + 8)
        count = (7 if traits.dim == 1 else 50) * splines
        points, energy = _points(traits, count, "gauss", around=splines), Loss(form="energy")
        yield _kan(traits, [units], 7, [4, 8], splines, points, LeastSquares(), loss=energy)


def _informed(traits: Traits) -> Iterator[Choice]:
    """Yield choices of small, growing networks for an equation with data.

    The loss weights are 1, for which the confidence intervals are right. Unknown coefficient fields
    have coarser networks of their own, which are sums of functions of one coordinate in the first
    two choices, and have a hidden layer in the next choices. In one dimension the networks of the
    other fields have no hidden layer, and finer and finer grids.
    """
    degree, grid, units, line = 7, 3, 10, traits.inputs == 1
    for size in range(6):
        splines = degree + units if line else units * (degree + grid)
        points = _points(traits, max(400 // (2 if line else 1), math.ceil(1.5 * splines)))
        shape, intervals = ([], units) if line else ([units], [grid, grid])
        known = _kan(traits, shape, degree, intervals, splines, points, LeastSquares(30, starts=2))
        coarse: dict[str, Any] = {"width": [traits.inputs, 1], "degree": 5, "grid": 2 + 2 * size}
        if size >= 2:
            coarse |= {"width": [traits.inputs, 2 + size, 1], "grid": [2, 2]}
        tables: list[dict[str, Any]] = []
        for unknown, group in groupby(traits.unknown):
            table = coarse if unknown else known.arguments
            width = [*table["width"][:-1], len(list(group))]
            tables.append({"type": "kan", **table, "width": width})
        choice = replace(known, loss=Loss())
        yield replace(choice, kind=Beside, arguments={"of": tables}) if len(tables) > 1 else choice
        units = math.ceil((2 if line else 1.6) * units)


def _in_many_dimensions(traits: Traits) -> Iterator[Family]:
    """Yield the families for more than three coordinates, for which product grids are too large.

    These are sums of functions of one coordinate, networks with random linear inner functions, and
    networks whose inner functions are found by variable projection, in this order.

    Args:
        traits: the traits of the problem.
    """
    n, m = traits.inputs, traits.fields

    def least_squares(
        hidden: list[int], degree: int | list[int], grid: int, splines: int
    ) -> Choice:
        """Return the choice of a KAN that is solved by `LeastSquares` at scattered points."""
        points = _scattered(max(1024, math.ceil(1.5 * splines)))
        return _kan(traits, hidden, degree, grid, splines, points, LeastSquares())

    sums = (least_squares([], k, grid, n * (k + grid)) for k, grid in ((4, 1), (9, 2), (11, 8)))
    yield Family("sums of functions of one coordinate", tuple(sums))
    # Linear inner functions suit products of coordinates, which are sums of powers of linear
    # functions. The time of a solve grows with the cube of the output coefficients.
    most, pairs = 4000, n * (n + 1) // 2
    sizes = [(math.ceil(factor * pairs), k) for factor, k in ((1.2, 3), (1.2, 5), (2.4, 7))]
    directions = [(units, k, units * (k + 1)) for units, k in sizes if units * (k + 1) <= most]
    if directions:
        linear = (least_squares([units], [1, k], 1, splines) for units, k, splines in directions)
        yield Family("random directions", tuple(linear))
    projected = []
    for units, degree, grid, rounds, starts in (
        (2, [9, 2], [1, 1], 10, 20),
        (3, [5, 7], [1, 2], 6, 20),
        (12, [2, 9], [1, 4], 3, 10),
    ):
        unknowns = KAN([n, units, m], degree, grid).parameter_count
        points = _scattered(max(1000, 8 * unknowns))
        method = VariableProjection(rounds=rounds, starts=starts, coarse=grid[1])
        work = 100.0 * m * points.interior * unknowns**2
        projected.append(_kan(traits, [units], degree, grid, 0, points, method, work))
    yield Family("inner functions by variable projection", tuple(projected))


def _scattered(count: int) -> Collocation:
    """Return Sobol points: `count` in the interior, and half as many on the boundary."""
    return Collocation(count, math.ceil(count / 2), "sobol")
