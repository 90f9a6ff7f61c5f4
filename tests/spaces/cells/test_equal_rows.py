"""Rows of equations with constant coefficients are projected to those of polynomials."""

import numpy as np
import pytest
import torch

import kanpinn as kp
from kanpinn.loss.terms import residual_term
from kanpinn.networks.surrogate import Surrogate
from kanpinn.spaces.cells.geometry.cell_geometry import CellGeometry, CellPoints
from kanpinn.spaces.cells.polynomials import LocalPolynomials
from kanpinn.spaces.cells.system.elimination import ProjectedReflections
from kanpinn.spaces.cells.system.functions import CellField
from kanpinn.spaces.cells.system.terms import PlacedTerm, SampledTerm
from kanpinn.spaces.cells.tree import Tree

F = torch.float64
BOX = kp.Box(x=(0, 1), y=(0, 2), z=(0, 1))


def _equation(p, u):
    """Three equations for two fields, of the orders 2, 1 and 0."""
    (first, second), gradient = u.value.split(1, dim=1), kp.grad(u)
    return torch.cat(
        [
            kp.laplacian(u)[:, :1] + 2 * second,
            gradient[:, 0, :1] - gradient[:, 2, 1:],
            first + 3 * second,
        ],
        dim=1,
    )


@pytest.fixture
def placed():
    """The equation in the first of eight cells of degree 4."""
    network = kp.Cells([3, 2], 4, 2)
    points = BOX.gauss(30)
    term = residual_term("interior", _equation, points, Surrogate(network, BOX), "residual")
    polynomials, geometry = LocalPolynomials(4, 3), CellGeometry.whole(Tree.uniform([2, 2, 2]), BOX)
    at = CellPoints.inside(geometry, torch.arange(8), *polynomials.rule(3))
    zero = CellField(polynomials, torch.zeros(8, polynomials.size, 2, dtype=F))
    sampled = SampledTerm(term, at, zero)
    return PlacedTerm(sampled, 0, torch.tensor([1.0, 0.3, 2.0], dtype=F))


def test_the_triangle_and_the_transformation_are_those_of_all_rows(placed):
    rows, found = placed.rows().numpy(), ProjectedReflections.of(placed)
    assert found.shape == rows.shape
    image = found.apply(rows)
    columns = rows.shape[1]
    assert np.abs(image[:columns] - found.triangle).max() < 1e-13 * np.abs(rows).max()
    assert np.abs(image[columns:]).max() < 1e-13 * np.abs(rows).max()


def test_norms_stay_the_same(placed):
    found = ProjectedReflections.of(placed)
    numbers = np.random.default_rng(0).standard_normal((found.shape[0], 3))
    norms = np.linalg.norm(numbers, axis=0)
    assert np.allclose(np.linalg.norm(found.apply(numbers), axis=0), norms)


def test_rows_times_coefficients_are_found_without_the_rows(placed):
    rows = placed.rows()
    generator = torch.Generator().manual_seed(0)
    some = torch.randn(rows.shape[1], 4, dtype=F, generator=generator)
    assert torch.allclose(placed.of(some), rows @ some, rtol=1e-12, atol=1e-12)
