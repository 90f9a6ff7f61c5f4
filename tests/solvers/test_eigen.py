"""Eigenvalue problems: eigenvalues against exact ones, modes, bounds, and what is refused."""

import cmath
import functools
import math

import pytest
import reference
import scipy.optimize
import scipy.special
import torch
from eigen_cases import (
    DIRICHLET,
    DISK,
    UNIT,
    Free,
    Interval,
    Membrane,
    Pair,
    Turning,
    Weighed,
    Wells,
    Wind,
    solved_in_cells,
)

import kanpinn as kp
from kanpinn.solvers.eigen.spectrum import order


def network(width=24, seed=0, inputs=2, grid=(4, 8), outputs=1):
    return kp.KAN([inputs, width, outputs], degree=9, grid=list(grid), seed=seed)


def line(width=8, seed=0):
    return network(width, seed, inputs=1, grid=(4, 16))


def with_exact(base, values, **changes):
    """A problem like another, with known eigenvalues."""
    exact = lambda self, count: sorted(values)[:count]  # noqa: E731
    return type("Changed", (base,), {"exact_eigenvalues": exact} | changes)


# Its modes are like r^(2/3) at the inward corner: smooth functions approach them slowly.
# Trefethen and Betcke, Computed eigenmodes of planar regions (2006).
LOWEST = [9.6397238440219, 15.1972519264, 2 * math.pi**2]
Corner = with_exact(Membrane, LOWEST, domain=kp.LShape())


@functools.cache
def corner():
    return kp.eigen(Corner(), network(16), count=2)


@pytest.fixture(scope="module")
def membrane():
    return kp.eigen(Membrane(), network(), count=6)


def test_the_square_has_its_eigenvalues_with_their_multiplicities(membrane):
    assert membrane.status == "converged" and membrane.self_adjoint
    assert membrane.network.width == (2, 24, 6)
    assert membrane.multiplicities == [1, 2, 2, 1, 2, 2]
    assert membrane.errors.max() < 1e-10


def test_bounds_and_estimates_hold(membrane):
    distances = (membrane.values - membrane.exact).abs()
    assert (distances <= membrane.bounds).all()
    assert (distances <= 20 * membrane.estimates).all()
    assert (membrane.estimates <= membrane.bounds).all() and membrane.bounds.max() < 1e-4


def test_bounds_hold_for_few_units_and_another_mass():
    for problem, few in ((Membrane(), network(8)), (Weighed(), line(2))):
        solution = kp.eigen(problem, few, count=3)
        distances = (solution.values - solution.exact).abs()
        assert (distances <= solution.bounds).all() and solution.bounds.min() > 0


def test_modes_are_orthonormal_and_vanish_on_the_boundary(membrane):
    p, weights = UNIT.quadrature(40)
    u = membrane(p)
    gram = u.T @ (weights[:, None] * u)
    assert (gram - torch.eye(6)).abs().max() < 1e-8
    assert membrane(UNIT.boundary.quadrature(20)[0]).abs().max() < 1e-12


def test_the_first_mode_is_known_with_its_gradient(membrane):
    p, _ = UNIT.quadrature(12)
    exact = 2 * torch.sin(torch.pi * p.x) * torch.sin(torch.pi * p.y)
    slope = 2 * torch.pi * torch.cos(torch.pi * p.x) * torch.sin(torch.pi * p.y)
    assert (membrane(p)[:, :1] - exact).abs().max() < 1e-8
    assert (membrane.gradient(p)[:, 0, :1] - slope).abs().max() < 1e-6
    assert membrane.residual(p)[:, 0].abs().max() < 1e-4


def test_constants_are_the_first_mode_of_a_free_membrane():
    solution = kp.eigen(Free(), network(24), count=4)
    assert solution.values[0].abs() < 1e-9 and solution.errors.max() < 1e-9
    assert solution.bounds is None and "penalty" in solution.unbounded
    value = solution(torch.tensor([[0.3, 0.2], [0.9, 0.6]]))[:, 0]
    assert (value - 1).abs().max() < 1e-7


def test_the_unit_of_length_does_not_matter():
    class Large(Membrane):
        domain = kp.Box(x=(0, 100), y=(0, 100))

        def exact_eigenvalues(self, count):
            return [value / 1e4 for value in DIRICHLET[:count]]

    for boundary in ("exact", "penalty"):
        assert kp.eigen(Large(), network(16), 2, boundary=boundary).errors.max() < 1e-4


def test_a_problem_that_is_not_self_adjoint_says_so():
    solution = kp.eigen(Wind(), network(20), count=3)
    assert not solution.self_adjoint and solution.errors.max() < 1e-6
    assert solution.bounds is None and "not found to be self-adjoint" in solution.unbounded
    assert not solution.values.is_complex()


