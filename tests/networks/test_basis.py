"""What every basis of edge functions promises, and the solves that use it."""

import copy

import numpy
import pytest
import reference
import sympy
import torch
from cases import Known, error_of
from scipy.interpolate import BSpline

import kanpinn as kp
from kanpinn._support.errors import InputError
from kanpinn.interpret import read
from kanpinn.networks.basis import BASES, Basis, BSplines, splines
from kanpinn.networks.basis.splines import knots_from_breaks, refinement_matrix, uniform_knots

LOW, HIGH = (torch.tensor(ends, dtype=torch.float64) for ends in ((-1.0, 0.3), (1.5, 2.0)))


@pytest.fixture(params=[(name, g) for name in BASES for g in (1, 4)], ids=str)
def basis(request) -> Basis:
    name, intervals = request.param
    return BASES[name].uniform(LOW, HIGH, intervals, 4)


def inside(basis: Basis, n: int, generator: torch.Generator, reach: float = 1.0):
    """Points (n, n_in) in the grid, or in a wider range about its middle."""
    ends = basis.breaks[:, [0, -1]]
    middle, half = ends.mean(dim=1), ends.diff(dim=1)[:, 0] / 2
    share = 2 * torch.rand(n, len(ends), generator=generator, dtype=torch.float64) - 1
    return middle + reach * half * share


def sums(basis: Basis, x, c, order: int = 0):
    """Σ_k c_k B_k^(order) by `values` alone."""
    return torch.einsum("nik,iko->nio", basis.values(x, order)[:, order], c)


def coefficients(basis: Basis, generator: torch.Generator, outputs: int = 3):
    shape = (len(basis.breaks), basis.size, outputs)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def test_one_interval_spans_the_polynomials_of_the_degree(generator):
    for kind in BASES.values():
        basis = kind.uniform(LOW, HIGH, 1, 4)
        x = inside(basis, 40, generator)
        powers = x[..., None] ** torch.arange(5)
        assert reference.distance(sums(basis, x, basis.fit(x, powers)), powers) < 1e-11


def test_each_derivative_is_that_of_the_one_before(basis, generator):
    x = inside(basis, 20, generator, reach=1.2).requires_grad_()
    weights = torch.randn(20, 2, basis.size, generator=generator, dtype=torch.float64)
    values = basis.values(x, 3)
    for r in range(3):
        slope = torch.autograd.grad((values[:, r] * weights).sum(), x, retain_graph=True)[0]
        assert reference.distance(slope, (values[:, r + 1] * weights).sum(dim=2)) < 1e-11


def test_functions_continue_as_their_tangents(basis, generator):
    for side, ends in ((-1, basis.breaks[:, 0]), (1, basis.breaks[:, -1])):
        at, beyond = (basis.values(x[None], 2)[0] for x in (ends, ends + side * 0.7))
        assert reference.distance(beyond[0], at[0] + side * 0.7 * at[1]) < 1e-12
        assert reference.distance(beyond[1], at[1]) < 1e-12 and (beyond[2] == 0).all()


def test_sums_and_their_transpose(basis, generator):
    x, c = inside(basis, 15, generator, reach=1.2), coefficients(basis, generator)
    found = basis.combine(x, c, 2)
    for r in range(3):
        assert reference.distance(found[:, r], sums(basis, x, c, r)) < 1e-12
    weights = torch.randn(3, 2, 3, 15, generator=generator, dtype=torch.float64)
    out = c.new_zeros(2, basis.size, 3, 15)
    basis.transposed(x, weights, out)
    expected = torch.einsum("rimn,nrik->ikmn", weights, basis.values(x, 2))
    assert reference.distance(out, expected) < 1e-12


def test_one_is_the_constant(basis, generator):
    c = basis.one()[None, :, None].expand(2, -1, 1)
    assert (sums(basis, inside(basis, 30, generator), c) - 1).abs().max() < 1e-13


def test_a_wider_range_and_more_intervals_change_nothing(basis, generator):
    c, x = coefficients(basis, generator), inside(basis, 30, generator)
    wider = basis.breaks.clone()
    wider[:, 0] -= 0.3
    wider[:, -1] += 0.1
    for new in (basis.on(wider), basis.finer(8, LOW, HIGH)):
        moved, error = basis.represented(c, new)
        assert error == 0
        assert reference.distance(sums(new, x, moved), sums(basis, x, c)) < 1e-11


def test_a_part_of_the_range_keeps_the_functions_there(basis, generator):
    c = coefficients(basis, generator)
    low, high = LOW + 0.2, HIGH - 0.1
    part = basis.finer(8, low, high)
    assert torch.equal(part.breaks[:, 0], low)
    x = inside(part, 30, generator)
    moved, _ = basis.represented(c, part)
    assert reference.distance(sums(part, x, moved), sums(basis, x, c)) < 1e-10


