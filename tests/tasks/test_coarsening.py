"""Families of cells that give way to larger ones: which they are, and the functions in these."""

import torch

from kanpinn.spaces.cells.polynomials import LocalPolynomials
from kanpinn.spaces.cells.tree import Tree
from kanpinn.tasks.cells_in_time import leaves_of_boxes, on_parts, with_boxes


def test_the_parts_of_a_polynomial_give_it_back():
    polynomials = LocalPolynomials(4, 3)
    generator = torch.Generator().manual_seed(0)
    whole = torch.randn(polynomials.size, 2, generator=generator, dtype=torch.float64)
    parts = on_parts(polynomials)
    each = parts @ whole
    assert torch.allclose(each.square().sum(dim=(0, 1)), 8 * whole.square().sum(dim=0))
    assert torch.allclose(torch.einsum("plk,plm->km", parts, each) / 8, whole)


def test_a_halved_box_comes_back_unless_a_part_is_missing_or_halved():
    tree = Tree.uniform([2, 1])
    halved, _ = tree.split(tree.everywhere(torch.tensor([True, True])))
    smaller, _ = halved.split(halved.everywhere(torch.arange(8) == 5))
    whole = torch.ones(len(smaller), dtype=torch.bool)
    found = leaves_of_boxes(smaller, whole)
    assert len(found) == 2  # that of the other root, and the smallest leaves
    larger, kept = with_boxes(smaller, found)
    assert len(larger) == 5 and len(kept) == len(smaller) - 8
    again, _ = larger.split(larger.everywhere(torch.arange(5) >= 3))
    ordered = [sorted(map(tuple, one.boxes.flatten(1).tolist())) for one in (again, smaller)]
    assert ordered[0] == ordered[1]
    whole[found[0, 0]] = False
    assert len(leaves_of_boxes(smaller, whole)) == 1