def test_only_what_is_declared_is_said_not_to_be_self_adjoint():
    declared = type("Declared", (Wind,), {"self_adjoint": False})()
    solution = kp.eigen(declared, network(6), count=1)
    assert solution.unbounded == "the problem is not self-adjoint"
    assert "not found to be self-adjoint (asymmetry " in corner().unbounded
    assert "self_adjoint = True" in corner().unbounded


def test_values_that_are_hardly_known_are_not_called_converged():
    assert corner().status.startswith("stopped: eigenvalues 1, 2 are known to ")
    assert corner().errors.min() > 1e-3
    zero = kp.eigen(Free(), network(16), count=1)
    assert zero.status == "converged" and zero.values.abs() < 1e-6


def test_more_modes_leave_the_first_as_they_are():
    small = {"width": 8, "inputs": 1}
    few, many = (kp.eigen(Interval(), network(**small), count=count) for count in (6, 20))
    assert many.self_adjoint and many.errors.max() > 1e-8  # the last are less well resolved
    assert ((many.values[:6] - few.values) / few.values).abs().max() < 1e-12
    p, _ = few.problem.domain.quadrature(40)
    assert (many(p)[:, :6] - few(p)).abs().max() < 1e-8


def test_the_eigenvalues_nearest_to_a_number_that_is_out_of_reach():
    solution = kp.eigen(Interval(), line(16), count=2, near=1e9)
    assert solution.status.startswith("stopped: eigenvalue")
    solution = kp.eigen(Interval(), line(4), count=1, near=2e4)
    assert solution.status.startswith("stopped: eigenvalues nearer to 20000 are not resolved")


def test_complex_eigenvalues_come_in_pairs():
    solution = kp.eigen(Turning(), network(16), count=3)
    assert solution.values.is_complex() and solution.errors.max() < 1e-6
    assert (solution.values[1] - solution.values[2].conj()).abs() < 1e-8
    p, weights = DISK.quadrature(40)
    sizes = weights @ solution(p).abs().square()
    assert (sizes - 1).abs().max() < 1e-6
    assert solution.residual(p).abs().max() < 1e-3


Ring = with_exact(
    Interval,
    [0.0] + 2 * [float(n * n) for n in range(1, 9)],
    domain=kp.Box(x=(0, 2 * math.pi)),
    conditions=lambda self: [kp.Periodic(self.domain, "x")],
)


class Down(Interval):
    """Its spectrum is bounded from above, and counted from there."""

    def operator(self, p, u):
        return kp.laplacian(u)

    def exact_eigenvalues(self, count):
        return [-((math.pi * n) ** 2) for n in range(1, count + 1)]


class Bent(Interval):
    """Enrichment belongs to the features."""

    def enrichment(self):
        return [lambda p: torch.sin(torch.pi * p.x)]


@pytest.mark.parametrize(
    ("problem", "net", "count", "most"),
    [
        (Weighed, line(8, 1), 5, 1e-10),
        (Wells, line(16), 5, 1e-10),
        (Down, line(), 3, 1e-10),
        (Ring, network(16, inputs=1, grid=(4, 16)), 5, 1e-10),
        (Membrane, kp.MLP([2, 200, 1], scale=2.0, seed=0), 3, 1e-6),
    ],
)
def test_eigenvalues_have_their_digits(problem, net, count, most):
    solution = kp.eigen(problem(), net, count)
    assert solution.status == "converged" and solution.self_adjoint
    assert solution.errors.max() < most
    if problem is Ring:
        assert solution.multiplicities == [1, 2, 2, 2, 2]


def test_enrichment_belongs_to_the_features():
    solution = kp.eigen(Bent(), line(2), count=1, boundary="penalty")
    assert solution.errors.max() < 1e-8


class Legendre(Interval):
    """-((1 - x²) u')' = λu: bounded where the equation is singular, with no conditions."""

    domain = kp.Box(x=(-1, 1))

    def operator(self, p, u):
        return 2 * p.x * kp.grad(u) - (1 - p.x**2) * kp.laplacian(u)

    def conditions(self):
        return []

    def exact_eigenvalues(self, count):
        return [n * (n + 1) for n in range(count)]


def test_legendre_polynomials_need_no_conditions():
    for net, most in ((line(), 1e-10), (kp.KAN([1, 1], degree=7, grid=6), 1e-6)):
        solution = kp.eigen(Legendre(), net, count=4)
        assert (solution.values - solution.exact).abs().max() < most
    x = torch.linspace(-1, 1, 9, dtype=torch.float64)[:, None]
    third = (5 * x**3 - 3 * x) / 2 * math.sqrt(3.5)
    mode = solution(x)[:, 3:]
    assert min((mode - third).abs().max(), (mode + third).abs().max()) < 1e-4


