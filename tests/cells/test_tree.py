"""Trees of boxes: their leaves, the faces between these, and the order in which they are merged."""

import pytest
import torch

from kanpinn.cells.merges import merge_order
from kanpinn.cells.tree import Tree

F = torch.float64


def _split_at_random(roots, generator):
    """A tree of which a third of the leaves are halved, three times."""
    tree = Tree.uniform(roots)
    for _ in range(3):
        tree, parents = tree.split(torch.rand(len(tree), generator=generator) < 0.3)
        assert len(parents) == len(tree)
    return tree


def test_faces_of_a_tree_cover_the_sides_of_both_cells_once(generator):
    tree = _split_at_random([2, 3], generator)
    assert float(tree.widths.prod(dim=1).sum()) == pytest.approx(4)
    inside = 2 * torch.rand(500, 2, dtype=F, generator=generator) - 1
    cell = tree.locate(inside, torch.zeros(500, dtype=torch.long))
    local = (inside - tree.low[cell]) / tree.widths[cell]
    assert bool(((local >= 0) & (local <= 1)).all())
    for axis in range(2):
        covered = torch.zeros(len(tree), 2, dtype=F)
        here = tree.faces.axis == axis
        lengths = (tree.faces.corners[here, 1] - tree.faces.corners[here, 0])[:, 1 - axis]
        for side, cells in enumerate((tree.faces.upper[here], tree.faces.lower[here])):
            covered[:, side].index_add_(0, cells, lengths)
        for at, upper, cells in tree.ends:
            if at == axis:
                covered[cells, int(upper)] += tree.widths[cells, 1 - axis]
        assert torch.allclose(covered, tree.widths[:, 1 - axis, None].expand(-1, 2))


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
