"""Planar domains against shapely, closed formulas and the divergence theorem."""

import math
from itertools import pairwise

import numpy as np
import pytest
import shapely
import torch
from domains import PLANAR, UNIT, flux_defect, smooth, uniform
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import kanpinn as kp
from kanpinn._support.errors import InputError
from kanpinn.geometry import (
    Arc,
    Box,
    Disk,
    Ellipse,
    Planar,
    Polygon,
    Sector,
    Segment,
    Triangle,
)
from kanpinn.geometry.combination import combine, planar
from kanpinn.geometry.curves import crossings
from kanpinn.geometry.division import Division
from kanpinn.geometry.planar import slab_rule, slabs
from kanpinn.geometry.sampling import sample

PI = math.pi


def in_the_box(domain, n: int) -> torch.Tensor:
    """Points in a box that is 10% wider on each side."""
    low, high = domain.bounds
    return low + (high - low) * (1.2 * uniform(n, 2) - 0.1)


# Measures and quadrature


@pytest.mark.parametrize("domain", PLANAR.values(), ids=PLANAR)
def test_slabs_have_the_area_and_are_exact_on_polygons(domain):
    _, weights = slab_rule(slabs(domain.sides), 24)  # before its sum is set to the measure
    assert weights.sum().item() == pytest.approx(domain.measure, rel=1e-12)
    if all(isinstance(piece, Segment) for piece in domain.boundary.pieces):
        coarse, fine = ((w @ (p.coords**3).sum(dim=1)) for p, w in map(domain.quadrature, (3, 6)))
        assert coarse.item() == pytest.approx(fine.item(), rel=1e-12)


def test_a_disk_is_one_product_of_rules():
    assert len(Disk((0, 0), 1).quadrature(5)[0]) == 25
    assert len(Disk((0, 0), 1).gauss(50)) == 64


# Points inside, on and around the boundary


def star(corners: int, seed: int) -> list[tuple[float, float]]:
    rng = np.random.default_rng(seed)
    angles = np.sort(rng.uniform(0, 2 * PI, corners))
    radii = rng.uniform(0.5, 1, corners)
    return [(float(x), float(y)) for x, y in (radii * [np.cos(angles), np.sin(angles)]).T]


def test_a_random_polygon_with_holes_agrees_with_shapely():
    holes = [[(0.1, 0.1), (0.25, 0.1), (0.15, 0.25)], [(-0.2, -0.1), (-0.1, -0.3), (-0.1, -0.1)]]
    theirs = shapely.Polygon(star(40, 3), holes)
    ours = Polygon(theirs)
    assert ours == Polygon(star(40, 3), holes)
    assert ours.measure == pytest.approx(theirs.area, rel=1e-14)
    assert ours.boundary.measure == pytest.approx(theirs.length, rel=1e-14)
    points = 2 * uniform(100_000, 2) - 1
    inside = shapely.contains_xy(theirs, points.numpy())
    assert (ours.contains(points).numpy() == inside).all()
    some = points[:10_000]
    off = shapely.distance(theirs.boundary, shapely.points(some.numpy()))
    inside = inside[:10_000]
    assert (ours.contains(some, 0.03).numpy() == (inside | (off <= 0.03))).all()
    assert (ours.contains(some, -0.03).numpy() == (inside & (off >= 0.03))).all()
    around = sample(ours.boundary, 10_000)
    ahead, behind = (around.coords + step * around.normals for step in (1e-9, -1e-9))
    assert shapely.contains_xy(theirs, behind.numpy()).mean() > 0.9999
    assert shapely.contains_xy(theirs, ahead.numpy()).mean() < 0.0001


@pytest.mark.parametrize("axes", [(1.0, 0.5), (0.02, 1.0), (1.0, 1.0)])
def test_arcs_are_mapped_by_arc_length(axes):
    """The lengths between images of equidistant numbers, by Gauss rules in the angle."""
    arc = Arc((0.3, 0.1), axes, 0.4, 0.2, 5.1)
    t = arc.even(torch.linspace(0, 1, 12, dtype=torch.float64)).tolist()
    lengths = [arc.part(a, b).quadrature(40)[1].sum().item() for a, b in pairwise(t)]
    assert lengths == pytest.approx([arc.measure / 11] * 11, rel=1e-12)


