"""Marches in boxes with products of splines: conditions on sides, fields, intervals, refusals."""

import copy
import math

import pytest
import torch
from cases import error_of
from scipy.sparse.linalg import gmres

import kanpinn as kp
from kanpinn.jets import Channels, Coordinates, jet_of
from kanpinn.networks.basis import BSplines
from kanpinn.networks.kan import ProductLayer
from kanpinn.networks.layer import Tape
from kanpinn.solvers.state import SolverState

F = torch.float64


def solved(problem: kp.Problem, tolerance: float, grid: int = 6, **settings) -> kp.Solution:
    fields = len(problem.fields)
    network = kp.Windows([problem.domain.dim, fields], degree=7, grid=grid)
    march = kp.March(tolerance)
    return kp.solve(problem, network, march, verified=False, errors=False, **settings)


def error(solution: kp.Solution) -> float:
    """The relative error of a march that has converged."""
    assert solution.status == "converged"
    return error_of(solution)


class Mixed(kp.Problem):
    """u_t + u u_x = D Δu + f with varying D, all kinds of conditions, which depend on time."""

    domain = kp.Box(x=(0, 1), y=(-1, 1), t=(0, 0.5))

    def residual(self, p, u):
        diffusion = kp.partial(u, "x", "x") + kp.partial(u, "y", "y")
        left = kp.partial(u, "t") + u.value * kp.partial(u, "x")
        return left - self.strength(p) * diffusion - self.source(p)

    def strength(self, p):
        return 0.2 + 0.1 * torch.sin(3 * p.x) * p.y

    def source(self, p):
        s = self.phase(p)
        left = torch.cos(s) * (torch.sin(s) - 1)
        return left + 5 * self.strength(p) * torch.sin(s)

    def phase(self, p):
        return p.x + 2 * p.y - p.t

    def exact(self, p):
        return torch.sin(self.phase(p))

    def conditions(self):
        side = self.domain.boundary
        return [
            kp.Initial(self.domain, self.exact),
            kp.Dirichlet(side["x_min", "y_max"], self.exact),
            kp.Neumann(side["x_max"], lambda p: torch.cos(self.phase(p))),
            kp.Robin(side["y_min"], 1.0, 0.5, self.exchange),
        ]

    def exchange(self, p):
        return torch.sin(self.phase(p)) - torch.cos(self.phase(p))


@pytest.mark.parametrize("tolerance", [1e-4, 1e-7])
def test_all_conditions_and_a_varying_coefficient(tolerance):
    assert error(solved(Mixed(), tolerance)) < 3 * tolerance


class Carried(kp.Problem):
    """Two fields on a torus that move as waves, turn into each other and decay."""

    domain = kp.Box(x=(0, 1), y=(0, 2), t=(0, 0.3))
    fields = ("u", "v")
    speed = (1.0, -2.0)

    def residual(self, p, u, v):
        return self.moved(u) + 3 * v.value, self.moved(v) - 3 * u.value

    def moved(self, w):
        carried = self.speed[0] * kp.partial(w, "x") + self.speed[1] * kp.partial(w, "y")
        return kp.partial(w, "t") + carried - 0.01 * kp.partial(w, "x", "x")

    def conditions(self):
        around = [kp.Periodic(self.domain, name) for name in ("x", "y")]
        return [kp.Initial(self.domain, self.exact), *around]

    def exact(self, p):
        x, y = p.x - self.speed[0] * p.t, p.y - self.speed[1] * p.t
        wave = torch.sin(2 * math.pi * x) * torch.cos(math.pi * y)
        decay = torch.exp(-0.01 * (2 * math.pi) ** 2 * p.t)
        return decay * wave * torch.cat([torch.cos(3 * p.t), torch.sin(3 * p.t)], dim=1)


def test_periodic_systems():
    solution = solved(Carried(), 1e-6, grid=10)
    assert error(solution) < 3e-6
    ends = torch.tensor([[0.0, 0.3, 0.2], [1.0, 0.3, 0.2], [0.4, 0.0, 0.1], [0.4, 2.0, 0.1]])
    values = solution(ends.double())
    assert torch.allclose(values[::2], values[1::2], rtol=0, atol=1e-12)


class Drum(kp.Problem):
    """u_tt = Δu in a square with a fixed rim: second order in time."""

    domain = kp.Box(x=(0, 1), y=(0, 1), t=(0, 1))

    def residual(self, p, u):
        return kp.partial(u, "t", "t") - kp.partial(u, "x", "x") - kp.partial(u, "y", "y")

    def conditions(self):
        rim = self.domain.boundary["x_min", "x_max", "y_min", "y_max"]
        return [kp.Initial(self.domain, self.exact, rate=0.0), kp.Dirichlet(rim, 0.0)]

    def exact(self, p):
        shape = torch.sin(math.pi * p.x) * torch.sin(2 * math.pi * p.y)
        return torch.cos(math.sqrt(5) * math.pi * p.t) * shape


