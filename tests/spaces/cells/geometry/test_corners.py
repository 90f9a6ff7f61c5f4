"""Corners at which solutions are singular: their exponents, weights, and solutions in cells."""

import math
from functools import partial

import pytest
import torch
from cases import Manufactured, Stated, cells_of, check_estimate, error_of, solved_in_cells
from scipy.optimize import brentq

import kanpinn as kp
from kanpinn.jets import Channels
from kanpinn.loss.terms import ResidualTerm
from kanpinn.spaces.cells.geometry.singularities import edges_of_boxes, junctions
from kanpinn.spaces.cells.problem import ProblemInPlane
from kanpinn.spaces.cells.tree import Tree

NOTCHED = kp.Polygon([(0.1, 0.05), (1, 0.4), (0.2, 1), (-0.9, 0.6), (-0.7, -0.8), (0.4, -0.9)])


def in_plane(domain, flux=()):
    """Laplace's equation with values on some pieces of the boundary and the flux on the others."""
    points = domain.gauss(1)

    def term(name, residual, pieces=(), **channels):
        made = Channels(("x", "y"), **channels)
        return ResidualTerm(name, points, 1.0, made, residual, pieces=tuple(pieces))

    def outward(p, u):
        return (u.gradient[:, :, 0] * p.normals).sum(dim=1, keepdim=True)

    walls = domain.boundary.pieces
    values = [piece for piece in walls if piece.name not in flux]
    slopes = [piece for piece in walls if piece.name in flux]
    equation = term("interior", lambda p, u: kp.laplacian(u), second="laplacian")
    conditions = [
        term("values", lambda p, u: u.value, values),
        term("flux", outward, slopes, gradient=True),
    ]
    return ProblemInPlane(domain, equation, conditions)


def exponents(domain, flux=()):
    """The corners with the exponents of their singular functions."""
    found = in_plane(domain, flux).singularities
    return dict(zip(map(tuple, found.points.tolist()), found.exponents.tolist(), strict=True))


def test_exponents_follow_from_the_angle_and_the_kinds_of_conditions():
    assert exponents(kp.LShape()) == {(0.0, 0.0): pytest.approx(2 / 3)}
    found = exponents(NOTCHED)
    assert found[0.1, 0.05] == pytest.approx(math.pi / kp.Corner(NOTCHED, (0.1, 0.05), 1).angle)
    mixed = exponents(NOTCHED, flux=("edge_0",))
    assert mixed[0.1, 0.05] == pytest.approx(found[0.1, 0.05] / 2)
    assert mixed[-0.9, 0.6] == found[-0.9, 0.6]


def test_the_kind_of_condition_may_change_on_a_straight_side():
    square = kp.Polygon([(0, 0), (0.4, 0), (1, 0), (1, 1), (0, 1)])
    assert exponents(square) == {}
    assert exponents(square, flux=("edge_0", "edge_4"))[0.4, 0.0] == pytest.approx(1 / 2)


def at_corner(problem, geometry):
    """The widths of the cells at the first corner, relative to the domain's width."""
    touched = problem.singularities.touched(geometry)[:, 0]
    return geometry.tree.widths[touched].amax(dim=1) / 2


def test_cells_at_a_corner_are_halved_until_rounding_forbids_it():
    problem = in_plane(NOTCHED)
    geometry = problem.start(Tree.uniform([4, 4]))
    for _ in range(20):
        chosen = problem.singularities.touched(geometry)[:, 0] & problem.singularities.divisible(
            geometry
        )
        if not bool(chosen.any()):
            break
        before = len(geometry.tree)
        geometry = problem.refined(geometry, geometry.tree.everywhere(chosen))
        assert len(geometry.tree) > before
    assert float(at_corner(problem, geometry).max()) == 2.0**-problem.singularities.bits
    assert (
        float(at_corner(problem, problem.deeper(geometry)).max()) < 2.0**-problem.singularities.bits
    )
    weights = problem.singularities.weights(geometry)
    assert bool((weights.log2() == weights.log2().round()).all())
    assert float(weights[~problem.singularities.divisible(geometry)].max()) < 1e-9
    assert float(weights.max()) == 1.0
    seen = torch.cat([geometry.faces.lower, geometry.faces.upper]).unique()
    assert len(seen) == len(geometry.tree)  # each cell has a face in spite of rounding


