"""Networks in time windows: derivatives, states, points in several windows and after the last."""

import math

import numpy as np
import pytest
import torch

import kanpinn as kp
from kanpinn.jets import Channels, Coordinates, Jet, jet_of
from kanpinn.networks.constraints import Circles
from kanpinn.networks.layer import Known
from kanpinn.spaces.jets_in_time import in_time
from kanpinn.spaces.time_schemes import at_moments, at_stages, lagrange, legendre_series, stages
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


# --- Collocation in time: orders of the methods, the matrices of a window, its polynomials


KINDS = [(kind, s) for kind in ("radau", "gauss") for s in (1, 2, 3, 5, 8, 11)]


@pytest.mark.parametrize(("kind", "count"), KINDS)
def test_the_matrix_of_slopes_differentiates_polynomials_that_start_at_zero(kind, count):
    scheme = stages(count, kind)
    powers = np.arange(1, count + 1)
    values = scheme.nodes[:, None] ** powers
    slopes = powers * scheme.nodes[:, None] ** (powers - 1)
    assert np.abs(scheme.slopes @ values - slopes).max() < 1e-10 * count**2


@pytest.mark.parametrize(("kind", "count"), KINDS)
def test_half_of_the_eigenvalues_stand_for_all(kind, count):
    scheme = stages(count, kind)
    whole = (scheme.vectors * scheme.eigenvalues) @ scheme.rows
    assert np.abs(whole.real - scheme.slopes).max() < 1e-9 * np.abs(scheme.slopes).max()
    assert len(scheme.eigenvalues) == (count + 1) // 2


def test_radau_ends_with_a_stage_and_gauss_is_symmetric():
    assert stages(4).nodes[-1] == 1
    nodes = stages(4, "gauss").nodes
    assert np.allclose(nodes + nodes[::-1], 1, atol=1e-15)


@pytest.mark.parametrize("order", [1, 2])
def test_polynomials_of_a_window(order):
    """With u = t⁴ in a window from 1 to 3, where value and rate start at 1 and 4."""
    scheme, length = stages(4), 2.0
    at = 1 + length * scheme.nodes
    starts = np.array([1.0, 4.0])[:order]
    unknowns = at**4 - 1 if order == 1 else 4 * at**3 - 4
    states = np.concatenate([starts, unknowns])
    moments = np.array([0.0, 0.3, 1.0, 1.4])
    t = 1 + length * moments
    found = at_moments(scheme, moments, length, order, 2)
    for rates, wanted in zip(found, (t**4, 4 * t**3, 12 * t**2), strict=True):
        assert np.abs(rates @ states - wanted).max() < 1e-11
    found = at_stages(scheme, length, order, 2)
    for rates, wanted in zip(found, (at**4, 4 * at**3, 12 * at**2), strict=True):
        assert np.abs(rates @ states - wanted).max() < 1e-11


def test_lagrange_polynomials_and_legendre_series():
    nodes, at = np.array([0.0, 0.2, 0.7, 1.0]), np.array([0.1, 0.5])
    cube = nodes**3
    assert np.allclose(lagrange(nodes, at) @ cube, at**3)
    assert np.allclose(lagrange(nodes, at, 1) @ cube, 3 * at**2)
    series = legendre_series(nodes) @ (2 * nodes - 1)
    assert np.allclose(series, [0, 1, 0, 0], atol=1e-14)


class Swing(kp.Problem):
    """u' = 3 v, v' = -3 u."""

    domain = kp.Box(t=(0, 1))
    fields = ("u", "v")

    def residual(self, p, u, v):
        return kp.partial(u, "t") - 3 * v.value, kp.partial(v, "t") + 3 * u.value

    def conditions(self):
        return [kp.Initial(self.domain, 1.0, field="u"), kp.Initial(self.domain, 0.0, field="v")]


class Smooth(Swing):
    """The same beside w' = 4 w (1 - w), w = 1 / (1 + e^-4t)."""

    fields = ("u", "v", "w")

    def residual(self, p, u, v, w):
        return *super().residual(p, u, v), kp.partial(w, "t") - 4 * w.value * (1 - w.value)

    def conditions(self):
        return [*super().conditions(), kp.Initial(self.domain, 0.5, field="w")]


# The numbers of windows, of which the finer ones leave errors above those of rounding.
WINDOWS = {1: (16, 32), 2: (8, 16), 3: (6, 9), 4: (4, 6), 5: (4, 6)}


@pytest.mark.parametrize(
    ("kind", "count"),
    [("radau", s) for s in WINDOWS] + [("gauss", s) for s in WINDOWS],
)
def test_orders_at_the_end_of_windows(kind, count):
    """They are 2s - 1 (Radau) and 2s (Gauss) for a linear and a nonlinear equation."""
    exact = torch.tensor([math.cos(3), -math.sin(3), 1 / (1 + math.exp(-4))], dtype=F)
    coarse, fine = WINDOWS[count]
    errors = []
    for windows in (coarse, fine):
        march = kp.March(1e-12, windows=windows, stages=count, scheme=kind)
        settings = {"verified": False, "errors": False}
        solution = kp.solve(Smooth(), kp.Windows([1, 3]), march, **settings)
        gaps = (solution(torch.ones(1, 1, dtype=F))[0] - exact).abs()
        errors.append((gaps[:2].norm(), gaps[2]))
    for before, after in zip(*errors, strict=True):
        observed = math.log(before / after) / math.log(fine / coarse)
        assert observed == pytest.approx(2 * count - (kind == "radau"), abs=0.5), errors


def test_gauss_preserves_a_quadratic_invariant():
    march = kp.March(1e-12, windows=20, stages=2, scheme="gauss")
    solution = kp.solve(Swing(), kp.Windows([1, 2]), march, verified=False, errors=False)
    t = torch.linspace(0, 1, 21, dtype=F)[:, None]
    energy = solution(t).square().sum(dim=1)
    assert (energy - 1).abs().max() < 1e-13


@pytest.mark.parametrize("arguments", [(0, "radau"), (40, "radau"), (3, "lobatto")])
def test_other_stages_are_refused(arguments):
    with pytest.raises(kp.InputError):
        stages(*arguments)


@pytest.mark.parametrize("kind", ["radau", "gauss"])
def test_many_stages_keep_their_digits(kind):
    scheme = stages(39, kind)
    at = np.linspace(0, 1, 7)
    nodes = np.concatenate([[0.0], scheme.nodes])
    assert np.abs(lagrange(nodes, at) @ np.cos(9 * nodes) - np.cos(9 * at)).max() < 1e-12
    change = np.cos(9 * scheme.nodes) - 1
    assert np.abs(scheme.slopes @ change + 9 * np.sin(9 * scheme.nodes)).max() < 1e-9
