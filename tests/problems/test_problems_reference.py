"""Problems that are judged by references: against formulas, refinement and the equations."""

import dataclasses
import math
from pathlib import Path
from types import ModuleType

import h5py
import library
import numpy
import pytest
import reference
import torch

import kanpinn as kp
from kanpinn.accuracy.references import reference_of
from kanpinn.geometry import Points
from kanpinn.jets import Channels, jet_of

ROOT = Path(__file__).parents[2]
CLASSES = {
    "burgers": "Burgers",
    "allen_cahn": "AllenCahn",
    "kuramoto_sivashinsky": "KuramotoSivashinsky",
    "schroedinger": "Schroedinger",
    "zabusky_kruskal": "ZabuskyKruskal",
}
KEPT = ("allen_cahn", "kuramoto_sivashinsky", "schroedinger", "zabusky_kruskal")


def class_of(name: str) -> type[kp.Problem]:
    return library.class_of(name, CLASSES[name])


@pytest.fixture
def study() -> ModuleType:
    return library.script("make_references")


def at(coords) -> Points:
    return Points(torch.as_tensor(coords, dtype=torch.float64), ("x", "t"))


# Burgers, by Cole's and Hopf's formula.


def cole_hopf(x: float, t: float, nu: float) -> float:
    """u = ∫ (x - y)/t G dy / ∫ G dy, G = exp(-(∫₀^y u₀ + (x - y)²/2t) / 2ν), by a fine sum."""
    reach = 15 * math.sqrt(4 * nu * t)
    y = numpy.linspace(x - reach, x + reach, 40001)
    exponent = -((numpy.cos(math.pi * y) - 1) / math.pi + (x - y) ** 2 / (2 * t)) / (2 * nu)
    density = numpy.exp(exponent - exponent.max())
    return float((density * (x - y)).sum() / density.sum() / t)


@pytest.mark.parametrize("nu", [0.01 / math.pi, 0.1])
def test_burgers_formula_is_cole_and_hopfs(nu):
    problem = class_of("burgers")(viscosity=nu)
    places = [(x, t) for x in (-0.7, -0.01, 0.001, 0.4) for t in (0.05, 0.4, 1.0)]
    found = problem.exact(at(places))[:, 0]
    expected = torch.tensor([cole_hopf(x, t, nu) for x, t in places], dtype=torch.float64)
    assert (found - expected).abs().max() < 1e-9


def test_burgers_formula_solves_the_equation_also_in_the_shock_and_from_the_start(generator):
    problem = class_of("burgers")()
    p = torch.rand(200, 2, generator=generator, dtype=torch.float64) * 2 - 1
    p[:, 1].abs_()
    p[:80, 0] *= 0.01
    p[:20, 1] *= 1e-3
    jet = reference.jet_of_point(
        lambda x: problem.exact(Points(x[None], ("x", "t")))[0], p, ("x", "t")
    )
    u, u_x, u_t = jet.value[:, 0], jet.gradient[:, 0, 0], jet.gradient[:, 1, 0]
    written = u_t + u * u_x - 0.01 / math.pi * jet.second[:, 0, 0]
    assert u_x.abs().max() > 50
    assert written.abs().max() < 1e-8
    assert (problem.residual(at(p), jet)[:, 0] - written).abs().max() < 1e-12
    ends = at([(x, t) for x in (-1, 1) for t in (0, 0.3, 1)])
    assert problem.exact(ends).abs().max() < 1e-14
    start = at([(x, 0.0) for x in (-0.9, -0.2, 0.5)])
    assert (problem.exact(start) - problem.initial(start)).abs().max() < 1e-12


# The spectral solver.


def test_linear_waves_are_exact_in_time(study):
    """Heat and transport together, u = exp(-νk²t) sin k(x - ct)."""
    nu, c = 0.1, 3.0
    equation = study.Equation(
        0,
        2 * math.pi,
        lambda k: -nu * k**2 - 1j * c * k,
        lambda u, k: 0 * u,
        lambda x: numpy.sin(3 * x),
    )
    x, t = numpy.linspace(0, 6, 50), numpy.array([0, 0.3, 1.1])
    found = study.solve(equation, t, 16, 1.0)
    phase = 3 * (x[:, None] - c * t)
    assert abs(found(x) - numpy.exp(-9 * nu * t) * numpy.sin(phase)).max() < 1e-13
    assert abs(found(x, 1) - 3 * numpy.exp(-9 * nu * t) * numpy.cos(phase)).max() < 1e-13


def test_the_breather_on_a_long_period_is_met_at_fourth_order(study):
    """Satsuma and Yajima's bound state of two solitons, 2 sech x at t = 0."""
    x, t = numpy.linspace(-5, 5, 101), numpy.array([0, math.pi / 8, math.pi / 4])
    above = numpy.cosh(3 * x)[:, None] + 3 * numpy.exp(4j * t) * numpy.cosh(x)[:, None]
    below = numpy.cosh(4 * x)[:, None] + 4 * numpy.cosh(2 * x)[:, None] + 3 * numpy.cos(4 * t)
    exact = 4 * numpy.exp(0.5j * t) * above / below
    equation = study.spectral.schroedinger(-20, 20)
    errors = [abs(study.solve(equation, t, 512, step)(x) - exact).max() for step in (8e-3, 4e-3)]
    assert errors[1] < 1e-5 and 3.5 < math.log2(errors[0] / errors[1]) < 4.5