def at_corner_of(domain, at, flux=()):
    """Δu = f with u = r^λ sin λθ + exp(x) cos y about a corner of a polygon.

    λ is π/ω, or half of that with the flux on the side θ = ω.
    """
    corner = kp.Corner(domain, at, 1)
    power = math.pi / corner.angle / (2 if flux else 1)

    def exact(p):
        r, theta = corner.polar(torch.cat([p.x, p.y], dim=1))
        return r**power * torch.sin(power * theta) + torch.exp(p.x) * torch.cos(p.y)

    walls = dict.fromkeys(flux, "neumann")
    return Manufactured(domain, lambda p, u: kp.laplacian(u), exact, walls, source=False)


@pytest.mark.parametrize(
    ("domain", "at", "flux"),
    [(kp.LShape(), (0, 0), ()), (NOTCHED, (0.1, 0.05), ("edge_5",))],
    ids=["an L", "a notch with flux on one side"],
)
def test_singular_solutions_are_found_with_honest_estimates(domain, at, flux):
    solution = solved_in_cells(at_corner_of(domain, at, flux), 5, 4, tolerance=1e-2, steps=20)
    check_estimate(solution, 1e-2, 1 / 3)


def test_an_anisotropic_equation_at_a_corner_is_that_of_laplace_in_other_coordinates():
    """div(M Mᵀ ∇u) = 0 is Laplace's equation in the coordinates M⁻¹ x."""
    ends = [(0, 0), (1, 0), (1, 1), (-1, 1), (-1, -1), (0, -1)]
    corner = kp.Corner(kp.Polygon(ends), (0, 0), 1)
    matrix = torch.tensor([[2.0, 0.8], [-0.3, 0.5]], dtype=torch.float64)
    (a, b), (_, c) = (matrix @ matrix.T).tolist()
    domain = kp.Polygon((matrix @ torch.tensor(ends).T.double()).T.tolist())

    def residual(p, u):
        mixed = 2 * b * kp.partial(u, "x", "y")
        return a * kp.partial(u, "x", "x") + mixed + c * kp.partial(u, "y", "y")

    def exact(p):
        r, theta = corner.polar(torch.cat([p.x, p.y], dim=1) @ matrix.inverse().T)
        return r ** (2 / 3) * torch.sin(2 * theta / 3)

    problem = Stated(domain, residual, [kp.Dirichlet(domain.boundary, exact)], exact=exact)
    corners = cells_of(problem, kp.Cells(degree=6, cells=2)).own_corners
    inward = next(one for one in corners if one.at == (0, 0))
    assert inward.exponent == pytest.approx(2 / 3) and inward.multiplicity == 1
    x, y = inward.across(0.0)
    assert abs(a * x**2 + 2 * b * x * y + c * y**2) < 1e-12
    check_estimate(solved_in_cells(problem, 6, 2, tolerance=1e-3, steps=3), 1e-3, 1 / 3)


def test_errors_at_a_corner_are_of_twice_the_order_of_the_solution(monkeypatch):
    monkeypatch.setattr(ProblemInPlane, "corner_patches", lambda *_: [])  # polynomials alone
    problem = at_corner_of(kp.LShape(), (0, 0))
    coarse, fine = (error_of(solved_in_cells(problem, 5, 2, steps=steps)) for steps in (2, 3))
    assert math.log2(coarse / fine) / 5 == pytest.approx(4 / 3, abs=0.3)  # five halvings a step


def test_corners_of_a_box_count_as_those_of_the_same_polygon():
    """Without them the tip was wrong by 80 %, with the status "converged"."""
    polygon = kp.Polygon([(0, 0), (4, 0), (4, 1), (0, 1)])
    found = [
        cells_of(Strip(domain, 0.3, [side]), kp.Cells([2, 2], 4, [4, 1])).singularities
        for domain, side in ((kp.Box(x=(0, 4), y=(0, 1)), "x_min"), (polygon, "edge_3"))
    ]
    corners = [
        sorted(zip(one.points.tolist(), one.exponents.tolist(), strict=True)) for one in found
    ]
    assert len(corners[0]) >= 2 and len(corners[0]) == len(corners[1])
    for (mine, power), (its, other) in zip(*corners, strict=True):
        assert mine == pytest.approx(its) and power == pytest.approx(other, abs=1e-3)