def test_the_eigenvalues_nearest_to_a_number():
    solution = kp.eigen(Interval(), line(), count=2, near=150.0)
    assert sorted(round(math.sqrt(float(v)) / math.pi, 6) for v in solution.values) == [3, 4]
    assert solution.errors.max() < 1e-10
    exactly = kp.eigen(Interval(), line(), count=1, near=math.pi**2)
    assert exactly.errors.max() < 1e-10
    high = kp.eigen(Membrane(), network(), count=1, near=320.0)
    assert abs(high.values[0] - 32 * math.pi**2) < 1e-3 and high.errors.max() < 1e-5


def test_a_system_of_two_fields():
    solution = kp.eigen(Pair(), network(10, outputs=2), count=2)
    assert solution.errors.max() < 1e-5 and solution.self_adjoint
    values = solution(torch.tensor([[0.5, 0.5]]))
    assert values.shape == (1, 2, 2)
    assert (values[0, 0, 0] + values[0, 1, 0]).abs() < 1e-5  # they move against each other


def test_an_inward_corner_needs_its_singular_functions():
    """r^(2j/3 + 2k) sin(2jθ/3): what Bessel functions of broken order are made of."""

    class Enriched(Corner):
        def enrichment(self):
            corner = kp.Corner(self.domain, (0, 0), 4)

            def functions(p):
                own, r2 = corner(p), p.x**2 + p.y**2
                return torch.cat([own, own * r2, own * r2**2], dim=1)

            return [functions]

    solution = kp.eigen(Enriched(), network(12, grid=(2, 5)), count=2)
    assert reference.distance(solution.values, solution.exact) < 1e-4


def test_single_precision():
    net = kp.KAN([1, 8, 1], 5, [4, 8], seed=0).to(dtype=torch.float32)
    solution = kp.eigen(Interval(), net, count=2)
    assert solution.values.dtype == torch.float32 and solution.errors.max() < 1e-3


def test_more_than_are_resolved_are_not_given():
    solution = kp.eigen(Interval(), network(1, inputs=1, grid=(1, 2)), count=9)
    assert solution.status.startswith("stopped: only") and solution.count < 9
    assert solution.errors[0] < 0.1 and solution.unresolved > 0 and solution.self_adjoint


def test_an_operator_that_is_not_finite_fails_in_words():
    class Broken(Interval):
        def operator(self, p, u):
            return -kp.laplacian(u) * torch.where(p.x > 0.5, torch.nan, 1.0)

    class Infinite(Interval):
        def operator(self, p, u):
            return -kp.laplacian(u) / (p.x > 0.9).logical_not()

    for problem in (Broken(), Infinite()):
        try:
            solution = kp.eigen(problem, line(), count=2)
        except kp.InputError:
            continue  # a probe has met it already
        assert solution.status.startswith("failed: ") and solution.count == 0


def test_pairs_are_in_the_same_order_whatever_rounding_does():
    values = torch.tensor([2 + 1e-12 + 1j, 2 - 1j, 1 + 0j], dtype=torch.complex128)
    assert values[order(values, None)].imag.tolist() == [0, -1, 1]
    assert order(values, 5.0)[-1] == 2


CHANGES = [
    (
        {"conditions": lambda self: [kp.Dirichlet(UNIT.boundary, 1.0)]},
        r"conditions\(\)\[0\], a Dirichlet, must be homogeneous: for u = 0 it gives 1",
    ),
    ({"operator": lambda self, p, u: -kp.laplacian(u) - 1}, "operator must be homogeneous"),
    ({"operator": lambda self, p, u: u.value**3 - kp.laplacian(u)}, "operator must be linear"),
    ({"mass": lambda self, p, u: u.value**2}, "mass must be linear"),
    ({"operator": lambda self, p, u: p.x * u.value}, "derivatives up to order 0, its mass up to 0"),
    ({"mass": lambda self, p, u: (u.value, u.value)}, "mass must have as many equations"),
    ({"unknowns": {"a": kp.Unknown(1.0)}}, "Changed.unknowns: an eigenvalue problem has none"),
    ({"operator": lambda self, p: p.x}, r"operator must take points and a jet"),
    ({"operator": lambda self, p, u: u.value[:, 0]}, r"shape \(n, 1\)"),
    (
        {"operator": lambda self, p, u: torch.nan * kp.laplacian(u)},
        "operator must be finite: at some point of the domain it gives nan",
    ),
    ({"exact_eigenvalues": lambda self, count: [1.0, math.nan]}, r"\(2\) must give finite numbers"),
    ({"exact_eigenvalues": lambda self, count: [1.0]}, r"\(2\) must give 2 numbers"),
]


