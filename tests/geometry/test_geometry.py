"""Boundaries of boxes, and points by name."""

import copy
import pickle

import pytest
import torch

from kanpinn.geometry import Box, Points
from kanpinn.geometry.rules import gauss_product


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