class Strip(kp.Problem):
    """Plane stress with Young's modulus 1: a strip that is clamped at some sides and loaded."""

    fields = ("u", "v")

    def __init__(self, domain, poisson, clamped, loads=()):
        self.domain, self.poisson = domain, poisson
        self.clamped, self.loads = clamped, dict(loads)

    def strains(self, u, v):
        (ux, uy), (vx, vy) = ([kp.partial(one, axis) for axis in "xy"] for one in (u, v))
        return ux, vy, uy + vx

    def residual(self, p, u, v):
        axial, shear = 1 / (1 - self.poisson**2), 0.5 / (1 + self.poisson)
        other = self.poisson * axial + shear
        return [
            axial * kp.partial(one, a, a)
            + shear * kp.partial(one, b, b)
            + other * kp.partial(rest, a, b)
            for one, rest, a, b in ((u, v, "x", "y"), (v, u, "y", "x"))
        ]

    def conditions(self):
        walls, found = self.domain.boundary, []
        for name in walls.names:
            if name in self.clamped:
                found += [kp.Dirichlet(walls[name], 0.0, field=one) for one in self.fields]
            else:
                load = self.loads.get(name, (0.0, 0.0))
                stress = partial(self.tractions, load=load)
                found.append(kp.Constraint(walls[name], stress))
        return found

    def tractions(self, p, u, v, load):
        x, y, slip = self.strains(u, v)
        n, m = p.normals[:, :1], p.normals[:, 1:]
        axial, shear = 1 / (1 - self.poisson**2), 0.5 / (1 + self.poisson) * slip
        along, across = (axial * (a + self.poisson * b) for a, b in ((x, y), (y, x)))
        return along * n + shear * m - load[0], shear * n + across * m - load[1]


def exponents_of_strip(points, poisson, clamped, at):
    problem = cells_of(Strip(kp.Polygon(points), poisson, clamped), kp.Cells([2, 2], 4, 2))
    (corner,) = [one for one in problem.own_corners if one.at == at]
    return corner.exponents


def test_exponents_of_elasticity_are_those_of_williams():
    notch = [(0, 0), (1, 0), (1, 1), (-1, 1), (-1, -1), (0, -1)]
    free = exponents_of_strip(notch, 0.2, ["edge_2"], (0, 0))  # sin λω = ± λ sin ω

    def defect(exponent, sign):
        return math.sin(1.5 * math.pi * exponent) + sign * exponent

    found = [brentq(defect, 0.5, 0.6, args=(-1,)), brentq(defect, 0.6, 0.99, args=(1,))]
    assert sorted(one.real for one in free)[:2] == pytest.approx(found, abs=1e-9)
    straight = [(0, 0), (1, 0), (2, 0), (2, 1), (0, 1)]
    least = exponents_of_strip(straight, 0.3, ["edge_0"], (1, 0))[0]
    turn = math.log((3 - 0.3) / (1 + 0.3)) / (2 * math.pi)
    assert least == pytest.approx(complex(0.5, turn), abs=1e-9)


def test_a_free_corner_is_singular_where_a_load_ends():
    """u is like r ln r; otherwise 1 is the exponent of a rotation."""
    square = [(0, 0), (1, 0), (1, 1), (0, 1)]
    for load, is_found in (((0.0, 1.0), True), ((1.0, 0.0), False)):
        problem = Strip(kp.Polygon(square), 0.3, ["edge_3"], {"edge_1": load})
        corners = cells_of(problem, kp.Cells([2, 2], 4, 2)).own_corners
        least = {one.at: one.exponent for one in corners}
        assert (least[1, 0] == pytest.approx(1)) == is_found


class Rolled(Strip):
    """A strip that rolls on the side y = 0, where the tangential traction σn - (n · σn) n is 0."""

    def conditions(self):
        floor = self.domain.boundary["y_min"]
        others = [one for one in super().conditions() if one.pieces != floor.pieces]
        return [
            *others,
            kp.Dirichlet(floor, 0.0, field="v"),
            kp.Constraint(floor, partial(self.friction, load=(0.0, 0.0))),
        ]

    def friction(self, p, u, v, load):
        traction = torch.cat(self.tractions(p, u, v, load), dim=1)
        return traction - (traction * p.normals).sum(dim=1, keepdim=True) * p.normals