ARGUMENTS = [
    ({"count": 35}, "count must be at most 34, the coefficients"),
    ({"count": 0}, "count"),
    ({"near": math.nan}, "near must be a finite number"),
    ({"network": network(2, outputs=3)}, "must end with 1"),
]


@pytest.mark.parametrize(("change", "message"), CHANGES)
def test_what_is_no_linear_eigenvalue_problem_is_refused(change, message):
    problem = type("Changed", (Membrane,), change)()
    with pytest.raises(kp.InputError, match=message):
        kp.eigen(problem, network(6), count=2)


@pytest.mark.parametrize(("arguments", "message"), ARGUMENTS)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(kp.InputError, match=message):
        kp.eigen(Membrane(), **{"network": network(2)} | arguments)


def test_solve_is_not_for_eigenvalue_problems():
    with pytest.raises(
        kp.InputError, match=r"Membrane .*: kanpinn.solve takes a Problem, kanpinn.eigen"
    ):
        kp.solve(Membrane(), network(2))


# --- Eigenvalues in cells: errors and their estimates, modes, refinement, and what is refused


DRUM = [z.real for z in Turning.exact_eigenvalues(None, 24)]
Drum = with_exact(Membrane, DRUM, domain=DISK)


class Around(Membrane):
    """-Δu = λu on a cylinder."""

    domain = kp.Box(x=(0, math.pi), y=(0, 1))

    def conditions(self):
        walls = self.domain.boundary["y_min", "y_max"]
        return [kp.Periodic(self.domain, "x"), kp.Dirichlet(walls, 0.0)]

    def exact_eigenvalues(self, count):
        turns = (4 * k * k + (math.pi * j) ** 2 for k in range(-20, 21) for j in range(1, 9))
        return sorted(turns)[:count]


PROBLEMS = [Membrane, Free, Interval, Weighed, Wells, Pair, Wind, Turning, Drum, Around]


@functools.cache
def in_cells(problem):
    count = 3 if problem in (Drum, Turning) else 4  # whole pairs
    return solved_in_cells(problem(), count, 6, tolerance=1e-5)


@pytest.mark.parametrize("problem", PROBLEMS)
def test_eigenvalues_have_the_tolerance_and_estimates_are_the_errors(problem):
    """Up to a factor of three; where values vanish or modes are complex it is a bound."""
    solution = in_cells(problem)
    errors, sizes = (solution.values - solution.exact).abs(), 1 + solution.values.abs()
    assert solution.status == "converged" and solution.success
    assert (errors / sizes).max() < 1e-5
    large = errors > 1e-10 * sizes
    ratios = errors[large] / solution.estimates[large]
    assert (ratios < 3).all()
    if problem in (Membrane, Interval, Wells, Drum, Around):
        assert (ratios > 1 / 3).all()


@pytest.mark.parametrize("problem", [Membrane, Turning])
def test_modes_in_cells_satisfy_equation_and_conditions(problem):
    solution = in_cells(problem)
    size, domain = solution.values.abs().max(), solution.problem.domain
    assert solution.residual(domain.quadrature(20)[0]).abs().max() < 3e-2 * size
    assert solution(domain.boundary.quadrature(9)[0]).abs().max() < 1e-3
    assert solution.self_adjoint == (problem is Membrane)
    assert solution.values.is_complex() != solution.self_adjoint
    if solution.self_adjoint:
        points, weights = domain.quadrature(30)
        modes = solution(points)
        gram = modes.T @ (weights[:, None] * modes)
        assert torch.allclose(gram, torch.eye(4, dtype=gram.dtype), atol=1e-5)
        assert solution.multiplicities == [1, 2, 2, 1]


def test_the_error_is_quadratic_in_that_of_the_mode():
    values, residuals = [], []
    for degree in (4, 6):
        settings = kp.AdaptiveLeastSquares(tolerance=1e-14, steps=1)
        found = kp.eigen(Membrane(), kp.Cells([2, 1], degree, 2), 1, optimizers=settings)
        values.append(float(found.errors[0]))
        residuals.append(float(found.residual_norms[0]))
    order = math.log(values[1] / values[0]) / math.log(residuals[1] / residuals[0])
    assert order == pytest.approx(2, abs=0.4)


def test_nothing_has_to_be_chosen():
    solution = kp.eigen(Membrane(), count=3, tolerance=1e-4)
    assert solution.status == "converged" and solution.errors.max() < 1e-4
    assert solution.network.solved_by == "AdaptiveLeastSquares"
    rough = kp.eigen(
        Membrane(), kp.KAN(hidden=[6], degree=9, grid=[4, 8], seed=0), 3, tolerance=1e-12
    )
    assert rough.network.width == (2, 6, 3) and rough.status.startswith("stopped: eigenvalue")


