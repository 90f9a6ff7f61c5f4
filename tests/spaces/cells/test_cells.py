"""Networks in cells: their functions, and the least-squares solve that couples them."""

import functools
import itertools
import math

import numpy as np
import pytest
import torch
from cases import (
    InteriorLine,
    Manufactured,
    Stated,
    cells_of,
    check_estimate,
    error_of,
    formulas,
    solved_in_cells,
)

import kanpinn as kp
from kanpinn.spaces.cells.polynomials import LocalPolynomials
from kanpinn.spaces.cells.system.elimination import FaceSolver, merge_order
from kanpinn.spaces.cells.tree import Tree

F = torch.float64


# values on three sides and the flux on the last
SMOOTH = Manufactured(
    kp.Box(x=(0, 1), y=(-1, 1)),
    lambda p, u: kp.laplacian(u),
    "sin(3 * x) * exp(y) + cos(2 * x * y)",
    {"y_max": "neumann"},
)


def test_a_cell_is_a_kan_with_affine_inner_edges():
    network, cell = solved_in_cells(SMOOTH, 5, [3, 2]).network, 4
    kan = kp.KAN([2, 6, 1], [1, 5], 1, base=None, dtype=F)
    angles = math.pi / 6 * torch.arange(6, dtype=F)
    directions = torch.stack([angles.cos(), angles.sin()])
    directions = directions / directions.abs().sum(dim=0)  # into [-1, 1]
    first, last = kan.layers
    first.coefficients.data.copy_(torch.stack([-directions, directions], dim=1))
    points, _ = LocalPolynomials(5, 2).rule(2)
    values = last.basis.values(points @ directions, 0)[:, 0].flatten(1)
    right = LocalPolynomials(5, 2).values(points) @ network.layer.coefficients[cell].detach()
    found = torch.linalg.lstsq(values, right, driver="gelsd").solution
    last.coefficients.data.copy_(found.view(6, -1, 1))
    local = 2 * torch.rand(50, 2, dtype=F) - 1
    x = network.tree.low[cell] + (local + 1) / 2 * network.tree.widths[cell]
    assert torch.allclose(kan(local), network(x), atol=1e-11)


@pytest.mark.parametrize("degree", [3, 8])
def test_errors_fall_with_the_order_of_the_polynomials(degree):
    errors = [error_of(solved_in_cells(SMOOTH, degree, count)) for count in (4, 8)]
    assert math.log2(errors[0] / errors[1]) == pytest.approx(degree + 1, abs=0.7)


def test_degrees_converge_exponentially_to_rounding():
    errors = [error_of(solved_in_cells(SMOOTH, k, 2)) for k in (4, 10, 16)]
    assert all(b < 4e-4 * a for a, b in itertools.pairwise(errors))
    assert errors[-1] < 1e-12


SQUARE, CUBE = kp.Box(x=(0, 1), y=(0, 1)), kp.Box(x=(0, 1), y=(0, 1), z=(0, 1))
STOKES = Manufactured(  # the pressure is given on one side
    SQUARE,
    lambda q, u, v, p: (
        kp.partial(p, "x") - kp.laplacian(u),
        kp.partial(p, "y") - kp.laplacian(v),
        kp.div(u, v),
    ),
    ("sin(x) * cos(y)", "-cos(x) * sin(y)", "exp(x) * y"),
    given=("u", "v"),
    also=[kp.Dirichlet(SQUARE.boundary["x_min"], "exp(x) * y", field="p")],
    fields=("u", "v", "p"),
)
PLATE = Manufactured(  # whose cells are coupled by derivatives up to the third
    SMOOTH.domain, lambda p, u: kp.biharmonic(u), "sin(2*x) * cos(3*y)", "dirichlet neumann"
)
KNOWN = {  # a problem, with degree, cells, and the largest error
    "a system": (STOKES, 7, 2, 1e-6),
    "fourth order": (PLATE, 9, 2, 1e-5),
    "a solid": (kp.Poisson(CUBE, exact="sin(2*x) * cos(y) * exp(z)"), 5, 2, 1e-4),
    "a single cell, without faces": (SMOOTH, 14, 1, 1e-6),
}


@pytest.mark.parametrize(("problem", "degree", "cells", "bound"), KNOWN.values(), ids=KNOWN)
def test_systems_high_orders_and_three_dimensions(problem, degree, cells, bound):
    assert error_of(solved_in_cells(problem, degree, cells)) < bound


