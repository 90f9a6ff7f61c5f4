"""The B-spline basis, its derivatives, and the maps between spline spaces."""

from itertools import pairwise

import numpy
import pytest
import reference
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import BSpline

from kanpinn._support.errors import InputError
from kanpinn.networks.basis import BSplines
from kanpinn.networks.basis.splines import knots_from_breaks, refinement_matrix, uniform_knots

DEGREES = range(1, 12)


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


@given(st.integers(1, 11), st.integers(1, 9), st.integers(0, 99), st.floats(-4, 4))
@settings(max_examples=40)
def test_splines_sum_to_one_everywhere_and_their_derivatives_to_zero(degree, intervals, seed, at):
    knots = random_knots(2, intervals, degree, torch.Generator().manual_seed(seed))
    x = torch.tensor([[at, -at]], dtype=torch.float64)
    value, slope = BSplines(knots, degree).values(x, 1).sum(-1).unbind(1)
    size = BSplines(knots, degree).values(x, 1).abs().sum()
    assert (value - 1).abs().max() < 1e-14 * size
    assert slope.abs().max() < 1e-13 * size


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


@pytest.mark.parametrize("degree", DEGREES)
def test_the_basis_at_the_ends_of_the_grid_is_the_limit_from_inside(degree, generator):
    knots = random_knots(1, 4, degree, generator)
    ends = knots[:, degree:-degree][:, [0, -1]].T
    step = torch.tensor([[1.0], [-1.0]], dtype=torch.float64) * 1e-9
    at, near = (BSplines(knots, degree).values(x, 1) for x in (ends, ends + step))
    assert (at - near).abs().max() < 1e-5


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


@pytest.mark.parametrize("degree", [2, 3, 9])
def test_two_refinements_are_one(degree, generator):
    grids = [
        uniform_knots(-torch.ones(1).double(), torch.ones(1).double(), g, degree) for g in (2, 4, 8)
    ]
    first, second = (refinement_matrix(a, b, degree) for a, b in pairwise(grids))
    direct = refinement_matrix(grids[0], grids[2], degree)
    assert reference.distance(second @ first, direct) < 1e-12


def test_refinement_that_drops_a_knot_is_refused(generator):
    knots = [uniform_knots(-torch.ones(1).double(), torch.ones(1).double(), g, 3) for g in (4, 6)]
    with pytest.raises(InputError, match="old grid points"):
        refinement_matrix(*knots, 3)


@pytest.mark.parametrize("degree", [1, 4, 9])
def test_a_fit_reproduces_splines_and_polynomials_of_its_degree(degree, generator):
    knots = random_knots(2, 4, degree, generator)
    x = inside(knots, degree, 200, generator)
    c = torch.randn(2, knots.shape[1] - degree - 1, 3, generator=generator, dtype=torch.float64)
    assert (
        reference.distance(BSplines(knots, degree).fit(x, evaluate(c, x, knots, degree)), c) < 1e-8
    )
    values = (x**degree)[..., None]
    found = evaluate(BSplines(knots, degree).fit(x, values), x, knots, degree)
    assert reference.distance(found, values) < 1e-12