def test_eigenvalues_near_a_number():
    solution = solved_in_cells(Membrane(), 3, near=250.0)
    assert solution.success and solution.errors.max() < 1e-9
    squares = torch.tensor([25, 25, 26], dtype=torch.float64)  # 3² + 4² twice, 1 + 5² once of two
    assert torch.allclose(solution.values.sort().values, math.pi**2 * squares)


def test_settings_that_do_not_fit_are_refused():
    def refused(network, message, **arguments):
        with pytest.raises(kp.InputError, match=message):
            kp.eigen(Membrane(), network, **arguments)

    cells = kp.Cells([2, 1], 6, 2)
    refused(cells, "optimizers must be AdaptiveLeastSquares", optimizers=kp.LeastSquares())
    refused(cells, "weight of boundary must be left out", loss=kp.Loss(boundary=2.0))
    refused(kp.KAN([2, 8, 1]), "optimizers must be None", optimizers=kp.AdaptiveLeastSquares())
    refused(kp.Windows(), "one function of all coordinates .* got Windows")
    few = kp.AdaptiveLeastSquares(tolerance=1e-12, cells=4)
    found = kp.eigen(Membrane(), kp.Cells([2, 1], 4, 2), 2, optimizers=few)
    assert found.status.startswith("stopped: the next") and "cells = 4" in found.status


def test_cells_and_comparisons_that_do_not_fit_into_memory_are_refused(monkeypatch):
    def found(memory):
        monkeypatch.setattr("kanpinn.spaces.cells.system.memory.machine_memory", lambda: memory)
        network, settings = kp.Cells([2, 1], 6, 2), kp.AdaptiveLeastSquares(tolerance=1e-1)
        return kp.eigen(Membrane(), network, 2, optimizers=settings)

    with pytest.raises(kp.InputError, match=r"4 cells of degree 6 would need .* of memory"):
        found(1e4)
    status = found(5e5).status
    assert status.startswith("stopped: the comparison with a solution of degree 8 would need")
    assert found(1e8).status == "converged"


class Composite(Membrane):
    """-∇·(a ∇u) = λu on the unit disk, a = 5 for r < 1/2 and 1 around it.

    The eigenvalues are zeros of the determinant of the conditions at the rim and at the interface.
    """

    domain, self_adjoint = DISK, True

    def coefficient(self, p):
        return torch.where(p.x**2 + p.y**2 < 0.25, p.x.new_tensor(5.0), 1.0)

    def operator(self, p, u):
        return -self.coefficient(p) * kp.laplacian(u)

    def conditions(self):
        inner = kp.Disk((0, 0), 0.5).boundary
        return [*super().conditions(), kp.Interface(self.domain, inner, self.coefficient)]

    def exact_eigenvalues(self, count):
        return COMPOSITE[:count]


COMPOSITE = [6.381290052801815, *2 * (27.39574447106575,)]
CUBES = [math.pi**2 * n for n in (3, 6, 6, 6)]
Block = with_exact(Membrane, CUBES, domain=kp.Box(x=(0, 1), y=(0, 1), z=(0, 1)))
DOMAINS = {
    "cube": (Block, 4, {"degree": 4, "tolerance": 3e-2}, [1, 3, 3, 3]),
    "L": (Corner, 2, {"degree": 4, "tolerance": 1e-2}, [1, 1]),
    "two materials": (Composite, 3, {"degree": 5, "cells": 4, "tolerance": 1e-2}, [1, 2, 2]),
}


@pytest.mark.parametrize("name", DOMAINS)
def test_domains_that_need_more_than_squares(name):
    problem, count, settings, multiplicities = DOMAINS[name]
    solution = solved_in_cells(problem(), count, **settings)
    assert solution.success and solution.errors.max() < 3e-2
    assert solution.multiplicities == multiplicities
    errors = (solution.values - solution.exact).abs()
    assert problem is Block or (errors < 3 * solution.estimates).all()


def test_a_solve_that_stops_early_says_so():
    settings = kp.AdaptiveLeastSquares(tolerance=1e-8, steps=2)
    solution = kp.eigen(Membrane(), kp.Cells([2, 1], 4, 1), 2, optimizers=settings)
    words = "stopped: limit of 2 steps; more steps may help"
    assert solution.status == words and not solution.success
    errors = (solution.values - solution.exact).abs()
    assert (errors < 3 * solution.estimates).all()


class Potential(kp.EigenProblem):
    """-c u'' + V(x) u = λ u between two walls."""

    def __init__(self, low, high, potential, c=1.0):
        self.domain, self.potential, self.c = kp.Box(x=(low, high)), potential, c

    def operator(self, p, u):
        return -self.c * kp.laplacian(u) + self.potential(p.x) * u.value

    def conditions(self):
        return [kp.Dirichlet(self.domain.boundary)]