def closed(at_a_point=False):
    """Fluxes on all walls, and a given integral or a given value at a point."""
    p, weights = SMOOTH.domain.quadrature(40)
    total = kp.Integral(SMOOTH.domain, float(weights @ SMOOTH.exact(p)[:, 0]))
    value = kp.Observed(SMOOTH.domain, p[:1].coords, SMOOTH.exact(p[:1]))
    also = [value if at_a_point else total]
    return Manufactured(SMOOTH.domain, SMOOTH.operator, SMOOTH.known, "neumann", also=also)


def line(low, high, operator, exact, **settings):
    return Manufactured(kp.Box(x=(low, high)), operator, exact, **settings)


PEAK = "exp(-1000 * ((x - 0.5)**2 + (y - 0.25)**2))"  # in a corner of cells
KINK = "abs(x - 0.1234) + 3e-4 * log((1 + exp(-2 * abs(x - 0.1234) / 3e-4)) / 2)"
RING = Manufactured(
    kp.Box(x=(0, 2), y=(0, 1)),
    lambda p, u: u.value - kp.laplacian(u),
    "exp(sin(pi * x)) * sin(2 * y)",
    periodic=("x",),
)
RESONANCE = 2 * (3 * math.pi) ** 2 + 0.1  # near it, errors of one cell are felt in all
HALVED = {  # a problem, with degree, cells, tolerance, and whether the estimate is compared
    "a peak": (kp.Poisson(SQUARE, exact=PEAK), 7, 4, 1e-3, True),
    "a resonance": (
        Manufactured(
            SQUARE,
            lambda p, u: kp.laplacian(u) + RESONANCE * u.value,
            "exp(-20 * ((x - 0.3)**2 + (y - 0.4)**2))",
        ),
        *(6, 4, 1e-3, True),
    ),
    "a nonlinear equation": (
        line(
            *(-0.6, 0.7, lambda p, u: kp.laplacian(u) - u.value.exp(), "log(2 / cos(x)**2)"),
            source=False,
        ),
        *(8, 3, 1e-9, False),
    ),
    "a circle": (RING, 10, [3, 1], 1e-6, False),
    "a bend between the points": (
        line(-1, 1, lambda p, u: kp.laplacian(u), KINK),
        *(12, 4, 1e-5, False),
    ),
    "fluxes and an integral": (closed(), 10, 2, 1e-8, False),
    "fluxes and a value at a point": (closed(at_a_point=True), 10, 2, 1e-8, False),
}


@functools.cache
def halved(name):
    problem, degree, cells, tolerance, _ = HALVED[name]
    return solved_in_cells(problem, degree, cells, tolerance=tolerance, steps=40)


@pytest.mark.parametrize("name", HALVED)
def test_cells_are_halved_until_the_error_is_small(name):
    solution, (*_, tolerance, compared) = halved(name), HALVED[name]
    assert solution.status == "converged" and error_of(solution) < tolerance
    if compared:
        check_estimate(solution, tolerance)


def test_cells_are_small_at_a_peak_and_large_elsewhere():
    tree = halved("a peak").network.tree
    near = (tree.low + tree.widths / 2 - torch.tensor([0.0, -0.5])).norm(dim=1)
    assert near[tree.level.amax(dim=1) == tree.level.max()].max() < 0.6
    assert tree.level.min() == 0 and tree.level.max() >= 3


def test_cells_at_both_ends_of_a_period_are_neighbours():
    first, last = halved("a circle")(torch.tensor([[0.0, 0.3], [2.0, 0.3]], dtype=F))
    assert float(abs(first - last)) < 1e-7


def waves(speed):
    """The wave equation in space-time, in any unit of time."""
    operator = lambda p, u: kp.partial(u, "t", "t") - speed**2 * kp.partial(u, "x", "x")  # noqa: E731
    domain, exact = kp.Box(x=(0, 1), t=(0, 1 / speed)), f"sin(3 * x) * cos({3 * speed} * t)"
    return Manufactured(domain, operator, exact, rate=True, source=False)


def test_units_of_coordinates_change_nothing():
    errors = [error_of(solved_in_cells(waves(c), 8, 2)) for c in (1.0, 3e8)]
    assert errors[0] < 1e-5 and errors[1] == pytest.approx(errors[0], rel=1e-3)


