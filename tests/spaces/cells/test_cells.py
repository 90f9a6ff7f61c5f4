"""Networks in cells: their functions, and the least-squares solve that couples them."""

import itertools
import math

import pytest
import torch
from cases import OnWalls, cells_of, check_estimate, error_of, solved_in_cells

import kanpinn as kp
from kanpinn.jets import Channels, Coordinates
from kanpinn.spaces.cells.polynomials import LocalPolynomials
from kanpinn.spaces.cells.system.elimination import merge_order
from kanpinn.spaces.cells.tree import Tree, gaps

F = torch.float64


class Smooth(kp.Problem):
    """-Δu = f on a rectangle, with values on three sides and the flux on the last."""

    domain = kp.Box(x=(0, 1), y=(-1, 1))

    def exact(self, p):
        return torch.sin(3 * p.x) * torch.exp(p.y) + torch.cos(2 * p.x * p.y)

    def residual(self, p, u):
        wave = 4 * (p.x**2 + p.y**2) * torch.cos(2 * p.x * p.y)
        return kp.laplacian(u) + 8 * torch.sin(3 * p.x) * torch.exp(p.y) + wave

    def conditions(self):
        walls = self.domain.boundary
        flux = kp.Neumann(
            walls["y_max"],
            lambda p: torch.sin(3 * p.x) * math.e - 2 * p.x * torch.sin(2 * p.x),
        )
        return [kp.Dirichlet(walls["x_min", "x_max", "y_min"], self.exact), flux]


@pytest.mark.parametrize("degree", [3, 5, 8])
def test_errors_fall_with_the_order_of_the_polynomials(degree):
    errors = [error_of(solved_in_cells(Smooth(), degree, count)) for count in (2, 4, 8)]
    orders = [math.log2(a / b) for a, b in itertools.pairwise(errors)]
    assert orders[-1] == pytest.approx(degree + 1, abs=0.7)


def test_degrees_converge_exponentially_to_rounding():
    errors = [error_of(solved_in_cells(Smooth(), k, 2)) for k in (4, 8, 12, 16)]
    assert all(b < 0.02 * a for a, b in itertools.pairwise(errors))
    assert errors[-1] < 1e-12


SQUARE = kp.Box(x=(0, 1), y=(0, 1))
PEAK = kp.Poisson(SQUARE, exact="exp(-1000 * ((x - 0.5)**2 + (y - 0.25)**2))")  # in a corner


def test_cells_are_halved_at_a_peak_until_the_error_is_small():
    solution = solved_in_cells(PEAK, 8, 4, tolerance=1e-6, steps=30)
    check_estimate(solution, 1e-6)
    tree = solution.network.tree
    near = (tree.low + tree.widths / 2 - torch.tensor([0.0, -0.5])).norm(dim=1)
    assert near[tree.level.amax(dim=1) == tree.level.max()].max() < 0.6
    assert tree.level.min() == 0 and tree.level.max() >= 3


class Exponential(OnWalls):
    """u_xx = e^u, which Newton's method solves; Δ of log(2 / cos²) is 2 / cos²."""

    domain = kp.Box(x=(-0.6, 0.7))

    def exact(self, p):
        return torch.log(2 / torch.cos(p.x) ** 2)

    def residual(self, p, u):
        return kp.laplacian(u) - torch.exp(u.value)


def test_newton_solves_a_nonlinear_equation_in_one_dimension():
    solution = solved_in_cells(Exponential(), 8, 3, tolerance=1e-9, steps=20)
    assert solution.status == "converged" and error_of(solution) < 1e-9


def test_a_cell_is_a_kan_with_affine_inner_edges():
    network, cell = solved_in_cells(Smooth(), 5, [3, 2]).network, 4
    kan = network.kan(cell)
    assert kan.width == (2, 6, 1)
    local = 2 * torch.rand(50, 2, dtype=F) - 1
    x = network.tree.low[cell] + (local + 1) / 2 * network.tree.widths[cell]
    assert torch.allclose(kan(local), network(x), atol=1e-11)


