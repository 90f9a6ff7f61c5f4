"""Eigenvalue problems: eigenvalues against exact ones, modes, bounds, and what is refused."""

import math

import pytest
import reference
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
)

import kanpinn as kp
from kanpinn.solvers.eigen.spectrum import order


def network(width=24, seed=0, inputs=2, grid=(4, 8), outputs=1):
    return kp.KAN([inputs, width, outputs], degree=9, grid=list(grid), seed=seed)


def line(width=8, seed=0):
    return network(width, seed, inputs=1, grid=(4, 16))


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
    for problem, few in ((Membrane(), network(12)), (Weighed(), line(2))):
        solution = kp.eigen(problem, few, count=4)
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
    solution = kp.eigen(Free(), network(32), count=4)
    assert solution.values[0].abs() < 1e-9 and solution.errors.max() < 1e-9
    assert solution.bounds is None and "penalty" in solution.unbounded
    value = solution(torch.tensor([[0.3, 0.2], [0.9, 0.6]]))[:, 0]
    assert (value - 1).abs().max() < 1e-7


def test_the_unit_of_length_does_not_matter():
    class Large(Membrane):
        domain = kp.Box(x=(0, 100), y=(0, 100))

        def exact_eigenvalues(self, count):
            return [value / 1e4 for value in DIRICHLET[:count]]

    for boundary, most in (("exact", 1e-10), ("penalty", 1e-8)):
        assert kp.eigen(Large(), network(32), 4, boundary=boundary).errors.max() < most


def test_a_problem_that_is_not_self_adjoint_says_so():
    solution = kp.eigen(Wind(), network(32), count=5)
    assert not solution.self_adjoint and solution.errors.max() < 1e-9
    assert solution.bounds is None and "not found to be self-adjoint" in solution.unbounded
    assert not solution.values.is_complex()


class Declared(Wind):
    self_adjoint = False


class Corner(Membrane):
    """Its modes are like r^(2/3) at the inward corner: smooth functions approach them slowly."""

    domain = kp.LShape()

    def exact_eigenvalues(self, count):
        # Trefethen and Betcke, Computed eigenmodes of planar regions (2006).
        return [9.63972384402, 15.1972519266, 2 * math.pi**2][:count]


@pytest.fixture(scope="module")
def corner():
    return kp.eigen(Corner(), network(16), count=2)


def test_only_what_is_declared_is_said_not_to_be_self_adjoint(corner):
    solution = kp.eigen(Declared(), network(6), count=1)
    assert solution.unbounded == "the problem is not self-adjoint"
    assert "not found to be self-adjoint (asymmetry " in corner.unbounded
    assert "self_adjoint = True" in corner.unbounded


def test_values_that_are_hardly_known_are_not_called_converged(corner):
    assert corner.status.startswith("stopped: eigenvalues 1, 2 are known to ")
    assert corner.errors.min() > 1e-3
    zero = kp.eigen(Free(), network(16), count=1)
    assert zero.status == "converged" and zero.values.abs() < 1e-6


def test_more_modes_leave_the_first_as_they_are():
    small = {"width": 8, "inputs": 1}
    few, many = (kp.eigen(Interval(), network(**small), count=count) for count in (6, 30))
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
    solution = kp.eigen(Turning(), network(32), count=5)
    assert solution.values.is_complex() and solution.errors.max() < 1e-9
    assert (solution.values[1] - solution.values[2].conj()).abs() < 1e-8
    p, weights = DISK.quadrature(40)
    sizes = weights @ solution(p).abs().square()
    assert (sizes - 1).abs().max() < 1e-6
    assert solution.residual(p).abs().max() < 1e-3


class Ring(Interval):
    domain = kp.Box(x=(0, 2 * math.pi))

    def conditions(self):
        return [kp.Periodic(self.domain, "x")]

    def exact_eigenvalues(self, count):
        return sorted([0.0] + 2 * [float(n * n) for n in range(1, 9)])[:count]


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
        (Interval, line(8, 1), 5, 1e-10),
        (Weighed, line(8, 1), 5, 1e-10),
        (Wells, line(16), 5, 1e-10),
        (Wells, line(16, 1), 5, 1e-10),
        (Down, line(), 3, 1e-10),
        (Ring, network(16, inputs=1, grid=(4, 16)), 5, 1e-10),
        (Membrane, network(seed=1), 6, 1e-10),
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
    solution = kp.eigen(Pair(), network(20, outputs=2), count=4)
    assert solution.errors.max() < 1e-9 and solution.self_adjoint
    values = solution(torch.tensor([[0.5, 0.5]]))
    assert values.shape == (1, 2, 4)
    assert (values[0, 0, 0] + values[0, 1, 0]).abs() < 1e-7  # they move against each other


def test_an_inward_corner_needs_its_singular_functions():
    """r^(2j/3 + 2k) sin(2jθ/3): what Bessel functions of broken order are made of."""

    class Enriched(Corner):
        def enrichment(self):
            corner = kp.Corner(self.domain, (0, 0), 4)

            def functions(p):
                own, r2 = corner(p), p.x**2 + p.y**2
                return torch.cat([own, own * r2, own * r2**2], dim=1)

            return [functions]

    solution = kp.eigen(Enriched(), network(16), count=3)
    assert solution.status == "converged"
    assert reference.distance(solution.values, solution.exact) < 1e-5


def test_the_same_seed_gives_the_same_eigenvalues():
    first, second = (kp.eigen(Interval(), line(), count=3).values for _ in range(2))
    assert torch.equal(first, second)


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


@pytest.mark.parametrize(("change", "message"), CHANGES)
def test_what_is_no_linear_eigenvalue_problem_is_refused(change, message):
    problem = type("Changed", (Membrane,), change)()
    with pytest.raises(kp.InputError, match=message):
        kp.eigen(problem, network(6), count=2)


def test_solve_is_not_for_eigenvalue_problems():
    with pytest.raises(kp.InputError, match=r"Membrane is .*: expected kanpinn.eigen\(problem, n"):
        kp.solve(Membrane(), network(2))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"count": 35}, "count must be at most 34, the coefficients"),
        ({"count": 0}, "count"),
        ({"near": math.nan}, "near must be a finite number"),
        ({"network": network(2, outputs=3)}, "must end with 1"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(kp.InputError, match=message):
        kp.eigen(Membrane(), **{"network": network(2)} | arguments)