# What is kept beside the problems.


@pytest.mark.parametrize("name", KEPT)
def test_files_are_small_and_agree_with_a_coarser_solution(study, name):
    """In the first third of the time, with modes and steps that take seconds, at few times."""
    case = study.CASES[name]()
    with h5py.File(ROOT / "problems" / f"{name}.h5") as file:
        kept = {field: file[field][:] for field in ("u", "v") if field in file}
    assert (ROOT / "problems" / f"{name}.h5").stat().st_size < 300_000
    modes, step, error = COARSE[name]
    chosen = numpy.linspace(0, (len(case.t) - 1) // 3, 5).astype(int)
    solution = study.solve(case.equation, case.t[chosen], modes, step)(case.x)
    solution[:, 0] = case.equation.initial(case.x)
    dropped = 0 if case.weights is None else 1  # the first moment
    columns = chosen[dropped:] - dropped
    found = {field: values[:, columns] for field, values in kept.items()}
    parts = {"u": solution.real[:, dropped:], "v": solution.imag[:, dropped:]}
    weights = study.weights_of(case)[:, chosen[dropped:]]
    known = {field: parts[field] for field in kept}
    assert study.relative(found, known, weights) < error


COARSE = {  # modes, longest step, relative L2 difference
    "allen_cahn": (2048, 2e-2, 5e-6),
    "kuramoto_sivashinsky": (256, 2e-4, 3e-6),
    "schroedinger": (512, 1e-3, 2e-5),
    "zabusky_kruskal": (256, 5e-4, 1e-6),
}


@pytest.mark.parametrize("name", ["allen_cahn", "kuramoto_sivashinsky", "zabusky_kruskal"])
def test_residuals_vanish_on_the_reference(study, name):
    """Derivatives in x by the spectral solution, u_t by its differences in time."""
    problem, case = class_of(name)(), study.CASES[name]()
    x, h = numpy.linspace(case.x[0], case.x[-1], 40)[1:-1], 1e-4
    middle = 0.1 * case.t[-1]
    times = [0, *(middle + h * numpy.array([-2, -1, 0, 1, 2]))]
    solution = study.solve(case.equation, times, 512, 5e-5)
    values = solution(x).real[:, 1:]
    u_t = values @ numpy.array([1, -8, 0, 8, -1]) / (12 * h)
    order = [solution(x, r).real[:, 3] for r in range(5)]
    p = at(numpy.stack([x, numpy.full_like(x, middle)], axis=1))
    lines = torch.tensor(numpy.stack(order[1:], axis=1))[:, None, :, None]
    second = torch.zeros(len(x), 2, 1, dtype=torch.float64)
    second[:, 0, 0] = torch.tensor(order[2])
    jet = kp.Jet(
        Channels(("x", "t"), second="diagonal", directions=((1.0, 0.0),), order=4),
        torch.tensor(order[0])[:, None],
        torch.tensor(numpy.stack([order[1], u_t], axis=1))[..., None],
        second,
        lines,
    )
    residual = problem.residual(p, jet)
    assert residual.abs().max() < 1e-6 * max(1, abs(u_t).max())
    if case.weights is not None:
        return  # no splines between the points of the file
    found = reference_of(problem).jet(p, Channels(("x", "t"), gradient=True))
    assert (found.value - jet.value).abs().max() < 3e-8
    assert (found.gradient - jet.gradient).abs().max() < 1e-5 * jet.gradient.abs().max()


def test_schroedingers_residual_vanishes_on_the_breather(generator):
    problem = class_of("schroedinger")()
    unit = torch.rand(50, 2, generator=generator, dtype=torch.float64)
    p = problem.domain.image(unit)

    def breather(point):
        x, t = point
        above = [
            torch.cosh(3 * x) + 3 * torch.cos(4 * t) * torch.cosh(x),
            3 * torch.sin(4 * t) * torch.cosh(x),
        ]
        below = torch.cosh(4 * x) + 4 * torch.cosh(2 * x) + 3 * torch.cos(4 * t)
        c, s = torch.cos(t / 2), torch.sin(t / 2)
        rotated = [c * above[0] - s * above[1], s * above[0] + c * above[1]]
        return 4 * torch.stack(rotated) / below

    jet = reference.jet_of_point(breather, p.coords, ("x", "t"))
    residual = torch.cat(problem.residual(p, jet[0], jet[1]), dim=1)
    assert residual.abs().max() < 1e-10
    start = at([(x, 0.0) for x in (-3.0, 0.2, 1.5)])
    values = torch.stack([breather(point) for point in start.coords])
    assert (problem.initial(start)[:, 0] - values[:, 0]).abs().max() < 1e-14
    assert values[:, 1].abs().max() < 1e-14


@pytest.mark.parametrize("name", KEPT)
def test_references_say_what_they_are(name):
    found = reference_of(class_of(name)())
    assert "Fourier" in found.source and found.error < 1e-6


def test_kuramoto_and_sivashinsky_have_a_reference_up_to_any_time_until_1(generator):
    whole, half = (reference_of(class_of("kuramoto_sivashinsky")(until=t)) for t in (1, 0.25))
    unit = torch.rand(100, 2, generator=generator, dtype=torch.float64)
    p = at(unit * torch.tensor([2 * math.pi, 0.25]))
    channels = Channels(("x", "t"))
    assert torch.equal(whole.jet(p, channels).value, half.jet(p, channels).value)
    assert half.error < whole.error < 1e-7
    assert reference_of(class_of("kuramoto_sivashinsky")(until=1.1)) is None


def test_allen_cahn_has_a_reference_for_its_own_diffusion_only():
    assert reference_of(class_of("allen_cahn")(diffusion=1e-3)) is None


@pytest.mark.parametrize("name", KEPT)
def test_periodic_conditions_reach_all_orders_but_the_highest(name):
    conditions = class_of(name)().conditions()
    orders = [c.order for c in conditions if isinstance(c, kp.Periodic)]
    assert max(orders) == {"kuramoto_sivashinsky": 3, "zabusky_kruskal": 2}.get(name, 1)


@pytest.mark.parametrize("name", ["burgers", "allen_cahn", "zabusky_kruskal"])
def test_marches_come_to_the_references(name):
    problem, settings = class_of(name)(), {"errors": False, "verified": False}
    solution = kp.solve(problem, kp.Windows([2, 1]), kp.March(1e-3), **settings)
    assert solution.status == "converged"
    assert library.error_against_reference(solution) < 2e-3


# --- The evolutions in two dimensions: the classes, their references, and marches over short times


NAMES = ("x", "y", "t")
F = torch.float64
PLANES = {"allen_cahn2d": "AllenCahn2D", "gray_scott": "GrayScott"}


@pytest.mark.parametrize("name", PLANES)
def test_the_classes_state_what_the_references_solve(study, name):
    """For a wave with wave number π (1, 2), the residual with u_t = 0 is -(L u + N(u))."""
    problem, case = library.class_of(name, PLANES[name])(), study.PLANE_CASES[name]()
    coords = 2 * torch.rand(50, 3, generator=torch.Generator().manual_seed(0), dtype=F) - 1
    factors = torch.tensor([0.3, 0.7], dtype=F)[: len(case.fields)]

    def wave(x: torch.Tensor) -> torch.Tensor:
        return torch.sin(torch.pi * (x[:, :1] + 2 * x[:, 1:2])) * factors

    jet = jet_of(wave, coords, Channels(NAMES, second="diagonal"))
    points = Points(coords, NAMES)
    found = problem.residual(points, *(jet[f] for f in range(len(case.fields))))
    residual = torch.cat(found, dim=1) if isinstance(found, tuple) else found
    u = wave(coords).T.numpy()
    linear = case.linear(numpy.array([5 * numpy.pi**2]))  # (m, 1)
    right = linear * u + case.nonlinear(u)
    assert abs(residual.T.numpy() + right).max() < 1e-9 * abs(right).max()
    start = problem.initial(Points(coords, NAMES)).T.numpy()
    assert abs(start - case.initial(*coords[:, :2].T.numpy())).max() < 1e-14


def test_a_reference_file_is_near_a_coarser_solution(study):
    case = dataclasses.replace(study.allen_cahn2d(), modes=64, step=5e-4)
    found = study.solve_plane(case)["u"]
    with h5py.File(ROOT / "problems" / "allen_cahn2d.h5") as file:
        kept, weights = file["u"][:], file["weight"][:]
    error = (weights * (found - kept) ** 2).sum() / (weights * kept**2).sum()
    assert error**0.5 < 1e-3


def test_a_march_comes_to_a_reference(study):
    """Gray and Scott's equations over a short time."""

    class Soon(library.class_of("gray_scott", "GrayScott")):
        domain = kp.Box(x=(-1, 1), y=(-1, 1), t=(0, 0.01))

        def reference(self):
            return None

    case = dataclasses.replace(study.gray_scott(), modes=64, step=1e-4, end=0.01, times=2)
    exact = study.solve_plane(case)
    network = kp.Windows([3, 2], degree=5, grid=20)
    solution = kp.solve(Soon(), network, kp.March(1e-3), errors=False, verified=False)
    line = torch.linspace(-1, 1, case.points + 1, dtype=F)[:-1]
    times = torch.from_numpy(case.rule()[0])
    grid = torch.stack(torch.meshgrid(line, line, times, indexing="ij"), dim=-1)
    values = solution(grid.reshape(-1, 3)).reshape(*grid.shape[:-1], 2).numpy()
    kept = numpy.stack([exact["u"], exact["v"]], axis=-1)
    assert numpy.linalg.norm(values - kept) < 3e-3 * numpy.linalg.norm(kept)