def test_projections_are_orthogonal_and_measure_their_error(generator):
    old = BSplines.uniform(LOW, HIGH, 7, 4)
    c = coefficients(old, generator)
    for kind in BASES.values():
        new = kind.uniform(LOW, HIGH, 3, 4)
        moved, error = Basis.represented(old, c, new)
        fine = BSplines.uniform(LOW, HIGH, 21, 9)  # its rule is exact on both grids
        x, weights = fine.quadrature()
        defect = sums(old, x, c) - sums(new, x, moved)
        products = torch.einsum("ni,nik,nio->iko", weights, new.values(x)[:, 0], defect)
        assert products.abs().max() < 1e-12
        lengths = (HIGH - LOW)[:, None] * weights.T
        norms = [torch.einsum("in,nio->", lengths, f.square()) for f in (defect, sums(old, x, c))]
        assert error == pytest.approx(float((norms[0] / norms[1]).sqrt()), rel=1e-10)


def test_it_is_a_spline(basis, generator):
    c, x = coefficients(basis, generator, 1), inside(basis, 30, generator)
    for i in range(2):
        knots, degree, own = basis.as_spline(c[i, :, 0], i)
        values = BSplines(knots[None], degree).values(x[:, i : i + 1])[:, 0, 0] @ own
        assert reference.distance(values, sums(basis, x, c)[:, i, 0]) < 1e-9


@pytest.mark.parametrize("name", BASES)
def test_a_problem_is_solved_and_refined(name):
    """Random inner functions and one solve, then a finer output layer: the error falls."""
    network = kp.KAN([2, 24, 1], degree=7, grid=[2, 2], basis=name, seed=0)
    settings, stages = {"errors": False}, [kp.LeastSquares(), kp.Refine([2, 8]), kp.LeastSquares()]
    coarse = kp.solve(Known(), copy.deepcopy(network), **settings)
    fine = kp.solve(Known(), network, stages, **settings)
    assert network.basis_name == name and network.layers[1].basis.intervals == 8
    assert error_of(fine) < 0.1 * error_of(coarse) < 1e-2


@pytest.mark.parametrize("name", BASES)
def test_a_formula_is_read_off(name, generator):
    """sin 2x + y², fitted by two edges of any basis."""
    x = 2 * torch.rand(300, 2, generator=generator, dtype=torch.float64) - 1
    y = torch.sin(2 * x[:, :1]) + x[:, 1:] ** 2
    network = kp.KAN([2, 1], degree=5, grid=4, basis=name, seed=0)
    result = kp.fit(network, kp.Data(kp.Table(x, y, names=("x", "y"))), kp.LeastSquares())
    assert result.scores["train"].rmse < 1e-4
    formula = read(result).formula()
    assert {str(f) for f in formula.expression.atoms(sympy.Function)} == {"sin(2*x)"}


def test_what_a_basis_cannot_do_is_said():
    with pytest.raises(kp.InputError, match=r'basis must be "spline" or .*, got \'fourier'):
        kp.KAN([2, 4, 1], basis="fourier")
    network = kp.KAN([2, 8, 1], degree=6, grid=4, basis="chebyshev", seed=0)
    with pytest.raises(kp.InputError, match="Chebyshev polynomials have no knots"):
        network.layers[1].basis.on(torch.zeros(8, 3).double())


def test_a_state_of_another_basis_is_refused():
    splines, chebyshev = (kp.KAN([2, 3, 1], basis=name, seed=0) for name in ("spline", "chebyshev"))
    with pytest.raises(kp.InputError, match=r"no layers\.0\.basis\.knots: .* another basis"):
        splines.load_state_dict(chebyshev.state_dict())


# --- The B-spline basis, its derivatives, and the maps between spline spaces


DEGREES = (1, 2, 3, 6, 11)


def random_knots(n_in: int, intervals: int, degree: int, generator: torch.Generator):
    """Non-uniform knots per input; neighbouring intervals differ by up to a factor of three."""
    width = 1 + 2 * torch.rand(n_in, intervals + 1, generator=generator, dtype=torch.float64)
    breaks = width.cumsum(1) / intervals - torch.arange(n_in)[:, None]
    return knots_from_breaks(breaks, degree)


def inside_knots(knots, degree: int, n: int, generator: torch.Generator):
    """Random points (n, n_in) inside_knots each input's grid."""
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
    x = inside_knots(knots, degree, 50, generator)
    values = BSplines(knots, degree).values(x)[:, 0]
    outside = (x[..., None] < knots[:, : -degree - 1]) | (x[..., None] > knots[:, degree + 1 :])
    assert (values[outside] == 0).all() and (values > -1e-15).all()
    assert ((values != 0).sum(-1) <= degree + 1).all()


@pytest.mark.parametrize("degree", DEGREES)
def test_values_and_derivatives_agree_with_scipy(degree, generator):
    knots = random_knots(2, 5, degree, generator)
    x = inside_knots(knots, degree, 40, generator)
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
    splines, x = BSplines(knots, 3), inside_knots(knots, 3, 50, generator) * 1.1
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
    x = inside_knots(old, degree, 100, generator)
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
