"""The conformance suite of domains: every kind is tested by the same claims, new ones by a line."""

import copy
import math
import pickle

import pytest
import shapely
import torch
import trimesh
from domains import (
    ALL,
    BALL,
    BRICK,
    EXACT,
    FICHERA,
    OTHER,
    PLANAR,
    ROUND,
    SAMPLED,
    SQUARE,
    TILTED,
    TOUCHING,
    UNIT,
    cube,
    flux_defect,
    smooth,
    surface,
    uniform,
)
from torch import Tensor

import kanpinn as kp
from kanpinn._support.errors import InputError
from kanpinn.geometry import (
    Annulus,
    Arc,
    Ball,
    Box,
    Disk,
    Domain,
    Ellipse,
    Planar,
    Points,
    Polygon,
    Sector,
    Segment,
    Surface,
    Triangle,
)
from kanpinn.geometry.combination import combine
from kanpinn.geometry.rules import gauss_legendre, gauss_product
from kanpinn.geometry.sampling import FIXED, SAMPLERS, sample

PI = math.pi

# Measures of the domain and of its boundary by hand (None: not known).
MEASURES = {
    "interval": (0.6, 2),
    "rectangle": (6, 10),
    "box": (1, 10.5),
    "disk": (PI * 0.49, 1.4 * PI),
    "ellipse": (PI * 0.6, None),
    "needle": (PI * 0.075, None),
    "annulus": (PI * 0.91, 2.6 * PI),
    "sector": (PI, 4 + PI),
    "half annulus": (PI * 0.375, 1 + 1.5 * PI),
    "wide sector": (0.42 * 4.7, 1.2 + 1.4 * 4.7),
    "triangle": (6, 12),
    "l-shape": (3, 8),
    "comb": (4.9, 12 + 0.9 + math.hypot(0.5, 0.4)),
    "concentric disks": (PI * 0.91, 2.6 * PI),
    "eccentric disks": (PI * 0.91, 2.6 * PI),
    "disk through a side": (1 - PI * 0.045, None),
    "box minus box": (3, 8),
    "boxes side by side": (2, 6),
    "stadium": (2 + PI / 4, 4 + PI),
    "two parts": (2, 8),
    "half disk on a box": (PI / 2 + 2, PI + 4),
    "kissing disks": (2 * PI, 4 * PI),
    "crescent": (0.75 * PI, 3 * PI),
    "lens of disks": (2 * PI / 3 - math.sqrt(3) / 2, 4 * PI / 3),
    "ball": (4 / 3 * PI * 0.343, 4 * PI * 0.49),
    "ball in 4-D": (PI**2 / 2 * 0.7**4, 2 * PI**2 * 0.7**3),
    "ball in 5-D": (8 * PI**2 / 15 * 1.2**5, 8 * PI**2 / 3 * 1.2**4),
    "fichera": (7, 24),
    "touching boxes": (1.5, 9),
    "boxes in 4-D": (1 - 0.5 * 0.5 * 0.1, None),
    "ball × time": (PI / 3, 2 * PI + PI / 3),
    "ball in a cube": (8 - 4 / 3 * PI, 24 + 4 * PI),
    "half a ball in half a cube": (2 / 3 * PI, 3 * PI),
    "half a ball off a face": (8 - 2 / 3 * PI, 24 + PI),
    "touching balls": (8 / 3 * PI, 8 * PI),
    "cube in a ball": (4 * PI * 3**0.5 - 8, 12 * PI + 24),
    "twins": (None, 6 * PI),
    "brick of triangles": (6, 22),
}


def each(*domains: dict[str, Domain]) -> pytest.MarkDecorator:
    known = {name: domain for some in domains for name, domain in some.items()}
    return pytest.mark.parametrize("domain", known.values(), ids=known.keys())


@pytest.mark.parametrize("name", MEASURES)
def test_measures_by_hand(name):
    domain, (inside, around) = (ALL | TOUCHING)[name], MEASURES[name]
    if inside is not None:
        assert domain.measure == pytest.approx(inside, rel=1e-12)
    if around is not None:
        assert domain.boundary.measure == pytest.approx(around, rel=1e-12)


