"""Balls, space × time, combinations and surfaces of triangles against formulas by hand."""

import math

import hypothesis
import hypothesis.strategies as st
import pytest
import torch
import trimesh
from domains import ALL, BALL, BRICK, CUT, FICHERA, OTHER, cube, flux_defect, surface
from scipy.special import betainc

from kanpinn._support.errors import InputError
from kanpinn.geometry import Ball, Box, Surface
from kanpinn.geometry.rules import sobol
from kanpinn.geometry.sampling import sample

LENS_1, LENS_2, SPACING = 1.0, 0.7, math.sqrt(0.3**2 + 0.8**2 + 0.4**2)
LENS = (
    math.pi
    * (LENS_1 + LENS_2 - SPACING) ** 2
    * (SPACING**2 + 2 * SPACING * (LENS_1 + LENS_2) - 3 * (LENS_1 - LENS_2) ** 2)
    / (12 * SPACING)
)
CAP = math.pi * 0.5**2 * (3 * 0.6 - 0.5) / 3  # of the hole of CUT, beyond x = 1


def test_a_face_that_a_ball_touches_at_a_corner():
    """The face y = 1 is cut by a circle: ∫ sqrt(2.25 - x²) over [0.5, 1.5] is in the ball."""
    domain = Box(x=(0.5, 1.5), y=(-0.5, 1), z=(-1.5, 0)) - Ball((0, 1, 0), 1.5)
    inside = 1.125 * (math.pi / 2 - math.asin(1 / 3)) - 0.25 * math.sqrt(2)
    assert domain.boundary["y_max"].measure == pytest.approx(1.5 - inside, rel=1e-12)


# Balls


@pytest.mark.parametrize("dim", [3, 4, 5, 6])
def test_even_moments_of_balls_and_spheres(dim):
    """∫ x_i² x_j² over the sphere is |S| / (d (d + 2)) for i ≠ j and three times that for i = j."""
    ball = Ball([0] * dim, 1)
    points, weights = ball.boundary.quadrature(3)
    moments = torch.einsum("n,ni,nj->ij", weights, points.coords**2, points.coords**2)
    expected = (torch.ones(dim, dim) + 2 * torch.eye(dim)).double()
    expected *= ball.boundary.measure / (dim * (dim + 2))
    torch.testing.assert_close(moments, expected, rtol=1e-13, atol=0)
    points, weights = ball.quadrature(3)
    moments = torch.einsum("n,ni,nj->ij", weights, points.coords**2, points.coords**2)
    torch.testing.assert_close(moments, expected / (dim + 4), rtol=1e-13, atol=0)


@pytest.mark.parametrize("dim", [3, 4, 7])
def test_balls_and_spheres_are_covered_evenly(dim):
    """Shells of equal volume times orthants hold equally many points; so do orthants of spheres."""
    ball, n = Ball([0] * dim, 2), 2**15
    for region, shells in ((ball, 8), (ball.boundary.pieces[0], 1)):
        coords = sample(region, n, "sobol").coords
        layer = ((coords.norm(dim=1) / 2) ** dim * shells).long().clamp(max=shells - 1)
        orthant = ((coords > 0).long() * 2 ** torch.arange(dim)).sum(dim=1)
        counts = torch.bincount(layer * 2**dim + orthant, minlength=shells * 2**dim)
        assert (counts / n * shells * 2**dim - 1).abs().max() <= 0.2


def test_level_of_a_ball_vanishes_on_the_sphere_with_slope_one(generator):
    points = sample(ALL["ball"].boundary, 30, generator=generator)
    coords = points.coords.clone().requires_grad_()
    level = ALL["ball"].level(coords)
    (slope,) = torch.autograd.grad(level.sum(), coords)
    assert level.abs().max() <= 1e-15
    torch.testing.assert_close(slope, -points.normals, rtol=0, atol=1e-14)
    assert (ALL["ball"].level(sample(ALL["ball"], 100).coords) > 0).all()


def test_names_of_balls():
    assert BALL.names == ("x", "y", "z")
    assert Ball([0] * 4, 1).names == ("x1", "x2", "x3", "x4")
    assert Ball((0, 0, 0), 1, names=("u", "v", "w")).names == ("u", "v", "w")
    assert Ball((0, 0, 0), 1, name="hole").boundary.names == ("hole",)


# Space × time


