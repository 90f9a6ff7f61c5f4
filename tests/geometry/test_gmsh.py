"""Domains from Gmsh's files against formulas by hand; files that are no mesh of a domain."""

import contextlib
import copy
import math
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from cases import Manufactured
from domains import flux_defect
from msh_files import FORMATS, Made, block, ring, write_msh

import kanpinn as kp
from kanpinn._support.errors import InputError
from kanpinn.geometry import Mesh, Planar, Surface
from kanpinn.geometry.sampling import SAMPLERS, sample


def read(folder, mesh: Made, *given, **options):
    return Mesh(write_msh(folder / "part.msh", mesh, *given), **options)


@pytest.mark.parametrize(("version", "binary"), FORMATS)
@pytest.mark.parametrize("made", [ring(8), ring(5, order=2, quads=True), block()])
def test_all_formats_say_the_same(tmp_path, made, version, binary):
    one, other = read(tmp_path, made), read(tmp_path, made, version, binary)
    assert one.boundary.names == other.boundary.names
    assert one.measure == other.measure
    assert torch.equal(one.quadrature(4)[0].coords, other.quadrature(4)[0].coords)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("quads", [False, True])
def test_circles_of_the_drawing_are_found_again(tmp_path, order, quads):
    domain = read(tmp_path, ring(9, 2, order, quads))
    assert isinstance(domain, Planar)
    assert sorted(domain.boundary.names) == ["group_8", "inner"]
    assert domain.measure == pytest.approx(3 * math.pi, rel=1e-14)
    assert domain.boundary["inner"].measure == pytest.approx(2 * math.pi, rel=1e-14)
    points = sample(domain.boundary["inner"], 7)
    assert torch.allclose(points.normals, -points.coords, atol=1e-14)


@pytest.mark.parametrize(("turns", "curves"), [(8, 4), (9, 4), (6, 3)])
def test_circles_of_several_short_curves_are_found_again(tmp_path, turns, curves):
    domain = read(tmp_path, ring(turns, 2, curves=curves))
    assert domain.measure == pytest.approx(3 * math.pi, rel=1e-14)
    assert len(domain.boundary.pieces) == 2


def test_polygons_whose_sides_are_curves_of_the_drawing_stay_polygons(tmp_path):
    for turns in (7, 14):  # one or two edges on each side
        made = ring(turns, curves=7)
        if turns == 14:
            ends = made.coords.reshape(-1, 7, 2, 3)
            ends[:, :, 1] = (ends[:, :, 0] + np.roll(ends[:, :, 0], -1, axis=1)) / 2
        domain = read(tmp_path, made)
        assert len(domain.boundary.pieces) == 14
        assert domain.measure == pytest.approx(3 * 7 * math.sin(2 * math.pi / 7) / 2, rel=1e-12)


def test_edges_stay_straight_where_the_drawing_is_unknown_or_arcs_are_not_wanted(tmp_path):
    area = 3 * 9 * math.sin(2 * math.pi / 9) / 2  # of a polygon with nine corners
    for domain in (read(tmp_path, ring(9), arcs=False), read(tmp_path, ring(9).without(1))):
        assert domain.measure == pytest.approx(area, rel=1e-14)
        assert len(domain.boundary.pieces) == 18
        assert flux_defect(domain, 4) < 1e-13


def test_edges_of_second_order_are_arcs_without_the_drawing_too(tmp_path):
    domain = read(tmp_path, ring(5, 1, 2).without(1), name="wall")
    assert domain.measure == pytest.approx(3 * math.pi, rel=1e-14)
    assert domain.boundary.names == ("wall", "wall")


def test_arcs_through_three_nodes_approach_an_ellipse_in_the_fourth_order(tmp_path):
    errors = []
    for turns in (12, 24):
        made = ring(turns, 1, 2).mapped(lambda x: x * [1.5, 1, 1])
        errors.append(abs(read(tmp_path, made).measure / (4.5 * math.pi) - 1))
    assert errors[1] < 1e-5
    assert 3.7 < math.log2(errors[0] / errors[1]) < 4.5


