"""Functions that cells share: singular functions of corners, and those that a problem knows."""

import copy
import math

import pytest
import torch
from cases import Stated, error_of
from eigen_cases import Membrane
from numpy.testing import assert_allclose

import kanpinn as kp
from kanpinn.geometry.points import Points
from kanpinn.jets import Channels, jet_of
from kanpinn.spaces.cells.geometry.corner_functions import CornerFunctions, Power
from kanpinn.spaces.cells.system.cell_system import CellSystem

F = torch.float64


def around(angle):
    """A polygon around the origin, where its interior angle is `angle` degrees."""
    ends = [math.radians(one) for one in (0, angle / 3, 2 * angle / 3, angle)]
    return kp.Polygon([(0, 0), *((math.cos(end), math.sin(end)) for end in ends)])


class Bessel(kp.Problem):
    """-Δu + 9 u = f with u = I_λ(3 r) sin λθ and a wave; λ = π/ω, or π/(2ω) if `mixed`.

    The flux is given on the last side if `mixed`.
    """

    def __init__(self, angle, mixed=False):
        self.domain, self.mixed = around(angle), mixed
        self.corner = kp.Corner(self.domain, (0, 0), 1)
        self.power = math.pi / self.corner.angle / (2 if mixed else 1)

    def residual(self, p, u):
        return -kp.laplacian(u) + 9 * u.value - 14 * torch.sin(p.x + 2 * p.y)

    def conditions(self):
        walls = self.domain.boundary
        if not self.mixed:
            return [kp.Dirichlet(walls, self.exact)]
        *others, last = walls.names
        return [kp.Dirichlet(walls[tuple(others)], self.exact), kp.Neumann(walls[last], self.flux)]

    def flux(self, p):
        wave = torch.cos(p.x + 2 * p.y)  # the singular part has none at θ = ω
        return wave * (p.normals[:, :1] + 2 * p.normals[:, 1:])

    def exact(self, p):
        r, theta = self.corner.polar(p.coords)
        term = total = (r / 2 * 3) ** self.power
        for k in range(1, 20):
            term = term * (9 * r**2 / 4) / (k * (k + self.power))
            total = total + term
        return total * torch.sin(self.power * theta) + torch.sin(p.x + 2 * p.y)


def solved(problem, tolerance=1e-8, degree=12):
    network = kp.Cells([2, len(problem.fields)], degree, 2)
    method = kp.AdaptiveLeastSquares(tolerance)
    return kp.solve(problem, network, method, verified=False, errors=False)


@pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")  # torch's own use
def test_jets_of_corner_functions_are_their_derivatives():
    functions = CornerFunctions.in_plane(
        0.7, 0.8, (Power(2 / 3), Power(5 / 3, 2), Power(2.0, 1, 1))
    )
    points = torch.tensor([[0.3, 0.5], [-0.2, 0.6], [0.4, -0.1]], dtype=F)
    channels = Channels(("x", "y"), second="hessian")

    def values(x):  # w^a w̄^n = r^(a + n) e^(i (a - n) θ)
        r, theta = (x[:, 0] ** 2 + x[:, 1] ** 2).sqrt() / 0.8, torch.atan2(x[:, 1], x[:, 0]) - 0.7
        first, second = (r ** (2 / 3), 2 / 3 * theta), (r ** (11 / 3), -theta / 3)
        found = [one * part(at) for one, at in (first, second) for part in (torch.cos, torch.sin)]
        cos, sin, log = r**3 * torch.cos(theta), r**3 * torch.sin(theta), r.log()
        found += [cos * log - sin * theta, sin * log + cos * theta]
        return torch.stack(found, dim=1)

    wanted = jet_of(values, points, channels).stacked()
    assert_allclose(functions.stacked(points, channels), wanted, rtol=1e-11, atol=1e-12)
    harmonic = CornerFunctions.in_plane(0.7, 0.8, (Power(2 / 3), Power(3.0, 0, 1)))
    laplacian = harmonic.stacked(1e-6 * points, Channels(("x", "y"), second="laplacian"))[:, -1]
    assert not laplacian.any()  # exactly


@pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")  # torch's own use
def test_jets_of_functions_at_an_edge_are_their_derivatives():
    """Re w^(2/3) and Im w^(2/3), times 1 and s, for w = 2 (z - i x) and s = y / 2."""
    functions = CornerFunctions((-2j, 0j, 2 + 0j), (0.0, 0.5, 0.0), (Power(2 / 3),), 1)
    points = torch.tensor([[0.3, 0.5, 0.2], [-0.2, 0.6, 0.7], [0.4, -0.1, 0.3]], dtype=F)

    def values(x):
        r, theta = 2 * (x[:, 0] ** 2 + x[:, 2] ** 2).sqrt(), torch.atan2(-x[:, 0], x[:, 2])
        both = [r ** (2 / 3) * part(2 / 3 * theta) for part in (torch.cos, torch.sin)]
        return torch.stack([one * s for one in both for s in (1.0, x[:, 1] / 2)], dim=1)

    for channels in (
        Channels(("x", "y", "z"), second="hessian"),
        Channels(("x", "y", "z"), directions=((0.0, 1.0, 0.0),), order=2),
    ):
        wanted = jet_of(values, points, channels).stacked()
        assert_allclose(functions.stacked(points, channels), wanted, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize(("angle", "mixed"), [(330, False), (300, True)])
def test_few_cells_are_enough_at_a_corner_that_points_inwards(angle, mixed):
    solution = solved(Bessel(angle, mixed), 1e-5, 8)
    assert solution.status == "converged" and solution.network.count < 80
    assert error_of(solution) < 3e-6
    estimated = solution.history.rows[-1]["estimated_error"]
    assert estimated < 1e-5 and error_of(solution) < 3 * estimated + 1e-10


def test_singular_functions_go_with_the_network(tmp_path):
    solution = solved(Bessel(270), 1e-4, 6)
    other = kp.Cells([2, 1], 6, 2)
    other.load_state_dict(copy.deepcopy(solution.network.state_dict()))
    x = 2 * torch.rand(200, 2, generator=torch.Generator().manual_seed(0), dtype=F) - 1
    assert torch.equal(other(x), solution.network(x))
    corner = solution.surrogate.evaluate(
        Points(torch.zeros(1, 2, dtype=F), ("x", "y")), Channels(("x", "y"), gradient=True)
    )
    assert corner.value.abs().max() < 1e-2 and corner.gradient.isfinite().all()
    solved_again = solved(kp.Poisson(kp.Box(x=(0, 1), y=(0, 1)), exact="x * y"), 1e-6, 4)
    assert solved_again.network.corners is None
    network = kp.Cells([2, 1], 6, 1)
    network.corners = solution.network.corners
    modes = kp.eigen(Membrane(), network, 1, optimizers=kp.AdaptiveLeastSquares(1e-2))
    assert modes.network.corners is None


def torsion(domain):
    """-Δu = 1 with u = 0 on the boundary, like r² ln r at right angles."""
    given = [kp.Dirichlet(domain.boundary, 0.0)]
    return Stated(domain, lambda p, u: kp.laplacian(u) + 1, given)


@pytest.mark.parametrize("moved", [0.0, 2e-9])
def test_few_cells_are_enough_where_a_right_angle_gives_a_logarithm(moved):
    solution = solved(torsion(kp.Polygon([(0, 0), (1, 0), (1 + moved, 1), (0, 1)])), 1e-9)
    assert solution.status == "converged" and solution.network.count < 60
    middle = 1 / 8  # u there by the Fourier series
    for n in range(1, 20, 2):
        middle -= 4 / (math.pi * n) ** 3 * math.sin(n * math.pi / 2) / math.cosh(n * math.pi / 2)
    assert float(solution(torch.tensor([[0.5, 0.5]], dtype=F))) == pytest.approx(middle, rel=2e-9)


class TwoFields(Bessel):
    """Two harmonic functions, of which only the second has a flux on the last side."""

    fields = ("u", "v")

    def residual(self, p, u, v):
        return torch.cat([kp.laplacian(u), kp.laplacian(v)], dim=1)

    def conditions(self):
        walls = self.domain.boundary
        *others, last = walls.names
        return [
            kp.Dirichlet(walls, lambda p: self.exact(p)[:, :1], field="u"),
            kp.Dirichlet(walls[tuple(others)], lambda p: self.exact(p)[:, 1:], field="v"),
            kp.Neumann(walls[last], 0.0, field="v"),
        ]

    def exact(self, p):
        r, theta = self.corner.polar(p.coords)
        powers = self.power, self.power / 2
        return torch.cat([r**one * torch.sin(one * theta) for one in powers], dim=1)


def test_each_field_has_the_powers_of_its_own_conditions():
    solution = solved(TwoFields(280), 1e-4, 8)
    assert error_of(solution) < 1e-6 and solution.network.count < 40


def test_functions_of_a_hole_s_corners_jump_nowhere_in_the_domain():
    """-Δu = 1 between a circle, where u = 0, and a square, where ∂u/∂n = 0."""
    domain = kp.Disk((0, 0), 1) - kp.Box(x=(-0.3, 0.4), y=(-0.4, 0.3))
    outer, *inner = domain.boundary.names
    around = torsion(domain)
    walls = domain.boundary
    around.given = [kp.Dirichlet(walls[outer], 0.0), kp.Neumann(walls[tuple(inner)], 0.0)]
    coarse, fine = solved(around, 1e-2, 4), solved(around, 1e-2, 6)
    x = 2 * torch.rand(500, 2, generator=torch.Generator().manual_seed(0), dtype=F) - 1
    x = x[domain.contains(x)]
    points = Points(x, ("x", "y"))
    gap = coarse.surrogate(points) - fine.surrogate(points)
    assert len(fine.network.corners.corners) == 4
    assert gap.norm() < 3e-2 * fine.surrogate(points).norm()


class KnownPeak(kp.Problem):
    """-Δu + u³ = f in a square; u is twice a known narrow peak and a wave."""

    domain = kp.Box(x=(0, 1), y=(0, 1))

    def square(self, p):
        return (p.x - 0.3) ** 2 + (p.y - 0.6) ** 2

    def peak(self, p):
        return torch.exp(-3000 * self.square(p))

    def enrichment(self):
        return [self.peak, lambda p: p.x]  # polynomials have the second one

    def residual(self, p, u):
        known = (36e6 * self.square(p) - 12000) * 2 * self.peak(p) - 5 * torch.sin(p.x + 2 * p.y)
        return -kp.laplacian(u) + known + u.value**3 - self.exact(p)[:, :1] ** 3

    def conditions(self):
        return [kp.Dirichlet(self.domain.boundary, self.exact)]

    def exact(self, p):
        return 2 * self.peak(p) + torch.sin(p.x + 2 * p.y)


def test_known_functions_need_no_small_cells():
    solution = solved(KnownPeak())
    assert solution.status == "converged" and solution.network.count <= 16
    assert error_of(solution) < 1e-8
    assert solution.network.enrichment.coefficients[0].item() == pytest.approx(2, abs=1e-7)


def test_operations_count_shared_functions_as_columns_of_each_cell(monkeypatch):
    """A cell of r rows, c coefficients and q shared functions takes 2 r (c + q)² operations."""
    systems, solve = [], CellSystem.solve

    def counted(own, *data, **how):
        systems.append(own)
        return solve(own, *data, **how)

    monkeypatch.setattr(CellSystem, "solve", counted)
    method = kp.AdaptiveLeastSquares(1e-2, steps=1)
    kp.solve(KnownPeak(), kp.Cells(degree=6, cells=1), method, verified=False, errors=False)
    system, count = systems[0], 2
    (group,) = system.groups
    points = ((8 + 3) / (6 + 3)) ** 2
    for degree, rows in ((6, group.rows), (8, points * group.rows)):
        wanted = 2 * rows * (math.comb(degree + 2, 2) + count) ** 2 + 4 / 3 * count**3
        assert system.operations(degree) == (1, pytest.approx(wanted))
        assert system.operations(degree, system.geometry) == (1, pytest.approx(wanted))


def test_known_functions_and_periodic_coordinates_are_refused():
    class Periodic(KnownPeak):
        def conditions(self):
            walls = self.domain.boundary
            return [kp.Periodic(self.domain, "x"), kp.Dirichlet(walls["y_min", "y_max"], 0.0)]

    with pytest.raises(kp.InputError, match="enrichment"):
        solved(Periodic())