def test_an_equation_without_derivatives_is_solved_without_conditions():
    algebraic = Stated(
        SQUARE, lambda p, u: 2 * u.value - torch.sin(p.x), exact=formulas("sin(x)/2")
    )
    assert error_of(solved_in_cells(algebraic, 6, 1)) < 1e-5


PLAIN, CELLS = kp.AdaptiveLeastSquares(), kp.Cells([2, 1], 4)
REFUSED = {
    'boundary must be "auto" or "penalty"': (SMOOTH, CELLS, PLAIN, "exact"),
    "adaptive least squares are for networks in cells": (SMOOTH, kp.KAN([2, 8, 1]), PLAIN),
    "network.cells must be at least 2 along x": (RING, kp.Cells([2, 1], 8, 1), PLAIN),
    "determine its field already": (
        Manufactured(SQUARE, SMOOTH.operator, SMOOTH.known, also=[kp.Integral(SQUARE, 1.0)]),
        *(CELLS, PLAIN),
    ),
}


@pytest.mark.parametrize("words", REFUSED)
def test_what_cells_cannot_do_is_said_in_words(words):
    problem, network, method, *boundary = REFUSED[words]
    with pytest.raises(kp.InputError, match=words):
        kp.solve(problem, network, method, boundary=(*boundary, "auto")[0])


def test_all_cells_may_be_marked_and_no_more():
    with pytest.raises(kp.InputError, match="marking must be at most 1"):
        kp.AdaptiveLeastSquares(marking=2)


# --- Trees of boxes: their leaves, and the faces between these


def _split_at_random(roots, generator):
    """A tree of which leaves are halved in a third of all coordinates, three times."""
    tree = Tree.uniform(roots)
    for _ in range(3):
        chosen = torch.rand(len(tree), tree.dim, generator=generator) < 0.3
        count, before = tree.count_when_split(chosen), tree
        tree, parents = tree.split(chosen)
        assert len(parents) == len(tree) == count
        assert torch.equal(tree.widths, before.widths[parents] / 2 ** chosen[parents])
    return tree


@pytest.mark.parametrize("roots", [(3,), (2, 3), (2, 1, 2)])
def test_faces_of_a_tree_cover_the_sides_of_both_cells_once(roots, generator):
    tree = _split_at_random(roots, generator)
    dim, faces = tree.dim, tree.faces
    assert float(tree.widths.prod(dim=1).sum()) == pytest.approx(2**dim)
    inside = 2 * torch.rand(500, dim, dtype=F, generator=generator) - 1
    cell = tree.locate(inside, torch.zeros(500, dtype=torch.long))
    local = (inside - tree.low[cell]) / tree.widths[cell]
    assert bool(((local >= 0) & (local <= 1)).all())
    for axis in range(dim):
        covered, sides = torch.zeros(len(tree), 2, dtype=F), tree.widths.clone()
        sides[:, axis] = 1.0
        here = faces.axis == axis
        widths = (faces.corners[here, 1] - faces.corners[here, 0]).scatter(
            1, faces.axis[here, None], 1.0
        )
        for side, cells in enumerate((faces.upper[here], faces.lower[here])):
            covered[:, side].index_add_(0, cells, widths.prod(dim=1))
        for at, upper, cells in tree.ends:
            if at == axis:
                covered[cells, int(upper)] += sides[cells].prod(dim=1)
        assert torch.allclose(covered, sides.prod(dim=1, keepdim=True).expand(-1, 2))
    middle, half = faces.corners.mean(dim=1), torch.eye(dim, dtype=F)[faces.axis] * 1e-9
    none = torch.zeros(len(faces), dtype=torch.long)
    assert torch.equal(tree.locate(middle - half, none), faces.lower)
    assert torch.equal(tree.locate(middle + half, none), faces.upper)


def test_walls_of_slivers_without_a_cell_have_points_after_cells_are_halved():
    width = 1e-5
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


def test_merged_nodes_fill_boxes_also_where_cells_are_tiny():
    """The exact bounding box of a merged pair has the volume of both."""
    tree, place, levels = Tree.uniform((1, 1)), (-0.0887, 0.2646), 29
    for _ in range(levels):
        own = tree.locate(torch.tensor([place], dtype=F), torch.zeros(1, dtype=torch.long))
        chosen = torch.zeros(len(tree), 2, dtype=torch.bool)
        chosen[own] = True
        tree, _ = tree.split(chosen)
    units = [[2 ** (levels - level) for level in row] for row in tree.level.tolist()]
    rows = zip(units, tree.place.tolist(), strict=True)
    boxes = [[(w * k, w * (k + 1)) for w, k in zip(*row, strict=True)] for row in rows]
    volumes = [math.prod(high - low for low, high in box) for box in boxes]
    for one, other, _ in merge_order(tree):
        pairs = zip(boxes[one], boxes[other], strict=True)
        boxes.append([(min(a[0], b[0]), max(a[1], b[1])) for a, b in pairs])
        volumes.append(volumes[one] + volumes[other])
        assert math.prod(high - low for low, high in boxes[-1]) == volumes[-1]
    assert volumes[-1] == 4**levels


