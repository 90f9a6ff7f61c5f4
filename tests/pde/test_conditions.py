"""Conditions: what each of them demands, and that problems with it are solved."""

import math

import pytest
import reference
import torch
from torch.func import jacrev

import kanpinn as kp
from kanpinn.geometry.points import Batch
from kanpinn.loss.residuals import Residuals
from kanpinn.pde.verify import exact_defects
from kanpinn.solvers.discretization import SolveSettings, discretize

SQUARE = kp.Box(x=(-1, 1), y=(-1, 1))
FILM = kp.Box(x=(0, 2), t=(0, 1))


class Smooth(kp.Problem):
    """-Δu = f with u = sin(2x + 1) exp(y/2) and the conditions that it is given."""

    domain = SQUARE

    def __init__(self, *conditions: kp.Condition) -> None:
        self._conditions = list(conditions)

    def residual(self, p, u):
        return kp.laplacian(u) - self.source(p)

    def conditions(self):
        return self._conditions

    def exact(self, p):
        return torch.sin(2 * p.x + 1) * torch.exp(p.y / 2)


def gradient(p):
    u, v = torch.sin(2 * p.x + 1), torch.cos(2 * p.x + 1)
    return torch.cat([2 * v, u / 2], dim=1) * torch.exp(p.y / 2)


def flux(p):
    return (p.normals * gradient(p)).sum(dim=1, keepdim=True)


def robin(p):
    return (2 + p.y) * Smooth().exact(p) + p.x * flux(p)


SIDES = SQUARE.boundary["x_min", "x_max"]
ENDS = SQUARE.boundary["y_min", "y_max"]
KNOWN = torch.tensor([[0.1, 0.2], [-0.5, 0.7], [0.9, -0.3]], dtype=torch.float64)


def exactly(coords):
    return Smooth().exact(kp.Points(coords, SQUARE.names))


SETS = {
    "neumann": [kp.Dirichlet(SIDES, Smooth().exact), kp.Neumann(ENDS, flux)],
    "robin": [
        kp.Dirichlet(ENDS, Smooth().exact),
        kp.Robin(SIDES, alpha=lambda p: 2 + p.y, beta=lambda p: p.x, value=robin),
    ],
    "integral": [
        kp.Neumann(SQUARE.boundary, flux),
        kp.Integral(SQUARE, 2 * math.sin(1) * math.sin(2) * 2 * math.sinh(0.5)),
    ],
    "integral over a boundary": [
        kp.Neumann(SQUARE.boundary, flux),
        kp.Integral(SQUARE.boundary["y_max"], math.sin(1) * math.sin(2) * math.exp(0.5)),
    ],
    "observed": [
        kp.Neumann(SQUARE.boundary, flux),
        kp.Observed(SQUARE, KNOWN, exactly(KNOWN), noise=0.1),
    ],
    "constraint": [
        kp.Dirichlet(ENDS, Smooth().exact),
        kp.Constraint(SIDES, lambda p, u: kp.grad(u) - gradient(p)),
    ],
}


def solved(problem, width=30, boundary="penalty", points=(1000, 160)):
    network = kp.KAN([problem.domain.dim, width, len(problem.fields)], degree=9, grid=[2, 6])
    points = kp.Collocation(*points)
    return kp.solve(problem, network, points=points, boundary=boundary, verified=False)


@pytest.mark.parametrize("conditions", SETS.values(), ids=SETS)
def test_a_smooth_solution_is_found_from_its_conditions(conditions):
    problem = Smooth(*conditions)
    assert all(defect.is_rounding for defect in exact_defects(problem))
    errors = solved(problem).errors
    assert errors.l2_relative < 1e-7 and errors.h1_relative < 1e-6


@pytest.mark.parametrize("conditions", SETS.values(), ids=SETS)
def test_rows_of_conditions_agree_with_torch_func(conditions):
    problem = Smooth(*conditions)
    network = kp.KAN([2, 3, 1], degree=5, grid=2, seed=1)
    discretization = discretize(
        problem, network, SolveSettings(points=kp.Collocation(9, 12), boundary="penalty")
    )
    discretization.prepare()
    residuals = Residuals(discretization.surrogate, discretization.terms())
    rows = list(residuals.rows(network.layers))
    jacobian, found = (torch.cat(parts) for parts in zip(*rows, strict=True))
    expected = dense_by_torch_func(residuals)
    assert reference.distance(found, expected[1]) < 1e-12
    assert reference.distance(jacobian, expected[0]) < 1e-12
    assert float(found @ found) == pytest.approx(residuals.loss(), rel=1e-12)


def dense_by_torch_func(residuals):
    network, domain = residuals.surrogate.network, residuals.surrogate.domain
    plain, (low, high) = reference.plain(network), domain.bounds

    # A derived source takes derivatives of its own: a batch has it before torch.func begins.
    batches = [Batch.made_of(term.points) for term in residuals.terms]
    for term, batch in zip(residuals.terms, batches, strict=True):
        term.residual(residuals.surrogate, batch)

    def rows(coefficients):
        parts = []
        for term, batch in zip(residuals.terms, batches, strict=True):
            u = reference.jet_of_point(
                lambda x: plain(coefficients, 2 * (x - low) / (high - low) - 1),
                term.points.coords,
                domain.names,
            )
            scale = math.sqrt(term.weight / term.rows)
            parts += (scale * term.equation(batch, u)).unbind(1)
        return torch.cat(parts)

    coefficients = reference.coefficients_of(network)
    residual = rows(coefficients)
    return torch.cat([p.flatten(1) for p in jacrev(rows)(coefficients)], dim=1), residual