def test_waves():
    solution = solved(Drum(), 1e-6)
    assert error(solution) < 1e-5


def test_fields_with_different_conditions():
    class Apart(kp.Problem):
        """Heat in a square: u is given on the walls, and v is insulated."""

        domain = kp.Box(x=(0, 1), y=(0, 1), t=(0, 0.1))
        fields = ("u", "v")

        def residual(self, p, u, v):
            return self.heat(u), self.heat(v)

        def heat(self, w):
            return kp.partial(w, "t") - kp.partial(w, "x", "x") - kp.partial(w, "y", "y")

        def conditions(self):
            rim = self.domain.boundary["x_min", "x_max", "y_min", "y_max"]
            fixed = kp.Dirichlet(rim, 0.0, field="u")
            return [kp.Initial(self.domain, self.exact), fixed, kp.Neumann(rim, 0.0, field="v")]

        def exact(self, p):
            x, y = math.pi * p.x, math.pi * p.y
            decay = torch.exp(-2 * math.pi**2 * p.t)
            both = [torch.sin(x) * torch.sin(y), 1 + torch.cos(x) * torch.cos(y)]
            return decay * torch.cat([both[0], both[1] - 1], dim=1) + torch.tensor([0.0, 1.0])

    solution = solved(Apart(), 1e-6)
    assert error(solution) < 3e-6


def test_three_coordinates():
    class Cube(kp.Problem):
        domain = kp.Box(x=(0, 1), y=(0, 1), z=(0, 1), t=(0, 0.05))

        def residual(self, p, u):
            return kp.partial(u, "t") - sum(kp.partial(u, n, n) for n in "xyz")

        def conditions(self):
            walls = self.domain.boundary["x_min", "x_max", "y_min", "y_max", "z_min", "z_max"]
            return [kp.Initial(self.domain, self.exact), kp.Dirichlet(walls, 0.0)]

        def exact(self, p):
            shape = torch.sin(math.pi * p.x) * torch.sin(math.pi * p.y) * torch.sin(math.pi * p.z)
            return torch.exp(-3 * math.pi**2 * p.t) * shape

    network = kp.Windows([4, 1], degree=5, grid=2)
    solution = kp.solve(Cube(), network, kp.March(1e-3), verified=False, errors=False)
    assert error(solution) < 3e-3


class Front(kp.Problem):
    """A thin front moves along x, and nothing depends on y."""

    domain = kp.Box(x=(-1, 1), y=(0, 1), t=(0, 0.3))
    viscosity = 0.04

    def residual(self, p, u):
        diffusion = kp.partial(u, "x", "x") + kp.partial(u, "y", "y")
        return kp.partial(u, "t") + u.value * kp.partial(u, "x") - self.viscosity * diffusion

    def conditions(self):
        side = self.domain.boundary
        insulated = kp.Neumann(side["y_min", "y_max"], 0.0)
        given = kp.Dirichlet(side["x_min", "x_max"], self.exact)
        return [kp.Initial(self.domain, self.exact), given, insulated]

    def exact(self, p):
        return 1 - torch.tanh((p.x - p.t) / (2 * self.viscosity))


def test_intervals_are_fine_along_the_coordinate_that_needs_them():
    solution = solved(Front(), 1e-2)
    assert error(solution) < 1e-2
    along, across = solution.network.breaks()
    assert len(along) > 2 * len(across)
    assert along.diff().max() > 1.3 * along.diff().min()


def test_a_march_that_was_stopped_goes_on_as_if_it_had_not_been():
    states = []

    def keep(run: SolverState) -> None:
        states.append(copy.deepcopy(run.state_dict()))

    whole = solved(Mixed(), 1e-4, observers=[keep])
    network = kp.Windows([3, 1], degree=7, grid=6)
    march = kp.March(1e-4)
    again = kp.solve(Mixed(), network, march, checkpoint=states[2], verified=False, errors=False)
    points = torch.rand(50, 3, dtype=F)
    assert torch.equal(whole(points), again(points))


@pytest.mark.parametrize(
    ("condition", "why"),
    [
        (lambda p, u: u.value**2 - 1, "it is not linear"),
        (lambda p, u: kp.partial(u, "x") + u.value, "derivatives along the wall"),
        (lambda p, u: (2 + p.x) * u.value, "its factors vary along the wall"),
    ],
)
def test_conditions_that_products_cannot_satisfy(condition, why):
    class Odd(Front):
        def conditions(self):
            first, given, _ = super().conditions()
            walls = self.domain.boundary["y_min", "y_max"]
            return [first, given, kp.Constraint(walls, condition)]

    with pytest.raises(kp.InputError, match=why):
        solved(Odd(), 1e-3)


