"""Boxes without a leaf, and the walls of slivers in them that are too thin for a cell."""

import pytest
import torch
from cases import cells_of

import kanpinn as kp
from kanpinn.spaces.cells.polynomials import LocalPolynomials
from kanpinn.spaces.cells.tree import Tree, gaps


def test_leaves_and_gaps_fill_the_domain_and_do_not_overlap(generator):
    tree = Tree.uniform((1, 2, 1))
    for _ in range(6):
        tree, _ = tree.split(torch.rand(len(tree), 3, generator=generator) < 0.3)
    kept = torch.rand(len(tree), generator=generator) < 0.5
    tree = tree.only(kept)
    level, place = gaps(tree)
    empty = Tree(tree.roots, level, place, torch.zeros(len(level), dtype=torch.long))
    volume = empty.widths.prod(dim=1).sum() + tree.widths.prod(dim=1).sum()
    assert float(volume) == pytest.approx(8)
    assert not bool(tree.inside(empty.boxes).any()) and not bool(empty.inside(tree.boxes).any())


@pytest.mark.parametrize("width", [3e-3, 1e-5])
def test_walls_of_slivers_without_a_cell_have_points_after_cells_are_halved(width):
    cube = kp.Box(x=(-1, 1), y=(-1, 1), z=(-1, 1))
    domain = cube - kp.Box(x=(width, 2), y=(width, 2), z=(-2, 2))
    problem = kp.Poisson(domain, exact="x * y * z")
    own, polynomials = cells_of(problem, kp.Cells([3, 1], 4, 2)), LocalPolynomials(4, 3)
    geometry = own.start(Tree.uniform((2, 2, 2)).divided(1))
    for halved in ((True, True, True), (False, False, True)):
        chosen = torch.tensor(halved).expand(len(geometry.tree), -1)
        geometry = own.cells(geometry.tree.split(chosen)[0])
        assert len(geometry.lost[0])
        pieces = [piece for term in own.conditions for piece in term.pieces]
        parts = geometry.on_boundary(pieces, polynomials)
        area = sum(float(at.weights.sum()) for at in parts)
        assert area == pytest.approx(domain.boundary.measure, rel=1e-4)