@each(ALL)
def test_rules_have_positive_weights_nodes_inside_and_the_measure_as_sum(domain):
    for region in (domain, *domain.boundary.pieces):
        points, weights = region.quadrature(24 if domain.dim == 2 else 5)  # arcs of ellipses
        assert (weights > 0).all()
        assert domain.contains(points.coords, 1e-12).all()
        assert weights.sum().item() == pytest.approx(region.measure, rel=1e-12)


@each(EXACT)
def test_the_divergence_theorem_holds_exactly_for_polynomials(domain):
    assert flux_defect(domain, 4) <= 1e-12


@each(PLANAR, {"brick of triangles": BRICK})
def test_the_divergence_theorem_holds_to_rounding(domain):
    assert flux_defect(domain, 24, smooth) <= 1e-12


@each(ROUND, TOUCHING)
def test_the_divergence_theorem_converges_between_boxes_and_balls(domain):
    assert flux_defect(domain, 16) <= 3e-8
    assert flux_defect(domain, 32) <= 3e-12


@each(SAMPLED)
def test_the_divergence_theorem_holds_within_the_error_of_sobol_points(domain):
    assert not domain.has_gauss_rule
    assert flux_defect(domain, 32 if domain.dim == 3 else 20) <= 2e-3


@each(ALL)
def test_normals_are_unit_and_outward(domain):
    step = 1e-7 if domain.dim == 2 else 1e-6
    # A point on a solid may lie so near an edge that a step leads past it.
    near = 0.0 if domain.dim <= 2 else 0.05
    for piece in domain.boundary.pieces:
        if domain.dim == 2:
            points = piece.image(0.01 + 0.98 * uniform(50, 1))
        else:
            points = sample(piece, 40)
        assert (points.normals.norm(dim=1) - 1).abs().max() <= 1e-14
        outward, inward = (points.coords + way * points.normals for way in (step, -step))
        assert domain.contains(outward).double().mean() <= near
        assert domain.contains(inward).double().mean() >= 1 - near


@each(ALL)
def test_every_sampler_places_points_inside_and_on_every_piece(domain):
    for sampler in SAMPLERS:
        points = sample(domain, 50, sampler)
        assert len(points) == 50 or (sampler in FIXED and len(points) > 50)
        assert points.names == domain.names and points.coords.dtype == torch.float64
        assert domain.contains(points.coords, 1e-12).all()
        around = sample(domain.boundary, 100, sampler)
        assert len(around) >= (100 if domain.dim > 1 else 2) and around.names == domain.names
        assert domain.contains(around.coords, 1e-12).all()
        assert not domain.contains(around.coords, -1e-6).any()


@each(ALL)
def test_points_are_spread_by_measure(domain):
    """First and second moments of Sobol points are those of the rule: errors are about 1/n."""
    nodes = 16 if domain.dim <= 3 or "time" in repr(domain) else 8
    if not domain.has_gauss_rule:  # whose rules are random
        nodes *= 2
    low, high = domain.bounds
    for region in (domain, *domain.boundary.pieces):
        points, weights = region.quadrature(nodes)
        drawn, known = ((c - low) / (high - low) for c in (_sobol(region), points.coords))
        for power in (1, 2):
            expected = weights @ known**power / region.measure
            assert ((drawn**power).mean(dim=0) - expected).abs().max() <= 4e-3


def _sobol(region) -> Tensor:
    return sample(region, 4096, "sobol").coords


@each(PLANAR)
def test_bounds_are_those_of_the_boundary(domain):
    t = torch.linspace(0, 1, 2001, dtype=torch.float64)
    coords = torch.cat([piece.at(t) for piece in domain.boundary.pieces])
    low, high = domain.bounds
    torch.testing.assert_close(coords.min(dim=0).values, low, rtol=0, atol=1e-5)
    torch.testing.assert_close(coords.max(dim=0).values, high, rtol=0, atol=1e-5)
    assert (coords >= low - 1e-14).all() and (coords <= high + 1e-14).all()


