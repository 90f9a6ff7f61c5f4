"""Guaranteed bounds hold, are near the truth, and are refused where no theory gives them."""

import dataclasses
import math

import numpy
import pytest
import torch
from cases import Manufactured, Stated
from library import script

import kanpinn as kp
from kanpinn.accuracy.bounds import (
    Approximate,
    Majorant,
    barrier,
    constants_of,
    extension,
    flux_bound,
    grid_over,
    operator_of,
    residual_of,
    sides_of,
)
from kanpinn.accuracy.certificates import (
    Given,
    Number,
    Reader,
    Rules,
    Triangulation,
    certificate,
    digest,
    korn_constants,
    rigid_constants,
    triangulated,
)
from kanpinn.geometry.sampling import sample
from kanpinn.jets import Channels, jet_of
from kanpinn.pde.boundary_value_problem import stated
from kanpinn.pde.coefficients import Unsuitable
from kanpinn.solvers.error_estimate import _approximate

SQUARE = kp.Box(x=(0, 2), y=(0, 1))
HOLED = kp.Box(x=(-1, 1), y=(-1, 1)) - kp.Disk((0.3, 0.2), 0.3)


WAVE = "sin(2 * x + 1) * cos(y)"


def known(operator, domain=SQUARE, walls=None, **settings):
    """L u = f with the values of a wave on the boundary, or fluxes on parts of it."""
    exact = WAVE.replace("y", domain.names[1])
    return stated(Manufactured(domain, operator, exact, walls, **settings))


def plain(operator, domain=SQUARE):
    """L u = 0, with no source to compute."""
    return known(operator, domain, source=False)


def poisson(p, u):
    return kp.laplacian(u)


def reaction(p, u):
    return -2 * kp.laplacian(u) + (5 + p.x) * u.value


def variable(p, u):
    a, slope = 2 + torch.sin(3 * p.x), 3 * torch.cos(3 * p.x)
    return -a * kp.laplacian(u) - slope * kp.partial(u, "x")


def convection(p, u):
    return kp.directional(u, (2.0, 1.0)) - 0.3 * kp.laplacian(u)


def skew(p, u):
    mixed = kp.partial(u, "x", "y")
    return -2 * kp.partial(u, "x", "x") - mixed - kp.partial(u, "y", "y")


def little_helmholtz(p, u):
    return kp.laplacian(u) + 8 * u.value


def warming(p, u):
    return kp.partial(u, "t") - 0.1 * kp.partial(u, "x", "x")


def approximate(problem, error, met=()):
    """The exact solution minus a known error, as an approximation."""

    def jet(p, channels):
        def function(x):
            q = kp.Points(x, p.names)
            return problem.exact(q) - error(q)

        return jet_of(function, p.coords, channels)

    points = sample(problem.domain, 1024, "sobol")
    squares = residual_of(problem, jet, points).square()
    return Approximate(jet, met, float(squares.mean()), float(squares.std()) / 32, no_noise)


def no_noise(p, channels):
    return jet_of(lambda x: 0 * x[:, :1], p.coords, channels)


def norms(problem, error):
    """The L2 norm of the error and that of its gradient, as means; and its largest value."""
    points, weights = problem.domain.quadrature(48)
    channels, names = Channels(points.names, gradient=True), points.names
    jet = jet_of(lambda x: error(kp.Points(x, names)), points.coords, channels)
    mean = weights / weights.sum()
    squares = mean @ jet.value.square(), mean @ jet.gradient[..., 0].square()
    return float(squares[0]) ** 0.5, float(squares[1].sum()) ** 0.5, float(jet.value.abs().max())


def bubble(p):
    """An error that vanishes on the boundary of the box SQUARE."""
    return 1e-3 * torch.sin(4 * torch.pi * p.x) * torch.sin(3 * torch.pi * p.y)


def misfit(p):
    return 1e-3 * torch.sin(5 * p.x + 3 * p.y) * torch.exp(p.y)