@pytest.mark.parametrize("order", [1, 2])
def test_rules_on_rings_converge_to_rounding(tmp_path, order):
    domain = read(tmp_path, ring(12, 2, order))
    points, weights = domain.quadrature(48)
    assert (weights > 0).all()
    assert domain.contains(points.coords, 1e-12).all()
    value = weights @ torch.exp(points.coords[:, 0])
    # ∫ exp(r cos θ) dθ = 2π I₀(r), and ∫ r I₀(r) dr = r I₁(r).
    bessel = torch.special.i1(torch.tensor([1.0, 2.0], dtype=torch.float64))
    exact = 2 * math.pi * (2 * bessel[1] - bessel[0])
    assert value.item() == pytest.approx(exact.item(), rel=1e-11)
    assert flux_defect(domain, 32) < 1e-11


def test_rules_take_few_heights_in_low_slabs_between_straight_sides(tmp_path):
    domain = read(tmp_path, ring(60), arcs=False)
    assert len(domain.quadrature(24)[0]) < 2 * 60 * 6 * 24
    assert flux_defect(domain, 24) < 1e-12


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_points_lie_inside(tmp_path, sampler):
    for made in (ring(8), block()):
        domain = read(tmp_path, made)
        for n in (20, 400):
            points = sample(domain, n, sampler)
            assert n <= len(points) < 4 * n
            assert domain.contains(points.coords, 1e-12).all()


def test_a_solid_has_the_faces_of_its_tetrahedra(tmp_path):
    domain = read(tmp_path, block(), name="walls")
    assert isinstance(domain, Surface)
    assert domain.measure == pytest.approx(6)
    assert set(domain.boundary.names) == {"floor", "walls"}
    assert domain.boundary["floor"].measure == pytest.approx(2)
    floor = sample(domain.boundary["floor"], 5)
    assert torch.equal(floor.normals, torch.tensor([[0.0, 0, -1]]).double().expand(5, 3))
    assert torch.equal(domain.bounds[1], torch.tensor([1.0, 2, 3]).double())
    around = torch.tensor([[0.5, 1, 1.5], [0.5, 1, -0.1], [1.1, 1, 1]])
    assert domain.contains(around).tolist() == [True, False, False]
    assert domain.has_gauss_rule
    assert flux_defect(domain, 8) < 1e-12


def test_quadrangles_name_the_faces_that_divide_them_and_do_not_matter_inside(tmp_path):
    made = block((1, 1, 1))
    wall, inner = (2, 6, 40, 3, np.array([[0, 1, 3, 2]])), (2, 7, 41, 3, np.array([[0, 1, 7, 6]]))
    domain = read(tmp_path, replace(made, blocks=[*made.blocks, wall, inner]))
    assert set(domain.boundary.names) == {"floor", "group_40", "boundary"}
    assert domain.boundary["group_40"].measure == pytest.approx(6)


def test_a_hollow_solid_has_an_exact_rule(tmp_path):
    made = block((3, 3, 3))
    centers = made.coords[made.blocks[1][4]].mean(axis=1) / [1, 2, 3]
    outer = np.abs(centers - 0.5).max(axis=1) > 1 / 6
    cells = (*made.blocks[1][:4], made.blocks[1][4][outer])
    domain = read(tmp_path, replace(made, blocks=[made.blocks[0], cells]))
    assert domain.measure == pytest.approx(6 * (1 - 1 / 27))
    assert domain.has_gauss_rule
    assert flux_defect(domain, 12) < 1e-12
    assert not domain.contains(torch.tensor([[0.5, 1.0, 1.5]])).any()


