"""Dirichlet conditions on the normal and the tangential component of a vector field."""

import math

import pytest
import torch

import kanpinn as kp
from kanpinn.jets import Channels, Jet
from kanpinn.networks.constraints import choose_imposition
from kanpinn.pde.boundary_value_problem import stated
from kanpinn.pde.checks import check_well_posed
from kanpinn.pde.verify import exact_defects

DISK = kp.Disk((0, 0), 1)
BOX = kp.Box(x=(0, 1), y=(0, 2))
VECTOR = ("u", "v")


class Harmonic(kp.Problem):
    """Δu = Δv = 0 with the normal and the tangential component given on the whole boundary."""

    fields = VECTOR

    def __init__(self, domain):
        self.domain = domain

    def residual(self, p, u, v):
        return kp.laplacian(u), kp.laplacian(v)

    def conditions(self):
        whole = self.domain.boundary
        return [
            kp.NormalDirichlet(whole, self.normal, self.fields),
            kp.TangentialDirichlet(whole, self.tangential, self.fields),
        ]

    def exact(self, p):
        return torch.exp(p.x) * torch.cos(p.y), p.x**2 - p.y**2 + p.x

    def normal(self, p):
        return (torch.cat(self.exact(p), dim=1) * p.normals).sum(dim=1, keepdim=True)

    def tangential(self, p):
        u, v = self.exact(p)
        return v * p.normals[:, :1] - u * p.normals[:, 1:]


class Oseen(kp.Problem):
    """Kovasznay's flow (Re = 40) between slip walls y = ±½, convected by the exact velocity.

    On the walls v = 0 and ∂u/∂y = 0; the pressure is that of Kovasznay (1948).
    """

    domain = kp.Box(x=(0, 1), y=(-0.5, 0.5))
    fields = ("u", "v", "q")
    free_constant = ("q",)
    reynolds = 40.0
    rate = reynolds / 2 - math.sqrt(reynolds**2 / 4 + 4 * math.pi**2)

    def __init__(self, wall):
        self.wall = wall

    def residual(self, p, u, v, q):
        a, b, _ = self.exact(p)
        return (
            a * kp.partial(u, "x") + b * kp.partial(u, "y") + kp.partial(q, "x")
            - kp.laplacian(u) / self.reynolds,
            a * kp.partial(v, "x") + b * kp.partial(v, "y") + kp.partial(q, "y")
            - kp.laplacian(v) / self.reynolds,
            kp.partial(u, "x") + kp.partial(v, "y"),
        )  # fmt: skip

    def conditions(self):
        ends = self.domain.boundary["x_min", "x_max"]
        walls = self.domain.boundary["y_min", "y_max"]
        velocity = [
            kp.Dirichlet(ends, lambda p, i=i: self.exact(p)[i], field=name)
            for i, name in enumerate(VECTOR)
        ]
        return [*velocity, self.wall(walls), kp.Neumann(walls, 0.0, field="u")]

    def exact(self, p):
        decay, angle = torch.exp(self.rate * p.x), 2 * math.pi * p.y
        u = 1 - decay * torch.cos(angle)
        v = self.rate / (2 * math.pi) * decay * torch.sin(angle)
        return u, v, -(decay**2) / 2


def slip(walls):
    return kp.NormalDirichlet(walls, 0.0, VECTOR)


def test_a_harmonic_vector_field_is_recovered_on_a_disk():
    problem = Harmonic(DISK)
    assert all(defect.is_rounding for defect in exact_defects(problem))
    network = kp.KAN([2, 40, 2], degree=9, grid=[4, 8], seed=0)
    solution = kp.solve(problem, network, kp.LeastSquares(), kp.Collocation(600, 160))
    assert solution.surrogate.output is None  # no field has values of its own on a circle
    assert solution.errors.l2_relative < 1e-8


