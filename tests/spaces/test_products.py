"""Marches in boxes with products of splines: conditions on sides, fields, intervals, refusals."""

import math

import numpy as np
import pytest
import torch
from cases import Manufactured, Stated, error_of, formulas

import kanpinn as kp
from kanpinn.jets import Channels, Coordinates, Jet, jet_of
from kanpinn.networks.constraints import Circles
from kanpinn.networks.layer import Known
from kanpinn.spaces.time_schemes import SCHEMES, lagrange, stages


def solved(problem: kp.Problem, tolerance: float, grid: int = 6, **settings) -> kp.Solution:
    fields = len(problem.fields)
    network = kp.Windows([problem.domain.dim, fields], degree=7, grid=grid)
    march = kp.March(tolerance)
    return kp.solve(problem, network, march, verified=False, errors=False, **settings)


def error(solution: kp.Solution) -> float:
    """The relative error of a march that has converged."""
    assert solution.status == "converged"
    return error_of(solution)


def diffusion(u):
    return kp.partial(u, "x", "x") + kp.partial(u, "y", "y")


# D varies, and all kinds of conditions depend on time
MIXED = Manufactured(
    kp.Box(x=(0, 1), y=(-1, 1), t=(0, 0.5)),
    lambda p, u: (
        kp.partial(u, "t")
        + u.value * kp.partial(u, "x")
        - (0.2 + 0.1 * torch.sin(3 * p.x) * p.y) * diffusion(u)
    ),
    "sin(x + 2 * y - t)",
    {"x_max": "neumann", "y_min": "robin"},
)


def test_all_conditions_and_a_varying_coefficient():
    assert error(solved(MIXED, 1e-6)) < 3e-6


def moved(w):
    """w_t + w_x - 2 w_y - w_xx / 100."""
    return (
        kp.partial(w, "t")
        + kp.partial(w, "x")
        - 2 * kp.partial(w, "y")
        - 0.01 * kp.partial(w, "x", "x")
    )


# two fields on a torus that move as waves, turn into each other and decay
WAVE = "exp(-0.04 * pi**2 * t) * sin(2 * pi * (x - t)) * cos(pi * (y + 2 * t))"
TORUS = Manufactured(
    kp.Box(x=(0, 1), y=(0, 2), t=(0, 0.3)),
    lambda p, u, v: (moved(u) + 3 * v.value, moved(v) - 3 * u.value),
    (f"{WAVE} * cos(3 * t)", f"{WAVE} * sin(3 * t)"),
    periodic=("x", "y"),
    source=False,
    fields=("u", "v"),
)


def test_periodic_systems():
    solution = solved(TORUS, 1e-6, grid=10)
    assert error(solution) < 3e-6
    ends = torch.tensor([[0.0, 0.3, 0.2], [1.0, 0.3, 0.2], [0.4, 0.0, 0.1], [0.4, 2.0, 0.1]])
    values = solution(ends.double())
    assert torch.allclose(values[::2], values[1::2], rtol=0, atol=1e-12)


def test_waves():
    square = kp.Box(x=(0, 1), y=(0, 1), t=(0, 1))
    drum = "cos(5**0.5 * pi * t) * sin(pi * x) * sin(2 * pi * y)"
    problem = kp.Wave(square, source=0, exact=drum, rate=0, boundary=0)
    assert error(solved(problem, 1e-6)) < 1e-5


def test_fields_with_different_conditions():
    """Heat in a square: u is given on the walls, and v is insulated."""
    square = kp.Box(x=(0, 1), y=(0, 1), t=(0, 0.1))
    rim = square.boundary["x_min", "x_max", "y_min", "y_max"]
    heat = lambda w: kp.partial(w, "t") - diffusion(w)  # noqa: E731
    decay = "exp(-2 * pi**2 * t)"
    exact = formulas(
        [f"{decay} * sin(pi * x) * sin(pi * y)", f"1 + {decay} * cos(pi * x) * cos(pi * y)"]
    )
    given = [
        kp.Initial(square, exact),
        kp.Dirichlet(rim, 0.0, field="u"),
        kp.Neumann(rim, 0.0, field="v"),
    ]
    residual = lambda p, u, v: (heat(u), heat(v))  # noqa: E731
    problem = Stated(square, residual, given, exact=exact, fields=("u", "v"))
    assert error(solved(problem, 1e-6)) < 3e-6


