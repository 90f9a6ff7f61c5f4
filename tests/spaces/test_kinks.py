"""Kinks and jumps of initial values: found, resolved from knots on them, and left behind."""

import math

import library
import pytest
import torch
from cases import Manufactured, Stated, error_of

import kanpinn as kp
from kanpinn.spaces.function_space import breaks_with, graded_breaks, kinks_of

F = torch.float64


def found(function) -> list[float]:
    return kinks_of(lambda x: function(x)[:, None], -1.0, 1.0).tolist()


@pytest.mark.parametrize("seed", range(2))
def test_kinks_and_jumps_are_found_wherever_they_are(seed):
    generator = torch.Generator().manual_seed(seed)
    kink, jump = (torch.rand(2, generator=generator, dtype=F) * 1.9 - 0.95).tolist()

    def function(x):
        return torch.sin(7 * x) + (x - kink).abs() / 10 + (x > jump) / 100

    assert found(function) == pytest.approx(sorted([kink, jump]), abs=1e-10)


@pytest.mark.parametrize(
    "smooth",
    [
        lambda x: 0 * x,
        lambda x: torch.sin(1000 * x),
        lambda x: torch.tanh((x - 0.123) / 1e-5),
        lambda x: torch.exp(-(((x + 0.3) / 1e-3) ** 2)),
        lambda x: 1 / (1e-4 + x**2),
        lambda x: 1e8 + 1e-3 * torch.sin(x),
    ],
)
def test_smooth_functions_have_none_however_steep(smooth):
    assert found(smooth) == []


def test_noise_has_too_many():
    generator = torch.Generator().manual_seed(0)
    assert found(lambda x: torch.rand(len(x), generator=generator, dtype=F)) == []


def test_intervals_end_at_kinks_and_stay_so():
    kinks = torch.tensor([-0.2511, 0.7], dtype=F)
    breaks = breaks_with(torch.linspace(-1, 1, 41, dtype=F), kinks)
    assert (breaks.diff() > 0.01).all() and torch.isin(kinks, breaks).all()
    errors = torch.full_like(breaks[1:], 1e-9)
    beside = torch.isin(breaks[1:], kinks) | torch.isin(breaks[:-1], kinks)
    errors[beside] = 1e-4
    new = graded_breaks(breaks, errors, 9, 1e-5, 1000, kinks=kinks)
    assert torch.isin(kinks, new).all() and (new.diff() > 0).all()
    narrow = new.diff()[torch.isin(new[1:], kinks)]
    assert (narrow < 0.2 * breaks.diff()[torch.isin(breaks[1:], kinks)]).all()


class Kink(kp.Problem):
    """u_t = D u_xx from |x - c|, whose closed form is that of the whole line."""

    domain = kp.Box(x=(-1, 1), t=(0, 1))
    diffusivity = 0.1

    def __init__(self, place: float):
        self.place = place

    def residual(self, p, u):
        return kp.partial(u, "t") - self.diffusivity * kp.partial(u, "x", "x")

    def conditions(self):
        ends = self.domain.boundary["x_min", "x_max"]
        return [kp.Initial(self.domain, self.initial), kp.Dirichlet(ends, self.exact)]

    def initial(self, p):
        return (p.x - self.place).abs()

    def scaled(self, p):
        width = torch.sqrt(4 * self.diffusivity * p.t.clamp_min(1e-300))
        return (p.x - self.place) / width, width

    def exact(self, p):
        z, width = self.scaled(p)
        return width * (z * torch.erf(z) + torch.exp(-(z**2)) / math.sqrt(math.pi))


class Jump(Kink):
    """The same from a step."""

    def initial(self, p):
        return (p.x > self.place).to(p.x)

    def exact(self, p):
        return torch.erfc(-self.scaled(p)[0]) / 2


class Call(library.class_of("black_scholes", "BlackScholes")):
    """With another strike."""

    def __init__(self, place: float):
        self.strike = 100 + 20 * place


class Shock(library.class_of("burgers_riemann", "BurgersRiemann")):
    """With another viscosity, from another place."""

    def __init__(self, place: float):
        super().__init__(viscosity=0.03)
        self.jump = place / 2


def solved(problem, tolerance, **options):
    march = kp.March(tolerance)
    settings = {"verified": False, "errors": False} | options
    return kp.solve(problem, kp.Windows([2, 1]), march, **settings)


@pytest.mark.parametrize(
    ("kind", "tolerance"), [(Kink, 1e-3), (Jump, 1e-4), (Call, 1e-4), (Shock, 3e-3)]
)
def test_errors_are_those_asked_for_and_estimated(kind, tolerance):
    solution = solved(kind(-0.4567), tolerance)
    error, estimated = error_of(solution), math.sqrt(solution.history.rows[-1]["loss"])
    assert solution.status == "converged" and error < tolerance
    assert 0.1 * estimated < error < 10 * estimated
    assert (
        solution.history.column("intervals")[1:].max() < 300
    )  # by bisection it would be thousands
    assert len(solution.network.breaks()[0]) < 120  # after the kink is gone