# --- Ranks share the cells of a tree, and find the solution of one process


DOMAINS = {
    "a box": kp.Box(x=(0, 1), y=(0, 1)),
    "a box without a disk": kp.Box(x=(0, 1), y=(0, 1)) - kp.Disk((0.7, 0.3), 0.15),
}


def peak(domain, broken=False):
    """(1 + x) Δu + u² = f with a peak at (0.3, 0.6), and optionally a source that is not finite."""
    extra = (lambda p: torch.log(p.x - 0.9)) if broken else (lambda p: 0.0)
    return Manufactured(
        domain,
        lambda p, u: (1 + p.x) * kp.laplacian(u) + u.value**2 + extra(p),
        "exp(-40 * ((x - 0.3)**2 + (y - 0.6)**2))",
        **({"source": False} if broken else {}),
    )


def _solved(domain, broken=False):
    """The status, the error and the coefficients of a solve in cells."""
    problem, network = peak(DOMAINS[domain], broken), kp.Cells([2, 1], 5, 3)
    method = kp.AdaptiveLeastSquares(tolerance=1e-3)
    found = kp.solve(problem, network, method, verified=False, errors=False)
    return found.status, error_of(found), network.layer.coefficients.detach().numpy()


alone = functools.cache(_solved)


@pytest.mark.parametrize(("domain", "size"), [("a box", 2), ("a box without a disk", 3)])
def test_ranks_find_what_one_process_finds(ranks, domain, size):
    status, error, wanted = alone(domain)
    assert status == "converged" and error < 1e-3
    answers = ranks.run(size, _solved, domain)
    for status, error, found in answers:
        assert status == "converged" and error < 1e-3
        assert np.array_equal(found, answers[0][2])
        assert np.allclose(found, wanted, rtol=0, atol=1e-10)


def _solved_in_one_cell():
    problem = kp.Poisson(DOMAINS["a box"], exact="sin(x)*exp(y)")
    return kp.solve(
        problem, kp.Cells([2, 1], 8, 1), kp.AdaptiveLeastSquares(1e-4)
    ).errors.l2_relative


def test_a_rank_may_have_no_cell(ranks):
    one, other = ranks.run(2, _solved_in_one_cell)
    assert isinstance(one, float), one
    assert one == other < 1e-7


def _solved_with_a_singular_source():
    network = kp.Cells([2, 1], 6, 3)
    method = kp.AdaptiveLeastSquares(1e-15, steps=1)
    kp.solve(InteriorLine(5 / 3, 0.5), network, method, verified=False, errors=False)
    return network.layer.coefficients.detach().numpy()


def test_ranks_share_the_integrals_of_a_singular_source(ranks):
    wanted = _solved_with_a_singular_source()
    one, other = ranks.run(2, _solved_with_a_singular_source)
    assert np.array_equal(one, other)
    assert np.allclose(one, wanted, rtol=0, atol=1e-12)


def _solved_by_gradients(domain):
    """What `_solved` returns, by conjugate gradients, as for many cells."""
    start = FaceSolver.__init__

    def by_gradients(self, *arguments, **options):
        start(self, *arguments, **options)
        self._by_elimination = False

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FaceSolver, "__init__", by_gradients)
        return _solved(domain)


def test_ranks_take_the_same_conjugate_gradients(ranks):
    _, _, wanted = alone("a box")
    answers = ranks.run(2, _solved_by_gradients, "a box")
    for status, error, found in answers:
        assert status == "converged" and error < 1e-3
        assert np.array_equal(found, answers[0][2])
        assert np.allclose(found, wanted, rtol=0, atol=1e-8)


def test_a_source_that_is_not_finite_ends_the_solve_of_all_ranks(ranks):
    for status, *_ in ranks.run(2, _solved, "a box", True):
        assert status.startswith("failed: step 1 of AdaptiveLeastSquares broke down")