@pytest.mark.parametrize(
    ("operator", "least", "gamma"),
    [
        (poisson, [1.0, 1.0], (0, 0)),
        (reaction, [2.0, 2.0], (5, 7)),
        (variable, [1.0, 1.0], (0, 0)),
        (convection, [0.3, 0.3], (0, 0)),
        (skew, [1.5 - 0.5**0.5, 1.5 - 0.5**0.5], (0, 0)),
        (little_helmholtz, [1.0, 1.0], (-8, -8)),
        (lambda p, u: p.x * kp.partial(u, "x") - kp.laplacian(u), [1.0, 1.0], (-0.5, -0.5)),
    ],
)
def test_the_coefficients_of_an_equation_are_read_from_its_residual(operator, least, gamma):
    found = operator_of(plain(operator))
    assert found.diffusion.tolist() == pytest.approx(least, rel=1e-3)
    assert found.effective_reaction == pytest.approx(gamma, abs=0.02)


@pytest.mark.parametrize("operator", [poisson, reaction, variable, skew, little_helmholtz])
def test_bounds_of_an_error_that_vanishes_on_the_boundary_are_near_it(operator):
    problem = known(operator)
    bound = Majorant(problem)(approximate(problem, bubble, met={0}))
    l2, slope, largest = norms(problem, bubble)
    assert 1 <= bound.h1 / math.hypot(l2, slope) < 4
    assert 1 <= bound.l2 / l2 < 20
    if not math.isnan(bound.maximum):  # with a positive zeroth term there is no maximum principle
        assert largest <= bound.maximum


def test_the_energy_bound_of_poisson_s_equation_is_sharp():
    problem = known(poisson)
    bound = Majorant(problem)(approximate(problem, bubble, met={0}))
    assert 1 <= bound.energy / norms(problem, bubble)[1] < 1.02
    assert "flux" in bound.theorem and bound.constants["friedrichs"] == pytest.approx(
        1 / math.sqrt(math.pi**2 * (1 / 4 + 1))
    )


@pytest.mark.parametrize(
    ("operator", "domain"),
    [
        (poisson, kp.Disk((0, 0), 1)),
        (poisson, kp.LShape()),
        (reaction, HOLED),
        (convection, SQUARE),
        (convection, HOLED),
    ],
)
def test_bounds_hold_for_values_that_are_missed_on_the_boundary(operator, domain):
    problem = known(operator, domain)
    bound = Majorant(problem)(approximate(problem, misfit))
    l2, slope, largest = norms(problem, misfit)
    assert 1 <= bound.h1 / math.hypot(l2, slope) < 20
    assert 1 <= bound.l2 / l2 < 20
    assert 1 <= bound.maximum / largest < 200


@pytest.mark.parametrize("operator", [poisson, reaction])
def test_the_l2_bound_holds_for_a_shift_which_has_no_gradient(operator):
    """Friedrichs' inequality holds for what vanishes on the boundary, not for the shift."""
    problem = known(operator)
    bound = Majorant(problem)(approximate(problem, lambda p: 1e-3 + 0 * p.x))
    assert 0.999e-3 < min(bound.l2, bound.h1) < 3e-3


def test_bounds_hold_for_missed_fluxes():
    fluxes = {"x_max": "robin", "y_min": "neumann", "y_max": "neumann"}
    problem = known(reaction, walls=fluxes)
    bound = Majorant(problem)(approximate(problem, misfit))
    l2, slope, _ = norms(problem, misfit)
    assert 1 <= bound.h1 / math.hypot(l2, slope) < 20 and 1 <= bound.l2 / l2 < 20


def test_bounds_hold_for_a_parabolic_equation():
    problem = known(warming, kp.Box(x=(0, 2), t=(0, 1)))

    def error(p):
        return 1e-3 * torch.sin(2 * torch.pi * p.x) * torch.sin(4 * p.t)

    bound = Majorant(problem)(approximate(problem, error, met={0, 1}))
    assert 1 <= bound.l2 / norms(problem, error)[0] < 40 and math.isnan(bound.h1)


