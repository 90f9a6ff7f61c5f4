"""Networks in time windows: what they hand over, derivatives, states, data at the first moment."""

import copy
import math

import pytest
import torch

import kanpinn as kp
from kanpinn.evolution.handover import Handover
from kanpinn.evolution.separable import legendre
from kanpinn.jets import Channels, Coordinates, Jet, jet_of
from kanpinn.networks.constraints.periodic_inputs import Circles
from kanpinn.networks.known_function import Known
from kanpinn.networks.layer import Tape, get_coefficients, set_coefficients
from kanpinn.networks.network import Network
from kanpinn.networks.stretching import set_stretch

F = torch.float64
NAMES = ("x", "t")
FULL = Channels(NAMES, True, "hessian", ((1.0, 0.0), (0.0, 1.0), (0.6, 0.8)), 3)


def marched(order: int = 1, width: tuple[int, ...] = (2, 3, 1), stretch: bool = True) -> kp.Windows:
    """Three windows with random output layers, which end at 0.5."""
    network = kp.Windows(width, degree=6, grid=[2, 6], modes=4, seed=1, stretch=stretch)
    network.order = order
    generator = torch.Generator().manual_seed(3)
    for index, end in enumerate((-0.4, 0.1, 0.5)):
        member = network.open(end, first=index == 0)
        c = member.layers[-1].coefficients
        with torch.no_grad():
            c.copy_(torch.randn(c.shape, generator=generator, dtype=F))
    return network


def test_a_finer_network_has_finer_grids_and_more_polynomials_in_time():
    network = marched()
    finer = network.finer(1.5, seed=2)
    assert finer.width == network.width and finer.count == 1
    assert [layer.basis.intervals for layer in finer.members[0].layers[1:]] == [2, 9]
    assert finer.modes == 6


def first_output(state: dict) -> torch.Tensor:
    """The output layer's coefficients of the first window, in a network's state."""
    return [v for k, v in state.items() if "_of.0." in k and k.endswith("coefficients")][-1]


def at(points: torch.Tensor, channels: Channels = FULL) -> Coordinates:
    return Coordinates(channels, points, torch.ones(points.shape[1], dtype=F))


def spread(count: int, generator: torch.Generator) -> torch.Tensor:
    return 2 * torch.rand(count, 2, generator=generator, dtype=F) - 1


def check_jets(found: Jet, expected: Jet, tolerance: float = 1e-11) -> None:
    for a, b in zip(found.parts(), expected.parts(), strict=True):
        assert (a - b).abs().max() <= tolerance * (1 + b.abs().max())


@pytest.mark.parametrize("order", [1, 2])
def test_jets_are_those_of_automatic_differentiation(order, generator):
    network, x = marched(order), spread(40, generator)
    check_jets(network.jet(at(x)), jet_of(network.forward, x, FULL))


@pytest.mark.parametrize("order", [1, 2])
def test_jets_through_inputs_of_its_own(order, generator):
    network = kp.Windows([3, 4, 1], degree=6, grid=[2, 6], modes=4, stretch=False)
    network.order = order
    for index, end in enumerate((-0.2, 0.6, 1.0)):
        with torch.no_grad():
            network.open(end, first=index == 0).layers[-1].coefficients.normal_(generator=generator)
    circles = Circles(kp.Box(x=(-1, 1), t=(-1, 1)), frozenset({"x"}))
    points = kp.Points(spread(30, generator), NAMES)
    found = network.jet(Known((circles,), "inputs").jet(points, FULL))
    expected = jet_of(lambda c: network.forward(circles(kp.Points(c, NAMES))), points.coords, FULL)
    check_jets(found, expected)


@pytest.mark.parametrize("order", [1, 2])
def test_value_and_rate_go_over_to_rounding(order, generator):
    network = marched(order)
    x = spread(20, generator)[:, :1]
    for end in network.ends[1:-1].tolist():
        sides = [
            network.jet(at(torch.cat([x, torch.full_like(x, t)], 1)))
            for t in (end, math.nextafter(end, 2))
        ]
        for side in sides:
            assert side.gradient is not None
            assert side.second is not None
        left, right = sides
        size = left.value.abs().max()
        assert (left.value - right.value).abs().max() <= 1e-13 * size
        assert (left.gradient - right.gradient)[
            :, 0
        ].abs().max() <= 1e-12 * left.gradient.abs().max()
        rate = (left.gradient - right.gradient)[:, 1].abs().max()
        assert rate <= 1e-12 * left.gradient.abs().max() if order == 2 else rate > 1e-3