HYDROGEN = Potential(0, 60, lambda r: -1 / r, 0.5)


@pytest.mark.parametrize(("count", "near"), [(2, None), (1, -1.1), (2, -0.5)])
def test_the_levels_of_hydrogen_are_found_from_the_lowest_on(count, near):
    levels = kp.eigen(HYDROGEN, count=count, near=near, tolerance=1e-6)
    exact = torch.tensor([-0.5 / n**2 for n in range(1, count + 1)], dtype=torch.float64)
    assert levels.success
    assert ((levels.values - exact).abs() < 3 * levels.estimates + 1e-12).all()


@pytest.mark.parametrize("mode", [2, 5])
def test_a_number_that_is_an_eigenvalue_is_nearest_to_itself(mode):
    string = Potential(0, math.pi, torch.zeros_like)
    found = kp.eigen(string, near=float(mode**2), count=1)
    assert float(found.values[0]) == pytest.approx(mode**2, rel=1e-6)


@pytest.mark.parametrize(("depth", "width"), [(50.0, 0.3), (3000.0, 0.2)])
def test_modes_of_narrow_wells_are_not_missed(depth, width):
    well = Potential(-10, 10, lambda x: -depth / torch.cosh(x / width) ** 2)
    first = kp.eigen(well, count=1, tolerance=1e-6)
    # Pöschl and Teller: λ_n = -(l - n)²/w² for depth = l (l + 1)/w².
    level = (math.sqrt(1 + 4 * depth * width**2) - 1) / 2
    assert first.success
    assert float(first.values[0]) == pytest.approx(-((level / width) ** 2), rel=1e-6)


def level_of_steps(edge, below, above, ends):
    """An eigenvalue of -u'' + V u on (0, 1), for V = below, above on the sides of an edge."""

    def mismatch(value):  # of the solutions that vanish at 0 and at 1, at the edge
        k, q, rest = complex(value - below) ** 0.5, complex(value - above) ** 0.5, 1 - edge
        inner, outer = cmath.sin(k * edge) / k, cmath.sin(q * rest) / q
        return (inner * cmath.cos(q * rest) + cmath.cos(k * edge) * outer).real

    return scipy.optimize.brentq(mismatch, *ends)


@pytest.mark.parametrize("edge", [0.503, 0.4985])
def test_the_edge_of_a_well_beside_the_side_of_a_cell_is_found(edge):
    """All collocation points of the two cells are on one side of the edge."""
    exact = [level_of_steps(edge, -100.0, 0.0, ends) for ends in ((-90, -60), (-20, 20))]
    well = Potential(0, 1, lambda x: -100.0 * (x < edge))
    found = kp.eigen(well, count=2, tolerance=1e-3)
    errors = (found.values - torch.tensor(exact)).abs()
    assert found.success and (errors < 3 * found.estimates).all()
    assert (errors / found.values.abs() < 1e-3).all()


def test_the_first_mode_is_not_lost_if_the_cells_do_not_tell_it_from_the_shift():
    """On the first cells the first shift is 0.1 from an eigenvalue with an error of 0.5."""

    class Steps(kp.EigenProblem):
        domain = kp.Box(x=(0, 1), y=(0, 1))

        def operator(self, p, u):
            along_x = torch.where(p.x < 0.1356505, 172.108818, 171.904917)
            along_y = torch.where(p.y < 0.6774111, 56.199945, 124.768397)
            return -kp.laplacian(u) + (along_x + along_y) * u.value

        def conditions(self):
            return [kp.Dirichlet(self.domain.boundary)]

    exact = level_of_steps(0.1356505, 172.108818, 171.904917, (175, 195))
    exact += level_of_steps(0.6774111, 56.199945, 124.768397, (60, 90))
    found = kp.eigen(Steps(), count=1, tolerance=1e-2)
    assert found.success
    assert abs(float(found.values[0]) - exact) < 3 * float(found.estimates[0])


def test_errors_of_a_krylov_space_grow_with_the_condition_of_an_eigenvalue():
    """-u'' + b u' = λ u has the first eigenvalue π² + b²/4; its condition grows like exp(b/2)."""
    ratios = []
    for b in (9.0, 17.6, 23.2):
        exact = math.pi**2 + b**2 / 4
        carried = lambda _, p, u, b=b: -kp.laplacian(u) + b * kp.grad(u)  # noqa: E731
        problem = with_exact(Interval, [exact], operator=carried)
        found = kp.eigen(problem(), count=1, tolerance=1e-3)
        ratios.append(abs(float(found.values[0].real) - exact) / float(found.estimates[0]))
    assert max(ratios) < 2