def test_products_are_for_boxes():
    class Round(Front):
        domain = kp.Disk((0, 0), 1.0).over(t=(0, 1))

        def conditions(self):
            rim = self.domain.boundary["circle"]
            return [kp.Initial(self.domain, self.exact), kp.Neumann(rim, 0.0)]

    with pytest.raises(kp.InputError, match="must have a hidden layer here, such as"):
        solved(Round(), 1e-3)


@pytest.mark.filterwarnings("ignore:.* unless its conditions agree")
def test_a_wall_whose_value_is_prescribed_twice():
    class Twice(Front):
        def conditions(self):
            wall = self.domain.boundary["y_min"]
            return [*super().conditions(), kp.Neumann(wall, 1.0)]

    with pytest.raises(kp.InputError, match="prescribe the same quantity twice"):
        solved(Twice(), 1e-3)


def test_the_iterations_converge(monkeypatch):
    """Waves with mean coefficients precondition an equation with varying ones."""
    steps: list[int] = []

    def counted(operator, right, **settings):
        steps.append(0)

        def count(_: float) -> None:
            steps[-1] += 1

        found, failed = gmres(operator, right, callback=count, callback_type="pr_norm", **settings)
        assert not failed
        return found, failed

    monkeypatch.setattr("kanpinn.spaces.products.gmres", counted)
    solved(Mixed(), 1e-4)
    assert steps and max(steps) < 40


def layer_of_products() -> ProductLayer:
    one = torch.ones(1, dtype=F)
    layer = ProductLayer([BSplines.uniform(-one, one, 3, 4), BSplines.uniform(-one, one, 5, 4)], 2)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        layer.coefficients.copy_(torch.randn(1, 7 * 9, 2, generator=generator, dtype=F))
    return layer


def test_a_layer_of_products_and_its_derivatives():
    layer = layer_of_products()
    x = 1.8 * torch.rand(40, 2, generator=torch.Generator().manual_seed(1), dtype=F) - 0.9
    table = layer.coefficients.view(7, 9, 2)

    def products(coords):
        left, right = (one.values(coords[:, [i]])[:, 0, 0] for i, one in enumerate(layer.bases))
        return torch.einsum("ni,nj,ijo->no", left, right, table)

    channels = Channels(("x", "y"), second="hessian", directions=((1.0, 2.0),), order=3)
    found = layer(Coordinates(channels, x, torch.ones(2, dtype=F)))
    for mine, exact in zip(found.parts(), jet_of(products, x, channels).parts(), strict=True):
        assert torch.allclose(mine, exact, rtol=1e-9, atol=1e-9)


def test_the_jacobian_of_a_layer_of_products():
    layer = layer_of_products()
    x = 1.8 * torch.rand(10, 2, generator=torch.Generator().manual_seed(1), dtype=F) - 0.9
    coordinates = Coordinates(Channels(("x", "y"), second="laplacian"), x, torch.ones(2, dtype=F))

    tape = Tape([layer])
    jet = layer(coordinates, tape)
    found = tape.jacobian(jet.value.prod(dim=1) + jet.second[:, 0, 0])
    jet = layer(coordinates)
    value = jet.value.prod(dim=1) + jet.second[:, 0, 0]
    rows = [torch.autograd.grad(one, layer.coefficients, retain_graph=True)[0] for one in value]
    assert torch.allclose(found, torch.stack(rows).flatten(1), rtol=1e-9, atol=1e-9)


def test_initial_values_that_contradict_a_side():
    """Heat from 1 with walls at 0: as in one coordinate, but in a corner."""

    class Cooled(kp.Problem):
        domain = kp.Box(x=(0, 1), y=(0, 1), t=(0, 0.1))

        def residual(self, p, u):
            return kp.partial(u, "t") - kp.partial(u, "x", "x") - kp.partial(u, "y", "y")

        def conditions(self):
            side = self.domain.boundary
            walls = kp.Dirichlet(side["x_min", "y_min"], 0.0)
            return [kp.Initial(self.domain, 1.0), walls, kp.Neumann(side["x_max", "y_max"], 0.0)]

        def exact(self, p):
            return self.cooled(p.x, p.t) * self.cooled(p.y, p.t)

        def cooled(self, x, t):
            odd = math.pi * (torch.arange(200) + 0.5)
            terms = 2 / odd * torch.sin(odd * x) * torch.exp(-(odd**2) * t)
            return terms.sum(dim=1, keepdim=True)

    with pytest.warns(UserWarning, match="disagree by 1"):
        solution = solved(Cooled(), 1e-2)
    assert error(solution) < 3e-2