@pytest.mark.parametrize("order", [1, 2])
def test_it_is_zero_at_first_and_stands_still_at_last(order, generator):
    network, x = marched(order), spread(20, generator)
    x[:, 1] = -1
    start = network.jet(at(x))
    assert start.value.abs().max() == 0
    if order == 2:
        assert start.gradient.abs().max() == 0
    x[:, 1] = 0.5
    end = network.forward(x)
    x[:, 1] = 0.9
    late = network.jet(at(x))
    assert (late.value - end).abs().max() <= 1e-14 * end.abs().max()
    assert late.gradient[:, 1].abs().max() == 0


@pytest.mark.parametrize("times", [(0.1, 0.5), (-1.0, 1.0)])
def test_jacobian_of_the_last_window(times, generator):
    network, x = marched(), spread(24, generator)
    x[:, 1] = times[0] + (x[:, 1] + 1) / 2 * (times[1] - times[0])
    layers = network.all_layers

    def residual(vector: torch.Tensor, tape: Tape | None = None) -> torch.Tensor:
        if tape is None:
            set_coefficients(layers, vector)
        jet = network.jet(at(x), tape)
        return (jet.value**2 + jet.gradient[:, 1] + jet.second[:, 0])[:, 0]

    own, tape = get_coefficients(layers), Tape(layers)
    found = tape.jacobian(residual(own, tape))
    generator.manual_seed(0)
    direction = torch.randn(len(own), generator=generator, dtype=F)
    step = 1e-6
    numeric = (residual(own + step * direction) - residual(own - step * direction)) / (2 * step)
    exact = found @ direction
    assert (exact - numeric).abs().max() <= 1e-6 * exact.abs().max()


@pytest.mark.parametrize("count", [1, 3])
def test_a_state_brings_its_windows(count, generator):
    network = marched()
    while network.count > count:
        network.close()
    x = spread(30, generator)
    other = kp.Windows([2, 3, 1], degree=6, grid=[2, 6], modes=4, seed=9)
    other.open(0.0)
    other.load_state_dict(network.state_dict())
    assert other.count == count
    assert torch.equal(other.forward(x), network.forward(x))
    assert other.parameter_count == network.parameter_count


def test_what_was_handed_over_follows_its_network(generator):
    network, coordinates = marched(), at(spread(30, generator))
    network.jet(coordinates)
    state = copy.deepcopy(network.state_dict())
    first_output(state).mul_(2)
    network.load_state_dict(state)
    fresh = at(coordinates.value.clone())
    assert torch.equal(network.jet(coordinates).value, network.jet(fresh).value)


def test_parameters_are_those_of_all_windows():
    network = marched()
    one = kp.Windows([2, 3, 1], degree=6, grid=[2, 6], modes=4).parameter_count
    assert network.parameter_count == 3 * one
    assert isinstance(network, Network)
    assert network.width == (2, 3, 1)


def test_polynomials_in_time_are_legendres(generator):
    x = spread(20, generator)
    found = legendre(at(x).dense()[1], 6).value
    for j in range(6):
        expected = torch.special.legendre_polynomial_p(x[:, 1], j)
        assert (found[:, j] - expected).abs().max() < 1e-14


def test_a_stretch_starts_as_the_identity_and_is_what_it_is_set_to(generator):
    layer = kp.KAN([2, 3, 1], stretch=True).layers[0]
    x = spread(50, generator)
    assert (layer.edges(x)[:, 0].sum(1) - x).abs().max() < 1e-13
    xi = torch.linspace(-1, 1, 401, dtype=F)
    set_stretch(layer, 0, xi, torch.tanh(4 * xi) / math.tanh(4))
    found = layer.edges(x)[:, 0].sum(1)
    assert (found[:, 0] - torch.tanh(4 * x[:, 0]) / math.tanh(4)).abs().max() < 1e-3
    assert (found[:, 1] - x[:, 1]).abs().max() < 1e-13


class Moving(kp.Problem):
    """u_tt = u_xx + f, its exact solution corrupted inside, where nothing may look at it."""

    domain = kp.Box(x=(0, 1), t=(0, 1))
    wrong = 0.0

    def residual(self, p, u):
        return kp.partial(u, "t", "t") - kp.partial(u, "x", "x")

    def conditions(self):
        ends = self.domain.boundary["x_min", "x_max"]
        start = kp.Initial(
            self.domain, lambda p: torch.sin(math.pi * p.x), lambda p: p.x * (1 - p.x)
        )
        return [start, kp.Dirichlet(ends, 0.0)]

    def exact(self, p):
        return torch.sin(math.pi * p.x) * torch.cos(math.pi * p.t) + self.wrong * p.t


