"""Conditions: what each of them demands, and that problems with it are solved."""

import math

import pytest
import reference
import torch
from cases import Manufactured, Stated, formulas

import kanpinn as kp
from kanpinn.geometry import Boundary
from kanpinn.jets import Channels, Jet
from kanpinn.loss.residuals import Residuals
from kanpinn.networks.constraints import choose_imposition
from kanpinn.pde.boundary_value_problem import stated
from kanpinn.pde.checks import check_well_posed
from kanpinn.pde.defects import exact_defects
from kanpinn.solvers.discretization import SolveSettings, discretize

SQUARE = kp.Box(x=(-1, 1), y=(-1, 1))


def smooth(*conditions, domain=SQUARE):
    """-Δu = f with u = sin(2x + 1) exp(y/2) and the conditions that it is given."""
    made = Manufactured(domain, lambda p, u: kp.laplacian(u), EXACT)
    made.conditions = lambda: [*conditions]
    return made


EXACT = formulas("sin(2 * x + 1) * exp(y / 2)")


def gradient(p):
    u, v = torch.sin(2 * p.x + 1), torch.cos(2 * p.x + 1)
    return torch.cat([2 * v, u / 2], dim=1) * torch.exp(p.y / 2)


def flux(p):
    return (p.normals * gradient(p)).sum(dim=1, keepdim=True)


def robin(p):
    return (2 + p.y) * EXACT(p) + p.x * flux(p)


SIDES = SQUARE.boundary["x_min", "x_max"]
ENDS = SQUARE.boundary["y_min", "y_max"]
KNOWN = torch.tensor([[0.1, 0.2], [-0.5, 0.7], [0.9, -0.3]], dtype=torch.float64)


def exactly(coords):
    return EXACT(kp.Points(coords, SQUARE.names))


SETS = {
    "neumann": [kp.Dirichlet(SIDES, EXACT), kp.Neumann(ENDS, flux)],
    "robin": [
        kp.Dirichlet(ENDS, EXACT),
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
        kp.Dirichlet(ENDS, EXACT),
        kp.Constraint(SIDES, lambda p, u: kp.grad(u) - gradient(p)),
    ],
}


def solved(problem, width=30, boundary="penalty", points=(1000, 160)):
    network = kp.KAN([problem.domain.dim, width, len(problem.fields)], degree=9, grid=[2, 6])
    points = kp.Collocation(*points)
    return kp.solve(problem, network, points=points, boundary=boundary, verified=False)


@pytest.mark.parametrize("conditions", SETS.values(), ids=SETS)
def test_rows_of_conditions_agree_with_torch_func(conditions):
    problem = smooth(*conditions)
    assert all(defect.is_rounding for defect in exact_defects(problem))
    network = kp.KAN([2, 3, 1], degree=5, grid=2, seed=1)
    discretization = discretize(
        problem, network, SolveSettings(points=kp.Collocation(9, 12), boundary="penalty")
    )
    discretization.prepare()
    residuals = Residuals(discretization.surrogate, discretization.terms())
    rows = list(residuals.rows(network.layers))
    jacobian, found = (torch.cat(parts) for parts in zip(*rows, strict=True))
    expected = reference.rows_by_torch_func(residuals)
    assert reference.distance(found, expected[1]) < 1e-12
    assert reference.distance(jacobian, expected[0]) < 1e-12
    assert float(found @ found) == pytest.approx(residuals.loss(), rel=1e-12)


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


# --- Dirichlet conditions on the normal and the tangential component of a vector field


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


BALL, TUBE = kp.Ball((0, 0, 0), 1), BOX.over(t=(0, 1))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda b: kp.NormalDirichlet(b, 0.0, ("u",)), r"NormalDirichlet\.fields .* x, y"),
        (lambda b: kp.NormalDirichlet(b, 0.0, ("u", "v", "w")), r"NormalDirichlet\.fields .* x, y"),
        (lambda b: kp.TangentialDirichlet(b, 0.0), r"TangentialDirichlet\.fields"),
        (lambda b: kp.NormalDirichlet(b, 0.0, VECTOR, field="u"), "not field"),
        (lambda b: kp.NormalDirichlet(b, None, VECTOR), "number or a function"),
        (
            lambda b: kp.TangentialDirichlet(BALL.boundary, 1.0, ("u", "v", "w")),
            "gives a vector for 3 fields",
        ),
        (
            lambda b: kp.NormalDirichlet(TUBE.boundary["initial"], 0.0, VECTOR),
            "coordinates of space",
        ),
    ],
)
def test_what_is_no_vector_is_refused(make, words):
    with pytest.raises(kp.InputError, match=words):
        make(DISK.boundary)


