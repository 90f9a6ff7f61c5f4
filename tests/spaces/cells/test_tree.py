"""Trees of boxes: their leaves, the faces between these, and the order in which they are merged."""

import pytest
import torch

from kanpinn.spaces.cells.system.elimination import merge_order
from kanpinn.spaces.cells.tree import Tree

F = torch.float64


def _split_at_random(roots, generator):
    """A tree of which leaves are halved in a third of all coordinates, three times."""
    tree = Tree.uniform(roots)
    for _ in range(3):
        chosen = torch.rand(len(tree), tree.dim, generator=generator) < 0.3
        count, before = tree.count_when_split(chosen), tree
        tree, parents = tree.split(chosen)
        assert len(parents) == len(tree) == count
        assert torch.equal(tree.widths, before.widths[parents] / 2 ** chosen[parents])
    return tree


@pytest.mark.parametrize("roots", [(3,), (2, 3), (2, 1, 2)])
def test_faces_of_a_tree_cover_the_sides_of_both_cells_once(roots, generator):
    tree = _split_at_random(roots, generator)
    dim, faces = tree.dim, tree.faces
    assert float(tree.widths.prod(dim=1).sum()) == pytest.approx(2**dim)
    inside = 2 * torch.rand(500, dim, dtype=F, generator=generator) - 1
    cell = tree.locate(inside, torch.zeros(500, dtype=torch.long))
    local = (inside - tree.low[cell]) / tree.widths[cell]
    assert bool(((local >= 0) & (local <= 1)).all())
    for axis in range(dim):
        covered, sides = torch.zeros(len(tree), 2, dtype=F), tree.widths.clone()
        sides[:, axis] = 1.0
        here = faces.axis == axis
        widths = (faces.corners[here, 1] - faces.corners[here, 0]).scatter(
            1, faces.axis[here, None], 1.0
        )
        for side, cells in enumerate((faces.upper[here], faces.lower[here])):
            covered[:, side].index_add_(0, cells, widths.prod(dim=1))
        for at, upper, cells in tree.ends:
            if at == axis:
                covered[cells, int(upper)] += sides[cells].prod(dim=1)
        assert torch.allclose(covered, sides.prod(dim=1, keepdim=True).expand(-1, 2))
    middle, half = faces.corners.mean(dim=1), torch.eye(dim, dtype=F)[faces.axis] * 1e-9
    none = torch.zeros(len(faces), dtype=torch.long)
    assert torch.equal(tree.locate(middle - half, none), faces.lower)
    assert torch.equal(tree.locate(middle + half, none), faces.upper)


def test_two_neighbours_make_a_box_in_each_merge(generator):
    tree = _split_at_random([2, 4], generator)
    boxes = dict(enumerate(tree.boxes))
    for number, (one, other, made) in enumerate(merge_order(tree)):
        pair = boxes.pop(one), boxes.pop(other)
        low, high = torch.stack([torch.stack(pair).amin(0)[0], torch.stack(pair).amax(0)[1]])
        assert made == len(tree) + number
        area = sum(float((box[1] - box[0]).prod()) for box in pair)
        assert float((high - low).prod()) == pytest.approx(area)
        boxes[made] = torch.stack([low, high])
    (whole,) = boxes.values()
    assert whole.tolist() == [[-1, -1], [1, 1]]
