"""Boxes against the divergence theorem, and points by name."""

import copy
import math
import pickle

import pytest
import torch

from kanpinn._support.errors import InputError
from kanpinn.geometry import Box, Points
from kanpinn.geometry.rules import gauss_product

BOXES = [
    Box(t=(0.1, 0.7)),
    Box(x=(-1, 1), y=(0, 3)),
    Box(x=(0, 1), y=(-2, 2), z=(0.5, 0.75)),
    Box(**{f"x{i}": (-i, 1) for i in range(5)}),
]
every_box = pytest.mark.parametrize("box", BOXES, ids=repr)


def uniform(n: int, dim: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(n, dim, dtype=torch.float64, generator=generator)


def test_measures_by_hand():
    assert [box.measure for box in BOXES[:3]] == pytest.approx([0.6, 6.0, 1.0])
    assert [box.boundary.measure for box in BOXES[:3]] == pytest.approx([2.0, 10.0, 10.5])


@every_box
def test_pieces_lie_exactly_on_the_ends_that_name_them(box):
    for axis, (name, low, high) in enumerate(box.ranges):
        for end, value in (("min", low), ("max", high)):
            (piece,) = box.boundary[f"{name}_{end}"].pieces
            points = piece.from_unit(uniform(5, piece.dim))
            assert (points.coords[:, axis] == value).all()
            assert box.contains(points.coords).all()


@every_box
def test_from_unit_scales_every_volume_by_the_measure(box):
    unit = uniform(4, box.dim)
    for row in unit:
        jacobian = torch.func.jacrev(lambda u: box.from_unit(u[None]).coords[0])(row)
        assert jacobian.det().item() == pytest.approx(box.measure, rel=1e-13)


def test_contains_takes_a_tolerance_of_either_sign():
    box = Box(x=(0, 1), y=(0, 2))
    coords = torch.tensor([[0.5, 1.0], [1.0, 2.0], [1.05, 1.0], [0.5, -0.2]], dtype=torch.float64)
    assert box.contains(coords).tolist() == [True, True, False, False]
    assert box.contains(coords, 0.1).tolist() == [True, True, True, False]
    assert box.contains(coords, -0.1).tolist() == [True, False, False, False]


def test_boundary_of_an_interval_is_two_points():
    points, weights = Box(x=(-2, 3)).boundary.quadrature(7)
    assert points.x.tolist() == [[-2.0], [3.0]]
    assert points.normals.tolist() == [[-1.0], [1.0]]
    assert weights.tolist() == [1.0, 1.0]


def test_gauss_products_take_a_number_for_each_axis():
    coords, weights = gauss_product([2, 4], 2)
    assert len(coords) == 8
    assert (weights @ coords[:, 1] ** 7).item() == pytest.approx(1 / 8)
    with pytest.raises(InputError, match=r"each of 2 axes, got \[1, 2, 3\]"):
        gauss_product([1, 2, 3], 2)


def test_from_unit_keeps_the_precision():
    unit = uniform(3, 2).float()
    box = Box(x=(0, 1), y=(0, 2))
    assert box.from_unit(unit).coords.dtype == torch.float32
    assert box.boundary["y_max"].pieces[0].from_unit(unit[:, :1]).normals.dtype == torch.float32


def test_unit_points_of_the_wrong_dimension_are_refused():
    box = Box(x=(0, 1), y=(0, 2))
    with pytest.raises(InputError, match=r"shape \(n, 2\), got \(4, 3\)"):
        box.from_unit(uniform(4, 3))
    with pytest.raises(InputError, match=r"shape \(n, 1\), got \(4, 2\)"):
        box.boundary.pieces[0].from_unit(uniform(4, 2))


def test_parts_of_a_boundary():
    boundary = Box(x=(0, 1), y=(0, 2)).boundary
    assert boundary.names == ("x_min", "x_max", "y_min", "y_max")
    assert boundary["y_max"].names == ("y_max",)
    assert boundary["y_max", "x_min"].names == ("x_min", "y_max")
    assert boundary["x_min", "x_max"].measure == 4.0
    with pytest.raises(InputError, match="no piece 'top'; its pieces are x_min, x_max"):
        boundary["top"]


@pytest.mark.parametrize(
    ("ranges", "message"),
    [
        ({}, "one or more distinct names"),
        ({"x": (1, 0)}, r"x must be finite numbers low < high, got \(1, 0\)"),
        ({"x": (1, 1)}, "low < high"),
        ({"y": (0, math.nan)}, "y must be finite"),
        ({"y": (-math.inf, 0)}, "y must be finite"),
        ({"x": (0, 1, 2)}, r"x must be a pair \(low, high\) of numbers, got \(0, 1, 2\)"),
        ({"2x": (0, 1)}, "identifier, got '2x'"),
        ({"lambda": (0, 1)}, "identifier, got 'lambda'"),
        ({"normals": (0, 1)}, "cannot be called 'normals'"),
        ({"to": (0, 1)}, "cannot be called 'to'"),
    ],
)
def test_bad_boxes_are_refused(ranges, message):
    with pytest.raises(InputError, match=message):
        Box(**ranges)


def test_boxes_are_values():
    box = Box(x=(-1, 1), y=[0, 2])
    assert box == Box(x=(-1.0, 1.0), y=(0.0, 2.0))
    assert box != Box(y=(0, 2), x=(-1, 1))
    assert len({box, copy.deepcopy(box), pickle.loads(pickle.dumps(box))}) == 1
    assert repr(box) == "Box(x=(-1.0, 1.0), y=(0.0, 2.0))"


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


def test_points_that_do_not_fit_are_refused():
    coords = torch.zeros(3, 2)
    with pytest.raises(InputError, match=r"shape \(n, 1\) for the coordinates x, got \(3, 2\)"):
        Points(coords, ("x",))
    with pytest.raises(InputError, match=r"shape \(3, 2\) of coords, got \(2, 2\)"):
        Points(coords, ("x", "y"), coords[:2])
    with pytest.raises(InputError, match="same names"):
        Points.cat([Points(coords, ("x", "y")), Points(coords, ("x", "t"))])
    with pytest.raises(InputError, match="with or all without normals"):
        Points.cat([Points(coords, ("x", "y")), Points(coords, ("x", "y"), coords)])