def test_fields_that_the_problem_does_not_have_are_refused():
    misnamed = Harmonic(DISK)
    misnamed.conditions = lambda: [kp.NormalDirichlet(DISK.boundary, 0.0, ("u", "w"))]
    with pytest.raises(kp.InputError, match="no field 'w'"):
        kp.solve(misnamed, kp.KAN([2, 3, 2]), points=kp.Collocation(9, 9))


def slipping(p, u, v):
    """∂u/∂n n_y, by which u·n and this are two conditions on harmonic u and v."""
    return kp.normal_derivative(u, p) * p.normals[:, 1:]


def test_a_normal_component_fixes_the_constants_of_its_fields():
    wall, slippery = DISK.boundary, Harmonic(DISK)
    given = [kp.NormalDirichlet(wall, 0.0, VECTOR), kp.Constraint(wall, slipping)]
    slippery.conditions = lambda: given
    check_well_posed(stated(slippery))


# --- Coefficients that jump: the flux is continuous, or jumps as it should; the slope does not


RADIUS, INSIDE, OUTSIDE = 0.5, 1.0, 10.0
DISK_INTERFACE = kp.Disk((0, 0), RADIUS)


class Inclusion(kp.Problem):
    """-∇·(a ∇u) = -4 with a = 1 in a disk and 10 around it: u = r²/4a·4 but for constants."""

    domain = kp.Box(x=(-1, 1), y=(-1, 1))

    def inputs(self):
        return lambda p: torch.cat([p.x, p.y, (self.rim(p).abs() - 0.875) / 0.875], dim=1)

    def cells(self):
        return DISK_INTERFACE, self.domain - DISK_INTERFACE

    def rim(self, p):
        return p.x**2 + p.y**2 - RADIUS**2

    def a(self, p):
        return torch.where(self.rim(p) < 0, INSIDE, OUTSIDE)

    def residual(self, p, u):
        return self.a(p) * kp.laplacian(u) - 4

    def energy(self, p, u):
        return self.a(p) * kp.grad(u).square().sum(dim=1, keepdim=True) / 2 + 4 * u.value

    def conditions(self):
        return [
            kp.Dirichlet(self.domain.boundary, lambda p: self.rim(p) / OUTSIDE),
            kp.Interface(self.domain, DISK_INTERFACE.boundary, self.a),
        ]

    def exact(self, p):
        return self.rim(p) / self.a(p)


class Heated(Inclusion):
    """The same with a flux of 3 out of the rim: the outer part has a logarithm, too."""

    def conditions(self):
        whole = self.domain.boundary
        rim = kp.Interface(self.domain, DISK_INTERFACE.boundary, self.a, flux=lambda p: 3 + 0 * p.x)
        return [kp.Dirichlet(whole, self.exact), rim]

    def exact(self, p):
        r2 = (p.x**2 + p.y**2).clamp_min(RADIUS**2)
        return self.rim(p) / self.a(p) + 3 * RADIUS / OUTSIDE * torch.log(r2 / RADIUS**2) / 2


def test_a_flux_across_an_interface_in_the_strong_form():
    problem = Heated()
    assert all(defect.is_rounding for defect in exact_defects(problem))
    network = kp.KAN([3, 80, 1], degree=9, grid=[2, 4])
    points, loss = kp.Collocation(2200, 300), kp.Loss(interior=0.01)
    errors = kp.solve(problem, network, None, points, boundary="penalty", loss=loss).errors
    assert errors.h1_relative < 1e-5


