"""Piecewise polynomials: evaluation, derivatives with respect to everything, batches."""

import pytest
import torch

from kanpinn.networks.basis import splines

BREAKS = torch.tensor([[-1.0, -0.2, 0.3, 1.0], [0.0, 1.0, 1.5, 4.0]], dtype=torch.float64)


@pytest.fixture
def table(generator) -> torch.Tensor:
    """Two inputs, five pieces, cubics, three functions each."""
    return torch.randn(2, 5, 4, 3, generator=generator, dtype=torch.float64)


@pytest.fixture
def x(generator) -> torch.Tensor:
    return 5 * torch.rand(40, 2, generator=generator, dtype=torch.float64) - 1.5


def test_a_break_belongs_to_its_right_and_the_last_one_to_the_grid():
    x = torch.tensor([[-2.0], [-1.0], [0.0], [0.3], [1.0], [1.1]], dtype=torch.float64)
    assert splines.locate(x, BREAKS[:1])[:, 0].tolist() == [0, 1, 2, 3, 3, 4]


@pytest.mark.parametrize("count", [3, 40])
def test_the_search_of_many_breaks_finds_what_comparisons_find(count, generator):
    breaks = torch.randn(2, count, generator=generator, dtype=torch.float64).sort(dim=1).values
    x = torch.cat([2 * torch.randn(50, 2, generator=generator, dtype=torch.float64), breaks.T])
    expected = (x[..., None] >= breaks[:, :-1]).sum(dim=-1) + (x > breaks[:, -1])
    assert torch.equal(splines.locate(x, breaks), expected)


def test_values_are_the_polynomials_about_the_centres(table, x):
    piece = splines.locate(x, BREAKS)
    i = torch.arange(2)
    offset = x - splines.centres(BREAKS)[i, piece]
    powers = torch.stack([offset**p for p in range(4)], dim=-1)
    expected = torch.einsum("nip,nipm->mni", powers, table[i, piece])
    assert torch.allclose(
        splines.piecewise_values(x, table, BREAKS)[0], expected, rtol=1e-13, atol=1e-13
    )


def test_each_order_is_the_derivative_of_the_one_before(table, x):
    x = x.requires_grad_()
    values = splines.piecewise_values(x, table, BREAKS, 5)
    for lower, higher in zip(values[:-1, 1], values[1:, 1], strict=True):
        (slope,) = torch.autograd.grad(lower.sum(), x, retain_graph=True)
        assert torch.allclose(slope, higher, rtol=1e-13, atol=1e-13)
    assert (values[4:] == 0).all()  # above the degree


@pytest.mark.parametrize("order", [0, 2, 4])
def test_gradients_of_gradients_with_respect_to_arguments_and_table(table, x, order):
    def function(x, table):
        return splines.piecewise_values(x, table, BREAKS, order)

    inputs = (x[:4].requires_grad_(), table[..., :1].clone().requires_grad_())
    assert torch.autograd.gradcheck(function, inputs)
    assert torch.autograd.gradgradcheck(function, inputs)


@pytest.mark.parametrize("batched", [(0, None), (0, 0), (None, 0)])
def test_vmap_is_a_loop(table, x, batched):
    xs = x.view(4, 10, 2) if batched[0] == 0 else x
    tables = torch.stack([table * k for k in range(1, 5)]) if batched[1] == 0 else table

    def total(x, table):
        return splines.piecewise_values(x, table, BREAKS, 1).square().sum()

    gradients = torch.func.vmap(torch.func.grad(total, argnums=(0, 1)), batched)(xs, tables)
    for k in range(4):
        at = xs[k] if batched[0] == 0 else xs, tables[k] if batched[1] == 0 else tables
        alone = torch.func.grad(total, argnums=(0, 1))(*at)
        for one, all_of_them in zip(alone, gradients, strict=True):
            assert torch.allclose(all_of_them[k], one, rtol=1e-13, atol=1e-13)