def test_the_tones_of_a_rod_of_two_materials_need_no_choice():
    """-(k u')' = λ u, with k = 9 on (0, 0.4) and 1 beyond, and w = √λ."""

    def mismatch(w):
        left, right = 0.4 * w / 3, 0.6 * w
        return 3 * math.cos(left) * math.sin(right) + math.sin(left) * math.cos(right)

    def k(p):
        return torch.where(p.x < 0.4, 9.0, 1.0)

    line = kp.Box(x=(0, 1))
    exact = scipy.optimize.brentq(mismatch, 4, 6) ** 2
    interface = kp.Interface(line, kp.Box(x=(0, 0.4)).boundary["x_max"], k)
    rod = with_exact(
        Interval,
        [exact],
        operator=lambda _, p, u: -k(p) * kp.laplacian(u),
        conditions=lambda _: [kp.Dirichlet(line.boundary), interface],
    )
    assert float(kp.eigen(rod(), count=1).values[0].real) == pytest.approx(exact, rel=1e-9)


def test_a_mode_that_a_boundary_attracts_is_not_missed():
    strength = 100.0

    class Attracted(Potential):
        def conditions(self):
            piece = self.domain.boundary
            return [kp.Robin(piece["x_min"], -strength, 1.0), kp.Dirichlet(piece["x_max"])]

    found = kp.eigen(Attracted(0, 1, torch.zeros_like), count=1, tolerance=1e-6)
    rate = strength  # κ = α tanh κ
    for _ in range(20):
        rate = strength * math.tanh(rate)
    assert float(found.values[0]) == pytest.approx(-(rate**2), rel=1e-6)


def test_operators_without_an_end_of_the_spectrum_need_near():
    class Waves(Membrane):
        def operator(self, p, u):
            return kp.partial(u, "x", "x") - kp.partial(u, "y", "y")

    with pytest.raises(kp.InputError, match="neither from below nor from above"):
        kp.eigen(Waves(), count=2)


def test_a_mass_that_is_singular_and_not_symmetric():
    class Convection(kp.EigenProblem):
        """Rayleigh and Bénard between rigid plates, for the wave number a = 3.117: λ is Ra."""

        domain = kp.Box(z=(0, 1))
        fields = ("w", "T")

        def operator(self, p, w, T):
            a, w_zz = 3.117**2, kp.partial(w, "z", "z")
            fourth = kp.partial(w, "z", "z", "z", "z")
            return (
                fourth - 2 * a * w_zz + a**2 * w.value,
                kp.partial(T, "z", "z") - a * T.value + w.value,
            )

        def mass(self, p, w, T):
            return 3.117**2 * T.value, 0 * T.value

        def conditions(self):
            walls = self.domain.boundary
            fields = [kp.Dirichlet(walls, field=name) for name in self.fields]
            return [*fields, kp.Neumann(walls, field="w")]

    found = kp.eigen(Convection(), count=2, tolerance=1e-8)
    # From the determinant of the conditions of sums of three cosh or sinh, in 30 digits.
    exact = torch.tensor([1707.761892766407, 24982.07631117617], dtype=torch.float64)
    assert found.success
    assert ((found.values - exact).abs() <= 4 * found.estimates).all()


def test_the_eigenvalues_of_stokes_equations():
    class Stokes(kp.EigenProblem):
        domain = kp.Box(x=(0, 1), y=(0, 1))
        fields = ("u", "v", "q")

        def operator(self, p, u, v, q):
            return (
                kp.partial(q, "x") - kp.laplacian(u),
                kp.partial(q, "y") - kp.laplacian(v),
                kp.partial(u, "x") + kp.partial(v, "y"),
            )

        def mass(self, p, u, v, q):
            return u.value, v.value, 0 * q.value

        def conditions(self):
            walls = self.domain.boundary
            walls = [kp.Dirichlet(walls, field="u"), kp.Dirichlet(walls, field="v")]
            return [*walls, kp.Integral(self.domain, 0.0, field="q")]

    found = kp.eigen(Stokes(), kp.Cells(degree=6, cells=2), count=1, tolerance=1e-3)
    # Leriche and Labrosse, Stokes eigenmodes in square domain (2004).
    exact = torch.tensor([52.344691168], dtype=torch.float64)
    assert found.success and ((found.values - exact).abs() <= 3 * found.estimates).all()


class Metal(kp.EigenProblem):
    """Electric fields in an L: -ΔE = λE, n × E = 0, and div E = 0 on the walls only."""

    domain = kp.LShape()
    fields = ("u", "v")

    def operator(self, p, u, v):
        return -kp.laplacian(u), -kp.laplacian(v)

    def conditions(self):
        walls = self.domain.boundary
        charge = kp.Constraint(walls, lambda p, u, v: kp.div(u, v))
        return [kp.TangentialDirichlet(walls, fields=self.fields), charge]


