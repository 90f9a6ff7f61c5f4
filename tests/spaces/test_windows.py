"""Networks in time windows: derivatives, states, points in several windows and after the last."""

import pytest
import torch

import kanpinn as kp
from kanpinn.jets import Channels, Coordinates, Jet, jet_of
from kanpinn.networks.constraints import Circles
from kanpinn.networks.layer import Known, get_coefficients
from kanpinn.spaces.jets_in_time import in_time
from kanpinn.spaces.windows import legendre

F = torch.float64
NAMES = ("x", "t")
FULL = Channels(NAMES, True, "hessian", ((1.0, 0.0), (0.0, 1.0), (0.6, 0.8)), 3)


def made(width: tuple[int, ...] = (2, 3, 1)) -> kp.Windows:
    """Three windows with random output layers and 3, 4 and 5 polynomials, which end at 1.5."""
    network = kp.Windows(width, degree=6, grid=[2, 6][-len(width) + 1 :], seed=1)
    generator = torch.Generator().manual_seed(3)
    for index, end in enumerate((0.6, 1.1, 1.5)):
        member = network.member(3 + index)
        c = member.layers[-1].coefficients
        with torch.no_grad():
            c.copy_(torch.randn(c.shape, generator=generator, dtype=F))
        network.add(end, member, first=index == 0)
    return network


def at(points: torch.Tensor, channels: Channels = FULL) -> Coordinates:
    return Coordinates(channels, points, torch.ones(points.shape[1], dtype=F))


def spread(count: int, generator: torch.Generator) -> torch.Tensor:
    return torch.rand(count, 2, generator=generator, dtype=F) * 2 + torch.tensor([-1.0, 0.0])


def check_jets(found: Jet, expected: Jet, tolerance: float = 1e-11) -> None:
    for a, b in zip(found.parts(), expected.parts(), strict=True):
        assert (a - b).abs().max() <= tolerance * (1 + b.abs().max())


@pytest.mark.parametrize("width", [(2, 1), (2, 3, 1)])
def test_jets_are_those_of_automatic_differentiation(width, generator):
    network, x = made(width), spread(40, generator)
    check_jets(network.jet(at(x)), jet_of(network.forward, x, FULL))


def test_jets_through_inputs_of_its_own(generator):
    network, x = made((3, 4, 1)), spread(30, generator)
    circles = Circles(kp.Box(x=(-1, 1), t=(0, 1)), frozenset({"x"}), network.starts_at_zero)
    points = kp.Points(torch.cat([x[:, :1], x[:, 1:] / 2], dim=1), NAMES)
    assert torch.equal(circles(points)[:, 2:], x[:, 1:])
    found = network.jet(Known((circles,), "inputs").jet(points, FULL))
    expected = jet_of(lambda c: network.forward(circles(kp.Points(c, NAMES))), points.coords, FULL)
    check_jets(found, expected)


def test_it_is_constant_after_the_last_window(generator):
    network, x = made(), spread(20, generator)
    x[:, 1] = 1.5
    end = network.forward(x)
    x[:, 1] = 1.9
    late = network.jet(at(x))
    assert torch.equal(late.value, end)
    assert late.gradient is not None and late.gradient[:, 1].abs().max() == 0


def test_fields_of_time_alone(generator):
    network = kp.Windows([1, 2])
    c = network.members[0].layers[-1].coefficients
    with torch.no_grad():
        c.copy_(torch.randn(c.shape, generator=generator, dtype=F))
    t = 2 * torch.rand(10, 1, generator=generator, dtype=F)
    channels = Channels(("t",), True, "laplacian")
    found = network.jet(Coordinates(channels, t, torch.ones(1, dtype=F)))
    check_jets(found, jet_of(network.forward, t, channels))


@pytest.mark.parametrize(
    ("width", "end"), [([2, 1], 2.0), ([2, 1], 1.5), ([3, 4, 1], 2.0), ([1, 2], 1.0)]
)
def test_pieces_fill_the_domain_once(width, end, generator):
    net = kp.Windows(width, degree=3, grid=5)
    for number, stop in enumerate((0.5, end)):
        net.add(stop, net.member(2), first=not number)
    low, high = net.pieces.double().unbind(dim=1)
    assert float((high - low).prod(dim=1).sum()) == pytest.approx(1.0)
    places = torch.rand(200, low.shape[1], generator=generator, dtype=torch.float64)
    inside = (places[:, None] > low) & (places[:, None] < high)
    assert (inside.all(dim=2).sum(dim=1) == 1).all()
    assert set(net.pieces[:, :, -1].flatten().tolist()) == {0.0, 0.25, end / 2, 1.0}


def test_a_state_brings_its_windows(generator):
    network, x = made(), spread(30, generator)
    other = kp.Windows([2, 3, 1], degree=6, grid=[2, 6], seed=9)
    other.load_state_dict(network.state_dict())
    assert other.count == 3 and other.parameter_count == network.parameter_count
    assert torch.equal(other.forward(x), network.forward(x))
    assert torch.equal(get_coefficients(other.all_layers), get_coefficients(network.all_layers))


def test_no_points():
    assert made().forward(torch.zeros(0, 2, dtype=F)).shape == (0, 1)


def test_legendre_polynomials():
    tau = torch.linspace(-1, 1, 7, dtype=F)[:, None]
    channels = Channels(("t",), True, "laplacian")
    found = legendre(Coordinates(channels, tau, torch.ones(1, dtype=F)).dense(), 4)
    third = (5 * tau**3 - 3 * tau) / 2
    assert torch.allclose(found.value[:, 3:], third)
    assert torch.allclose(found.gradient[:, 0, 3:], (15 * tau**2 - 3) / 2)
    assert torch.allclose(found.second[:, 0, 3:], 15 * tau)


def test_jets_in_space_times_polynomials_in_time(generator):
    """For (x³ + 2) t² + x⁴ t."""
    x = torch.rand(5, 1, generator=generator, dtype=F)
    t = torch.rand(4, 1, generator=generator, dtype=F)
    still = torch.cat([x, torch.zeros_like(x)], dim=1)
    space = jet_of(lambda c: torch.cat([c[:, :1] ** 3 + 2, c[:, :1] ** 4], 1), still, FULL)
    one, zero = torch.ones_like(t), torch.zeros_like(t)
    rates = [torch.cat(both, 1) for both in ((t**2, t), (2 * t, one), (2 * one, zero))]
    found = in_time(space, [*rates, torch.zeros(4, 2, dtype=F)], 1)
    points = torch.cat([x.repeat(4, 1), t.repeat_interleave(5, dim=0)], dim=1)

    def whole(c: torch.Tensor) -> torch.Tensor:
        y, s = c[:, :1], c[:, 1:]
        return (y**3 + 2) * s**2 + y**4 * s

    check_jets(found, jet_of(whole, points, FULL))


def test_other_methods_are_refused():
    class Decay(kp.Problem):
        domain = kp.Box(t=(0, 1))

        def residual(self, p, u):
            return kp.partial(u, "t") + u.value

        def conditions(self):
            return [kp.Initial(self.domain, 1.0)]

    with pytest.raises(kp.InputError, match="Least Squares does not solve for a Windows"):
        kp.solve(Decay(), kp.Windows([1, 1]), kp.LeastSquares())