def test_a_condition_may_have_a_row_that_is_zero():
    problem = Rolled(kp.Box(x=(0, 2), y=(0, 1)), 0.3, ["x_min"])
    corners = cells_of(problem, kp.Cells([2, 2], 4, 2)).own_corners
    known = {one.at: one.exponent for one in corners}
    # By reflection (0, 0) is a point of a clamped side, and (0, 1) a corner with a free side.
    assert list(known) == [(0.0, 1.0)] and known[0, 1] == pytest.approx(0.7583, abs=1e-3)


def test_the_tip_of_a_cantilever_is_that_of_finite_elements():
    """Where the clamped end meets free sides, u is like r^0.758; at the loaded end, r ln r."""
    box = kp.Box(x=(0, 2), y=(0, 1))
    problem = Strip(box, 0.3, ["x_min"], {"x_max": (0.0, -0.01)})
    solution = solved_in_cells(problem, 6, (4, 2), tolerance=1e-4, steps=3)
    tip = float(solution(torch.tensor([[2.0, 0.5]]).double())[0, 1])
    assert solution.status == "converged"
    assert tip == pytest.approx(-0.3770892, rel=2e-4)


def test_cells_do_not_tie_the_two_sides_of_a_slit():
    """u = r^λ sin λθ is 0 on the lower side of the slit, and its flux is 0 on the upper side."""
    tip, low, high = (0.1, 0.05), (1, 0.02), (1, 0.09)
    domain = kp.Polygon([(-1, -1), (1, -1), low, tip, high, (1, 1), (-1, 1)])
    lower, upper = (math.atan2(y - 0.05, 0.9) for _, y in (low, high))
    power = math.pi / 2 / (2 * math.pi + lower - upper)

    def exact(p):
        x, y = p.x - tip[0], p.y - tip[1]
        turned = torch.remainder(lower - torch.atan2(y, x) + 1e-9, 2 * math.pi) - 1e-9
        return (x**2 + y**2) ** (power / 2) * torch.sin(power * turned)

    given = [
        kp.Dirichlet(domain.boundary[tuple(f"edge_{i}" for i in (0, 1, 2, 4, 5, 6))], exact),
        kp.Neumann(domain.boundary["edge_3"], 0.0),
    ]
    problem = Stated(domain, lambda p, u: kp.laplacian(u), given, exact=exact)
    solution = kp.solve(problem, kp.Cells(degree=6, cells=2), kp.AdaptiveLeastSquares(steps=1))
    assert error_of(solution) < 1e-3


# --- Edges of interfaces in space: the exponents there, and the cells at them


CUBE = kp.Box(x=(-1, 1), y=(-1, 1), z=(-1, 1))
CORNER = kp.Box(x=(-1, 0.1), y=(-1, 0), z=(-1, 0.2))


def jump(part, value):
    """A coefficient that has another value in a part of the domain."""
    inside = lambda p: part.contains(p.coords)[:, None]  # noqa: E731
    return lambda p: torch.where(inside(p), p.x.new_tensor(value), 1.0)


def _in_cells(ratio, block, *names):
    problem = divided(CUBE, jump(block, ratio), block.boundary[names])
    return cells_of(problem, kp.Cells([3, 1], 4, 2))


@pytest.mark.parametrize("ratio", [20.0, 1.5, 0.05])
def test_exponents_are_those_of_even_and_odd_solutions_around_an_edge(ratio):
    problem = _in_cells(ratio, CORNER, "x_max", "y_max", "z_max")
    segments, exponents, vertices = edges_of_boxes(problem.division, problem.flux_sizes)
    assert len(segments) == 3 and vertices.tolist() == [[0.1, 0.0, 0.2]]
    inner, outer = math.pi / 4, 3 * math.pi / 4

    def even(e):
        return ratio * math.tan(e * inner) + math.tan(e * outer)

    def odd(e):
        return math.tan(e * inner) + ratio * math.tan(e * outer)

    least = brentq(even if ratio > 1 else odd, 2 / 3 + 1e-9, 1 - 1e-9)
    assert exponents.tolist() == pytest.approx([least] * 3, abs=1e-4)
    vertex = problem.singularities.vertices  # errors are like h^(2 (q + β - 1/2)), for q = 1/2
    assert vertex.rates.tolist() == [2 * vertex.power] == [1.5]


