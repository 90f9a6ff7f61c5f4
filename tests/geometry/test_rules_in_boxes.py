"""Rules on the parts of surfaces in boxes: many boxes at once, areas, and sums over all boxes."""

import pytest
import torch
import trimesh

import kanpinn as kp

MESH = trimesh.creation.icosphere(2)
CUBE = kp.Box(x=(-1, 1), y=(-1, 1), z=(-1, 1))
SOLIDS = {
    "ball": kp.Ball((0, 0.1, 0), 0.9),
    "cube": kp.Box(x=(-1, 0.9), y=(-0.8, 1), z=(-0.7, 0.3)),
    "triangles": kp.Surface(MESH.vertices, MESH.faces),
    "bitten ball": kp.Ball((0, 0, 0), 1) - kp.Ball((1, 0.2, 0), 0.6, name="bite"),
    "cube without a ball": CUBE - kp.Ball((0, 0, 1), 0.6),
}


def _grid(count):
    """The boxes of a grid on a cube around the solids, (count³, 2, 3)."""
    width = 2.2 / count
    corners = torch.cartesian_prod(*[torch.arange(count, dtype=torch.float64)] * 3) * width - 1.1
    return torch.stack([corners, corners + width], dim=1)


@pytest.mark.parametrize("name", SOLIDS)
def test_rules_of_many_boxes_are_those_of_each(name):
    boxes = torch.cat([_grid(3), torch.tensor([[[-0.3, -0.3, 0.5], [0.1, 0.2, 0.95]]])])
    for piece in SOLIDS[name].boundary.pieces:
        every = piece.in_boxes(boxes, 5)
        assert bool((every.box.diff() >= 0).all())
        for number, box in enumerate(boxes):
            alone, own = piece.in_boxes(box[None], 5), every.some(every.box == number)
            assert torch.equal(own.points.coords, alone.points.coords)
            assert torch.equal(own.normals, alone.normals)
            assert torch.equal(own.weights, alone.weights)
            coords = alone.points.coords
            assert bool(((coords >= box[0]) & (coords <= box[1])).all())


@pytest.mark.parametrize("name", SOLIDS)
def test_weights_in_all_boxes_add_up_to_the_area(name):
    for piece in SOLIDS[name].boundary.pieces:
        weights = piece.in_boxes(_grid(4), 8).weights
        assert bool((weights > 0).all())
        assert float(weights.sum()) == pytest.approx(
            piece.measure, rel=0.05
        )  # a wall that ends in a box has few points there


def test_padded_rules_keep_the_sums_over_each_box():
    rules = SOLIDS["ball"].boundary.pieces[0].in_boxes(_grid(3), 6)
    moments = torch.zeros(27, dtype=torch.float64)
    moments.index_add_(0, rules.box, rules.weights * rules.points.coords[:, 0])
    found, last = torch.zeros_like(moments), 0
    for boxes, points, weights in rules.padded(4):
        assert len(boxes) <= 4 and weights.shape[1] >= last
        last = weights.shape[1]
        found[boxes] = (weights * points.coords[:, 0].view(weights.shape)).sum(dim=1)
    assert found == pytest.approx(moments, abs=1e-15)


def test_a_piece_in_higher_dimensions_is_not_divided():
    (sphere,) = kp.Ball((0, 0, 0, 0), 1).boundary.pieces
    with pytest.raises(kp.InputError, match="cannot be divided by boxes"):
        sphere.in_boxes(torch.zeros(1, 2, 4, dtype=torch.float64), 3)