class Ring(kp.Problem):
    """u_xx - u = f, periodic in x, with a period that the domain has once."""

    domain = kp.Box(x=(-0.5, 1.5))

    def residual(self, p, u):
        return kp.laplacian(u) - u.value - self.source(p)

    def conditions(self):
        return [kp.Periodic(self.domain, "x")]

    def exact(self, p):
        return torch.exp(torch.sin(math.pi * p.x))


class Wave(kp.Problem):
    """u_tt = u_xx from u = sin πx, u_t = π sin πx, periodic in x."""

    domain = FILM

    def residual(self, p, u):
        return kp.partial(u, "t", "t") - kp.partial(u, "x", "x")

    def conditions(self):
        return [
            kp.Periodic(self.domain, "x"),
            kp.Initial(
                self.domain,
                lambda p: torch.sin(math.pi * p.x),
                rate=lambda p: math.pi * torch.sin(math.pi * p.x),
            ),
        ]

    def exact(self, p):
        t = math.pi * p.t
        return torch.sin(math.pi * p.x) * (torch.cos(t) + torch.sin(t))


@pytest.mark.parametrize("problem", [Ring(), Wave()], ids=["ring", "wave"])
def test_periodic_and_initial_conditions(problem):
    assert all(defect.is_rounding for defect in exact_defects(problem))
    assert solved(problem, width=44).errors.h1_relative < 1e-6


class Heat(kp.Problem):
    """u_t = u_xx; the initial value is built into the surrogate."""

    domain = FILM

    def residual(self, p, u):
        return kp.partial(u, "t") - kp.partial(u, "x", "x")

    def conditions(self):
        ends = self.domain.boundary["x_min", "x_max"]
        return [kp.Initial(self.domain, lambda p: torch.sin(math.pi * p.x)), kp.Dirichlet(ends)]

    def exact(self, p):
        return torch.sin(math.pi * p.x) * torch.exp(-(math.pi**2) * p.t)


def test_an_initial_value_is_exact():
    solution = solved(Heat(), width=44, boundary="exact")
    start = FILM.boundary["t_min"].quadrature(9)[0]
    assert (solution(start) - Heat().exact(start)).abs().max() < 1e-14
    assert solution.errors.l2_relative < 1e-7
    assert [term.name for term in solution.residuals.terms] == ["interior"]


class Stokes(kp.Problem):
    """-Δ(u, v) + ∇q = f, div (u, v) = 0; the mean of q is fixed."""

    domain = kp.Box(x=(0, 1), y=(0, 1))
    fields = ("u", "v", "q")

    def residual(self, p, u, v, q):
        f = self.source(p)
        return (
            kp.partial(q, "x") - kp.laplacian(u) - f[:, [0]],
            kp.partial(q, "y") - kp.laplacian(v) - f[:, [1]],
            kp.div(u, v) - 0 * f[:, [2]],
        )

    def conditions(self):
        return [
            kp.Dirichlet(self.domain.boundary, lambda p: self.exact(p)[0], field="u"),
            kp.Dirichlet(self.domain.boundary, lambda p: self.exact(p)[1], field="v"),
            kp.Integral(self.domain, field="q"),
        ]

    def exact(self, p):
        x, y = math.pi * p.x, math.pi * p.y
        return torch.sin(x) * torch.cos(y), -torch.cos(x) * torch.sin(y), torch.cos(2 * x)


@pytest.mark.parametrize("boundary", ["exact", "penalty"])
def test_a_system_with_conditions_for_each_field(boundary):
    assert all(defect.is_rounding for defect in exact_defects(Stokes()))
    errors = solved(Stokes(), 24, boundary, (625, 100)).errors
    assert set(errors.fields) == {"u", "v", "q"}
    assert max(e.l2_relative for e in errors.fields.values()) < 3e-5


DOMAINS = {
    "disk with hole": kp.Disk((0, 0), 1.0) - kp.Disk((0.3, 0.1), 0.3, name="hole"),
    "L-shape": kp.LShape(),
    "bitten square": SQUARE - kp.Disk((1, 0), 0.5),
    "pentagon": kp.Polygon([(0, 0), (2, 0), (2.5, 1), (1, 2), (-0.5, 1)]),
}


@pytest.mark.parametrize("domain", DOMAINS.values(), ids=DOMAINS)
def test_a_smooth_solution_is_found_on_any_planar_domain(domain):
    problem = Smooth(kp.Dirichlet(domain.boundary, Smooth().exact))
    problem.domain = domain
    assert solved(problem).errors.h1_relative < 1e-8


class Scattered(kp.Problem):
    """Δw + k²w = 0 for a complex w = u + iv that radiates, ∂w/∂n - ikw = g: w a plane wave."""

    domain = kp.Disk((0, 0), 1)
    fields = ("u", "v")
    wave = (1.2, 1.6)  # its length is k = 2

    def residual(self, p, u, v):
        return kp.laplacian(u) + 4 * u.value, kp.laplacian(v) + 4 * v.value

    def conditions(self):
        return [kp.Constraint(self.domain.boundary, self.radiation)]

    def radiation(self, p, u, v):
        along = (p.normals * p.normals.new_tensor(self.wave)).sum(dim=1, keepdim=True)
        cos, sin = self.exact(p)
        return (
            kp.normal_derivative(u, p) + 2 * v.value - (2 - along) * sin,
            kp.normal_derivative(v, p) - 2 * u.value + (2 - along) * cos,
        )

    def exact(self, p):
        phase = self.wave[0] * p.x + self.wave[1] * p.y
        return torch.cos(phase), torch.sin(phase)


def test_a_complex_field_is_two_real_ones():
    assert all(defect.is_rounding for defect in exact_defects(Scattered()))
    errors = solved(Scattered(), 24, "auto", (625, 100)).errors
    assert max(e.h1_relative for e in errors.fields.values()) < 1e-5