def test_an_edge_on_the_boundary_or_without_a_jump_is_not_singular():
    for problem in (
        _in_cells(20.0, kp.Box(x=(-1, 0.1), y=(-1, 1), z=(-1, 1)), "x_max"),
        _in_cells(1.0, CORNER, "x_max", "y_max", "z_max"),
    ):
        assert not len(edges_of_boxes(problem.division, problem.flux_sizes)[0])


def test_cells_at_an_edge_become_thin_and_stay_long():
    problem = _in_cells(20.0, kp.Box(x=(-1, 0), y=(-1, 0), z=(-1, 1)), "x_max", "y_max")
    coarse = problem.start(Tree.uniform((2, 2, 2)).divided(2))
    chosen = torch.tensor([[True, True, False]]).expand(len(coarse.tree), -1)
    fine = problem.refined(coarse, chosen, 0.01)
    at_edge = fine.tree.level[problem.singularities._touched(fine)[:, 0]]
    assert bool((at_edge[:, :2] >= 4).all()) and not bool(at_edge[:, 2].any())


# --- Points where interfaces cross, have corners or end at walls: the exponents of solutions there


SQUARE = kp.Box(x=(-1, 1), y=(-1, 1))


def cross(at):
    left, lower = kp.Box(x=(-1, at[0]), y=(-1, 1)), kp.Box(x=(-1, 1), y=(-1, at[1]))
    return left.boundary["x_max"], lower.boundary["y_max"]


CROSS = cross((0, 0))


def divided(domain, a, *interfaces, values="x"):
    """∇·(a ∇u) = 0 with u given on the walls."""
    walls = kp.Dirichlet(domain.boundary, values)
    given = [walls, *(kp.Interface(domain, one, a) for one in interfaces)]
    return Stated(domain, lambda p, u: a(p) * kp.laplacian(u), given)


def exponents_junctions(problem):
    found = cells_of(problem, kp.Cells([2, 1], 4, 2))
    return junctions(found.division, found.flux_sizes, found.conditions)


def chequered(ratio, at=(0.0, 0.0)):
    first, second = at
    return lambda p: torch.where((p.x - first) * (p.y - second) > 0, p.x.new_tensor(ratio), 1.0)


@pytest.mark.parametrize("ratio", [161.4476387975881, 5.0])
def test_exponents_of_a_chequerboard_are_those_of_kellogg(ratio):
    # λ = 4/π arctan(1/√R) is 0.1 for the first one. Inside the domain ln r is a solution, too.
    found = {at: own for at, *own in exponents_junctions(divided(SQUARE, chequered(ratio), *CROSS))}
    exponent, margin = found.pop((0.0, 0.0))
    assert list(found.values()) == [pytest.approx([1, 1])] * 4 and margin == 0
    assert exponent == pytest.approx(4 / math.pi * math.atan(ratio**-0.5), abs=1e-3)


def test_an_oblique_line_at_a_wall_has_the_exponent_of_both_angles():
    part = kp.Polygon([(-1, -1), (1, -1), (1, 0.7), (-1, -0.4)])
    problem = divided(SQUARE, jump(part, 10.0), part.boundary["edge_2"])
    slope = math.atan2(1.1, 2)
    for (x, _), exponent, _ in exponents_junctions(problem):
        below = math.pi / 2 + (slope if x < 0 else -slope)  # the angle of the part
        above = math.pi - below
        flux = 10 / math.tan(exponent * below) + 1 / math.tan(exponent * above)
        assert flux == pytest.approx(0, abs=0.05)


def test_smooth_interfaces_have_no_singular_points():
    disk = kp.Disk((0.1, 0), 0.4)
    assert exponents_junctions(divided(SQUARE, jump(disk, 50.0), disk.boundary)) == []


def test_an_interface_that_ends_at_a_wall_with_a_flux_is_solved():
    """u = Re w (ln w - iπ/2) / a, whose flux through y = 0 jumps where the interface ends."""
    upper = kp.Box(x=(-1, 1), y=(0, 1))
    half = kp.Box(x=(-1, 0), y=(0, 1))

    def exact(p):
        turned = torch.atan2(p.y, p.x) - math.pi / 2
        return (p.x * (p.x**2 + p.y**2).log() / 2 - p.y * turned) / jump(half, 30.0)(p)

    def flux(p):
        return torch.where(p.x > 0, -math.pi / 2, math.pi / 2)

    sides, a = upper.boundary, jump(half, 30.0)
    given = [
        kp.Dirichlet(sides["x_min", "x_max", "y_max"], exact),
        kp.Robin(sides["y_min"], 0.0, a, flux),
        kp.Interface(upper, half.boundary["x_max"], a),
    ]
    problem = Stated(upper, lambda p, u: a(p) * kp.laplacian(u), given, exact=exact)
    solution = kp.solve(problem, kp.Cells(degree=6, cells=2), kp.AdaptiveLeastSquares(steps=4))
    assert error_of(solution) < 1e-4