def test_a_finer_solution_makes_the_bounds_sharp():
    problem = known(reaction)
    majorant, coarse = Majorant(problem), approximate(problem, bubble, met={0})
    finer = approximate(problem, lambda p: 1e-3 * bubble(p), met={0})
    bound = majorant(coarse, finer)
    assert 1 <= bound.l2 / norms(problem, bubble)[0] < 1.02 and majorant(coarse).l2 > 2 * bound.l2


def test_a_residual_that_the_cells_do_not_see_is_bounded_by_its_norm():
    problem = known(poisson)
    majorant, coarse = Majorant(problem), approximate(problem, bubble, met={0})
    seen = majorant(coarse)
    unseen = majorant(dataclasses.replace(coarse, mean_square=100 * coarse.mean_square))
    assert unseen.energy > 5 * seen.energy and "flux" not in unseen.theorem


def test_the_flux_bounds_the_dual_norm_of_a_residual_on_any_domain():
    """r = -Δw for w that vanishes on a circle: the dual norm is ‖∇w‖."""
    problem = known(poisson, kp.Disk((0, 0), 1))
    operator = operator_of(problem)
    grid = grid_over(operator)
    # w = (1 - r²) x: -Δw = 8x and ‖∇w‖² = 8 ∫ x² (1 - r²) = 8 π / 12.
    found = flux_bound(grid, operator, sides_of(problem, operator), 8 * grid.points.x[:, 0])
    assert 1 <= found / math.sqrt(8 * math.pi / 12) < 1.2


@pytest.mark.parametrize("order", [1, 4])
def test_the_extension_has_at_most_four_times_the_least_energy(order):
    """That of Re z^k on the unit disk is π k, and no extension has less."""
    problem = known(poisson, kp.Disk((0, 0), 1))
    operator = operator_of(problem)

    def missing(p, channels):
        return jet_of(lambda x: problem.exact(kp.Points(x, p.names)), p.coords, channels).map(
            lambda t: t - torch.cos(order * torch.atan2(p.y, p.x))
        )

    found = extension(operator, sides_of(problem, operator), missing, ())
    assert found.largest == pytest.approx(1, abs=1e-4)
    assert 1 <= found.flux / math.sqrt(math.pi * order) < 2


def test_the_constants_are_those_of_the_least_eigenvalues():
    """-w'' = k² w: tan(k) = 2k / (k² - 1) for ∂w/∂n = -w at both ends, k tan(k) = 1 for one."""
    line = kp.Box(x=(0, 1))

    low, high = line.boundary["x_min"], line.boundary["x_max"]
    cases = {
        math.pi: [kp.Dirichlet(low), kp.Dirichlet(high)],
        math.pi / 2: [kp.Dirichlet(low), kp.Neumann(high)],
        1.306542374188806: [kp.Robin(low, 1.0, 1.0), kp.Robin(high, 2.0, 2.0)],
        0.8603335890193797: [kp.Neumann(low), kp.Robin(high, 1.0, 1.0)],
    }
    for wave, conditions in cases.items():
        problem = stated(Stated(line, lambda p, u: -kp.laplacian(u) - 1, conditions))
        operator = operator_of(problem)
        found = constants_of(problem, operator, sides_of(problem, operator))
        assert 1 / found.friedrichs == pytest.approx(wave)
    assert barrier(line, operator) == pytest.approx(1 / 8)  # the largest value of x (1 - x) / 2