def test_orders_of_nodes_nodes_in_one_place_and_others_do_not_matter(tmp_path):
    made = ring(8)
    size, (one, other) = len(made.coords), made.blocks[2:]
    turned = (*one[:4], one[4][:, ::-1])
    double = (*other[:4], other[4] + size)
    coords = np.concatenate([made.coords, made.coords, [[9, 9, 9]]])
    again = replace(made, coords=coords, blocks=[*made.blocks[:2], turned, double])
    assert read(tmp_path, again).curves == read(tmp_path, made).curves


def test_elements_of_several_groups_count_once(tmp_path):
    made = ring(8)
    again = [(dim, entity, group + 1, kind, rows) for dim, entity, group, kind, rows in made.blocks]
    both = replace(made, blocks=[*made.blocks, *again[2:]])  # MSH 2.2 repeats them
    assert read(tmp_path, both, "2.2").curves == read(tmp_path, made).curves


def test_parts_may_be_apart(tmp_path):
    made = ring(8)
    size, moved = len(made.coords), made.coords + np.array([5, 0, 0])
    more = [(dim, entity, 0, kind, rows + size) for dim, entity, _, kind, rows in made.blocks]
    more = [(dim, entity + 50, *rest) for dim, entity, *rest in more]
    whole = replace(made, coords=np.concatenate([made.coords, moved]), blocks=[*made.blocks, *more])
    domain = read(tmp_path, whole)
    assert domain.measure == pytest.approx(6 * math.pi)
    assert sorted(domain.boundary.names) == ["boundary", "boundary", "group_8", "inner"]


def test_meshes_combine_and_are_copied(tmp_path):
    domain = read(tmp_path, ring(12))
    half = domain - kp.Box(x=(-3, 3), y=(-3, 0))
    assert half.measure == pytest.approx(1.5 * math.pi)
    assert "inner" in half.boundary.names
    assert domain.over(t=(0, 2)).measure == pytest.approx(6 * math.pi)
    for again in (copy.deepcopy(domain), pickle.loads(pickle.dumps(domain))):
        assert again == domain and again.measure == domain.measure
    assert repr(domain).startswith("Mesh(")
    solid = read(tmp_path, block(), names=("a", "b", "c"))
    with pytest.raises(kp.InputError, match="other solids are combined as meshes"):
        solid & kp.Box(a=(0, 1), b=(0, 1), c=(0, 3))


def test_cells_solve_on_a_mesh_as_on_its_drawing(tmp_path):
    problem = Manufactured(
        read(tmp_path, ring(16, 2)),
        lambda p, u: kp.laplacian(u),
        "x / (x**2 + y**2) + log(x**2 + y**2) / 2",
        {"inner": "neumann"},
        source=False,
    )
    solution = kp.solve(
        problem, kp.Cells([2, 1], degree=7, cells=4), kp.AdaptiveLeastSquares(tolerance=1e-5)
    )
    assert solution.success and solution.errors.l2_relative < 1e-5


def ring_with(**changes) -> Made:
    return replace(ring(8), **changes)


def with_block(*added) -> Made:
    return ring_with(blocks=[*ring(8).blocks, *added])


def moved_node(made: Made, node: int, to: tuple[float, float, float]) -> Made:
    coords = made.coords.copy()
    coords[node] = to
    return replace(made, coords=coords)