# Closest points and crossings


@pytest.mark.parametrize(
    "curve",
    [
        Segment((0, 0.5), (1, -1)),
        Arc((0.2, 0.1), (0.8, 0.8)),
        Arc((0.2, 0.1), (0.8, 0.8), 0.0, 4.0, 1.0),
        Arc((0.2, 0.1), (1.2, 0.3), 0.4),
        Arc((0.2, 0.1), (1.2, 0.3), 0.4, 1.0, 3.5),
    ],
    ids=repr,
)
def test_closest_points(curve):
    coords = 4 * uniform(500, 2) - 2
    nearest = (coords - curve.nearest(coords)).norm(dim=1)
    dense = curve.at(torch.linspace(0, 1, 20_001, dtype=torch.float64))
    sampled = torch.cdist(coords, dense).min(dim=1).values
    assert (nearest - sampled).max() < 1e-14 and (sampled - nearest).max() < 1e-5


def test_two_ellipses_cross_in_four_points_of_both():
    a, b = (Arc((0, 0), (1, 0.4), 0.3), Arc((0.05, 0), (1, 0.4), 1.9))
    points = torch.tensor(crossings(a, b, 1e-12), dtype=torch.float64)
    assert len(points) == 4
    for arc in (a, b):
        assert (arc.local(points).norm(dim=1) - 1).abs().max() < 1e-13


@pytest.mark.parametrize(
    ("a", "b", "points"),
    [
        (Segment((0, 0), (2, 2)), Segment((0, 2), (2, 0)), [(1, 1)]),
        (Segment((0, 0), (2, 0)), Segment((1, 0), (3, 0)), [(1, 0), (2, 0)]),
        (Segment((0, 0), (2, 0)), Segment((0, 1), (2, 1)), []),
        (Segment((-2, 0), (2, 0)), Arc((0, 0), (1, 1), 0, 0.5, 5.5), [(-1, 0)]),
        (Segment((-2, 1), (2, 1)), Arc((0, 0), (1, 1)), [(0, 1)]),
        (Segment((-2, 1 + 1e-9), (2, 1 + 1e-9)), Arc((0, 0), (1, 1)), []),
        (Arc((0, 0), (1, 1)), Arc((2, 0), (1, 1), 0, 1, 6), [(1, 0)]),
        (
            Arc((0, 0), (2, 2), 0, 0, PI),
            Arc((0, 0), (2, 2), 0, PI / 2, 1.5 * PI),
            [(0, 2), (-2, 0)],
        ),
        (Arc((0, 0), (2, 2)), Arc((0, 0), (1, 1), 0, 1, 2), []),
    ],
)
def test_crossings_by_hand(a, b, points):
    for found in (crossings(a, b, 1e-12), crossings(b, a, 1e-12)):
        assert len(found) == len(points)
        for point in points:
            assert min(math.dist(point, other) for other in found) < 1e-12


# Unions, differences, intersections


def test_pieces_keep_their_names():
    assert PLANAR["eccentric disks"].boundary.names == ("circle", "hole")
    cut = PLANAR["disk through a side"].boundary
    assert cut["x_max"].measure == pytest.approx(0.4, rel=1e-13)  # two parts of one face
    assert set(cut.names) == {"x_min", "x_max", "y_min", "y_max", "circle"}
    assert set(PLANAR["ring of two names"].boundary.names) >= {"r_min", "z_max"}


def test_a_name_of_both_gets_a_number_unless_it_is_one_line():
    corner = PLANAR["box minus box"].boundary
    assert corner["x_min"].measure == 2 and corner["x_min_2"].measure == 1
    wide = PLANAR["boxes side by side"].boundary
    assert sorted(wide.names) == ["x_max", "x_min", "y_max", "y_min"]
    three = Disk((0, 0), 1) | Disk((1, 0), 1) | Disk((2, 0), 1)
    assert set(three.boundary.names) == {"circle", "circle_2", "circle_3"}


