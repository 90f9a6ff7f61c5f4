"""Networks in time windows: derivatives, states, points in several windows and after the last."""

import math

import numpy as np
import pytest
import torch
from cases import Manufactured

import kanpinn as kp
from kanpinn.jets import Channels, Coordinates, Jet, jet_of
from kanpinn.networks.constraints import Circles
from kanpinn.networks.layer import Known
from kanpinn.spaces.time_schemes import SCHEMES, lagrange, stages

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


# --- Collocation in time: orders of the methods, the matrices of a window, its polynomials


def test_radau_ends_with_a_stage_and_gauss_is_symmetric():
    assert stages(4).nodes[-1] == 1
    nodes = stages(4, "gauss").nodes
    assert np.allclose(nodes + nodes[::-1], 1, atol=1e-15)


@pytest.mark.parametrize("count", [1, 2, 5, 12, 39])
def test_what_a_scheme_damps_and_preserves_follows_from_its_nodes(count):
    radau, gauss = stages(count), stages(count, "gauss")
    assert (radau.damps, radau.preserves) == (True, False)
    assert (gauss.damps, gauss.preserves) == (False, True)
    for scheme in (radau, gauss):  # of a real matrix, whose other eigenvalues are pairs
        assert len(scheme.real) == count % 2
        assert 2 * len(scheme.eigenvalues) - len(scheme.real) == count


def test_a_scheme_with_a_stage_at_the_start_is_refused(monkeypatch):
    def lobatto(s):
        return np.eye(s + 1)[s] - np.eye(s + 1)[s - 2]

    monkeypatch.setitem(SCHEMES, "lobatto", lobatto)
    with pytest.raises(kp.InputError, match='"lobatto" has a stage at the start'):
        stages(4, "lobatto")


def smooth():
    """u' = 3 v, v' = -3 u, and w' = 4 w (1 - w)."""
    d = kp.partial
    return Manufactured(
        kp.Box(t=(0, 1)),
        lambda p, u, v, w: (
            d(u, "t") - 3 * v.value,
            d(v, "t") + 3 * u.value,
            d(w, "t") - 4 * w.value * (1 - w.value),
        ),
        ("cos(3 * t)", "-sin(3 * t)", "1 / (1 + exp(-4 * t))"),
        source=False,
        fields=("u", "v", "w"),
    )


# The numbers of windows, of which the finer ones leave errors above those of rounding.
WINDOWS = {1: (16, 32), 3: (6, 9), 5: (4, 6)}


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
        solution = kp.solve(smooth(), kp.Windows([1, 3]), march, **settings)
        gaps = (solution(torch.ones(1, 1, dtype=F))[0] - exact).abs()
        errors.append((gaps[:2].norm(), gaps[2]))
    for before, after in zip(*errors, strict=True):
        observed = math.log(before / after) / math.log(fine / coarse)
        assert observed == pytest.approx(2 * count - (kind == "radau"), abs=0.5), errors


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