def test_space_times_time_by_hand():
    tube = Ball((0, 0, 0), 1).over(t=(1, 3))
    assert tube.names == ("x", "y", "z", "t")
    assert tube.boundary.names == ("sphere", "initial", "final")
    assert tube.measure == pytest.approx(8 / 3 * math.pi)
    assert tube.boundary["sphere"].measure == pytest.approx(8 * math.pi)
    assert tube.boundary["initial"].measure == pytest.approx(4 / 3 * math.pi)
    low, high = tube.bounds
    assert low.tolist() == [-1, -1, -1, 1] and high.tolist() == [1, 1, 1, 3]


@pytest.mark.parametrize("domain", [d for name, d in ALL.items() if "time" in name])
def test_ends_of_time(domain):
    for name, value, normal in (("initial", 0, -1.0), ("final", 1, 1.0)):
        points = sample(domain.boundary[name], 20)
        assert (points.t == domain.bounds[value][-1]).all()
        assert (points.normals[:, -1] == normal).all() and not points.normals[:, :-1].any()
    sides = tuple({*domain.boundary.names} - {"initial", "final"})
    assert not sample(domain.boundary[sides], 50).normals[:, -1].any()


def test_a_box_over_time_is_the_box_with_one_more_coordinate(generator):
    product = Box(x=(0, 1), y=(-1, 1)).over(t=(0, 2))
    box = Box(x=(0, 1), y=(-1, 1), t=(0, 2))
    coords = 4 * torch.rand(1000, 3, dtype=torch.float64, generator=generator) - 2
    assert torch.equal(product.contains(coords, 0.1), box.contains(coords, 0.1))
    unit = sobol(0)(64, 3)
    assert torch.equal(product.place(64, sobol(0)).coords, box.image(unit).coords)
    assert len(product.gauss(60)) == len(box.gauss(60)) == 64
    assert product.boundary.names == ("x_min", "x_max", "y_min", "y_max", "initial", "final")


@pytest.mark.parametrize("domain", [ALL["ball × time"], ALL["cut × time"]])
def test_pairs_of_place_and_time_are_spread_evenly(domain):
    """x and t are independent: in the domain and on its sides, on Sobol points nearly exactly."""
    for region in (domain, domain.boundary.pieces[0], domain.boundary.pieces[-3]):
        coords = sample(region, 4096, "sobol").coords
        centered = coords - coords.mean(dim=0)
        mixed = centered[:, :-1] * centered[:, -1:]
        assert (mixed.mean(dim=0) / centered.std(dim=0).clamp(min=0.1)[:-1]).abs().max() <= 5e-3


def test_one_end_point_over_time_has_as_many_points_as_asked_for():
    wall = Box(x=(0, 1)).over(t=(0, 1)).boundary["x_min"]
    assert len(sample(wall, 30, "sobol")) == len(sample(wall, 30, "gauss")) == 30
    assert wall.measure == 1


# Combinations


def test_measures_of_combined_boxes_by_hand():
    assert FICHERA.boundary["x_min"].measure == 5
    assert (cube(0, 2) & cube(1, 3)) == cube(1, 2)
    assert (cube(0, 1) | cube(0.5, 2)).measure == pytest.approx(1 + 1.5**3 - 0.5**3)
    segments = Box(x=(0, 1)) | Box(x=(2, 3))
    assert segments.measure == 2
    assert sample(segments.boundary, 4).x[:, 0].tolist() == [0, 1, 2, 3]


def test_touching_boxes_have_no_wall_between_them():
    brick = Box(x=(0, 1), y=(0, 1), z=(0, 1)) | Box(x=(1, 2), y=(0, 1), z=(0, 1))
    assert brick.boundary.measure == 10
    assert brick.boundary["x_max"].measure == brick.boundary["x_min"].measure == 1
    # Half of a face is open there.
    assert ALL["touching boxes"].boundary["x_max"].measure == 1.0
    assert len(brick.quadrature(2)[0]) == 8


intervals = st.tuples(st.integers(0, 3), st.integers(1, 3)).map(lambda p: (p[0], p[0] + p[1]))
ranges = st.tuples(intervals, intervals, intervals)


