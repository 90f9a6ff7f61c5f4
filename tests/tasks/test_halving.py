"""Which cells are halved: near the tolerance, and where little time is left."""

import math
from types import SimpleNamespace

import pytest
import torch

from kanpinn.spaces.cells.polynomials import LocalPolynomials
from kanpinn.spaces.cells.tree import Tree
from kanpinn.tasks.cell_errors import ErrorProgress, left_out
from kanpinn.tasks.refinement import part_to_refine, to_refine


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
    nowhere = SimpleNamespace(
        divisible=lambda geometry: torch.ones(100, dtype=torch.bool),
        coordinates=lambda geometry, steep: torch.ones_like(steep),
    )
    chosen = to_refine(
        SimpleNamespace(singularities=nowhere), solved, torch.ones(100).double(), 1.0, most
    )
    assert int(chosen.any(dim=1).sum()) == halved


def test_near_the_tolerance_the_other_cells_keep_an_error_below_it():
    for estimate in (3e-8, 3e-7, 9e-7):
        left = (1 - part_to_refine(1e-8, estimate, 0.9)) ** 0.5 * estimate
        assert 0.8e-8 < left < 0.9e-8
    assert part_to_refine(1e-8, 2e-6, 0.9) == 0.9
    assert part_to_refine(1e-8, 1e-8, 0.9) == 0.5


@pytest.mark.parametrize("factor", [0.05, 0.3, 0.8])
def test_what_polynomials_leave_out_follows_from_a_geometric_decay(factor):
    """The terms of a degree n have the norm q^n in two cells, one of twice the other's volume."""
    polynomials = LocalPolynomials(9, 2)
    degrees = polynomials.powers.sum(dim=1)
    own = factor**degrees / (degrees + 1.0).sqrt()  # n + 1 terms of the degree n
    volumes = torch.tensor([4.0, 8.0]).double()
    found = left_out(polynomials, own.double()[None, :, None].expand(2, -1, 1), volumes)
    rest = sum(factor ** (2 * n) for n in range(10, 400)) ** 0.5
    torch.testing.assert_close(found, rest * (volumes / 4).sqrt())


def test_the_first_error_is_supposed_between_what_is_left_out_and_the_indicator():
    progress = ErrorProgress()
    progress.extrapolate(1e-4, 1.0, rest=1e-9)
    assert progress.expected == pytest.approx(1e-7) and math.isinf(progress.estimate)
    progress.extrapolate(1e-6, 1e-5, rest=1e-12)  # the ratio is known now
    assert progress.expected == progress.estimate == pytest.approx(1e-7)