def test_what_cells_cannot_do_is_said_in_words():
    with pytest.raises(kp.InputError, match="no hidden layer"):
        kp.Cells([2, 8, 1])
    with pytest.raises(kp.InputError, match="at most 4 inputs"):
        kp.Cells([5, 1], 4)
    with pytest.raises(kp.InputError, match="degree must be at most 30"):
        kp.Cells([2, 1], 31)
    with pytest.raises(kp.InputError, match="cells must be one number or 2"):
        kp.Cells([2, 1], 4, [1, 2, 3])
    with pytest.raises(kp.InputError, match='boundary must be "auto" or "penalty"'):
        kp.solve(Smooth(), kp.Cells([2, 1], 4), boundary="exact")
    with pytest.raises(kp.InputError, match="use AdaptiveLeastSquares"):
        kp.solve(Smooth(), kp.Cells([2, 1], 4), kp.LeastSquares())
    with pytest.raises(kp.InputError, match="adaptive least squares are for networks in cells"):
        kp.solve(Smooth(), kp.KAN([2, 8, 1]), kp.AdaptiveLeastSquares())
    with pytest.raises(kp.InputError, match="marking must be at most 1"):
        kp.AdaptiveLeastSquares(marking=2)


class Resonance(OnWalls):
    """Δu + k² u = f near a resonance, where errors of one cell are felt in all."""

    domain = kp.Box(x=(0, 1), y=(0, 1))
    squared = 2 * (3 * math.pi) ** 2 + 0.1

    def exact(self, p):
        return torch.exp(-20 * ((p.x - 0.3) ** 2 + (p.y - 0.4) ** 2))

    def residual(self, p, u):
        return kp.laplacian(u) + self.squared * u.value - self.source(p)


def test_the_estimate_sees_errors_that_a_resonance_amplifies():
    solution = solved_in_cells(Resonance(), 6, 4, tolerance=1e-4, steps=30)
    check_estimate(solution, 1e-4)


class Flow(kp.Problem):
    """The Stokes equations, with the pressure given on one side."""

    domain = kp.Box(x=(0, 1), y=(0, 1))
    fields = ("u", "v", "p")

    def exact(self, q):
        fields = torch.sin(q.x) * torch.cos(q.y), -torch.cos(q.x) * torch.sin(q.y)
        return torch.cat([*fields, torch.exp(q.x) * q.y], dim=1)

    def residual(self, q, u, v, p):
        force = 2 * self.exact(q)
        along = -kp.laplacian(u) + kp.partial(p, "x") - force[:, :1] - torch.exp(q.x) * q.y
        across = -kp.laplacian(v) + kp.partial(p, "y") - force[:, 1:2] - torch.exp(q.x)
        return along, across, kp.partial(u, "x") + kp.partial(v, "y")

    def conditions(self):
        walls = self.domain.boundary
        given = [
            kp.Dirichlet(walls, lambda q, i=i: self.exact(q)[:, [i]], field=name)
            for i, name in enumerate(("u", "v"))
        ]
        inflow = kp.Dirichlet(walls["x_min"], lambda q: self.exact(q)[:, 2:], field="p")
        return [*given, inflow]


class Plate(kp.Problem):
    """Δ²u = f, whose cells are coupled by derivatives up to the third."""

    domain = kp.Box(x=(0, 1), y=(-1, 1))

    def exact(self, p):
        return torch.sin(2 * p.x) * torch.cos(3 * p.y)

    def residual(self, p, u):
        return kp.biharmonic(u) - self.source(p)

    def conditions(self):
        def flux(p):
            along = 2 * torch.cos(2 * p.x) * torch.cos(3 * p.y) * p.normals[:, :1]
            return along - 3 * torch.sin(2 * p.x) * torch.sin(3 * p.y) * p.normals[:, 1:]

        walls = self.domain.boundary
        return [kp.Dirichlet(walls, self.exact), kp.Neumann(walls, flux)]