FIRST = ring(8).blocks[2][4][:1]
BAD = {
    "no triangles": (ring(8).without(2), "has no triangles and no tetrahedra; as soon as"),
    "a surface": (ring(8).mapped(lambda x: x + x[:, :1] * [0, 0, 1]), "a surface in space"),
    "twice": (
        ring_with(blocks=[(2, 1, 20, 2, np.concatenate([FIRST, FIRST]))]),
        "1 of its elements occur twice",
    ),
    "on others": (
        with_block((2, 2, 20, 2, np.array([[0, 2, 9]]))),
        "its elements overlap: at . faces",
    ),
    "turned over": (moved_node(ring(8), 9, (3.0, 3.0, 0.5)), "its elements overlap: at 3 faces"),
    "no area": (with_block((2, 2, 20, 2, np.array([[0, 0, 9]]))), "1 of its elements have no area"),
    "crossed": (
        ring_with(blocks=[(2, 1, 20, 3, np.array([[0, 8, 1, 9]]))]),
        "1 of its quadrangles have sides that cross",
    ),
    "third order": (with_block((2, 2, 20, 21, np.arange(10)[None])), "elements of Gmsh's type 21"),
    "hexahedra": (with_block((3, 2, 20, 5, np.arange(8)[None])), "elements of Gmsh's type 5"),
    "two groups": (
        with_block((1, 9, 11, 1, ring(8).blocks[0][4])),
        "in the physical groups 'inner' and 'group_11'; pieces",
    ),
    "flat tetrahedra": (
        replace(block(), blocks=[(3, 1, 0, 4, np.array([[0, 1, 4, 5]]))]),
        "1 of its elements have no volume",
    ),
}


@pytest.mark.parametrize(("made", "message"), BAD.values(), ids=BAD)
def test_what_fills_no_domain_is_refused(tmp_path, made, message):
    with pytest.raises(InputError, match=f"part.msh .*: .*{message}"):
        read(tmp_path, made)


TEXT = "$MeshFormat\n4.1 0 8\n$EndMeshFormat\n"
FILES = {
    "solid brick\nendsolid": r"it does not begin with \$MeshFormat",
    "": "it does not begin",
    TEXT + "nodes": "no section of a mesh begins with 'nodes'",
    TEXT.replace("4.1", "4.0"): "its version is 4.0; save it as MSH 4.1 or 2.2",
    TEXT + "$Nodes\n1 1 1 1\n0 1 0 1\n1\n": "its last section does not end",
    TEXT + "$Nodes\n1 1 1 1\n0 1 0 1\n1\n0 0\n$EndNodes\n": "a section ends too early",
    TEXT + "$Nodes\n1 1 1 1\n0 1 0 1\n1\n0 zero 0\n$EndNodes\n": "could not convert string",
    TEXT + "$Nodes\n1 1 1 1\n0 1 0 1\n1\n0 nan 0\n$EndNodes\n": "are no finite numbers",
    TEXT + "$Nodes\n1 1 1 1\n0 1 0 1\n1\n0 0 0\n$EndNodes\n$Elements\n1 1 1 1\n2 1 2 1\n1 1 2 3\n"
    "$EndElements\n": "an element has the node 2, which is not in the file",
    TEXT + "$PartitionedEntities\n$EndPartitionedEntities\n": "it is divided into partitions",
}


@pytest.mark.parametrize(("text", "message"), FILES.items(), ids=range(len(FILES)))
def test_files_that_are_no_mesh_are_refused(tmp_path, text, message):
    file = tmp_path / "part.msh"
    file.write_text(text)
    with pytest.raises(InputError, match=f"part.msh cannot be read as an MSH file.*{message}"):
        Mesh(file)


def test_a_cut_off_file_is_refused(tmp_path):
    file = write_msh(tmp_path / "part.msh", ring(8), "4.1", True)
    whole = file.read_bytes()
    for length in range(60, len(whole) - 20, 97):
        file.write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"part.msh cannot be read as an MSH file"):
            Mesh(file)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"there is no file .*none\.msh"):
        Mesh(tmp_path / "none.msh")


def test_damaged_files_are_read_or_refused(tmp_path):
    generator = np.random.default_rng(0)
    for made, version, binary in [(ring(4, 1), *kind) for kind in FORMATS] * 20:
        file = write_msh(tmp_path / "part.msh", made, version, binary)
        data = bytearray(file.read_bytes())
        for at in generator.integers(len(data), size=generator.choice([1, 20])):
            data[at] = generator.integers(256)
        file.write_bytes(bytes(data))
        with contextlib.suppress(InputError):
            Mesh(file)