@pytest.mark.parametrize("boundary", ["exact", "penalty"])
def test_initial_data_are_built_in(boundary):
    network = kp.Windows([2, 4, 1], degree=5, grid=[2, 4])
    solution = kp.solve(
        Moving(), network, kp.LeastSquares(1), kp.Collocation(64, 16), boundary=boundary
    )
    x = torch.linspace(0.1, 0.9, 7, dtype=F)[:, None]
    p = kp.Points(torch.cat([x, 0 * x], 1), NAMES)
    assert (solution(p) - torch.sin(math.pi * x)).abs().max() < 1e-14
    assert (solution.gradient(p)[:, 1, None].flatten(1)[:, :1] - x * (1 - x)).abs().max() < 1e-12
    names = [term.name for term in solution.residuals.terms]
    assert names == (["interior"] if boundary == "exact" else ["interior", "boundary"])
    if boundary == "exact":
        walls = kp.Points(torch.tensor([[0.0, 0.3], [1.0, 0.7]], dtype=F), NAMES)
        assert solution(walls).abs().max() < 1e-14


class Heated(kp.Problem):
    """u_t = Δu + 1 on a disk, zero at first and on the circle."""

    domain = kp.Disk((0, 0), 1).over(t=(0, 1))

    def residual(self, p, u):
        return kp.partial(u, "t") - kp.partial(u, "x", "x") - kp.partial(u, "y", "y") - 1

    def conditions(self):
        circle = kp.Dirichlet(self.domain.boundary["circle"], 0.0)
        return [kp.Initial(self.domain, 0.0), circle]


def test_zero_data_on_a_disk_are_built_in():
    network = kp.Windows([3, 4, 1], degree=5, grid=[2, 4])
    solution = kp.solve(
        Heated(), network, kp.LeastSquares(1), kp.Collocation(200, 50), boundary="exact"
    )
    size = solution(Heated.domain.gauss(50)).abs().max()
    for piece in Heated.domain.boundary["circle", "initial"].pieces:
        assert solution(piece.gauss(20)).abs().max() < 1e-14 * size
    assert [term.name for term in solution.residuals.terms] == ["interior"]


def test_exact_solution_is_not_looked_at():
    problems = Moving(), Moving()
    problems[1].wrong = 5.0
    found = []
    for problem in problems:
        network = kp.Windows([2, 4, 1], degree=5, grid=[2, 4])
        kp.solve(problem, network, kp.LeastSquares(1), kp.Collocation(64, 16), errors=False)
        found.append(get_coefficients(network.all_layers))
    assert torch.equal(*found)


def test_a_problem_without_initial_values_is_refused():
    class Steady(Moving):
        def conditions(self):
            return [kp.Dirichlet(self.domain.boundary["x_min", "x_max"], 0.0)]

    with pytest.raises(kp.InputError, match="t_min and t_max have no condition"):
        kp.solve(Steady(), kp.Windows([2, 4, 1]), kp.LeastSquares(1))

    class Open(Steady):
        needs_conditions = False

    with pytest.raises(kp.InputError, match="needs one initial value of each field"):
        kp.solve(Open(), kp.Windows([2, 4, 1]), kp.LeastSquares(1))


def test_one_input_is_refused():
    with pytest.raises(kp.InputError, match="2 inputs or more"):
        kp.Windows([1, 4, 1])


def test_later_windows_go_on_from_what_was_handed_over_before(generator, monkeypatch):
    """At the same places: a march of n windows takes O(n) handovers, not O(n²)."""
    network = kp.Windows([2, 1], degree=5, grid=6, modes=3, stretch=False)
    places, counts, next_of = spread(20, generator), [], Handover.next

    def counted(self, *inputs):
        counts[-1] += 1
        return next_of(self, *inputs)

    monkeypatch.setattr(Handover, "next", counted)
    for index, end in enumerate((-0.6, -0.2, 0.2, 0.6, 1.0)):
        with torch.no_grad():
            network.open(end, first=index == 0).layers[-1].coefficients.normal_(generator=generator)
        within = places.clone()
        within[:, 1] = end - 0.4 * (1 - places[:, 1].abs())
        counts.append(0)
        network.jet(at(within))
    assert counts == [0, 1, 1, 1, 1]


def test_what_was_handed_over_is_forgotten_where_it_changes(generator):
    network = marched(stretch=False)
    late = spread(20, generator)
    late[:, 1] = 0.3
    network.jet(at(late))
    state = copy.deepcopy(network.state_dict())
    first_output(state).normal_(generator=generator)
    network.load_state_dict(state)
    fresh = copy.deepcopy(network)
    check_jets(network.jet(at(late)), fresh.jet(at(late)), 0)
    network.close()  # now the second window is trained again
    with torch.no_grad():
        network.layers[-1].coefficients.normal_(generator=generator)
    network.open(0.5)
    check_jets(network.jet(at(late)), copy.deepcopy(network).jet(at(late)), 0)
    fresh = copy.deepcopy(network)
    network.order = fresh.order = 2
    check_jets(network.jet(at(late)), copy.deepcopy(fresh).jet(at(late)), 0)