SOLID = kp.Poisson(kp.Box(x=(0, 1), y=(0, 1), z=(0, 1)), exact="sin(2*x) * cos(y) * exp(z)")


@pytest.mark.parametrize(
    ("problem", "degree", "bound"), [(Flow(), 7, 1e-6), (Plate(), 9, 1e-5), (SOLID, 5, 1e-4)]
)
def test_systems_high_orders_and_three_dimensions(problem, degree, bound):
    assert error_of(solved_in_cells(problem, degree, 2)) < bound


class Ring(kp.Problem):
    """-Δu + u = f around a circle in x, with values at both ends of y."""

    domain = kp.Box(x=(0, 2), y=(0, 1))

    def exact(self, p):
        return torch.exp(torch.sin(math.pi * p.x)) * torch.sin(2 * p.y)

    def residual(self, p, u):
        return u.value - kp.laplacian(u) - self.source(p)

    def conditions(self):
        walls = self.domain.boundary["y_min", "y_max"]
        return [kp.Periodic(self.domain, "x"), kp.Dirichlet(walls, self.exact)]


def test_cells_at_both_ends_of_a_period_are_neighbours():
    solution = solved_in_cells(Ring(), 10, [3, 1], tolerance=1e-8, steps=9)
    assert solution.status == "converged" and error_of(solution) < 1e-8
    ends = torch.tensor([[0.0, 0.3], [2.0, 0.3]], dtype=F)
    values = solution(ends)
    assert float(abs(values[0] - values[1])) < 1e-7
    with pytest.raises(kp.InputError, match=r"network.cells must be at least 2 along x"):
        kp.solve(Ring(), kp.Cells([2, 1], 8, 1))


class Units(kp.Problem):
    """The wave equation u_tt = c² u_xx in space-time, in any unit of time."""

    def __init__(self, speed):
        self.speed = speed
        self.domain = kp.Box(x=(0, 1), t=(0, 1 / speed))

    def exact(self, p):
        return torch.sin(3 * p.x) * torch.cos(3 * self.speed * p.t)

    def residual(self, p, u):
        return kp.partial(u, "t", "t") - self.speed**2 * kp.partial(u, "x", "x")

    def conditions(self):
        walls = self.domain.boundary["x_min", "x_max"]
        start = kp.Initial(self.domain, lambda p: torch.sin(3 * p.x), rate=0.0)
        return [start, kp.Dirichlet(walls, self.exact)]


def test_units_of_coordinates_change_nothing():
    errors = [error_of(solved_in_cells(Units(c), 8, 2)) for c in (1.0, 3e8)]
    assert errors[0] < 1e-5 and errors[1] == pytest.approx(errors[0], rel=1e-3)


class Kink(OnWalls):
    """u_xx = f with a bend of the width 3e-4 between the points of a solve."""

    domain = kp.Box(x=(-1, 1))
    width, at = 3e-4, 0.1234

    def exact(self, p):
        z = (p.x - self.at).abs() / self.width
        return self.width * (z + torch.log1p(torch.exp(-2 * z)) - math.log(2))

    def residual(self, p, u):
        return kp.laplacian(u) - self.source(p)


def test_a_source_between_the_points_of_a_solve_is_seen_before_it_ends():
    solution = solved_in_cells(Kink(), 12, 4, tolerance=1e-6, steps=40)
    assert solution.status == "converged" and error_of(solution) < 1e-6


def test_a_single_cell_needs_no_faces():
    assert error_of(solved_in_cells(Smooth(), 14, 1)) < 1e-6