def test_a_flux_across_an_interface_is_natural_in_the_energy_form():
    natural = Inclusion()
    natural.conditions = lambda: Inclusion().conditions()[:1]
    network = kp.KAN([3, 24, 1], degree=5, grid=[1, 3])
    points = kp.Collocation(3000, 100)
    solution = kp.solve(
        natural, network, points=points, boundary="exact", loss=kp.Loss(form="energy")
    )
    assert solution.errors.h1_relative < 5e-3


def test_an_interface_that_is_no_boundary_is_refused():
    with pytest.raises(kp.InputError, match="coefficient takes a number or a function"):
        kp.Interface(Inclusion.domain, DISK_INTERFACE.boundary, float("nan"))


STEP = [(-1, -1), (0, -1), (0, 1), (-1, 1)]  # its second side leaves the boundary of an L at 0


@pytest.mark.parametrize(
    ("domain", "part", "lengths"),
    [
        (kp.Box(x=(0, 1)), kp.Box(x=(0, 0.3)), {"x_max": 1}),
        (kp.Box(x=(0, 2), y=(0, 1)), kp.Box(x=(0, 0.5), y=(0, 1)), {"x_max": 1}),
        (kp.LShape(), kp.Polygon(STEP), {"edge_1": 1}),
        (
            kp.Box(x=(0, 1), y=(0, 1), z=(0, 1)),
            kp.Box(x=(0, 0.5), y=(0.5, 1), z=(0, 1)),
            {"x_max": 0.5, "y_min": 0.5},
        ),
    ],
    ids=["interval", "rectangle", "L", "cube"],
)
def test_what_is_on_the_boundary_is_no_interface(domain, part, lengths):
    found = kp.Interface(domain, part.boundary, 2.0)
    assert {one.name: one.measure for one in found.kinks} == pytest.approx(lengths)
    assert found.surface == pytest.approx(sum(lengths.values()))


def test_an_interface_that_leaves_the_domain_or_is_its_boundary_is_refused():
    domain = kp.Box(x=(0, 1), y=(0, 1))
    for part, words in ((kp.Disk((0.9, 0.5), 0.3), "got a part at"), (domain, "boundary only")):
        with pytest.raises(kp.InputError, match=f"interface.* must be inside the domain.*{words}"):
            kp.Interface(domain, part.boundary, 2.0)


def test_a_network_without_kinks_takes_no_interface():
    problem = Inclusion()
    problem.inputs = lambda: None
    with pytest.raises(kp.InputError, match="an interface, at which only cells have kinks"):
        kp.solve(problem, kp.KAN([2, 4, 1], degree=5))


def test_single_precision_cannot_tell_the_sides():
    network = kp.KAN([3, 4, 1], degree=5, grid=2, dtype=torch.float32)
    with pytest.raises(kp.InputError, match="Interface needs float64"):
        kp.solve(Inclusion(), network, boundary="penalty")


@pytest.mark.parametrize("second", [2.0, 3.0], ids=["the same", "another"])
@pytest.mark.parametrize(
    ("domain", "part", "name"),
    [
        (Inclusion.domain, lambda: kp.Disk((0, 0), 0.5), "circle"),
        (kp.Box(x=(-1, 1), y=(-1, 1), z=(-1, 1)), lambda: kp.Ball((0, 0, 0), 0.5), "sphere"),
        (
            kp.Box(x=(0, 2), y=(0, 1), z=(0, 1)),
            lambda: kp.Box(x=(0, 1.2), y=(0, 1), z=(0, 1)),
            "x_max",
        ),
    ],
    ids=["disk", "ball", "face"],
)
def test_a_piece_that_two_interfaces_name_is_refused(domain, part, name, second):
    """The pieces are equal, but made anew, as in a class that makes its shapes when it is asked."""
    rims = [Boundary(part().boundary[name].pieces) for _ in range(2)]
    pairs = zip(rims, (2.0, second), strict=True)
    given = [kp.Dirichlet(domain.boundary, 0.0), *(kp.Interface(domain, *one) for one in pairs)]
    problem = Stated(domain, lambda p, u: kp.laplacian(u) - 4, given)
    words = rf"piece of an interface once, got '{name}' in .*\[1\]"
    with pytest.raises(kp.InputError, match=words):
        kp.solve(problem, kp.Cells([domain.dim, 1], 3, 2), kp.AdaptiveLeastSquares(steps=1))