@each(ALL)
def test_domains_survive_copies_and_single_precision(domain):
    coords = sample(domain, 50).coords
    assert domain.contains(coords.float(), 1e-5).all()
    if isinstance(domain, Planar):
        domain.level(coords)  # what has been computed is no part of the value
        assert domain.level(coords.float()).dtype == torch.float32
    for twin in (copy.deepcopy(domain), pickle.loads(pickle.dumps(domain))):
        assert twin.contains(coords).all() and twin.measure == domain.measure
        assert domain.dim > 2 or twin == domain
        assert twin.boundary.names == domain.boundary.names


def test_domains_are_values_and_say_what_they_are():
    box = Box(x=(-1, 1), y=[0, 2])
    assert box == Box(x=(-1.0, 1.0), y=(0.0, 2.0)) != Box(y=(0, 2), x=(-1, 1))
    assert len({box, copy.deepcopy(box)}) == len({PLANAR["three"], copy.deepcopy(PLANAR["three"])})
    cut = "(Disk((0.0, 0.0), 1.0) - Box(x=(0.0, 1.0), y=(0.0, 1.0)))"
    assert repr(Disk((0, 0), 1) - UNIT) == cut


@pytest.mark.parametrize("domain", [EXACT["rectangle"], EXACT["box in 5-D"], EXACT["ball"]])
def test_the_image_scales_every_volume_by_the_measure_and_keeps_the_precision(domain):
    for row in uniform(4, domain.dim):
        jacobian = torch.func.jacrev(lambda u: domain.image(u[None]).coords[0])(row)
        assert jacobian.det().abs().item() == pytest.approx(domain.measure, rel=1e-12)
    for region in (domain, domain.boundary.pieces[0], PLANAR["disk"].boundary.pieces[0]):
        unit = uniform(3, getattr(region, "dim", 1)).float()
        points = region.image(unit)
        assert points.coords.dtype == torch.float32
        assert points.normals is None or points.normals.dtype == torch.float32


@pytest.mark.parametrize(
    ("domain", "coords", "inside"),  # without a tolerance, with a positive and a negative one
    [
        (
            Box(x=(0, 1), y=(0, 2)),
            [(0.5, 1), (1, 2), (1.05, 1), (0.5, -0.2)],
            ("++--", "+++-", "+---"),
        ),
        (BALL, [(0, 0, 0), (0.99, 0, 0), (0, 1.05, 0), (0, 0, -1.2)], ("++--", "+++-", "+---")),
        (
            Sector((0, 0), 1, 0, PI / 2),  # its corners are round
            [(-0.05, 0.5), (1.03, 1.08), (0.05, 0.5), (-0.08, -0.08), (0.5, 0.5)],
            ("--+-+", "+-+-+", "----+"),
        ),
        (
            FICHERA,
            [(-0.05, 0.45, 0.45), (0.5, 0.5, 0.5), (-0.5, -0.5, -0.5)],
            ("+-+", "+-+", "--+"),
        ),
    ],
    ids=["box", "ball", "sector", "fichera"],
)  # fmt: skip
def test_contains_takes_a_distance_of_either_sign(domain, coords, inside):
    coords = torch.tensor(coords, dtype=torch.float64)
    for tolerance, expected in zip((0.0, 0.1, -0.1), inside, strict=True):
        assert domain.contains(coords, tolerance).tolist() == [sign == "+" for sign in expected]