def kellogg(ratio, at=(0.0, 0.0)):
    """u = r^λ φ(θ) about the point `at`; φ is even in quadrants with a = R, odd in the others."""
    power = 4 / math.pi * math.atan(ratio**-0.5)

    def exact(p):
        x, y = p.x - at[0], p.y - at[1]
        angle = torch.atan2(y, x)
        sign = torch.where(angle < 0, -1.0, 1.0)  # φ(θ + π) = -φ(θ)
        angle = torch.where(angle < 0, angle + math.pi, angle)
        even = torch.cos(power * (angle - math.pi / 4))
        odd = -torch.sin(power * (angle - 3 * math.pi / 4)) / math.tan(power * math.pi / 4)
        shape = torch.where(angle < math.pi / 2, even, odd)
        return sign * (x**2 + y**2) ** (power / 2) * shape

    problem = divided(SQUARE, chequered(ratio, at), *cross(at), values=exact)
    problem.exact = exact
    return problem


def test_a_singular_solution_at_a_crossing_is_found():
    solution = solved_in_cells(kellogg(3.0), 4, 4, tolerance=3e-2, steps=20)  # λ = 2/3
    check_estimate(solution, 3e-2, 0.3)


def test_errors_at_a_crossing_are_of_the_order_of_the_solution():
    problem = kellogg(3.0, (0.13, 0.07))  # λ = 2/3; the cells at the crossing are not symmetric
    coarse, fine = (solved_in_cells(problem, 5, 2, steps=steps) for steps in (1, 2))
    error = error_of(fine)
    assert math.log2(error_of(coarse) / error) / 10 == pytest.approx(2 / 3, abs=0.2)  # ten halvings
    assert error < 3 * fine.history.column("indicated_error")[-1]


class Clamped(kp.Problem):
    """A plate on an L that is clamped all around, under a uniform load."""

    domain = kp.LShape()

    def residual(self, p, u):
        return kp.biharmonic(u) - 1

    def conditions(self):
        return [kp.Dirichlet(self.domain.boundary), kp.Neumann(self.domain.boundary)]


class Electric(kp.Problem):
    """An electric field in an L of metal: more equations than fields."""

    domain = kp.LShape()
    fields = ("u", "v")

    def residual(self, p, u, v):
        return kp.laplacian(u) - 1, kp.laplacian(v) - 1, kp.div(u, v)

    def conditions(self):
        return [kp.TangentialDirichlet(self.domain.boundary, fields=self.fields)]


@pytest.mark.parametrize(
    ("problem", "least", "power"),
    # (λ - 1) sin ω = ±sin((λ - 1) ω) for the plate; gradients of r^(π/ω) for the field
    [(Clamped(), 1.5444837, 2.25), (Electric(), -1 / 3, 2 - 1 / 18)],
    ids=["a clamped plate", "an electric field"],
)
def test_exponents_are_those_of_solutions_with_a_finite_energy(problem, least, power):
    found = cells_of(problem, kp.Cells(degree=6, cells=2)).singularities
    inward = (found.points == 0).all(dim=1)
    assert float(found.exponents[inward]) == pytest.approx(least, abs=1e-6)
    assert float(found.powers[inward]) == pytest.approx(power)


def test_weights_exclude_ln_r_where_fluxes_are_given():
    domain = kp.LShape()
    names = tuple(piece.name for piece in domain.boundary.pieces)
    given, free = (in_plane(domain, flux).singularities for flux in ((), names))
    assert float(given.margins) == pytest.approx(2 / 3) and float(free.margins) == 0
    # Rows of r^β Δu are not bounded for ln r if β < 1, and bounded for r^(2/3) if β > 1/3.
    assert float(given.powers) == 1.25 and 1 / 3 < float(free.powers) < 1