REFUSED = {
    "not linear": lambda p, u: u.value**3 - kp.laplacian(u),
    "order 4": lambda p, u: kp.partial(u, "x", "x", "x", "x"),
    "not coercive": lambda p, u: kp.laplacian(u) + 20 * u.value,
    "neither elliptic": lambda p, u: kp.partial(u, "x", "x") - kp.partial(u, "y", "y"),
    "no second derivatives": lambda p, u: kp.partial(u, "x") + u.value,
    "not smooth": lambda p, u: -(1 + (p.x > 1).double()) * kp.laplacian(u),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_problems_without_theory_have_no_bounds(reason):
    with pytest.raises(Unsuitable, match=reason):
        Majorant(plain(REFUSED[reason]))


def test_a_missing_condition_and_a_flux_off_boxes_leave_no_bounds():
    open_side, hole = {"x_max": "none"}, {HOLED.boundary.names[-1]: "neumann"}
    with pytest.raises(Unsuitable, match="no condition on"):
        Majorant(known(poisson, walls=open_side, needs_conditions=False))
    with pytest.raises(Unsuitable, match="no Friedrichs constant"):
        Majorant(known(poisson, HOLED, hole))


def test_the_coefficients_are_read_in_any_units():
    def long(p, u):
        a, slope = 2 + torch.sin(0.003 * p.x), 0.003 * torch.cos(0.003 * p.x)
        second = 1e6 * kp.partial(u, "x", "x") + kp.partial(u, "y", "y")
        return -a * second - 1e6 * slope * kp.partial(u, "x") + u.value

    found = operator_of(plain(long, kp.Box(x=(0, 2000), y=(0, 1))))
    assert found.convection == 0 and found.effective_reaction == pytest.approx((1, 1))
    assert found.diffusion.tolist() == pytest.approx([1e6, 1], rel=1e-3)


def test_the_barrier_of_convection_is_that_of_the_transport():
    """-ε u'' + u' = 1 with u = 0 at both ends, whose Péclet number is 1e4."""
    line, layer = kp.Box(x=(0, 1)), lambda p, u: kp.partial(u, "x") - 1e-4 * kp.laplacian(u) - 1
    problem = stated(Stated(line, layer, [kp.Dirichlet(line.boundary)]))
    assert barrier(problem.domain, operator_of(problem)) == pytest.approx(1.0)


def test_the_bounds_of_a_scaled_loss_use_the_residual_itself():
    network = kp.KAN([2, 12, 1], degree=7, grid=[4, 8], seed=0)
    solution = kp.solve(Manufactured(SQUARE, poisson, WAVE), network, loss=kp.Loss(balance="sizes"))
    points = sample(solution.problem.domain, 4096, "sobol")
    mean = float(solution.residual(points).square().mean())
    assert _approximate(solution).mean_square == pytest.approx(mean, rel=0.5)


L_SHAPE, HOLE = kp.LShape(), kp.Polygon([(0.5, 0.3), (1.1, 0.4), (0.8, 0.7)])
ROBIN = dict(zip(SQUARE.boundary.names, ("robin", "dirichlet", "neumann", "robin"), strict=True))


STEEL = ((1.1, 0.33, 0.0), (0.33, 1.1, 0.0), (0.0, 0.0, 0.385))  # Voigt's stiffness
WOOD = ((2.0, 0.3, 0.2), (0.3, 0.7, -0.1), (0.2, -0.1, 0.4))


ROLLED = dict(zip(SQUARE.boundary.names, ("rolled", "loaded") * 2, strict=True))
SMOOTH = (WAVE, "exp(-x) * sin(2 * y) + x * y")


def elastic(kinds, domain=SQUARE, stiffness=STEEL, exact=SMOOTH):
    """div σ = -f with known displacements; a side is "clamped", "rolled" or "loaded"."""
    tensor = torch.tensor(stiffness, dtype=torch.float64)

    def balance(p, u, v):
        both = [
            torch.stack([kp.partial(f, a, b)[:, 0] for a, b in ("xx", "xy", "yy")], dim=1)
            for f in (u, v)
        ]
        rates = [
            torch.stack([both[0][:, i], both[1][:, 1 + i], both[0][:, 1 + i] + both[1][:, i]], 1)
            for i in range(2)
        ]
        along, across = (one @ tensor for one in rates)
        return along[:, :1] + across[:, 2:], along[:, 2:] + across[:, 1:2]

    def traction(p, u, v):
        (a, b), (c, d) = (kp.grad(f).T for f in (u, v))
        stress, (x, y) = torch.stack([a, d, b + c], dim=1) @ tensor, p.normals.T
        both = stress[:, 0] * x + stress[:, 2] * y, stress[:, 2] * x + stress[:, 1] * y
        return torch.stack(both, dim=1)

    def missing(p, u, v):
        channels = Channels(p.names, gradient=True)
        values = lambda x: problem.exact(kp.Points(x, p.names))  # noqa: E731
        return traction(p, u, v) - traction(p, *jet_of(values, p.coords, channels).components())

    def friction(p, u, v):
        found = missing(p, u, v)
        return (found[:, 1] * p.normals[:, 0] - found[:, 0] * p.normals[:, 1])[:, None]

    def across(p):
        return (problem.exact(p) * p.normals).sum(dim=1, keepdim=True)

    also = []
    for name, kind in kinds.items():
        side = domain.boundary[name]
        if kind == "loaded":
            also.append(kp.Constraint(side, missing))
        else:
            fields = ("u", "v")
            also += [kp.NormalDirichlet(side, across, fields), kp.Constraint(side, friction)]
    problem = Manufactured(
        domain, balance, exact, dict.fromkeys(kinds, "none"), fields=("u", "v"), also=also
    )
    return stated(problem)


def given(problem, function, nodes=24):
    """A function at the points of a rule; the coarser rule is the same one."""
    points, weights = problem.domain.quadrature(nodes)
    values = lambda x: function(kp.Points(x, problem.domain.names))  # noqa: E731
    one = Given.of([(points, weights)], lambda p, c: jet_of(values, p.coords, c))
    return one, one


@pytest.mark.parametrize(
    ("problem", "most"),
    [
        (known(poisson, kp.Polygon([(0, 0), (2, 0), (1.5, 1), (0, 1)])), 2.5),
        (known(poisson, SQUARE - HOLE), 4),
        (known(reaction, walls=ROBIN), 2.5),
        (known(variable, walls=ROBIN), 300),
        (known(skew), 2.5),
    ],
)
def test_a_flux_on_triangles_bounds_the_energy_error_of_the_conforming_function(problem, most):
    found = certificate(problem, given(problem, problem.exact), most=10)
    assert 1 <= found.total / found.distance[0] < most


@pytest.mark.parametrize(
    ("problem", "most"),
    [
        (elastic({"x_max": "loaded"}, SQUARE - HOLE), 60),
        (elastic({"edge_1": "rolled"}, kp.Polygon([(0, 0), (2, 0.2), (1.5, 1), (0, 1)])), 60),
        (elastic(ROLLED, SQUARE, WOOD, ("x**7", "x**3 * y**4")), 1.2),
    ],
)
def test_a_symmetric_stress_on_triangles_bounds_the_error_of_displacements(problem, most):
    """Data that are no polynomials are multiplied by Korn's constant, which is above 10."""
    number = Number(lambda p, u, v: p.x * u.value + 2 * v.value - 1)
    found = certificate(problem, given(problem, problem.exact), most=10, number=number)
    assert 1 <= found.total / found.distance[0] < most
    points, weights = problem.domain.quadrature(24)
    u, v = problem.exact(points).T
    true, (low, high) = float(weights @ (points.coords[:, 0] * u + 2 * v - 1)), found.interval
    assert low <= true <= high and high - low < 1e-3
    assert script("check_certificate").check(found.arrays())[0] >= found.total


def test_the_bound_of_displacements_does_not_depend_on_the_unit_of_stress():
    """A roller has a displacement across the side and a stress along it."""
    pascal = torch.tensor(STEEL, dtype=torch.float64) * 2e11
    problems = (elastic(ROLLED, SQUARE, one.tolist()) for one in (pascal / 2e11, pascal))
    one, other = (certificate(x, given(x, x.exact), most=1).total for x in problems)
    assert other == pytest.approx(one * 2e11**0.5, rel=1e-2)


def test_korns_constants_hold_for_polynomials_on_triangles_and_in_a_clamped_square():
    """The largest ‖∇(w - r)‖ / ‖ε(w)‖ of quartic displacements w without a mean rotation."""
    corners = numpy.array([(0.0, 0), (1, 0), (0.3, 0.4), (1.1, 0.9)])
    mesh = Triangulation(corners, numpy.array([(0, 1, 2), (1, 3, 2)]), {})
    rules = Rules(3, 2)
    slopes = numpy.einsum("qnk,tkd->tqnd", rules.slopes["v"], mesh.slopes)
    for one, known in zip(slopes, korn_constants(mesh, 2), strict=True):
        full = numpy.einsum("qnd,ij->qnijd", one, numpy.eye(2))
        turns = (full[..., 0, 1] - full[..., 1, 0]).reshape(len(one), -1)
        turns -= rules.weights @ turns
        strains = numpy.einsum("qnijd,ajd->qnia", full, rules.tensors).reshape(len(one), -1, 3)
        energy = numpy.einsum("q,qna,qma->nm", rules.weights, strains, strains)
        whole = energy + numpy.einsum("q,qn,qm->nm", rules.weights, turns, turns) / 2
        values, vectors = numpy.linalg.eigh(energy)
        basis = vectors[:, values > 1e-10] / numpy.sqrt(values[values > 1e-10])
        most = numpy.linalg.eigvalsh(basis.T @ whole @ basis)[-1] ** 0.5
        assert 0.1 * known < most < known
    square = triangulated(elastic({}))
    clamped = rigid_constants(square, numpy.repeat(square.piece[:, None] >= 0, 2, axis=1))
    assert 2**0.5 < clamped.korn < 50 and (2 / 5) ** 0.5 / numpy.pi < clamped.friedrichs < 3


def test_the_bound_is_near_the_error_where_the_reaction_dominates():
    """What the equation misses is divided by √c, not multiplied by the size of a triangle."""
    problem = known(lambda p, u: 1e6 * u.value - kp.laplacian(u))
    found = certificate(problem, given(problem, problem.exact), most=10)
    assert 1 <= found.total / found.distance[0] < 60
    assert script("check_certificate").check(found.arrays())[0] >= found.total


def test_a_mesh_that_is_graded_to_a_vertex_is_conforming_and_nested():
    mesh = triangulated(known(poisson, SQUARE - HOLE))
    mesh = mesh.refined(numpy.ones(len(mesh.triangles), bool))
    fine = mesh.graded(mesh.triangles[:1, 0])
    assert fine.areas.min() == pytest.approx(mesh.areas[0] / 25)
    assert numpy.bincount(fine.parent, fine.areas) == pytest.approx(mesh.areas)
    assert 3 * len(fine.triangles) == 2 * len(fine.ends) - (fine.piece >= 0).sum()


def test_a_flux_may_be_infinite_at_a_corner():
    sides = SQUARE.boundary
    walls = [
        kp.Dirichlet(sides["x_min", "x_max", "y_max"]),
        kp.Neumann(sides["y_min"], lambda p: p.x ** (-1 / 3)),
    ]
    problem = stated(Stated(SQUARE, poisson, walls))
    data = Reader(problem, Rules(3))(triangulated(problem))
    assert numpy.isfinite(data.given).all() and numpy.isfinite(data.lost_given).all()


def test_a_bound_on_triangles_sees_the_error_at_a_corner_and_a_jump_between_cells():
    """A harmonic function with infinite slopes at a corner, and a constant in a part of the L."""

    def corner(p):
        angle = math.tau - (-torch.atan2(p.y, p.x)) % math.tau
        return (p.x**2 + p.y**2) ** (1 / 3) * torch.sin(2 / 3 * (angle - math.pi / 2))

    problem = Stated(L_SHAPE, poisson, [kp.Dirichlet(L_SHAPE.boundary, corner)])
    jumping = given(problem, lambda p: corner(p) + 0.1 * (p.x > 0))
    found = certificate(problem, jumping, most=100)
    assert 0.1 < math.sqrt(3) * found.bound().l2 < 0.2 and found.total < 0.1
    late = certificate(problem, jumping, deadline=0)
    assert "smaller ones need a larger budget" in str(late.bound())
    assert found.total < late.total < 0.1


@pytest.mark.parametrize(
    ("problem", "over"),
    [
        (known(reaction, walls=ROBIN), None),
        (known(poisson), kp.Box(x=(0.5, 1.25), y=(0, 0.5))),
        (known(skew), None),
        (known(reaction, walls=ROBIN), SQUARE.boundary["x_min", "x_max"]),
        (elastic(ROLLED, SQUARE, WOOD), SQUARE.boundary["x_max", "y_max"]),
        (elastic(ROLLED, SQUARE, WOOD), SQUARE.boundary["x_min"]),
    ],
)
def test_a_number_is_bounded_from_both_sides_by_the_adjoint_problem(problem, over):
    number = Number(lambda p, u, v=None: (p.x + 1) * u.value + (v or u).value - 1, over)
    found = certificate(problem, given(problem, problem.exact), most=10, number=number)
    points, weights = (over or problem.domain).quadrature(24)
    values = problem.exact(points)
    true = float(weights @ ((points.x + 1) * values[:, :1] + values[:, -1:] - 1)[:, 0])
    low, high = found.interval
    assert low <= true <= high and high - low < (1e-7 if problem.fields == ("u",) else 3e-4)


@pytest.mark.parametrize("place", ["source", "density", "flux", "density on a side"])
def test_an_interval_contains_the_number_where_data_jump_inside_triangles(place):
    """The step on x > 0.77, tested with z = x (2 - x) / 2, for which -Δz = 1."""

    def step(p):
        return (p.x > 0.77).double()

    def one(p):
        return 1 + 0 * p.x

    sides = SQUARE.boundary
    source = {"source": step, "flux": lambda p: 0 * p.x}.get(place, one)
    conditions = [
        kp.Dirichlet(sides["x_min", "x_max"], 0.0),
        kp.Neumann(sides["y_min"], 0.0),
        kp.Neumann(sides["y_max"], step if place == "flux" else 0.0),
    ]
    problem = stated(Stated(SQUARE, lambda p, u: -kp.laplacian(u) - source(p), conditions))
    density = step if place.startswith("density") else one
    over = sides["y_max"] if place == "density on a side" else None
    number = Number(lambda p, u: density(p) * u.value, over)
    low, high = certificate(problem, given(problem, one), most=10, number=number).interval
    assert low <= 2 / 3 - 0.77**2 / 2 + 0.77**3 / 6 <= high < low + 0.1


def test_there_is_no_flux_where_a_coefficient_jumps_without_an_interface():
    """Whether A∂u/∂n or ∂u/∂n is continuous where A jumps the residual does not say."""

    def stiff(p):
        return 1 + 3 * (p.x > 1).double()

    walls = [kp.Dirichlet(SQUARE.boundary, 0.0)]
    operator = lambda p, u: -stiff(p) * kp.laplacian(u) - 1  # noqa: E731
    problem = stated(Stated(SQUARE, operator, walls))
    with pytest.raises(Unsuitable, match="A jumps at"):
        certificate(problem, given(problem, lambda p: 0 * p.x), most=10)
    walls.append(kp.Interface(SQUARE, kp.Box(x=(1, 2), y=(0, 1)).boundary["x_min"], stiff))
    problem = stated(Stated(SQUARE, operator, walls))
    assert certificate(problem, given(problem, lambda p: 0 * p.x), most=10).total < 0.1


def test_bounds_count_what_the_polynomials_for_the_data_miss():
    """A little convection, and a factor α that is 1 at the points of the rule on a side."""

    def weak(p, u):
        return 1e-4 * kp.partial(u, "x") - kp.laplacian(u)

    problem = known(weak)
    number = Number(lambda p, u: p.x * u.value)
    found = certificate(problem, given(problem, problem.exact), most=10, number=number)
    points, weights = problem.domain.quadrature(24)
    low, high = found.interval
    assert low <= float(weights @ (points.x * problem.exact(points))[:, 0]) <= high

    def hidden(p):
        t = 8 * p.y - 2 * torch.floor(4 * p.y) - 1  # -1 to 1 on each quarter of the side
        nodes = torch.from_numpy(numpy.polynomial.legendre.leggauss(11)[0])
        return 1 + 0.9 * math.comb(22, 11) / 2**11 * (t - nodes).prod(dim=1, keepdim=True)

    sides = SQUARE.boundary
    walls = [
        kp.Robin(sides["x_min"], hidden, 1.0, 1.0),
        kp.Dirichlet(sides["x_max", "y_min", "y_max"], 0.0),
    ]
    problem = stated(Stated(SQUARE, lambda p, u: -kp.laplacian(u), walls))
    with pytest.raises(Unsuitable, match="not smooth"):
        certificate(problem, given(problem, lambda p: 0 * p.x), most=10)


def test_triangles_are_refined_where_polynomials_miss_a_factor_on_a_side():
    """The solution is 1, and α = |x - 0.77| has a kink inside an edge."""

    def alpha(p):
        return (p.x - 0.77).abs()

    sides = SQUARE.boundary
    walls = [
        kp.Dirichlet(sides["x_min", "x_max", "y_min"], 1.0),
        kp.Robin(sides["y_max"], alpha, 1.0, alpha),
    ]
    problem = stated(Stated(SQUARE, lambda p, u: -kp.laplacian(u), walls))
    exact = given(problem, lambda p: 1 + 0 * p.x)
    coarse, fine = (certificate(problem, exact, most) for most in (10, 60))
    assert fine.parts.on_sides.max() < 0.2 * coarse.parts.on_sides.max()


def test_the_energy_of_a_bound_has_no_part_on_robin_sides():
    """u = 1 + 0.01 w, whose gradient is small beside its values on the sides."""
    exact = "1 + 0.01 * sin(3 * x) * sin(3 * y)"
    walls = dict.fromkeys(SQUARE.boundary.names, "robin")
    problem = stated(Manufactured(SQUARE, lambda p, u: u.value - kp.laplacian(u), exact, walls))
    found = certificate(problem, given(problem, problem.exact), most=10)
    points, weights = problem.domain.quadrature(24)
    jet = jet_of(
        lambda x: problem.exact(kp.Points(x, ("x", "y"))),
        points.coords,
        Channels(("x", "y"), gradient=True),
    )
    square = jet.value**2 + jet.gradient.square().sum(dim=1)
    true = float(weights @ square[:, 0])
    assert float(found.parts.square.sum()) == pytest.approx(true, rel=1e-6)


def test_a_script_with_numpy_alone_proves_a_certificate_and_finds_out_a_changed_one():
    checker = script("check_certificate")
    problem = known(variable, walls=ROBIN)
    found = certificate(problem, given(problem, problem.exact), most=10)
    arrays = found.arrays()
    assert checker.check(arrays)[0] == pytest.approx(found.total, rel=2e-3)
    for name, words in (("v", "not continuous"), ("q", "but"), ("source", "but"), ("robin", "but")):
        changed = arrays | {name: arrays[name].copy()}
        changed[name][0] += 1e-3
        with pytest.raises(checker.Wrong, match="digest"):
            checker.check(changed)
        changed["digest"] = numpy.array(digest(changed))
        with pytest.raises(checker.Wrong, match=words):
            checker.check(changed)
    imaginary = arrays | {"q": arrays["q"] + 1j}  # the square of the misfit would be negative
    imaginary["digest"] = numpy.array(digest(imaginary))
    with pytest.raises(checker.Wrong, match="complex"):
        checker.check(imaginary)


@pytest.mark.parametrize(
    ("problem", "reason"),
    [
        (known(convection), "convection"),
        (known(little_helmholtz), "c is negative"),
        (known(poisson, walls="neumann"), "neither a value nor c"),
        (known(poisson, kp.Disk((0, 0), 1)), "straight sides"),
        (elastic(dict.fromkeys(SQUARE.boundary.names, "loaded")), "neither a value nor c"),
        (
            elastic({"x_min": "rolled", **dict.fromkeys(SQUARE.boundary.names[1:], "loaded")}),
            "free",
        ),
        (elastic({}, stiffness=((1, 0, 0.3), (0, 1, 0), (0, 0, 1))), "symmetric stress"),
        (elastic({}, stiffness=((1, -1, 0), (-1, 1, 0), (0, 0, 1))), "not elliptic"),
    ],
)
def test_there_is_no_flux_on_triangles_where_no_theory_gives_bounds(problem, reason):
    with pytest.raises(Unsuitable, match=reason):
        certificate(problem, given(problem, problem.exact), most=10)
