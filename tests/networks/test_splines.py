"""The B-spline basis, its derivatives, and the maps between spline spaces."""

import numpy
import pytest
import reference
import torch
from scipy.interpolate import BSpline

from kanpinn._support.errors import InputError
from kanpinn.networks.basis import BSplines, splines
from kanpinn.networks.basis.splines import knots_from_breaks, refinement_matrix, uniform_knots

DEGREES = (1, 2, 3, 6, 11)


def random_knots(n_in: int, intervals: int, degree: int, generator: torch.Generator):
    """Non-uniform knots per input; neighbouring intervals differ by up to a factor of three."""
    width = 1 + 2 * torch.rand(n_in, intervals + 1, generator=generator, dtype=torch.float64)
    breaks = width.cumsum(1) / intervals - torch.arange(n_in)[:, None]
    return knots_from_breaks(breaks, degree)


def inside(knots, degree: int, n: int, generator: torch.Generator):
    """Random points (n, n_in) inside each input's grid."""
    low, high = knots[:, degree], knots[:, -degree - 1]
    share = torch.rand(n, len(knots), generator=generator, dtype=torch.float64)
    return low + (high - low) * share


def evaluate(coefficients, x, knots, degree: int, order: int = 0):
    return torch.einsum(
        "nik,iko->nio", BSplines(knots, degree).values(x, order)[:, order], coefficients
    )


@pytest.mark.parametrize("degree", DEGREES)
def test_only_degree_plus_one_splines_live_at_a_point_each_on_its_support(degree, generator):
    knots = random_knots(3, 6, degree, generator)
    x = inside(knots, degree, 50, generator)
    values = BSplines(knots, degree).values(x)[:, 0]
    outside = (x[..., None] < knots[:, : -degree - 1]) | (x[..., None] > knots[:, degree + 1 :])
    assert (values[outside] == 0).all() and (values > -1e-15).all()
    assert ((values != 0).sum(-1) <= degree + 1).all()


@pytest.mark.parametrize("degree", DEGREES)
def test_values_and_derivatives_agree_with_scipy(degree, generator):
    knots = random_knots(2, 5, degree, generator)
    x = inside(knots, degree, 40, generator)
    ours = BSplines(knots, degree).values(x, 4)
    for i in range(2):
        scipy_basis = BSpline(knots[i].numpy(), numpy.eye(knots.shape[1] - degree - 1), degree)
        for r in range(5):
            theirs = scipy_basis(x[:, i].numpy(), nu=r) if r <= degree else 0 * ours[:, r, i]
            scale = max(1.0, float(ours[:, r, i].abs().max()))
            assert (ours[:, r, i] - torch.as_tensor(theirs)).abs().max() < 1e-12 * scale


@pytest.mark.parametrize("order", [0, 2])
@pytest.mark.parametrize("intervals", [5, 40])
def test_combinations_are_sums_of_values(intervals, order, generator):
    """With few splines, all of which are taken, and with many, of which those near x are."""
    knots = random_knots(3, intervals, 3, generator)
    splines, x = BSplines(knots, 3), inside(knots, 3, 50, generator) * 1.1
    found = []
    by_values = lambda x, c, order: torch.einsum("...ik,ikm->...im", splines.values(x, order), c)  # noqa: E731
    for sums in (splines.combine, by_values):
        c = torch.randn(3, splines.size, 2, generator=generator.manual_seed(1)).double()
        values = sums(x, c.requires_grad_(), order)
        values.sin().sum().backward()
        found.append((values, c.grad))
    for a, b in zip(*found, strict=True):
        assert reference.distance(a, b) < 1e-12


def nested(breaks, generator):
    middle = (breaks[:, 1:] + breaks[:, :-1]) / 2
    return torch.cat([breaks, middle], dim=1).sort(1).values


def one_split(breaks, generator):
    return torch.cat([breaks, breaks[:, :1] * 0.3 + breaks[:, 1:2] * 0.7], dim=1).sort(1).values


def inserted(breaks, generator):
    share = torch.rand(len(breaks), 5, generator=generator, dtype=breaks.dtype)
    new = breaks[:, :1] + share * (breaks[:, -1:] - breaks[:, :1])
    return torch.cat([breaks, new], dim=1).sort(1).values


def widened(breaks, generator):
    wide = breaks.clone()
    wide[:, 0] -= 0.3
    wide[:, -1] += 0.2
    return wide


@pytest.mark.parametrize("degree", DEGREES)
@pytest.mark.parametrize("change", [nested, one_split, inserted, widened])
def test_knot_insertion_and_widening_leave_functions_unchanged(degree, change, generator):
    old = random_knots(2, 4, degree, generator)
    breaks = old[:, degree:-degree]
    new = knots_from_breaks(change(breaks, generator), degree)
    c = torch.randn(2, old.shape[1] - degree - 1, 3, generator=generator, dtype=torch.float64)
    fine = refinement_matrix(old, new, degree) @ c
    x = inside(old, degree, 100, generator)
    for order in range(min(degree, 3)):
        before, after = evaluate(c, x, old, degree, order), evaluate(fine, x, new, degree, order)
        # The coefficients of a wide range extrapolate: what is lost is their size times eps.
        size = max(1.0, float(fine.abs().max()))
        assert (before - after).abs().max() < 1e-12 * size * max(1.0, float(before.abs().max()))
    assert reference.distance(evaluate(fine, x, new, degree), evaluate(c, x, old, degree)) < (
        1e-12 if change is not widened else 1e-9
    )


def test_refinement_that_drops_a_knot_is_refused(generator):
    knots = [uniform_knots(-torch.ones(1).double(), torch.ones(1).double(), g, 3) for g in (4, 6)]
    with pytest.raises(InputError, match="old grid points"):
        refinement_matrix(*knots, 3)


# --- Piecewise polynomials: evaluation, derivatives with respect to everything, batches


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
