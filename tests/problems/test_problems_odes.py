"""Ordinary differential equations of problems/: against independent formulas and references."""

from pathlib import Path
from types import ModuleType

import library
import numpy
import pytest
import torch

import kanpinn as kp
from kanpinn.accuracy.references import reference_of
from kanpinn.geometry import Points
from kanpinn.jets import Channels, Jet

ROOT = Path(__file__).parents[2]
CLASSES = {
    "lotka_volterra": "LotkaVolterra",
    "lorenz": "Lorenz",
    "van_der_pol": "VanDerPol",
    "robertson": "Robertson",
}
F = torch.float64


@pytest.fixture
def study() -> ModuleType:
    return library.script("make_ode_references")


@pytest.fixture(params=CLASSES)
def name(request) -> str:
    return request.param


def class_of(name: str) -> type[kp.Problem]:
    return library.class_of(name, CLASSES[name])


def test_residuals_are_rates_minus_those_written_independently(name, study, generator):
    problem, equation = class_of(name)(), study.EQUATIONS[name]()
    assert tuple(problem.fields) == equation.fields
    assert float(problem.domain.bounds[1]) == equation.end
    u, slopes = torch.rand(2, 20, len(equation.fields), generator=generator, dtype=F)
    jets = [
        Jet(Channels(("t",), True), u[:, i : i + 1], slopes[:, None, i : i + 1])
        for i in range(u.shape[1])
    ]
    found = torch.cat(problem.residual(Points(u[:, :1], ("t",)), *jets), dim=1)
    written = slopes - torch.stack(equation.rates(u.T), dim=1)
    assert (found - written).abs().max() < 1e-12 * (1 + written.abs().max())


def test_jacobians_are_those_of_differences(name, study, generator):
    equation = study.EQUATIONS[name]()
    u = torch.rand(len(equation.fields), generator=generator, dtype=F).numpy()
    h = 1e-6
    steps = h * numpy.eye(len(u))
    columns = [
        (numpy.array(equation.rates(u + one)) - numpy.array(equation.rates(u - one))) / (2 * h)
        for one in steps
    ]
    slopes = equation.slopes(u)
    assert abs(slopes - numpy.stack(columns, axis=1)).max() < 1e-6 * abs(slopes).max()


def test_collocation_in_extended_precision(study):
    """u' = i ω u as two real equations, whose solution turns around a circle."""
    omega = 3

    def rates(u):
        return [-omega * u[1], omega * u[0]]

    def slopes(u):
        zero = 0 * u[0]
        return numpy.array([[zero, zero - omega], [zero + omega, zero]])

    circle = study.Equation(("a", "b"), rates, slopes, (1, 0), 5.0, 0.1)
    times = numpy.linspace(0, 5, 41)
    found = study.solve(circle, 20, 3e-16)(times)
    phase = omega * times.astype(numpy.longdouble)
    exact = numpy.stack([numpy.cos(phase), numpy.sin(phase)], axis=1)
    assert abs(found - exact).max() < 1e-15


def test_files_agree_with_a_coarser_solution(name, study):
    points, weights = reference_of(class_of(name)()).points
    equation = study.EQUATIONS[name]()
    found = study.solve(equation, 16, 1e-13)(points.coords[:, 0].numpy())
    exact = points.data[:, :: points.data.shape[1] // len(equation.fields)].numpy()
    squares = [(weights.numpy() @ u**2).sum() for u in (found.astype(float) - exact, exact)]
    assert (squares[0] / squares[1]) ** 0.5 < {"lorenz": 1e-9, "van_der_pol": 1e-8}.get(name, 1e-12)
    assert (ROOT / "problems" / f"{name}.h5").stat().st_size < 100_000


def test_marches_come_to_the_references(name, study):
    problem, equation = class_of(name)(), study.EQUATIONS[name]()
    network = kp.Windows([1, len(problem.fields)])
    solution = kp.solve(problem, network, kp.March(1e-9), verified=False, errors=False)
    bound = {"van_der_pol": 1e-6}.get(name, 1e-8)  # which amplifies errors
    assert solution.status.startswith("converged")
    assert library.error_against_reference(solution) < bound
    # Where nothing damps them, the estimated errors of the windows add up to more than was asked.
    # With van der Pol's equation that depends on rounding, which it amplifies.
    if name != "van_der_pol":
        assert ("add up to" in solution.status) == (name in ("lotka_volterra", "lorenz"))
    start = solution(torch.zeros(1, 1, dtype=F))[0].tolist()
    assert start == pytest.approx(list(equation.start), abs=1e-12)
    for one in solution.invariants.values():
        assert one.relative_drift < 1e-8


@pytest.mark.parametrize(
    ("name", "settings"),
    [("lotka_volterra", {"growth": 2}), ("lorenz", {"rho": 15}), ("van_der_pol", {"stiffness": 5})],
)
def test_references_are_for_their_own_numbers_only(name, settings):
    assert reference_of(class_of(name)(**settings)) is None