def test_on_a_box_components_are_built_in_as_values_of_fields():
    problem = Harmonic(BOX)
    chosen = choose_imposition(problem, "exact", ())
    assert chosen.met == {0, 1}
    points = kp.Points.cat(piece.gauss(9) for piece in BOX.boundary.pieces)
    network = kp.KAN([2, 12, 2], degree=9, grid=4, seed=0)
    solution = kp.solve(problem, network, kp.LeastSquares(), kp.Collocation(400, 80))
    expected = torch.cat(problem.exact(points), dim=1)
    torch.testing.assert_close(solution(points), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("boundary", ["exact", "penalty"])
def test_a_flow_between_slip_walls(boundary):
    problem = Oseen(slip)
    assert all(defect.is_rounding for defect in exact_defects(problem))
    network = kp.KAN([2, 24, 3], degree=9, grid=[3, 6], seed=0)
    points = kp.Collocation(400, 100)
    solution = kp.solve(problem, network, kp.LeastSquares(), points, boundary=boundary)
    assert solution.errors.l2_relative < 1e-5


def test_a_slip_wall_is_the_field_across_it():
    across = Oseen(lambda walls: kp.Dirichlet(walls, 0.0, field="v"))
    points = kp.Collocation(200, 60)
    found = [
        kp.solve(problem, kp.KAN([2, 12, 3], degree=7, grid=4), points=points, boundary="exact")
        for problem in (Oseen(slip), across)
    ]
    assert found[0].errors.l2_relative == pytest.approx(found[1].errors.l2_relative, rel=1e-6)


def fields_at(p, *values):
    return [Jet(Channels(p.names), value) for value in values]


def test_on_a_sphere_the_tangential_part_alone_is_prescribed(generator):
    ball = kp.Ball((0, 0, 0), 1)
    p = ball.boundary.pieces[0].gauss(60)
    swirl = torch.cat([-p.y, p.x, torch.zeros_like(p.x)], dim=1)  # tangential to the sphere
    radial = torch.rand(len(p), 1, generator=generator, dtype=torch.float64) * p.normals
    fields = fields_at(p, *(swirl + radial).split(1, dim=1))
    names = ("u", "v", "w")
    tangential = kp.TangentialDirichlet(ball.boundary, lambda p: swirl, names)
    assert tangential.residual(p, *fields).abs().max() < 1e-14
    still = kp.TangentialDirichlet(ball.boundary, 0.0, names)
    torch.testing.assert_close(still.residual(p, *fields), swirl)
    normal = kp.NormalDirichlet(ball.boundary, 0.0, names)
    expected = (radial * p.normals).sum(dim=1, keepdim=True)
    torch.testing.assert_close(normal.residual(p, *fields), expected)


def test_on_faces_of_a_brick_the_two_components_make_up_the_vector():
    brick = kp.Box(x=(0, 1), y=(0, 2), z=(0, 3))
    vector = lambda p: torch.cat([p.y * p.z, p.x + 1, p.x * p.y], dim=1)  # noqa: E731
    names = ("u", "v", "w")
    normal = kp.NormalDirichlet(
        brick.boundary, lambda p: (vector(p) * p.normals).sum(dim=1, keepdim=True), names
    )
    tangential = kp.TangentialDirichlet(brick.boundary, vector, names)
    data = [*normal.prescribed(names), *tangential.prescribed(names)]
    assert len(data) == 18
    for one in data:
        p = one.piece.gauss(9)
        p = kp.Points(p.coords, p.names)
        column = names.index(one.field)
        torch.testing.assert_close(one.values(p), vector(p)[:, column, None])


def test_walls_of_a_space_time_have_normals_in_space():
    tube = BOX.over(t=(0, 1))
    wall = kp.NormalDirichlet(tube.boundary["x_max"], "y*t", VECTOR)
    (one,) = wall.prescribed(VECTOR)
    p = one.piece.gauss(8)
    assert one.field == "u"
    torch.testing.assert_close(one.values(p), p.y * p.t)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda b: kp.NormalDirichlet(b, 0.0, ("u",)), r"NormalDirichlet\.fields .* x, y"),
        (lambda b: kp.NormalDirichlet(b, 0.0, ("u", "v", "w")), r"NormalDirichlet\.fields .* x, y"),
        (lambda b: kp.TangentialDirichlet(b, 0.0), r"TangentialDirichlet\.fields"),
        (lambda b: kp.NormalDirichlet(b, 0.0, VECTOR, field="u"), "not field"),
        (lambda b: kp.NormalDirichlet(b, None, VECTOR), "number or a function"),
    ],
)
def test_what_is_no_vector_is_refused(make, words):
    with pytest.raises(kp.InputError, match=words):
        make(DISK.boundary)


def test_a_number_is_no_tangential_vector_in_space():
    with pytest.raises(kp.InputError, match="gives a vector for 3 fields"):
        kp.TangentialDirichlet(kp.Ball((0, 0, 0), 1).boundary, 1.0, ("u", "v", "w"))


def test_ends_of_time_have_no_component_in_space():
    tube = BOX.over(t=(0, 1))
    with pytest.raises(kp.InputError, match="coordinates of space"):
        kp.NormalDirichlet(tube.boundary["initial"], 0.0, VECTOR)


def test_fields_that_the_problem_does_not_have_are_refused():
    class Misnamed(Harmonic):
        def conditions(self):
            return [kp.NormalDirichlet(self.domain.boundary, 0.0, ("u", "w"))]

    with pytest.raises(kp.InputError, match="no field 'w'"):
        kp.solve(Misnamed(DISK), kp.KAN([2, 3, 2]), points=kp.Collocation(9, 9))


def slipping(p, u, v):
    """∂u/∂n n_y, by which u·n and this are two conditions on harmonic u and v."""
    return kp.normal_derivative(u, p) * p.normals[:, 1:]


def test_a_normal_component_fixes_the_constants_of_its_fields():
    class Slipping(Harmonic):
        def conditions(self):
            wall = self.domain.boundary
            return [kp.NormalDirichlet(wall, 0.0, VECTOR), kp.Constraint(wall, slipping)]

    check_well_posed(stated(Slipping(DISK)))
