"""What every basis of edge functions promises, and the solves that use it."""

import copy

import pytest
import reference
import sympy
import torch
from cases import Known

import kanpinn as kp
from kanpinn.interpret import read
from kanpinn.networks.basis import BASES, Basis, BSplines

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
    network = kp.KAN([2, 40, 1], degree=7, grid=[2, 2], basis=name, seed=0)
    coarse = kp.solve(Known(), copy.deepcopy(network))
    fine = kp.solve(Known(), network, [kp.LeastSquares(), kp.Refine([2, 8]), kp.LeastSquares()])
    assert network.basis_name == name and network.layers[1].basis.intervals == 8
    assert fine.errors.l2_relative < 0.1 * coarse.errors.l2_relative < 1e-2


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