def test_what_is_cut_off_and_put_back_is_whole():
    disk, half = Disk((0, 0), 1), Box(x=(0, 2), y=(-2, 2))
    whole = (disk - half) | (disk & half)
    assert whole.measure == pytest.approx(PI, rel=1e-14)
    assert [piece.measure for piece in whole.boundary.pieces] == pytest.approx([2 * PI])


def rectangle(corner, width, height):
    return Box(x=(corner[0], corner[0] + width), y=(corner[1], corner[1] + height))


quarters = st.integers(-4, 4).map(lambda k: k / 4)
sizes = st.integers(1, 4).map(lambda k: k / 4)
floats = st.floats(-1, 1)
corners = st.tuples(quarters, quarters)
# Built in the test: beartype draws random numbers, which strategies may not.
shapes = st.one_of(
    st.tuples(st.just(Disk), corners, sizes),
    st.tuples(
        st.just(Ellipse),
        st.tuples(floats, quarters),
        st.tuples(sizes, sizes),
        st.sampled_from([0, PI / 2, 1.0]),
    ),
    st.tuples(st.just(Sector), corners, sizes, st.just(0.0), st.sampled_from([PI / 2, PI, 4.0])),
    st.tuples(st.just(Triangle), st.just((-0.3, 0.1)), st.tuples(sizes, quarters), corners),
    st.tuples(st.just(rectangle), corners, sizes, sizes),
)


def built(shape):
    try:
        return shape[0](*shape[1:])
    except InputError:
        assume(False)  # a triangle without area


def combined(kind: str, a, b):
    try:
        return combine(kind, a, b)
    except InputError as error:
        assert "is empty" in str(error)
        return None


@settings(max_examples=12)
@given(a=shapes, b=shapes, c=shapes)
def test_random_combinations(a, b, c):
    """Inclusion and exclusion, membership, and the divergence theorem."""
    a, b, c = built(a), built(b), built(c)
    union, both, rest = (combined(kind, a, b) for kind in ("union", "intersection", "difference"))
    common = both.measure if both else 0.0
    assert union.measure == pytest.approx(a.measure + b.measure - common, abs=1e-12)
    assert (rest.measure if rest else 0.0) == pytest.approx(a.measure - common, abs=1e-12)
    coords = in_the_box(union, 300)
    in_a, in_b = a.contains(coords), b.contains(coords)
    for domain, expected in ((union, in_a | in_b), (both, in_a & in_b), (rest, in_a & ~in_b)):
        found = domain.contains(coords) if domain else torch.zeros(300, dtype=torch.bool)
        assert torch.equal(found, expected)
        for last in (domain, domain and combined("difference", domain, c)):
            assert last is None or flux_defect(last, 24, smooth) < 1e-12


# Level functions


@pytest.mark.parametrize("domain", PLANAR.values(), ids=PLANAR)
def test_level_functions_vanish_on_the_boundary_only(domain):
    points, _ = domain.quadrature(10)
    around, _ = domain.boundary.quadrature(24)
    assert domain.level(points.coords).min() > 0
    assert domain.level(around.coords).abs().max() < 1e-14
    step = 1e-9
    inward, outward = (
        domain.level(around.coords - way * step * around.normals)[:, 0] / step for way in (1, -1)
    )
    # The one that is nearly a disk has corners of 0.1°.
    assert inward.min() > -1e-6 and outward.max() < 1e-6 and inward.median() > 0.01
    assert 0.9 < inward.max() < 1.1
    coords = torch.cat([points.coords, around.coords]).requires_grad_(True)
    (slope,) = torch.autograd.grad(domain.level(coords).sum(), coords, create_graph=True)
    (bend,) = torch.autograd.grad(slope.sum(), coords)
    assert slope.isfinite().all() and bend.isfinite().all()


def test_the_level_function_of_a_disk_by_hand():
    coords = 2 * uniform(20, 2) - 1
    x, y = coords.split(1, dim=1)
    disk = (0.49 - (x - 0.1) ** 2 - (y - 0.2) ** 2) / 1.4
    torch.testing.assert_close(Disk((0.1, 0.2), 0.7).level(coords), disk, rtol=0, atol=1e-15)