def test_modes_that_corners_may_hide_are_told():
    found = kp.eigen(Metal(), kp.Cells(degree=3, cells=1), count=1, tolerance=100.0)
    assert not found.success
    assert "modes may be missing: at the corner (0, 0)" in found.status
    assert "r^-0.333" in found.status


class Sloshing(kp.EigenProblem):
    """Δu = 0 in a domain and ∂u/∂n = λ u on its boundary (Steklov)."""

    def __init__(self, domain):
        self.domain = domain

    def operator(self, p, u):
        return -kp.laplacian(u)

    def mass(self, p, u):
        return 0 * u.value

    def conditions(self):
        return [kp.Constraint(self.domain.boundary, self.flux, mass=lambda p, u: u.value)]

    def flux(self, p, u):
        return kp.normal_derivative(u, p)


def test_an_eigenvalue_may_stand_in_a_condition():
    found = kp.eigen(Sloshing(DISK), kp.Cells(degree=8, cells=2), count=5, tolerance=1e-6)
    exact = torch.tensor([0, 1, 1, 2, 2]).double()  # r^m cos mθ and r^m sin mθ
    assert found.success
    assert ((found.values - exact).abs() < 3 * found.estimates + 1e-10).all()


def test_a_mass_in_a_condition_needs_an_eigenvalue_and_cells():
    with pytest.raises(kp.InputError, match="network must be cells"):
        kp.eigen(Sloshing(DISK), kp.KAN(hidden=[8], degree=5, grid=2), count=1)
    with pytest.raises(kp.InputError, match="takes a mass on a boundary only"):
        kp.Constraint(UNIT, lambda p, u: u.value, mass=lambda p, u: u.value)

    class Steady(kp.Problem):
        domain = UNIT

        def residual(self, p, u):
            return kp.laplacian(u)

        def conditions(self):
            return Sloshing(UNIT).conditions()

    with pytest.raises(kp.InputError, match="has a mass, the factor of an eigenvalue"):
        kp.solve(Steady(), budget=1)


@pytest.mark.parametrize("net", [kp.Cells(degree=8, cells=2), network(width=16)])
def test_the_eigenvalues_nearest_to_a_complex_number(net):
    found = kp.eigen(Turning(), net, count=1, near=14.0 + 21.0j, tolerance=1e-5)
    zero = float(scipy.special.jn_zeros(1, 1)[0])
    assert found.success and abs(complex(found.values[0]) - complex(zero**2, 20)) < 1e-4


def test_a_search_that_is_finished_is_resumed_to_the_last_bit():
    states = []
    arguments = {"count": 3, "degree": 7, "cells": 1, "tolerance": 1e-3}
    first = solved_in_cells(
        Membrane(), observers=[lambda s: states.append(s.state_dict())], **arguments
    )
    again = solved_in_cells(Membrane(), checkpoint=states[-1], **arguments)
    points = torch.rand(9, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert torch.equal(first(points), again(points))  # the second and third eigenvalue are equal
    assert torch.equal(first.estimates, again.estimates)


@pytest.mark.parametrize("net", [line(), kp.Cells(degree=8, cells=2)])
def test_eigenvalues_that_are_not_those_of_the_problem_are_told(net):
    wrong = with_exact(Interval, [9.87, (2 * math.pi) ** 2])
    with pytest.warns(UserWarning, match=r"exact_eigenvalues gives 9\.87 .* found to be 9\.8696"):
        kp.eigen(wrong(), net, count=2)


def test_cells_at_a_jump_do_not_become_too_small_for_rounding():
    class Beam(Interval):
        """A clamped beam on a support whose stiffness jumps inside the cells, of whatever size."""

        def operator(self, p, u):
            return kp.biharmonic(u) - 3000 * (p.x < 0.3) * u.value

        def conditions(self):
            rim = self.domain.boundary
            return [kp.Dirichlet(rim), kp.Neumann(rim)]

    # A root of the determinant of the conditions on the solutions left and right of the jump.
    exact = 100.32270013232954
    found = solved_in_cells(with_exact(Beam, [exact])(), 1, degree=11, tolerance=1e-12)
    assert "as small as rounding permits" in found.status
    assert abs(float(found.values[0]) - exact) < 3 * float(found.estimates[0]) < 0.1 * exact


def test_the_first_complex_eigenvalues_are_those_with_the_least_real_parts():
    """40.7 ± 60i is farther from the shift than 49.2 ± 20i, and comes before it."""
    solution = solved_in_cells(Turning(), 8, 8, tolerance=1e-4)
    assert solution.status == "converged" and solution.errors.max() < 1e-4
    assert float(solution.values.imag.max()) == pytest.approx(60)