@hypothesis.given(ranges, ranges, ranges)
@hypothesis.settings(max_examples=20)
def test_combined_boxes_on_a_lattice_count_its_cells(first, second, third):
    """The ends are integers: unit cells are counted with their centres, walls between them too."""
    a, b, c = (Box(x=x, y=y, z=z) for x, y, z in (first, second, third))
    axis = torch.arange(-1, 8, dtype=torch.float64) + 0.5
    cells = torch.cartesian_prod(axis, axis, axis)
    inside = (a.contains(cells) | b.contains(cells)) & ~c.contains(cells)
    hypothesis.assume(inside.any())
    domain = (a | b) - c
    assert domain.measure == pytest.approx(inside.sum().item())
    assert torch.equal(domain.contains(cells), inside)
    grid = inside.reshape(9, 9, 9)
    for i, name in enumerate("xyz"):
        walls = (grid.diff(dim=i) != 0).sum().item()
        faces = [piece for piece in domain.boundary.pieces if piece.name.startswith(name)]
        assert sum(face.measure for face in faces) == pytest.approx(walls)
    assert flux_defect(domain, 3) <= 1e-12


def test_measures_of_combined_balls_by_formula():
    lens, union, rest = BALL & OTHER, BALL | OTHER, BALL - OTHER
    assert lens.measure == pytest.approx(LENS, rel=1e-13)
    assert union.measure == pytest.approx(BALL.measure + OTHER.measure - LENS, rel=1e-13)
    assert rest.measure == pytest.approx(BALL.measure - LENS, rel=1e-13)
    # The other's caps are bounded by the radical plane.
    height = LENS_2 - (SPACING**2 + LENS_2**2 - LENS_1**2) / (2 * SPACING)
    assert rest.boundary["other"].measure == pytest.approx(2 * math.pi * LENS_2 * height)


def cap(ball, distance):
    """The volume of a ball beyond a plane at a distance from its centre (Li 2011, eq. 2)."""
    half = betainc((ball.dim + 1) / 2, 0.5, 1 - (distance / ball.radius) ** 2) / 2
    return ball.measure * (half if distance >= 0 else 1 - half)


def test_a_lens_is_two_caps():
    a, b = Ball((0, 0, 0), 1), Ball((0.8, 0, 0), 0.7)
    plane = (0.8**2 + 1 - 0.7**2) / 1.6
    assert (a & b).measure == pytest.approx(cap(a, plane) + cap(b, 0.8 - plane), rel=1e-13)


def test_a_ball_that_cuts_a_face():
    ball = (4 / 3) * math.pi * 0.6**3
    radius = math.sqrt(0.6**2 - 0.1**2)
    assert CUT.measure == pytest.approx(8 - ball + CAP, rel=1e-13)
    opened = CUT.boundary["x_max"].pieces[0]
    assert opened.measure == pytest.approx(4 - math.pi * radius**2, rel=1e-13)
    dent = CUT.boundary["hole"].pieces[0]
    assert dent.measure == pytest.approx(4 * math.pi * 0.6**2 - 2 * math.pi * 0.6 * 0.5, rel=1e-12)
    assert CUT.boundary.names == ("x_min", "x_max", "y_min", "y_max", "z_min", "z_max", "hole")
    assert CUT.boundary["x_min"].measure == 4
    points = sample(dent, 100)
    toward = torch.tensor([0.9, 0, 0], dtype=torch.float64) - points.coords
    torch.testing.assert_close(points.normals, toward / 0.6, rtol=0, atol=1e-14)


def test_three_balls_by_inclusion_and_exclusion():
    """All three meet each other: their union and their intersection."""
    a, b, c = Ball((0, 0, 0), 1), Ball((0.7, 0.2, -0.3), 0.9), Ball((0.1, 0.6, 0.5), 0.8)
    pairs = (a & b).measure + (b & c).measure + (a & c).measure
    expected = a.measure + b.measure + c.measure - pairs + (a & b & c).measure
    assert (a | b | c).measure == pytest.approx(expected, rel=1e-12)


def test_nothing_new_is_made_of_nested_or_distant_domains():
    small, far = Ball((0.1, 0, 0), 0.2), Ball((5, 0, 0), 1)
    assert (BALL | small) == BALL and (BALL & small) == small and (BALL - far) == BALL
    assert (BALL | BALL) == BALL
    assert (BALL | far).measure == pytest.approx(2 * BALL.measure)


# Surfaces of triangles