BOW_TIE = [(0, 0), (1, 1), (1, 0), (0, 1)]
MESH = trimesh.creation.box((1, 1, 1))
TURNED = MESH.faces.copy()
TURNED[0] = TURNED[0][::-1]
ZEROS = torch.zeros(3, 2)
REFUSED = [
    (lambda: Box(), "one or more distinct names"),
    (lambda: Box(x=(1, 0)), r"x must be finite numbers low < high, got \(1, 0\)"),
    (lambda: Box(x=(0, 1), y=(2, 2)), r"y must be finite numbers low < high, got \(2, 2\)"),
    (lambda: Box(y=(0, math.nan)), "y must be finite"),
    (lambda: Box(y=(-math.inf, 0)), "y must be finite"),
    (lambda: Box(x=(0, 1, 2)), r"x must be a pair \(low, high\) of numbers, got \(0, 1, 2\)"),
    (lambda: Box(**{"2x": (0, 1)}), "identifier, got '2x'"),
    (lambda: Box(**{"lambda": (0, 1)}), "identifier, got 'lambda'"),
    (lambda: Box(normals=(0, 1)), "cannot be called 'normals'"),
    (lambda: Box(to=(0, 1)), "cannot be called 'to'"),
    (lambda: UNIT.boundary["top"], "no piece 'top'; its pieces are x_min, x_max"),
    (lambda: Points(ZEROS, ("x",)), r"shape \(n, 1\) for the coordinates x, got \(3, 2\)"),
    (lambda: Points(ZEROS, ("x", "y"), ZEROS[:2]), r"shape \(3, 2\) of coords, got \(2, 2\)"),
    (lambda: Points.cat([Points(ZEROS, tuple(n)) for n in ("xy", "xt")]), "same names"),
    (
        lambda: Points.cat([Points(ZEROS, ("x", "y"), n) for n in (None, ZEROS)]),
        "with or all without normals",
    ),
    (lambda: gauss_product([1, 2, 3], 2), r"each of 2 axes, got \[1, 2, 3\]"),
    (lambda: gauss_legendre(0), "n must be an integer of at least 1, got 0"),
    (lambda: BALL.quadrature(0), "nodes must be an integer of at least 1, got 0"),
    (lambda: Ball([0] * 10, 1).quadrature(8), r"nodes=8 would have 2.1e\+09 points"),
    (lambda: sample(SQUARE, 10, "sobel"), r"sampler must be one of uniform, .* got 'sobel'"),
    (lambda: sample(SQUARE, 0), "n must be an integer of at least 1, got 0"),
    (lambda: kp.Collocation(0, 40), "interior must be an integer of at least 1, got 0"),
    (lambda: kp.Collocation(1, -4), "boundary must be an integer of at least 1, got -4"),
    (lambda: kp.Collocation(1, True), "boundary must be an integer of at least 1, got True"),
    (lambda: kp.Collocation(1, 1, "Gauss"), "sampler must be one of .* got 'Gauss'"),
    (lambda: kp.Collocation(1, 1, "sobol", -1), "resample must be an integer .* 0, got -1"),
    (lambda: kp.Collocation(1, 1, "grid", 5), "resample must be 0 for the sampler 'grid'.* got 5"),
    (lambda: Disk((0, 0), 0), "radius must be a finite number above 0, got 0"),
    (lambda: Disk((0, math.nan), 1), "center must be two finite numbers, got"),
    (lambda: Disk((0, 0, 0), 1), r"center must be two finite numbers, got \(0, 0, 0\)"),
    (lambda: Disk((0, 0), 1, names=("x", "y", "z")), "two coordinates"),
    (lambda: Disk((1e20, 0), 1), "too small beside its coordinates to be resolved"),
    (lambda: Ellipse((0, 0), (1, -1)), r"axes must be positive, got \(1.0, -1.0\)"),
    (lambda: Annulus((0, 0), 1, 1), "outer must be a finite number above 1, got 1"),
    (lambda: Sector((0, 0), 1, 1, 1), "end must be a finite number above 1, got 1"),
    (lambda: Sector((0, 0), 1, 0, 7), r"end must be less than start \+ 2π, got 0 and 7"),
    (lambda: Arc((0, 0), (1, 1), 0, 0, 7), "at most 2π, got 0.0 to 7.0"),
    (lambda: Segment((0, 0), (0, 0)), "two different ends"),
    (lambda: Triangle((0, 0), (1, 1), (2, 2)), "polygon must"),
    (lambda: Polygon([(0, 0), (1, 1)]), "vertices must be three or more corners"),
    (lambda: Polygon(7), "vertices must be a sequence of points, got 7"),
    (lambda: Polygon([(0, 0), (1, 1), "ab"]), r"vertices\[2\] must be two finite numbers"),
    (lambda: Polygon(shapely.Polygon()), "vertices must be three or more corners"),
    (lambda: Polygon(BOW_TIE), "polygon must be valid.*Self-intersection"),
    (lambda: Polygon(shapely.Polygon(BOW_TIE)), "Self-intersection"),
    (lambda: Polygon([(0, 0), (1, 0), (1, 0), (0, 1)]), "same corner twice"),
    (lambda: Polygon([(0, 0), (1, 0), (0, 1e-10)]), "too small beside its coordinates"),
    (lambda: Polygon([(0, 0), (1, 0), (0, 1)], [[(2, 2), (3, 2), (2, 3)]]), "Hole lies outside"),
    (lambda: Polygon([(0, 0), (1, 0), (0, 1)], pieces=["a"]), "name for each of 3 edges"),
    (lambda: Planar(()), "at least one curve"),
    (lambda: Planar((Segment((0, 0), (1, 0)), Segment((1, 0), (0, 1)))), "loose end"),
    (lambda: Planar((Arc((0, 0), (1, 1), 0, 0, -2 * PI),)), "counter-clockwise"),
    (lambda: Planar((*Disk((0, 0), 1).curves, *Disk((1, 0), 1).curves)), "cross itself"),
    (lambda: UNIT & Disk((3, 3), 1), r"the intersection of .*Disk.* is empty"),
    (lambda: UNIT & Box(x=(1, 2), y=(0, 1)), "is empty"),
    (lambda: UNIT - SQUARE, "the difference of .* is empty"),
    (lambda: UNIT - UNIT, "is empty"),
    (lambda: UNIT | Disk((0, 0), 1, names=("r", "z")), "same coordinates"),
    (lambda: combine("union", UNIT, Box(x=(0, 1))), "same coordinates"),
    (lambda: Ball((0, 0), 1), r"three or more coordinates, got \(0, 0\): .* take a Disk"),
    (lambda: Ball((0, 0, 0), 0), "radius must be a finite number above 0, got 0"),
    (lambda: Ball((0, 0, 0), math.inf), "radius must be a finite number"),
    (lambda: Ball((0, math.nan, 0), 1), r"center must be finite numbers, got \(0, nan, 0\)"),
    (lambda: Ball((0, 0, 0), 1, names=("x",)), r"names must be 3 names of .*, got \('x',\)"),
    (lambda: Box(x=(0, 1), t=(0, 1)).over(t=(0, 1)), "has a coordinate 't' already; .* are x, t"),
    (lambda: UNIT.over(s=(0, 1), r=(0, 1)), "time must have one coordinate"),
    (lambda: UNIT.over(), "one or more distinct names"),
    (lambda: UNIT.over(s=(1, 1)), r"s must be finite numbers low < high, got \(1, 1\)"),
    (lambda: combine("sum", BALL, OTHER), "one of union, difference, intersection, got 'sum'"),
    (lambda: combine("union", BALL, UNIT.over(t=(0, 1))), r"got \(x, y, z\) and \(x, y, t\)"),
    (lambda: BALL & Ball((3, 0, 0), 1), r"intersection of Ball\(.*\) is empty"),
    (lambda: cube(0, 1) & cube(1, 2), "is empty"),
    (lambda: cube(0, 1) & Ball((2, 2, 2), 1.7), "is empty"),
    (lambda: BALL - Ball((0, 0, 0), 2), "is empty"),
    (lambda: cube(0, 1) - cube(-1, 1), "is empty"),
    (lambda: BALL - BALL, "is empty"),
    (lambda: Ball([0] * 4, 1) & Ball([0.5] * 4, 1), "as boxes and balls in three dimensions"),
    (lambda: BALL - surface(TILTED), "other solids are combined as meshes"),
    (lambda: Surface(MESH.vertices, MESH.faces[1:]), "not watertight: at 3 of its edges"),
    (lambda: Surface(MESH.vertices, TURNED), "both ways at 3 edges"),
    (lambda: Surface(MESH.vertices * [1, 1, 0], MESH.faces), "encloses no volume"),
    (lambda: Surface(MESH.vertices[:3], MESH.faces), "numbers of the 3 vertices, got 0 to 7"),
    (lambda: Surface(MESH.vertices[:, :2], MESH.faces), r"shape \(n, 3\), got \(8, 2\)"),
    (lambda: Surface(MESH.vertices * math.nan, MESH.faces), "finite numbers, got 24 others"),
    (lambda: surface(MESH, sharp=-1), "sharp must be a finite number above 0, got -1"),
    (lambda: Surface.read("none.stl"), "there is no file"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "message"), REFUSED, ids=range(len(REFUSED)))