def test_three_coordinates():
    cube = kp.Box(x=(0, 1), y=(0, 1), z=(0, 1), t=(0, 0.05))
    exact = "exp(-3 * pi**2 * t) * sin(pi * x) * sin(pi * y) * sin(pi * z)"
    problem = kp.Heat(cube, source=0, exact=exact, boundary=0)
    network = kp.Windows([4, 1], degree=5, grid=2)
    solution = kp.solve(problem, network, kp.March(1e-3), verified=False, errors=False)
    assert error(solution) < 3e-3


def front(*walls):
    """A thin front moves along x, and nothing depends on y, where other walls may be given."""
    domain, exact = kp.Box(x=(-1, 1), y=(0, 1), t=(0, 0.3)), formulas("1 - tanh((x - t) / 0.08)")
    ends = kp.Dirichlet(domain.boundary["x_min", "x_max"], exact)
    residual = lambda p, u: (  # noqa: E731
        kp.partial(u, "t") + u.value * kp.partial(u, "x") - 0.04 * diffusion(u)
    )
    return Stated(domain, residual, [kp.Initial(domain, exact), ends, *walls], exact=exact)


SIDES = front().domain.boundary["y_min", "y_max"]
INSULATED = kp.Neumann(SIDES, 0.0)


def test_intervals_are_fine_along_the_coordinate_that_needs_them():
    solution = solved(front(INSULATED), 1e-2)
    assert error(solution) < 1e-2
    along, across = solution.network.breaks()
    assert len(along) > 2 * len(across)
    assert along.diff().max() > 1.3 * along.diff().min()


def on_disk():
    disk = kp.Disk((0, 0), 1.0).over(t=(0, 1))
    return kp.Heat(disk, initial=1, boundary="neumann", exact="1 + 0 * x")


ODD = {
    "nonlinear": (lambda p, u: u.value**2 - 1, "it is not linear"),
    "oblique": (lambda p, u: kp.partial(u, "x") + u.value, "derivatives along the boundary"),
    "varying": (lambda p, u: (2 + p.x) * u.value, "its factors vary along the boundary"),
}
REFUSED = {
    name: (front(kp.Constraint(SIDES, condition)), words)
    for name, (condition, words) in ODD.items()
} | {
    "a disk": (on_disk(), "must have a hidden layer here, such as"),
    "a wall given twice": (
        front(INSULATED, kp.Neumann(SIDES, 1.0)),
        "prescribe the same quantity twice",
    ),
}


@pytest.mark.filterwarnings("ignore:.* unless its conditions agree")
@pytest.mark.parametrize(("problem", "why"), REFUSED.values(), ids=REFUSED)
def test_what_products_cannot_satisfy(problem, why):
    with pytest.raises(kp.InputError, match=why):
        solved(problem, 1e-3)


def test_initial_values_that_contradict_a_side():
    """Heat from 1 with walls at 0: as in one coordinate, but in a corner."""

    def cooled(x, t):
        odd = math.pi * (torch.arange(200) + 0.5)
        terms = 2 / odd * torch.sin(odd * x) * torch.exp(-(odd**2) * t)
        return terms.sum(dim=1, keepdim=True)

    square = kp.Box(x=(0, 1), y=(0, 1), t=(0, 0.1))
    walls = {"x_min": 0, "y_min": 0, "others": {"neumann": 0}}
    problem = kp.Heat(square, initial=1, boundary=walls, source=0)
    problem.exact = lambda p: cooled(p.x, p.t) * cooled(p.y, p.t)
    with pytest.warns(UserWarning, match="disagree by 1"):
        solution = solved(problem, 1e-2)
    assert error(solution) < 3 * solution.own_estimate < 1e-2


# --- Networks in time windows: derivatives, states, points in several windows and after the last


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