def test_kinks_that_lie_at_the_seam_of_a_circle():
    class Around(Kink):
        def conditions(self):
            return [kp.Initial(self.domain, self.initial), kp.Periodic(self.domain, "x")]

        def initial(self, p):
            return p.x**2

        exact = None

    coarse, fine = (solved(Around(0.0), tolerance) for tolerance in (1e-3, 1e-5))
    x = torch.linspace(-1, 1, 201, dtype=F)
    for t in (1e-4, 0.01, 1.0):
        points = torch.stack([x, torch.full_like(x, t)], dim=1)
        assert (coarse(points) - fine(points)).abs().max() < 1e-2
    assert coarse.history.column("intervals")[1:].max() < 150


# --- What a march resolves in space: orders of splines, and intervals that follow the solution


def waves(order):
    """u_t = c ∂ⁿu/∂xⁿ on a period, n = 2, 3 or 4; u has two waves, damped or dispersed."""
    factor, period = {2: 0.05, 3: -0.01, 4: -0.001}[order], kp.Box(x=(0, 1), t=(0, 0.05))

    def exact(p):
        found = 0 * p.x
        for number, phase in ((1, 0.3), (2, 1.1)):
            k = 2 * math.pi * number
            rate = factor * (1j * k) ** order
            wave = torch.sin(k * p.x + rate.imag * p.t + phase)
            found = found + torch.exp(rate.real * p.t) * wave / number
        return found

    def residual(p, u):
        return kp.partial(u, "t") - factor * kp.partial(u, *"x" * order)

    given = [kp.Initial(period, exact), kp.Periodic(period, "x", order=order - 1)]
    return Stated(period, residual, given, exact=exact)


def between_walls(order, kind):
    """u_t = c ∂ⁿu/∂xⁿ + f with conditions at both ends."""
    factor = {2: 0.3, 4: -0.005}[order]
    return Manufactured(
        kp.Box(x=(0, 1), t=(0, 0.05)),
        lambda p, u: kp.partial(u, "t") - factor * kp.partial(u, *"x" * order),
        "sin(5 * x + 2 * t) + exp(2 * x - t) / 5",
        dict.fromkeys(("x_min", "x_max"), kind),
    )


def order_in_space(problem: kp.Problem, degree: int, grids: tuple[int, int]) -> float:
    """The observed order of the relative L2 error on two grids, with windows that err far less."""
    march = kp.March(1e-13, windows=3, stages=7, regrade=False)
    settings = {"verified": False, "errors": False}
    coarse, fine = (
        error_of(kp.solve(problem, kp.Windows([2, 1], degree, grid), march, **settings))
        for grid in grids
    )
    return math.log(coarse / fine) / math.log(grids[1] / grids[0])


@pytest.mark.parametrize(("order", "degree"), [(2, 3), (3, 5), (4, 6)])
def test_splines_of_degree_k_on_a_period_are_of_order_k_plus_1(order, degree):
    observed = order_in_space(waves(order), degree, (20, 30))
    assert degree + 0.9 < observed < degree + 1.8


@pytest.mark.parametrize(
    ("order", "kind", "degree"),
    [(2, "dirichlet", 4), (2, "neumann", 3), (2, "robin", 5), (4, "dirichlet neumann", 6)],
)
def test_conditions_at_walls_keep_the_order_k_plus_1(order, kind, degree):
    observed = order_in_space(between_walls(order, kind), degree, (12, 18))
    assert degree + 0.9 < observed < degree + 1.6


def test_short_windows_do_not_make_intervals_wide():
    """A kink makes windows so short that errors of splines in one of them say little.

    Away from the kink the solution is its Taylor series.
    """

    def residual(p, u):
        reaction = 5 * (u.value - u.value**3)
        return kp.partial(u, "t") - 1e-4 * kp.partial(u, "x", "x") - reaction

    ring = kp.Box(x=(-1, 1), t=(0, 1e-6))
    given = [kp.Initial(ring, "x**2 * cos(pi * x)"), kp.Periodic(ring, "x")]
    solution = kp.solve(
        Stated(ring, residual, given), kp.Windows([2, 1]), kp.March(3e-10), verified=False
    )
    x = torch.linspace(-0.8, 0.8, 201, dtype=torch.float64)
    s, c = torch.sin(math.pi * x), torch.cos(math.pi * x)
    start = x**2 * c
    second = 2 * c - 4 * math.pi * x * s - (math.pi * x) ** 2 * c
    expected = start + 1e-6 * (1e-4 * second + 5 * (start - start**3))
    found = solution(torch.stack([x, torch.full_like(x, 1e-6)], dim=1))[:, 0]
    assert (found - expected).abs().max() < 1e-10
