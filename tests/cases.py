"""Small problems that many tests solve, the errors of solutions, and interrupted runs."""

import functools
import math

import torch

import kanpinn as kp
from kanpinn.loss.residuals import Residuals
from kanpinn.loss.terms import ResidualTerm, condition_terms, residual_term
from kanpinn.networks import Surrogate
from kanpinn.pde.boundary_value_problem import stated
from kanpinn.pde.equations import NormalDerivative
from kanpinn.pde.expressions import Expression
from kanpinn.solvers.discretization import SolveSettings, discretize
from kanpinn.solvers.state import SolverState
from kanpinn.spaces.cells.problem import CellProblem, problem_in_cells

# The head of a problem file; a test adds points and optimizers.
POISSON_FILE = """
[problem]
equation = "poisson"
domain = { type = "box", x = [0, 1], y = [0, 1] }
exact = "exp(x) * y"

[network]
type = "kan"
width = [2, 4, 1]
degree = 5
grid = 3
"""


class Stated(kp.Problem):
    """A residual on a domain and conditions; further attributes by their names."""

    def __init__(self, domain, residual, conditions=(), fields=("u",), **attributes):
        self.domain, self.operator, self.given = domain, residual, conditions
        self.fields = fields
        vars(self).update(attributes)

    def residual(self, p, *fields):
        return self.operator(p, *fields)

    def conditions(self):
        return [*self.given]


class Manufactured(Stated):
    """An operator, and a solution from which the source and the data of conditions are derived.

    exact: a formula for each field, or a function of points.
    walls: "neumann", "robin" (2u + ∂u/∂n), "none" or several of them for pieces of the boundary,
        or one for all; pieces without an entry have a Dirichlet condition.
    given: the fields of Dirichlet and initial conditions, by default all.
    rate: whether the initial rate is given, too.
    source: whether there is a source; without one the solution is that of operator(u) = 0.
    also: further conditions.
    observed: random places where the first field is known, and the deviation of their noise.
    """

    def __init__(
        self,
        domain,
        operator,
        exact,
        walls=None,
        *,
        given=(),
        periodic=(),
        rate=False,
        source=True,
        also=(),
        observed=(0, None),
        **attributes,
    ):
        super().__init__(domain, operator, **attributes)
        walls = walls or {}
        self.walls = dict.fromkeys(domain.boundary.names, walls) if type(walls) is str else walls
        self.given, self.periodic, self.rate, self.driven = given, periodic, rate, source
        self.known = exact if callable(exact) else formulas(exact)
        self.also, self.observed = also, observed

    def exact(self, p):
        return self.known(p)

    def residual(self, p, *fields):
        found = super().residual(p, *fields)
        if not self.driven:
            return found
        if not isinstance(found, tuple):
            return found - self.source(p)
        return torch.cat(found, dim=1) - self.source(p)

    def conditions(self):
        boundary, found = self.domain.boundary, [*self.also]
        if "t" in self.domain.names:
            rate = NormalDerivative(self.known, beta=-1.0) if self.rate else None
            found += self.values(lambda **of: kp.Initial(self.domain, rate=rate, **of))
        found += [kp.Periodic(self.domain, x) for x in self.periodic]
        ends = ("t", *self.periodic)
        times = {"initial", "final", *(f"{x}_{end}" for x in ends for end in ("min", "max"))}
        of_kind: dict[str, list[str]] = {}
        for name in dict.fromkeys(boundary.names):
            if name not in times:
                for kind in self.walls.get(name, "dirichlet").split():
                    of_kind.setdefault(kind, []).append(name)
        for kind, names in of_kind.items():
            wall = boundary[tuple(names)]
            match kind:
                case "dirichlet":
                    found += self.values(functools.partial(kp.Dirichlet, wall))
                case "neumann":
                    found.append(kp.Neumann(wall, NormalDerivative(self.known)))
                case "robin":
                    data = NormalDerivative(self.known, 2.0)
                    found.append(kp.Robin(wall, 2.0, 1.0, data))
        return [*found, *self.data()]

    def values(self, condition):
        """A condition on all fields, or on each that is given."""
        if not self.given:
            return [condition(value=self.known)]
        columns = [(name, self.fields.index(name)) for name in self.given]
        return [
            condition(value=lambda p, i=i: self.known(p)[:, [i]], field=name) for name, i in columns
        ]

    def data(self):
        count, noise = self.observed
        if not count:
            return []
        generator = torch.Generator().manual_seed(0)
        at = self.domain.place(
            count, lambda n, d: torch.rand(n, d, generator=generator, dtype=torch.float64)
        )
        errors = (noise or 0) * torch.randn(count, 1, generator=generator, dtype=torch.float64)
        at, first = at[:count], self.fields[0]
        values = self.known(at)[:, :1] + errors
        return [kp.Observed(self.domain, at.coords, values, noise, field=first)]


