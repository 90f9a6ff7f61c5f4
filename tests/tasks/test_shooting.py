"""Shooting: sensitivities, unknown parameters from data, their intervals, what is refused."""

import math
from typing import ClassVar

import pytest
import torch
from cases import Manufactured, Stated
from library import class_of

import kanpinn as kp
from kanpinn.jets import Channels
from kanpinn.networks.layer import Tape
from kanpinn.solvers.auto.choices import first_choice

F = torch.float64


class Fading(kp.Problem):
    """u_t = κ u_xx - r u on half a period of two waves, with a flux at one wall."""

    domain = kp.Box(x=(0, 0.5), t=(0, 1))
    unknowns: ClassVar = {
        "kappa": kp.Unknown(0.5, positive=True, exact=0.1),
        "r": kp.Unknown(0.0, exact=0.3),
    }

    def __init__(self, noise=1e-2, count=60, seed=0):
        generator = torch.Generator().manual_seed(seed)
        self.at = torch.rand(count, 2, generator=generator, dtype=F) * torch.tensor([0.5, 1.0])
        errors = torch.randn(count, 1, generator=generator, dtype=F)
        self.values = self.exact(kp.Points(self.at, ("x", "t"))) + noise * errors
        self.noise = noise or None

    def residual(self, p, u, kappa, r):
        return kp.partial(u, "t") - kappa.value * kp.partial(u, "x", "x") + r.value * u.value

    def conditions(self):
        walls = self.domain.boundary
        return [
            kp.Initial(self.domain, "sin(pi*x) + sin(3*pi*x)"),
            kp.Dirichlet(walls["x_min"], 0.0),
            kp.Neumann(walls["x_max"], 0.0),
            kp.Observed(self.domain, self.at, self.values, self.noise),
        ]

    def waves(self, p):
        """Both waves with the rates at which they fade, and the squares of their numbers."""
        for k in (math.pi, 3 * math.pi):
            rate = 0.1 * k**2 + 0.3
            yield torch.exp(-rate * p.t) * torch.sin(k * p.x), rate, k**2

    def exact(self, p):
        return sum(u for u, _, _ in self.waves(p))

    def sensitivities(self, p):
        """The derivatives by log κ and by r, (n, 2)."""
        by_kappa = sum(-0.1 * square * p.t * u for u, _, square in self.waves(p))
        return torch.cat([by_kappa, -p.t * self.exact(p)], dim=1)


def lorenz(start):
    """Lorenz' equations in their chaotic range, with noisy values of x and z.

    start: the numbers at which the search begins, over the true ones.
    """
    problem = class_of("inverse_lorenz", "InverseLorenz")(noise=0.1, rho=28)
    problem.unknowns = {n: kp.Unknown(start * v, exact=v) for n, v in problem.truth.items()}
    given = [one for one in problem.conditions() if not is_data_of(one, "y")]
    problem.conditions = lambda: given
    return problem


def is_data_of(condition, field):
    return isinstance(condition, kp.Observed) and condition.field == field


class Decaying(kp.Problem):
    """u' = -k u, v' = k u - v: u(0) is 2 and not prescribed, v(0) = 0; data of v alone."""

    domain = kp.Box(t=(0, 2))
    fields = ("u", "v")
    unknowns: ClassVar = {"k": kp.Unknown(1.0, positive=True, exact=2.0)}

    def __init__(self, first=False):
        self.at = torch.linspace(0.1, 2, 30, dtype=F)[:, None]
        generator = torch.Generator().manual_seed(2)
        noise = 1e-2 * torch.randn(30, 2, generator=generator, dtype=F)
        self.values = self.exact(kp.Points(self.at, ("t",))) + noise
        self.first = first

    def residual(self, p, u, v, k):
        gain = k.value * u.value
        return kp.partial(u, "t") + gain, kp.partial(v, "t") - gain + v.value

    def conditions(self):
        start = kp.Initial(self.domain, 0.0, field="v")
        data = kp.Observed(self.domain, self.at, self.values[:, 1], 1e-2, field="v")
        also = kp.Observed(self.domain, self.at[:3], self.values[:3, 0], 1e-2, field="u")
        return [start, data, also] if self.first else [start, data]

    def exact(self, p):
        u, v = 2 * torch.exp(-2 * p.t), torch.exp(-p.t) - torch.exp(-2 * p.t)
        return torch.cat([u, 4 * v], dim=1)