def test_curves_of_ones_own():
    """A quarter disk without its corner's square, from its curves in any order."""
    arc = Arc((0, 0), (2, 2), 0, 0, PI / 2, "arc")
    corner = [Segment((0, 2), (0, 1)), Segment((0, 1), (1, 1), "cut")]
    domain = Planar((arc, *corner, Segment((1, 0), (2, 0)), Segment((1, 1), (1, 0), "cut")))
    assert domain.measure == pytest.approx(PI - 1, rel=1e-14)
    assert domain.boundary["cut"].measure == 2
    assert flux_defect(domain, 24, smooth) < 1e-12


# --- Domains of the plane that interfaces divide into parts


def divided(domain, *boundaries):
    plane = planar(domain)
    pieces = [piece for boundary in boundaries for piece in boundary.pieces]
    return Division.of(plane, plane.curves, pieces)


def disk(x, y, radius):
    return kp.Disk((x, y), radius).boundary


CASES = {
    "a disk": (UNIT, [disk(0.4, 0.5, 0.2)], [0.04 * math.pi]),
    "disks in each other": (
        UNIT,
        [disk(0.4, 0.5, 0.2), disk(0.4, 0.5, 0.1)],
        [0.03 * math.pi, 0.01 * math.pi],
    ),
    "disks that touch": (
        UNIT,
        [disk(0.4, 0.5, 0.2), disk(0.8, 0.5, 0.2)],
        [0.04 * math.pi, 0.04 * math.pi],
    ),
    "a disk that touches a wall": (UNIT, [disk(0.2, 0.5, 0.2)], [0.04 * math.pi]),
    "a line from wall to wall": (
        UNIT,
        [kp.Box(x=(0, 0.3), y=(0, 1)).boundary["x_max"]],
        [0.3],
    ),
    "two lines that cross": (
        UNIT,
        [
            kp.Box(x=(0, 0.3), y=(0, 1)).boundary["x_max"],
            kp.Box(x=(0, 1), y=(0, 0.4)).boundary["y_max"],
        ],
        [0.12, 0.18, 0.28],
    ),
    "a disk beside a hole": (
        kp.Disk((0, 0), 1) - kp.Disk((0.5, 0), 0.2),
        [disk(-0.2, 0, 0.3)],
        [0.09 * math.pi],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_parts_have_the_areas_that_interfaces_bound(name):
    domain, interfaces, areas = CASES[name]
    found = sorted(part.measure for part in divided(domain, *interfaces).domains)
    assert found == pytest.approx(sorted([*areas, domain.measure - sum(areas)]))


@pytest.mark.parametrize("name", CASES)
def test_each_piece_of_an_interface_runs_around_both_of_its_parts(name):
    domain, interfaces, _ = CASES[name]
    division = divided(domain, *interfaces)
    t = torch.linspace(0, 1, 5, dtype=torch.float64)
    edges = [edge for part in division.edges for edge in part]
    inside = {edge.interface: edge for edge in edges if edge.interface >= 0 and not edge.reverse}
    outside = {edge.interface: edge for edge in edges if edge.interface >= 0 and edge.reverse}
    assert inside and set(inside) == set(outside)
    for seam, edge in inside.items():
        assert torch.allclose(edge.curve.at(t), outside[seam].curve.at(1 - t), atol=1e-14)
    for part, edges in zip(division.domains, division.edges, strict=True):
        assert part.curves == tuple(edge.curve for edge in edges)


def test_interfaces_that_do_not_divide_a_domain_are_refused():
    with pytest.raises(kp.InputError, match="'circle' must be inside the domain"):
        divided(UNIT, disk(0.1, 0.5, 0.2))
    with pytest.raises(kp.InputError, match="no part in common with the boundary"):
        divided(UNIT, kp.Box(x=(0, 0.3), y=(0, 1)).boundary)
    with pytest.raises(kp.InputError, match="'x_max' must be closed or end on"):
        divided(UNIT, kp.Box(x=(0.2, 0.3), y=(0.2, 0.7)).boundary["x_max"])
    with pytest.raises(kp.InputError, match="must consist of curves"):
        divided(UNIT, kp.Ball((0, 0, 0), 1).boundary)
