"""Unknown numbers in cells: derivatives by them, exact and noisy data, and what is refused."""

import copy
import math
from typing import ClassVar

import pytest
import torch

import kanpinn as kp
from kanpinn._support.errors import InputError

SQUARE = kp.Box(x=(0, 1), y=(0, 1))


def spots(count, seed=0):
    """Random points in the square."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, 2, generator=generator, dtype=torch.float64)


class Absorbed(kp.Problem):
    """-Δu + k u = 1000 sin(πx) sin(πy), whose solution is 1000 sin(πx) sin(πy) / (2π² + k)."""

    domain = SQUARE

    def __init__(self, noise=None, start=1.0, seed=0, count=20):
        self.unknowns = {"k": kp.Unknown(start, exact=3.0)}
        self.at, self.noise = spots(count, seed), noise
        generator = torch.Generator().manual_seed(seed)
        error = (noise or 0.0) * torch.randn(count, 1, generator=generator, dtype=torch.float64)
        self.values = self.shape(kp.Points(self.at, ("x", "y"))) / (2 * math.pi**2 + 3) + error

    def shape(self, p):
        return 1000 * torch.sin(math.pi * p.x) * torch.sin(math.pi * p.y)

    def residual(self, p, u, k):
        return -kp.laplacian(u) + k.value * u.value - self.shape(p)

    def conditions(self):
        data = kp.Observed(self.domain, self.at, self.values, self.noise)
        return [kp.Dirichlet(self.domain.boundary, 0.0), data]


def solved(problem, degree=8, cells=2, tolerance=1e-6, **settings):
    network = kp.Cells([2, len(problem.fields)], degree, cells)
    return kp.solve(problem, network, kp.AdaptiveLeastSquares(tolerance), **settings)


@pytest.mark.parametrize("start", [1.0, -60.0])
def test_exact_data_give_the_number_within_the_error_of_the_cells(start):
    solution = solved(Absorbed(start=start), tolerance=1e-8)
    found = solution.estimated["k"]
    assert solution.status == "converged"
    assert found.value == pytest.approx(3.0, abs=2e-6)
    assert found.low <= 3.0 <= found.high < 3.0 + 1e-5


def test_the_interval_has_the_width_of_the_cramer_rao_bound():
    problem = Absorbed(noise=0.5)
    solution = solved(problem)
    found, total = solution.estimated["k"], 2 * math.pi**2 + solution.estimated["k"].value
    slopes = problem.shape(kp.Points(problem.at, ("x", "y"))) / total**2  # -∂u/∂k
    wanted = 1.959964 * 0.5 / float(slopes.norm())
    assert (found.high - found.low) / 2 == pytest.approx(wanted, rel=1e-4)
    misfit = float((slopes * (problem.values - slopes * total)).sum())  # zero at the minimum
    assert abs(misfit) < 1e-3 * 0.5 * float(slopes.norm())


def test_a_network_is_saved_with_its_derivatives_by_the_numbers():
    solution = solved(Absorbed(noise=0.5))
    other = kp.Cells([2, 1], 8, 2)
    other.constants = solution.network.constants
    other.load_state_dict(solution.network.state_dict())
    assert torch.equal(other.sensitivities.errors, solution.network.sensitivities.errors)
    before = solution.estimated["k"]
    solution.surrogate.network = other
    vars(solution).pop("estimated"), vars(solution).pop("covariance", None)
    assert solution.estimated["k"] == before


def test_after_another_problem_a_network_is_saved_without_derivatives_by_numbers():
    network = solved(Absorbed(noise=0.5)).network
    kp.solve(kp.Poisson(SQUARE, exact="exp(x) * sin(y)"), network, kp.AdaptiveLeastSquares(1e-6))
    other = kp.Cells([2, 1], 8, 2)
    other.load_state_dict(network.state_dict())
    assert torch.equal(other.layer.coefficients, network.layer.coefficients)


def test_a_run_goes_on_bit_for_bit():
    def run(checkpoint=None):
        states = []
        problem, network = Absorbed(noise=0.5, start=-60.0), kp.Cells([2, 1], 8, 2)
        solution = kp.solve(
            problem,
            network,
            kp.AdaptiveLeastSquares(1e-6),
            observers=[lambda run: states.append(copy.deepcopy(run.state_dict()))],
            checkpoint=checkpoint,
            verified=False,
        )
        return solution, states

    whole, states = run()
    resumed, _ = run(states[1])
    for name, tensor in whole.network.state_dict().items():
        assert torch.equal(tensor, resumed.network.state_dict()[name])


def test_where_memory_permits_no_better_solution_none_is_made_for_the_numbers(monkeypatch):
    def solution_of_higher_degree(*_):
        raise AssertionError

    stage = "kanpinn.tasks.adaptive"
    monkeypatch.setattr(f"{stage}.no_comparison", lambda *_, **__: "there is not enough memory")
    monkeypatch.setattr(f"{stage}.better_solution", solution_of_higher_degree)
    solution = solved(Absorbed(noise=0.5), verified=False)
    assert solution.status.startswith("stopped: there is not enough memory")
    assert solution.estimated["k"].low <= 3.0 <= solution.estimated["k"].high


class Kovasznay(kp.Problem):
    """The flow behind a grid with an unknown viscosity 0.1, measured inside."""

    domain = kp.Box(x=(0, 1), y=(-0.5, 0.5))
    fields = ("u", "v", "q")
    free_constant = ("q",)
    unknowns: ClassVar = {"nu": kp.Unknown(5.0, positive=True, exact=0.1)}
    measured = "u"

    def residual(self, p, u, v, q, nu):
        def advected(w):
            return u.value * kp.partial(w, "x") + v.value * kp.partial(w, "y")

        return (
            advected(u) + kp.partial(q, "x") - nu.value * kp.laplacian(u),
            advected(v) + kp.partial(q, "y") - nu.value * kp.laplacian(v),
            kp.div(u, v),
        )

    def exact(self, p):
        rate = 5 - math.sqrt(25 + 4 * math.pi**2)
        decay, angle = torch.exp(rate * p.x), 2 * math.pi * p.y
        v = rate / (2 * math.pi) * decay * torch.sin(angle)
        return 1 - decay * torch.cos(angle), v, -(decay**2) / 2

    def conditions(self):
        at = spots(30) - torch.tensor([0.0, 0.5], dtype=torch.float64)
        values = dict(zip(self.fields, self.exact(kp.Points(at, ("x", "y"))), strict=True))
        walls = [
            kp.Dirichlet(self.domain.boundary, lambda p, i=i: self.exact(p)[i], field=name)
            for i, name in enumerate(self.fields[:2])
        ]
        return [*walls, kp.Observed(self.domain, at, values[self.measured], field=self.measured)]


def test_a_viscosity_is_found_from_a_start_that_is_far_away():
    solution = solved(Kovasznay(), 8, 2, 1e-5, verified=False)
    assert solution.status == "converged"
    assert solution.estimated["nu"].value == pytest.approx(0.1, abs=1e-6)


def test_data_of_a_field_with_a_free_constant_are_refused():
    class Pressure(Kovasznay):
        measured = "q"

    with pytest.raises(InputError, match="only up to a constant"):
        solved(Pressure(), 6)


class Inclusion(kp.Problem):
    """-∇·(a ∇u) + k u = f in a disk with a = 2, measured outside, where a = 1 and k = 0."""

    domain = kp.Box(x=(-1, 1), y=(-1, 1))
    disk = kp.Disk((0, 0), 0.5)
    unknowns: ClassVar = {"k": kp.Unknown(1.0, exact=30.0)}

    def inside(self, p):
        return (p.x**2 + p.y**2 < 0.25).to(p.coords)

    def exact(self, p):
        return (p.x**2 + p.y**2 - 0.25) / (1 + self.inside(p))

    def residual(self, p, u, k):
        inside = self.inside(p)
        return (
            -(1 + inside) * kp.laplacian(u) + 4 + inside * (k.value * u.value - 30 * self.exact(p))
        )

    def conditions(self):
        at = 2 * spots(30) - 1
        at = at[at.norm(dim=1) > 0.6]
        return [
            kp.Dirichlet(self.domain.boundary, self.exact),
            kp.Interface(self.domain, self.disk.boundary, lambda p: 1 + self.inside(p)),
            kp.Observed(self.domain, at, self.exact(kp.Points(at, ("x", "y")))),
        ]


def test_a_number_inside_an_interface_is_found_from_values_outside():
    found = solved(Inclusion(), 6, 4, 1e-8, verified=False).estimated["k"]
    assert found.value == pytest.approx(30.0, abs=1e-6)


def test_what_cells_cannot_determine_is_refused():
    class Known(Absorbed):
        def residual(self, p, u):
            return -kp.laplacian(u)

    known = Known()
    known.unknowns = {}
    with pytest.raises(InputError, match="measurements: cells take them for problems with unknown"):
        solved(known)

    class Blind(Absorbed):
        def conditions(self):
            return super().conditions()[:1]

    with pytest.raises(InputError, match="need measurements"):
        solved(Blind())

    class Field(Absorbed):
        fields = ("u", "a")

        def residual(self, p, u, a):
            return kp.laplacian(u) * a.value

    field = Field()
    field.unknowns = {"a": kp.Unknown()}
    with pytest.raises(InputError, match="coefficient field"):
        solved(field)