def shot(problem, network, tolerance, **settings):
    """The solution by shooting, whose errors and residuals are not measured."""
    optimizer = kp.Shooting(tolerance)
    return kp.solve(problem, network, optimizer, errors=False, verified=False, **settings)


def test_the_network_has_the_derivatives_by_the_numbers(generator):
    problem = Fading(noise=0)
    solution = shot(problem, kp.Windows([2, 1], 9, 4), 1e-7)
    assert solution.status == "converged"
    found = solution.estimated
    assert all(abs(one.value - one.exact) < 1e-7 for one in found.values())
    assert all(one.low < one.exact < one.high < one.exact + 1e-4 for one in found.values())
    unit = torch.rand(50, 2, generator=generator, dtype=F)
    p = kp.Points(unit * torch.tensor([0.5, 1.0]), ("x", "t"))
    channels = Channels(p.names, gradient=True)
    tape = Tape(solution.network.output_layers)
    jet = solution.surrogate.jet(p, channels, tape)
    slopes = sum((rate * p.t - 1) * u for u, rate, _ in problem.waves(p))  # of -t u in time
    found = tape.jacobian(jet.value[:, 0], retain=True)
    assert torch.allclose(found, problem.sensitivities(p), atol=1e-6)
    in_time = tape.jacobian(jet.gradient[:, 1, 0])
    assert torch.allclose(in_time[:, 1:], slopes, atol=1e-5)


def test_the_intervals_are_those_of_the_sensitivities():
    problem = Fading(noise=1e-2)
    solution = shot(problem, kp.Windows([2, 1], 9, 6), 1e-4)
    p = kp.Points(problem.at, ("x", "t"))
    rows = problem.sensitivities(p) / 1e-2
    deviations = torch.linalg.inv(rows.T @ rows).diagonal().sqrt()
    kappa, r = solution.estimated.values()
    assert math.isclose(math.log(kappa.high / kappa.low) / 3.92, deviations[0], rel_tol=0.05)
    assert math.isclose((r.high - r.low) / 3.92, deviations[1], rel_tol=0.05)
    assert kappa.low < 0.1 < kappa.high and r.low < 0.3 < r.high
    low, high = solution.interval(problem.at)
    spread = rows * 1e-2 @ torch.linalg.inv(rows.T @ rows) @ rows.T * 1e-2
    assert torch.allclose(high - low, 3.92 * spread.diagonal().sqrt(), rtol=0.05, atol=1e-4)


def test_intervals_without_noise_do_not_depend_on_the_start():
    """They are due to the errors of the marches alone."""
    line, times = kp.Box(t=(0, 1)), torch.linspace(0, 1, 9, dtype=F)[:, None]
    data, widths = kp.Observed(line, times, 1 / (1 + 2 * times)), []
    for start in (0.5, 1.5):
        problem = Stated(
            line,
            lambda p, u, k: kp.partial(u, "t") + k.value * u.value**2,
            [kp.Initial(line, 1.0), data],
            unknowns={"k": kp.Unknown(start)},
        )
        k = shot(problem, kp.Windows([1, 1]), 1e-4).estimated["k"]
        assert k.low < 2 < k.high
        widths.append(k.high - k.low)
    assert math.isclose(*widths, rel_tol=0.1)


def test_chaotic_curves_are_fitted_from_half_the_numbers():
    solution = shot(lorenz(0.5), kp.Windows([1, 3], 1, 1), 1e-3)
    assert solution.status == "converged"
    for found in solution.estimated.values():
        assert found.low < found.exact < found.high < 1.01 * found.exact