def travelling(viscosity=0.02, unit=1.0):
    """u_t + u u_x = ν u_xx, whose exact solution is a front tanh that travels at speed 1."""
    d = kp.partial

    def residual(p, u):
        return unit * (d(u, "t") + u.value * d(u, "x") - viscosity * d(u, "x", "x"))

    front = f"1 - tanh((x - t) / {2 * viscosity})"
    return Manufactured(kp.Box(x=(-1, 1), t=(0, 0.2)), residual, front, source=False)


def formulas(texts):
    """A function of points with a column for each formula."""
    parts = [Expression(text) for text in ([texts] if isinstance(texts, str) else texts)]
    return lambda p: torch.cat([part(p) for part in parts], dim=1)


class ZeroOnWalls(kp.Problem):
    """A problem whose solution is zero on the boundary."""

    def conditions(self):
        return [kp.Dirichlet(self.domain.boundary, 0.0)]


class OnWalls(kp.Problem):
    """A problem whose exact solution is given on the whole boundary."""

    def conditions(self):
        return [kp.Dirichlet(self.domain.boundary, self.exact)]


class Line(OnWalls):
    """u'' = f on [-1, 2], u = sin 2x + x."""

    domain = kp.Box(x=(-1, 2))

    def residual(self, p, u):
        return kp.laplacian(u) - self.source(p)

    def exact(self, p):
        return torch.sin(2 * p.x) + p.x


class Cubic(Line):
    """-u'' + u³ = f on [-1, 2], nonlinear."""

    def residual(self, p, u):
        return u.value**3 - kp.laplacian(u) - self.source(p)


class InteriorLine(OnWalls):
    """-Δu = f on [-1, 1]²; u = cos(π y/2) + d^α for d = x - β (y + 1) > 0, and without d^α else.

    Reference: Mitchell, A collection of 2D elliptic problems for testing adaptive grid refinement
    algorithms (2013).
    """

    domain = kp.Box(x=(-1, 1), y=(-1, 1))

    def __init__(self, power, slope):
        self.power, self.slope = power, slope

    def distance(self, p):
        return (p.x - self.slope * (p.y + 1)).clamp_min(0)

    def exact(self, p):
        return torch.cos(math.pi * p.y / 2) + self.distance(p) ** self.power

    def residual(self, p, u):
        d, power = self.distance(p), self.power
        curved = torch.where(d > 0, power * (power - 1) * d.clamp_min(1e-300) ** (power - 2), 0)
        smooth = (math.pi / 2) ** 2 * torch.cos(math.pi * p.y / 2)
        return -kp.laplacian(u) - smooth + (1 + self.slope**2) * curved


class Square(kp.Problem):
    """Δu + u_x u = f on a rectangle, f given, u = 1 + x - 2y on the boundary."""

    domain = kp.Box(x=(0, 2), y=(-1, 0.5))

    def residual(self, p, u):
        return kp.laplacian(u) + kp.partial(u, "x") * u.value - self.source(p)

    def source(self, p):
        return torch.exp(p.x) * p.y

    def conditions(self):
        return [kp.Dirichlet(self.domain.boundary, lambda p: 1 + p.x - 2 * p.y)]


class Coupled(kp.Problem):
    """Two nonlinear equations of two fields."""

    domain = kp.Box(x=(0, 2), y=(-1, 0.5))
    fields = ("u", "v")

    def residual(self, p, u, v):
        first = kp.laplacian(u) + u.value * kp.partial(v, "y") - p.x
        return first, kp.partial(u * v, "x", "y") - v.value**2

    def conditions(self):
        return [kp.Dirichlet(self.domain.boundary, 0.0)]


class Waves(kp.Problem):
    """Δu = f with u = sin(πx) sin(πy²), two functions of x ± y². Nobody is told the solution."""

    domain = kp.Box(x=(-1, 1), y=(-1, 1))

    def residual(self, p, u):
        return kp.laplacian(u) - self.source(p)

    def source(self, p):
        wave, phase = torch.sin(math.pi * p.x), math.pi * p.y**2
        curvature = -(math.pi**2) * (1 + 4 * p.y**2) * torch.sin(phase)
        return wave * (curvature + 2 * math.pi * torch.cos(phase))

    def conditions(self):
        return [kp.Dirichlet(self.domain.boundary, 0.0)]