def test_a_box_from_a_file(tmp_path, generator):
    path = tmp_path / "box.stl"
    trimesh.creation.box((1, 2, 3)).export(path)
    brick = Surface.read(path, sharp=30)
    assert len(brick.vertices) == 8
    assert brick.measure == pytest.approx(6, rel=1e-14)
    assert sorted(piece.measure for piece in brick.boundary.pieces) == [2, 2, 3, 3, 6, 6]
    assert brick.boundary.names == tuple(f"facet_{i}" for i in range(6))
    box = Box(x=(-0.5, 0.5), y=(-1, 1), z=(-1.5, 1.5))
    coords = 4 * torch.rand(10_000, 3, dtype=torch.float64, generator=generator) - 2
    assert torch.equal(brick.contains(coords), box.contains(coords))
    assert torch.equal(brick.contains(coords, -0.1), box.contains(coords, -0.1))
    beyond = (coords.abs() - box.bounds[1]).clamp(min=0).norm(dim=1)
    assert torch.equal(brick.contains(coords, 0.1), beyond <= 0.1)
    path.write_text("solid nothing")
    with pytest.raises(InputError, match=r"box.stl"):
        Surface.read(path)


def test_an_icosphere_from_a_file(tmp_path, generator):
    path = tmp_path / "ball.stl"
    mesh = trimesh.creation.icosphere(3)
    mesh.export(path)
    ball = Surface.read(path, name="shell")
    assert ball.boundary.names == ("shell",)
    assert ball.measure == pytest.approx(mesh.volume, rel=1e-6)  # the file is in single precision
    assert ball.measure == pytest.approx(4 / 3 * math.pi, rel=1e-2)
    assert ball.boundary.measure == pytest.approx(mesh.area, rel=1e-6)
    coords = 2.2 * torch.rand(20_000, 3, dtype=torch.float64, generator=generator) - 1.1
    # It is convex: inside means on the inner side of all triangles.
    a, b, c = ball.vertices[ball.faces].unbind(dim=1)
    normals = torch.linalg.cross(b - a, c - a)
    assert torch.equal(ball.contains(coords), (coords @ normals.T <= (a * normals).sum(1)).all(1))
    assert ball.has_gauss_rule


def test_rays_through_vertices_and_edges_are_counted_once():
    """Points straight below and above vertices and edges of a surface, and inside it."""
    for solid in (ALL["icosphere"], BRICK, ALL["torus"]):
        mesh = solid.vertices[solid.faces]
        places = torch.cat([solid.vertices, mesh.mean(dim=1), (mesh[:, 0] + mesh[:, 1]) / 2])
        for height in (-5.0, 5.0):
            beyond = torch.cat([places[:, :2], places.new_full((len(places), 1), height)], dim=1)
            assert not solid.contains(beyond).any()
    assert ALL["icosphere"].contains(0.9 * ALL["icosphere"].vertices).all()
    assert BRICK.contains(0.9 * BRICK.vertices).all()
    ring = ALL["torus"].vertices * torch.tensor([1.0, 1, 0]).double()
    ring = ring / ring.norm(dim=1, keepdim=True)
    assert ALL["torus"].contains(ring * 0.99).all() and not ALL["torus"].contains(ring * 0.1).any()


def test_a_cavity_is_outside():
    outer, inner = trimesh.creation.box((2, 2, 2)), trimesh.creation.box((1, 1, 1))
    inner.invert()
    hollow = surface(trimesh.util.concatenate([outer, inner]))
    assert hollow.measure == pytest.approx(7)
    coords = torch.tensor([[0.0, 0, 0], [0.7, 0, 0], [1.2, 0, 0]]).double()
    assert hollow.contains(coords).tolist() == [False, True, False]


def test_triangles_are_covered_by_area():
    points = sample(BRICK.boundary["facet_0"], 4096, "sobol")
    patch = BRICK.boundary["facet_0"].pieces[0]
    counts = [
        ((points.coords - corners.mean(dim=0)).norm(dim=1) < 0.2).sum().item()
        for corners in patch.triangles
    ]
    assert counts == pytest.approx([4096 * math.pi * 0.04 / patch.measure] * 2, rel=0.05)


def test_an_inside_out_surface_is_turned():
    mesh = trimesh.creation.icosphere(1)
    turned = Surface(mesh.vertices, mesh.faces[:, ::-1])
    assert turned.measure == pytest.approx(mesh.volume)
    points = sample(turned.boundary, 10)
    assert ((points.coords * points.normals).sum(dim=1) > 0.5).all()
