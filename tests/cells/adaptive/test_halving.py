"""Which cells are halved where little time is left."""

import math
from types import SimpleNamespace

import pytest
import torch

from kanpinn.cells.adaptive.halving import to_halve
from kanpinn.cells.polynomials import LocalPolynomials
from kanpinn.cells.tree import Tree


@pytest.mark.parametrize(
    ("most", "halved"), [(math.inf, 100), (370, 90), (310, 65), (210, 35), (200, 100)]
)
def test_a_part_of_the_cells_down_to_a_third_is_halved_where_not_all_fit(most, halved):
    """All cells have the same error, and each that is halved becomes four."""
    tree, polynomials = Tree.uniform((10, 10)), LocalPolynomials(3, 2)
    solved = SimpleNamespace(
        system=SimpleNamespace(geometry=SimpleNamespace(tree=tree), polynomials=polynomials),
        solution=SimpleNamespace(coefficients=torch.ones(100, polynomials.size, 1).double()),
    )
    problem = SimpleNamespace(
        divisible=lambda geometry: torch.ones(100, dtype=torch.bool),
        coordinates=lambda geometry, steep: torch.ones_like(steep),
    )
    chosen = to_halve(problem, solved, torch.ones(100).double(), 1.0, most)
    assert int(chosen.any(dim=1).sum()) == halved
