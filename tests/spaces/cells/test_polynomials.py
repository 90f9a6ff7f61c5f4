"""The polynomials of a cell: their rule, and the directions whose functions span them."""

import math

import torch

import kanpinn as kp
from kanpinn.jets import Channels, Coordinates
from kanpinn.spaces.cells.polynomials import LocalPolynomials

F = torch.float64


def test_the_polynomials_are_orthonormal():
    polynomials = LocalPolynomials(5, 3)
    points, weights = polynomials.rule()
    values = polynomials.values(points)
    assert torch.allclose(values.T @ (weights[:, None] * values), torch.eye(56, dtype=F))


def test_derivatives_are_sums_of_the_polynomials():
    polynomials, scale = LocalPolynomials(6, 3), torch.tensor([0.5, 2.0, 3.0], dtype=F)
    channels = Channels(("x", "y", "z"), gradient=True, second="hessian")
    x = 2 * torch.rand(40, 3, dtype=F, generator=torch.Generator().manual_seed(0)) - 1
    parts = [0, 2, 4, 6, 12]  # the value, u_y, u_xx, u_xz, u_zz
    expected = polynomials.stacked(channels, x, scale, parts)
    found = torch.einsum(
        "ni,ipj->npj", polynomials.values(x), polynomials.derived(channels, scale, parts)
    )
    assert (found - expected).abs().max() < 1e-13 * expected.abs().max()


def test_functions_of_a_kan_in_evenly_spread_directions_are_all_polynomials():
    # Logan and Shepp: k + 1 directions are enough in the plane, and k are not.
    degree, polynomials = 6, LocalPolynomials(6, 2)
    x = 2 * torch.rand(400, 2, dtype=F, generator=torch.Generator().manual_seed(0)) - 1
    inner, _ = kp.Cells([2, 1], degree, 1).kan(0).layers
    along = inner(Coordinates(Channels(("x", "y")), x, torch.ones(2, dtype=F))).value
    angles = torch.atan2(*torch.linalg.lstsq(x, along).solution.flip(0)) % math.pi
    assert torch.allclose(angles.sort().values.diff(), torch.full((degree,), math.pi / 7, dtype=F))
    powers = along[..., None] ** torch.arange(degree + 1)
    both = torch.cat([powers.flatten(1), polynomials.values(x)], dim=1)
    assert _rank(powers) == _rank(both) == polynomials.size == 28
    assert _rank(powers[:, 1:]) == 27


def _rank(functions: torch.Tensor) -> int:
    """The number of linearly independent functions, given by their values at points."""
    return int(torch.linalg.matrix_rank(functions.flatten(1), rtol=1e-10))