class Known(Waves):
    """The same, its solution at hand to measure errors."""

    def exact(self, p):
        return torch.sin(math.pi * p.x) * torch.sin(math.pi * p.y**2)


def terms_at(problem, surrogate, interior, boundary, weights) -> list[ResidualTerm]:
    """The loss term of the equation, then those of the conditions, at given points."""
    equation, weight = problem.equation, weights["interior"]
    first = residual_term("interior", equation, interior, surrogate, "residual", weight=weight)
    return [first, *condition_terms(stated(problem), surrogate, boundary, weights["boundary"])]


def residuals_of(problem, network, nodes=12, boundary=1.0) -> Residuals:
    """Residuals at points of rules, with the weights 1 inside and `boundary` on the boundary."""
    surrogate, domain = Surrogate(network, problem.domain), problem.domain
    inside, around = domain.quadrature(nodes)[0], domain.boundary.quadrature(nodes)[0]
    surrogate.prepare(kp.Points(torch.cat([inside.coords, around.coords]), domain.names))
    weights = {"interior": 1.0, "boundary": boundary}
    return Residuals(surrogate, terms_at(problem, surrogate, inside, [around], weights))


def solved_in_cells(
    problem: kp.Problem,
    degree: int,
    cells: int | list[int],
    *,
    tolerance: float = 1e-30,
    steps: int = 1,
) -> kp.Solution:
    """The solution by a network in cells, of one step unless a tolerance and steps are given."""
    network = kp.Cells([problem.domain.dim, len(problem.fields)], degree, cells)
    method = kp.AdaptiveLeastSquares(tolerance, steps=steps)
    return kp.solve(problem, network, method, verified=False, errors=False)


def error_of(solution: kp.Solution) -> float:
    """The relative error of all fields of a solution together, at some 4000 Gauss points."""
    p = solution.problem.domain.gauss(4000)
    exact = solution.problem.exact(p)
    exact = torch.cat(exact, dim=1) if isinstance(exact, tuple) else exact
    return float((solution(p) - exact).norm() / exact.norm())


def cells_of(problem: kp.Problem, network: kp.Cells) -> CellProblem:
    """The equation and the conditions of a problem, as a network in cells takes them."""
    discretization = discretize(problem, network, SolveSettings(points=kp.Collocation(100, 40)))
    discretization.prepare()
    return problem_in_cells(discretization.residuals())


def check_estimate(solution: kp.Solution, tolerance: float, least: float = 0.2) -> None:
    """A solve has converged, with an estimate that is the error up to a factor."""
    estimated = solution.history.column("estimated_error")[-1]
    assert solution.status == "converged" and estimated <= tolerance
    assert least * estimated < error_of(solution) < 3 * estimated


class InterruptAt:
    """An observer that asks the run to stop after a step, as Ctrl-C does."""

    def __init__(self, step: int) -> None:
        self.step = step

    def __call__(self, run: SolverState) -> None:
        run.interrupted = run.interrupted or run.progress.step == self.step


# --- Coefficients that jump across interfaces inside a domain, with a smooth solution


class Layered(Manufactured):
    """∇·(a ∇u) = f with a = 1 in a domain, other values in parts of it, and a smooth solution.

    parts: for each part of the domain its interface and the value of a.
    """

    def __init__(self, domain, exact, *parts, **settings):
        self.parts = parts
        operator = lambda p, u: self.a(p) * kp.laplacian(u)  # noqa: E731
        interfaces = [kp.Interface(domain, one, self.a, flux=self.flux) for _, one, _ in parts]
        super().__init__(domain, operator, exact, also=interfaces, **settings)

    def a(self, p):
        found = torch.ones_like(p.x)
        for part, _, value in self.parts:
            inside = part.contains(p.coords)[:, None]
            found = torch.where(inside, p.x.new_tensor(value), found)
        return found

    def flux(self, p):
        """The jump of a times ∂u/∂n at points on both sides in turn."""
        a = self.a(p)
        jump = (a[1::2] - a[0::2]).repeat_interleave(2, dim=0)
        return jump * NormalDerivative(self.known)(p)


def part(domain, value, *names):
    """A part of a domain with its interface, pieces of its boundary or all, and the value of a."""
    return domain, domain.boundary[names] if names else domain.boundary, value