def test_what_is_no_domain_is_refused_in_one_line(make, message):
    with pytest.raises(InputError, match=message) as refused:
        make()
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 400


# --- Boundaries of boxes, and points by name


def test_boundary_of_an_interval_is_two_points():
    points, weights = Box(x=(-2, 3)).boundary.quadrature(7)
    assert points.x.tolist() == [[-2.0], [3.0]]
    assert points.normals.tolist() == [[-1.0], [1.0]]
    assert weights.tolist() == [1.0, 1.0]


def test_gauss_products_take_a_number_for_each_axis():
    coords, weights = gauss_product([2, 4], 2)
    assert len(coords) == 8
    assert (weights @ coords[:, 1] ** 7).item() == pytest.approx(1 / 8)


def test_parts_of_a_boundary():
    boundary = Box(x=(0, 1), y=(0, 2)).boundary
    assert boundary.names == ("x_min", "x_max", "y_min", "y_max")
    assert boundary["y_max"].names == ("y_max",)
    assert boundary["y_max", "x_min"].names == ("x_min", "y_max")
    assert boundary["x_min", "x_max"].measure == 4.0
    for axis, (name, *ends) in enumerate([("x", 0, 1), ("y", 0, 2)]):
        for side, end in zip(("min", "max"), ends, strict=True):
            points, _ = boundary[f"{name}_{side}"].quadrature(5)
            assert (points.coords[:, axis] == end).all()