class Closed(Smooth):
    """-Δu = f with fluxes on all walls and a given integral."""

    def conditions(self):
        def flux(p):
            along = 3 * torch.cos(3 * p.x) * torch.exp(p.y) - 2 * p.y * torch.sin(2 * p.x * p.y)
            across = torch.sin(3 * p.x) * torch.exp(p.y) - 2 * p.x * torch.sin(2 * p.x * p.y)
            return along * p.normals[:, :1] + across * p.normals[:, 1:]

        p, weights = self.domain.quadrature(40)
        total = float(weights @ self.exact(p)[:, 0])
        return [kp.Neumann(self.domain.boundary, flux), kp.Integral(self.domain, total)]


def test_an_integral_gives_the_constant_that_fluxes_leave_open():
    solution = solved_in_cells(Closed(), 10, 2, tolerance=1e-9, steps=9)
    assert solution.status == "converged" and error_of(solution) < 1e-9


def test_an_integral_of_a_field_without_a_free_constant_is_refused():
    class Both(Closed):
        def conditions(self):
            return [*Smooth.conditions(self), kp.Integral(self.domain, 1.0)]

    with pytest.raises(kp.InputError, match="its field is determined without it"):
        solved_in_cells(Both(), 6, 2)


def test_an_equation_without_derivatives_is_solved_without_conditions():
    class Algebraic(kp.Problem):
        domain = kp.Box(x=(0, 1), y=(0, 1))

        def residual(self, p, u):
            return 2 * u.value - torch.sin(p.x)

        def conditions(self):
            return []

    solution = kp.solve(
        Algebraic(), kp.Cells([2, 1], 6, 1), kp.AdaptiveLeastSquares(1e-5), verified=False
    )
    x = torch.rand(20, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    gap = solution.surrogate(kp.geometry.Points(x, ("x", "y"))) - torch.sin(x[:, :1]) / 2
    assert gap.abs().max() < 1e-5


# --- The polynomials of a cell: their rule, and the directions whose functions span them


def test_the_polynomials_are_orthonormal():
    polynomials = LocalPolynomials(5, 3)
    points, weights = polynomials.rule()
    values = polynomials.values(points)
    assert torch.allclose(values.T @ (weights[:, None] * values), torch.eye(56, dtype=F))


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


# --- Trees of boxes: their leaves, the faces between these, and the order in which they are merged


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


def test_two_neighbours_make_a_box_in_each_merge(generator):
    tree = _split_at_random([2, 4], generator)
    boxes = dict(enumerate(tree.boxes))
    for number, (one, other, made) in enumerate(merge_order(tree)):
        pair = boxes.pop(one), boxes.pop(other)
        low, high = torch.stack([torch.stack(pair).amin(0)[0], torch.stack(pair).amax(0)[1]])
        assert made == len(tree) + number
        area = sum(float((box[1] - box[0]).prod()) for box in pair)
        assert float((high - low).prod()) == pytest.approx(area)
        boxes[made] = torch.stack([low, high])
    (whole,) = boxes.values()
    assert whole.tolist() == [[-1, -1], [1, 1]]


# --- Boxes without a leaf, and the walls of slivers in them that are too thin for a cell


def test_leaves_and_gaps_fill_the_domain_and_do_not_overlap(generator):
    tree = Tree.uniform((1, 2, 1))
    for _ in range(6):
        tree, _ = tree.split(torch.rand(len(tree), 3, generator=generator) < 0.3)
    kept = torch.rand(len(tree), generator=generator) < 0.5
    tree = tree.only(kept)
    level, place = gaps(tree)
    empty = Tree(tree.roots, level, place, torch.zeros(len(level), dtype=torch.long))
    volume = empty.widths.prod(dim=1).sum() + tree.widths.prod(dim=1).sum()
    assert float(volume) == pytest.approx(8)
    assert not bool(tree.inside(empty.boxes).any()) and not bool(empty.inside(tree.boxes).any())


@pytest.mark.parametrize("width", [3e-3, 1e-5])
def test_walls_of_slivers_without_a_cell_have_points_after_cells_are_halved(width):
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
