"""Steady Navier–Stokes: Kovasznay's flow solves it, the cavity's
reference and flows in cells agree with published numbers."""

import library
import numpy as np
import pytest
import torch

import kanpinn as kp
from kanpinn.geometry import Points

# u least on x = 1/2, v least and greatest on y = 1/2, and where, at Re = 100: Botella and Peyret,
# Benchmark spectral results on the lid-driven cavity flow (1998).
PUBLISHED = (-0.2140424, 0.4581), (-0.2538030, 0.8104), (0.1795728, 0.2370)


def build(file: str, name: str, **parameters):
    return library.class_of(file, name)(**parameters)


def test_the_pressure_of_kovasznays_flow_has_the_mean_zero():
    problem = build("kovasznay", "Kovasznay", reynolds=20)
    p, weights = problem.domain.quadrature(15)
    assert abs(float(weights @ problem.exact(p)[2][:, 0])) < 1e-10


def test_kovasznays_flow_is_found():
    network = kp.KAN([2, 20, 3], degree=7, grid=[4, 4], seed=0)
    points = kp.Collocation(484, 88, "gauss")
    solution = kp.solve(build("kovasznay", "Kovasznay"), network, kp.LeastSquares(), points)
    assert solution.status == "converged"
    assert all(solution.errors.fields[name].l2_relative < 1e-3 for name in "uvq")


def test_the_reference_data_agree_with_published_numbers():
    data = np.load(library.PROBLEMS / "cavity.npz")
    count = round(len(data["x"]) ** 0.5)
    nodes = data["y"].reshape(count, count)[0]
    u, v = (data[name].reshape(count, count) for name in "uv")
    middle = [barycentric(nodes, 0.5) @ u, v @ barycentric(nodes, 0.5)]
    for values, least in zip(middle, (PUBLISHED[0][0], PUBLISHED[1][0]), strict=True):
        assert least - 1e-4 < values.min() < least + 2e-3  # at one of the nodes, not in between
    assert float(data["weight"] @ data["q"]) == pytest.approx(0, abs=1e-10)


def barycentric(nodes, at):
    """What values at the nodes weigh in their interpolating polynomial at a point between."""
    gaps = nodes[:, None] - nodes + np.eye(len(nodes))
    weights = 1 / (gaps.prod(axis=1) * (at - nodes))
    return weights / weights.sum()


def test_known_functions_have_one_column_for_each_function():
    class Driven(type(build("cavity", "Cavity"))):
        def enrichment(self):
            return (lambda p: torch.zeros(len(p), 2, 3),)

    with pytest.raises(kp.InputError, match=r"must have shape \(n, q\)"):
        kp.solve(Driven(), kp.KAN([2, 4, 3], degree=4, grid=2))


def test_the_cavity_in_cells_agrees_with_published_numbers():
    solution = kp.solve(
        build("cavity", "Cavity"),
        kp.Cells([2, 3], 7, 4),
        kp.AdaptiveLeastSquares(1e-2),
        verified=False,
        errors=False,
    )
    assert solution.status == "converged"
    found = list(solution.quantities.values())
    assert found == pytest.approx([value for value, _ in PUBLISHED], abs=5e-3)


def test_drag_lift_and_pressure_of_the_cylinder_are_the_published_ones():
    problem, network = build("cylinder", "Cylinder"), kp.Cells([2, 3], 8, [11, 2])
    method = kp.AdaptiveLeastSquares(1e-3)
    solution = kp.solve(problem, network, method, verified=False, errors=False)
    drag, lift, fall = solution.quantities.values()
    assert solution.status == "converged"
    assert drag == pytest.approx(5.57953523384, abs=5e-3)
    assert lift == pytest.approx(0.010618948146, abs=5e-3)
    assert fall == pytest.approx(0.11752016697, abs=1e-4)


def test_what_flows_in_above_the_step_flows_out_and_separates():
    problem = build("backward_step", "BackwardStep", reynolds=100, length=8)
    solution = kp.solve(
        problem, kp.Cells([2, 3], 7, [8, 2]), kp.AdaptiveLeastSquares(1e-2), verified=False
    )
    assert solution.status == "converged"
    boundary = problem.domain.boundary
    for end in ("x_min", "x_max"):
        through = solution.integral(boundary[end], lambda p, u, v, q: u.value, nodes=96)
        assert float(through) == pytest.approx(0.5, abs=1e-3)
    x = torch.linspace(0.5, 7, 200).double()
    slope = solution.gradient(torch.stack([x, torch.full_like(x, -0.5)], dim=1))[:, 1, 0]
    assert slope[0] < 0 < slope[-1]  # it flows back behind the step, and forth where it is closed


def test_the_vortices_behind_the_cylinder_keep_volume_and_vanish_at_walls(monkeypatch):
    monkeypatch.syspath_prepend(library.PROBLEMS)
    problem = build("cylinder_shedding", "CylinderShedding")
    x, y = torch.linspace(0, 2.2, 45).double(), torch.linspace(0, problem.height, 9).double()
    p = Points(torch.cartesian_prod(x, y).requires_grad_(), ("x", "y"))
    flow = problem.vortices(p)
    (along, _), (_, across) = (
        torch.autograd.grad(one.sum(), p.coords, retain_graph=True)[0].T for one in flow.T
    )
    torch.testing.assert_close(along, -across)
    at_walls = (p.x <= 0.25) | (p.y == 0) | (p.y == problem.height)
    assert flow[at_walls[:, 0]].abs().max() < 1e-12 < flow.abs().max()


def test_the_force_on_the_cylinder_at_the_start_is_that_of_the_steady_flow(monkeypatch):
    monkeypatch.syspath_prepend(library.PROBLEMS)
    problem = build("cylinder_shedding", "CylinderShedding", end=0.02)
    problem.vortices = lambda p: torch.zeros(len(p), 2)
    steady = problem.steady
    problem.viscosity = steady.problem.viscosity
    march = kp.March(tolerance=1e-2, regrade=False, windows=1)
    network = kp.CellWindows([3, 3], 4, [11, 2])
    with pytest.warns(UserWarning, match="the values prescribed for u disagree by 0.0002"):
        solution = kp.solve(problem, network, march, verified=False)
    wall = steady.problem.domain.boundary["cylinder"]
    found = solution.integral(wall, problem.traction, 96, time=0.0)
    known = steady.integral(wall, steady.problem.traction, 96)
    torch.testing.assert_close(found, known, rtol=4e-2, atol=4e-2 * float(known[0]))
    assert set(solution.quantities) == {"greatest drag", "greatest lift", "Strouhal number"}