@pytest.mark.parametrize("first", [True, False])
def test_initial_values_that_nothing_prescribes_are_found(first):
    solution = shot(Decaying(first), kp.Windows([1, 2], 1, 1), 1e-6)
    assert solution.status == "converged"
    k = solution.estimated["k"]
    assert k.low < 2 < k.high
    low, high = solution.interval(torch.zeros(1, 1, dtype=F), "u")
    assert low < 2 < high < low + 0.3
    low, high = solution.interval(torch.zeros(1, 1, dtype=F), "v")
    assert high - low < 1e-12


def test_functions_of_two_coordinates_carry_a_number():
    network = kp.Windows([3, 10, 1], [4, 5], [2, 2])
    square = kp.Box(x=(0, 1), y=(0, 1), t=(0, 0.01))
    sides = ("x_min", "x_max", "y_min", "y_max")
    cooling = Manufactured(
        square,
        lambda p, u, kappa: (
            kp.partial(u, "t") - kappa.value * (kp.partial(u, "x", "x") + kp.partial(u, "y", "y"))
        ),
        "exp(-0.2 * pi**2 * t) * sin(pi * x) * sin(pi * y)",
        dict.fromkeys(sides, "none"),
        source=False,
        also=[kp.Dirichlet(square.boundary[sides], 0.0)],
        observed=(8, None),
        unknowns={"kappa": kp.Unknown(0.2, positive=True, exact=0.1)},
    )
    solution = shot(cooling, network, 1e-3)
    (kappa,) = solution.estimated.values()
    assert abs(kappa.value - 0.1) < 3e-3


def test_auto_begins_with_marches_that_are_fitted_to_data():
    for problem in (Fading(), lorenz(0.5)):
        choice = first_choice(problem)
        assert choice.kind is kp.Windows
        assert isinstance(choice.optimizers[0], kp.Shooting)


def test_what_cannot_be_shot_is_refused():
    windows = kp.Windows([2, 1], 9, 6)
    with pytest.raises(kp.InputError, match="Shooting"):
        kp.solve(Fading(), windows, kp.March())

    class NoData(Fading):
        def conditions(self):
            return super().conditions()[:3]

    with pytest.raises(kp.InputError, match="there are none"):
        kp.solve(NoData(), windows, kp.Shooting())

    rod, at = Fading.domain, torch.full((3, 2), 0.2, dtype=F)
    given = [kp.Initial(rod, "sin(pi*x)", field="u"), kp.Observed(rod, at, at[:, :1], field="u")]
    settings = {"fields": ("u", "kappa"), "unknowns": {"kappa": kp.Unknown(0.5)}}
    coefficient = Stated(
        rod,
        lambda p, u, kappa: kp.partial(u, "t") - kappa.value * kp.partial(u, "x", "x"),
        given,
        **settings,
    )
    with pytest.raises(kp.InputError, match="coefficient field"):
        kp.solve(coefficient, kp.Windows([2, 2], 9, 6), kp.Shooting())
    with pytest.raises(kp.InputError, match="starts"):
        kp.Shooting(starts=-1)


def once():
    """u' = -k u, u(0) = 1, with one value of u for k = 2."""
    time, end = kp.Box(t=(0, 1)), torch.ones(1, 1, dtype=F)
    given = [kp.Initial(time, 1.0), kp.Observed(time, end, torch.exp(-2 * end))]
    residual = lambda p, u, k: kp.partial(u, "t") + k.value * u.value  # noqa: E731
    return Stated(time, residual, given, unknowns={"k": kp.Unknown(start=1.0)})


def test_a_single_value_is_enough_for_one_number():
    solution = shot(once(), kp.Windows([1, 1]), 1e-8)
    assert solution.status.startswith("converged")
    assert solution.estimated["k"].value == pytest.approx(2, abs=1e-6)