def test_points_by_name():
    points = Points(torch.arange(6.0).reshape(3, 2), ("x", "t"))
    assert points.x.tolist() == [[0.0], [2.0], [4.0]]
    assert points.t.shape == (len(points), 1)
    with pytest.raises(AttributeError, match="no coordinate 'y'; their coordinates are x, t"):
        _ = points.y


def test_points_by_index_slice_and_mask():
    points, _ = Box(x=(0, 1), y=(0, 2)).boundary.quadrature(3)
    chosen = (points[-1], points[2:5], points[points.x[:, 0] == 0], points[[3, 0]])
    assert [len(part) for part in chosen] == [1, 3, 3, 2]
    assert torch.equal(chosen[3].coords, points.coords[[3, 0]])
    assert torch.equal(chosen[0].normals, points.normals[-1:])
    together = Points.cat([points[:5], points[5:]])
    assert torch.equal(together.coords, points.coords)
    assert torch.equal(together.normals, points.normals)


def test_points_survive_conversion_copy_and_pickle():
    points, _ = Box(x=(0, 1), y=(0, 2)).boundary.quadrature(2)
    assert points.to(dtype=torch.float32).normals.dtype == torch.float32
    assert points.to(device="cpu").coords.dtype == torch.float64
    for twin in (copy.deepcopy(points), pickle.loads(pickle.dumps(points))):
        assert torch.equal(twin.y, points.y)


def test_unknown_numbers_follow_their_points():
    coords = torch.arange(6.0).view(3, 2)
    points = Points(coords, ("x", "y"), torch.ones(3, 2))
    points = points.with_numbers({"k": torch.tensor([[1.0], [2.0], [3.0]])})
    assert points[1:].k.flatten().tolist() == [2.0, 3.0]
    assert points[torch.tensor([True, False, True])].k.flatten().tolist() == [1.0, 3.0]
    assert points.to(torch.float64).k.dtype == torch.float64
    assert torch.equal(points.turned().k, points.k)
