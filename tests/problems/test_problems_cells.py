"""The problems solved in cells: their exact solutions, and their files with larger tolerances."""

import math
import re
from pathlib import Path
from types import SimpleNamespace

import library
import numpy as np
import pytest
import reference
import torch
from cases import error_of

import kanpinn as kp
from kanpinn.geometry import Points
from kanpinn.runs.config import Config

PROBLEMS = Path(__file__).parents[2] / "problems"
F = torch.float64


def test_the_bracket_is_the_domain_of_its_drawing():
    domain = library.class_of("bracket", "Bracket").domain
    width, fillet, length, holes = 0.7, 0.5, 2.0, (0.3, 0.3, 0.25)
    legs = 4 * width * length - width**2 + (1 - math.pi / 4) * fillet**2
    ends = math.pi * width**2 * (1 + 1 / 4) - math.pi * sum(radius**2 for radius in holes)
    assert domain.measure == pytest.approx(legs + ends, rel=1e-13)
    bolts = domain.boundary["bolts"].measure
    assert bolts == pytest.approx(2 * math.pi * sum(holes[:2]), rel=1e-13)


def test_the_file_of_the_bracket_solves_it_as_accurately_as_is_asked():
    pairs = ["run.tolerance=5e-2", "network.degree=5", "run.estimate=false"]
    solution = Config.read(PROBLEMS / "bracket.toml", pairs).build().run(())
    assert solution.status == "converged"
    assert solution.errors.l2_relative <= 0.05
    # The bolts bear the load.
    p, weights = solution.problem.domain.boundary["bolts"].quadrature(24)
    (u_x, v_x), (u_y, v_y) = solution.gradient(p).permute(1, 2, 0)
    nu = solution.problem.poisson_ratio
    vertical = p.normals[:, 0] * (u_y + v_x) / (2 * (1 + nu))
    vertical += p.normals[:, 1] * (v_y + nu * u_x) / (1 - nu**2)
    assert float(weights @ vertical) == pytest.approx(2 * math.pi * 0.25, rel=0.05)


@pytest.mark.parametrize("ratio", [80.0, 0.01])
@pytest.mark.parametrize(
    ("name", "cls"), [("dielectric", "Dielectric"), ("dielectric_ball", "DielectricBall")]
)
def test_the_exact_solution_has_the_flux_of_a_dielectric_on_both_sides(name, cls, ratio, generator):
    problem = library.class_of(name, cls)(ratio)
    values, flux = problem.conditions()
    rim = flux.on.quadrature(9)[0].on_both_sides(problem.domain.bounds)
    inner = 0.9 * (2 * torch.rand(80, problem.domain.dim, generator=generator, dtype=F) - 1)
    anywhere = Points(inner, rim.names)
    jets = []
    for p in (rim, anywhere):
        exact = lambda x: problem.exact(Points(x[None], p.names))[0]  # noqa: E731, B023
        jets.append(reference.jet_of_point(exact, p.coords, p.names))
    assert flux.residual(rim, jets[0]).abs().max() < 1e-8 * max(ratio, 1)  # they are 4e-11 apart
    assert (jets[0].value[0::2] - jets[0].value[1::2]).abs().max() < 1e-9
    assert problem.residual(anywhere, jets[1]).abs().max() < 1e-9 * max(ratio, 1)
    assert set(values.boundary.pieces) == set(problem.domain.boundary.pieces)


def test_the_tractions_of_the_block_are_those_of_its_displacements():
    problem = library.class_of("elastic_block", "ElasticBlock")(0.2)
    p = problem.domain.gauss(40)
    exact = lambda x: torch.cat(problem.exact(Points(x[None], p.names)), dim=1)[0]  # noqa: E731
    jet = reference.jet_of_point(exact, p.coords, p.names)
    for field, own in enumerate(problem.exact_gradient(p)):
        assert torch.allclose(jet.gradient[:, :, field], torch.cat(own, dim=1), atol=1e-14)
    # In pure shear u = y the traction on a side with the normal (0, 1, 0) is (μ, 0, 0).
    sides = problem.domain.boundary["y_max"].quadrature(3)[0]
    shear = [[float(i == 0 and j == 1) for j in range(3)] for i in range(3)]
    across = [float(part.mean()) for part in problem.traction_of(shear, sides)]
    assert across == pytest.approx([1 / 2.4, 0, 0])


def test_the_clamp_of_the_beam_bears_its_load():
    pairs = ["run.tolerance=1e-4", "network.degree=6", "network.cells=[8, 1]"]
    solution = Config.read(PROBLEMS / "clamped_beam.toml", pairs).build().run(())
    found = solution.quantities
    assert solution.status == "converged"
    assert found["tip"] == pytest.approx(-2.0682302, rel=1e-4)  # finite elements of degree 5
    assert found["reaction"] == pytest.approx(1e-3, rel=2e-3)
    assert found["moment"] == pytest.approx(8e-3, rel=2e-3)
    assert re.search(r"tip = -2\.068\d* ± \de-0\d", str(solution))
    around = solution.force(about=(1, 2))
    assert bool((around.value.abs() <= 3 * around.error).all())
    with pytest.raises(kp.InputError, match="about must have 2 coordinates"):
        solution.force(about=(0, 0, 0))


def test_a_solve_with_a_smaller_tolerance_estimates_the_error():
    pairs = ["run.tolerance=1e-3", "network.degree=8"]
    solution = Config.read(PROBLEMS / "two_peaks.toml", pairs).build().run(())
    estimated, errors = kp.estimate_error(solution).errors, solution.errors
    assert solution.status == "converged" and errors.l2_relative <= 2e-3
    assert 0.9 * errors.l2_relative < estimated.l2_relative < 1.6 * errors.l2_relative
    assert 0.9 * errors.h1_relative < estimated.h1_relative < 1.6 * errors.h1_relative


@pytest.mark.parametrize("angle", [190.0, 330.0])
def test_the_solution_at_a_corner_is_zero_on_both_sides(angle):
    problem = library.class_of("reentrant_corner", "ReentrantCorner")(angle)
    assert math.degrees(problem.corner.angle) == pytest.approx(angle)
    walls = problem.domain.boundary
    q, _ = walls[walls.names[0], walls.names[-1]].quadrature(20)
    assert problem.exact(q).abs().max() < 1e-14


def test_cells_of_the_cube_make_up_the_domain():
    problem = library.class_of("fichera", "Fichera")(0.25)
    assert sum(cell.measure for cell in problem.cells()) == pytest.approx(problem.domain.measure)


FILES = {  # tolerance, degree, and the largest error
    "circular_front": (1e-2, 8, 2e-2),
    "helmholtz40": (5e-2, 12, 1e-1),
    "holes": (1e-2, 5, 2e-2),
    "dielectric": (1e-4, 6, 2e-4),
    "reentrant_corner": (1e-3, 6, 3e-3),
    "fichera": (5e-2, 3, 1e-1),
    "elastic_block": (1e-1, 4, 2e-2),
}


@pytest.mark.parametrize("name", FILES)
def test_the_files_solve_them_as_accurately_as_is_asked(name):
    tolerance, degree, bound = FILES[name]
    pairs = [f"run.tolerance={tolerance}", f"network.degree={degree}"]
    job = Config.read(PROBLEMS / f"{name}.toml", [*pairs, "run.estimate=false"]).build()
    solution = job.run((), assessed=False)
    assert solution.status == "converged"
    assert error_of(solution) <= bound


def test_the_file_with_a_flow_marches_as_accurately_as_is_asked():
    pairs = ["optimizer[0].windows=1", "network.degree=4", "run.estimate=false"]
    solution = Config.read(PROBLEMS / "ethier_steinman.toml", pairs).build().run(())
    assert solution.errors.l2_relative <= 0.1


# --- Navier–Stokes: Kovasznay's flow solves it, flows in cells agree with published numbers


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
        kp.Cells([2, 3], 6, 4),
        kp.AdaptiveLeastSquares(2e-2),
        verified=False,
        errors=False,
    )
    assert solution.status == "converged"
    found = list(solution.quantities.values())
    assert found == pytest.approx([value for value, _ in PUBLISHED], abs=5e-3)


@pytest.fixture(scope="module")
def cylinder():
    """The steady flow around the cylinder."""
    method, network = kp.AdaptiveLeastSquares(1e-3), kp.Cells([2, 3], 8, [11, 2])
    problem = build("cylinder", "Cylinder")
    return kp.solve(problem, network, method, verified=False, errors=False)


def test_drag_lift_and_pressure_of_the_cylinder_are_the_published_ones(cylinder):
    drag, lift, fall = cylinder.quantities.values()
    assert cylinder.status == "converged"
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


def test_the_force_on_the_cylinder_at_the_start_is_that_of_the_steady_flow(cylinder, monkeypatch):
    monkeypatch.syspath_prepend(library.PROBLEMS)
    problem, steady = build("cylinder_shedding", "CylinderShedding", end=0.1), cylinder.problem
    problem.viscosity, problem.peak, problem.steady = steady.viscosity, steady.peak, cylinder
    problem.vortices = lambda p: torch.zeros(len(p), 2)
    march = kp.March(tolerance=1e-2, regrade=False, windows=1)
    network = kp.CellWindows([3, 3], 4, [11, 2])
    with pytest.warns(UserWarning, match="the values prescribed for u disagree by"):
        solution = kp.solve(problem, network, march, verified=False)
    wall = steady.domain.boundary["cylinder"]
    found = solution.integral(wall, problem.traction, 96, time=0.0).value
    known = cylinder.integral(wall, steady.traction, 96).value
    torch.testing.assert_close(found, known, rtol=4e-2, atol=4e-2 * float(known[0]))


def test_the_quantities_of_the_cylinder_are_extremes_and_the_frequency_of_its_forces(monkeypatch):
    monkeypatch.syspath_prepend(library.PROBLEMS)
    problem = build("cylinder_shedding", "CylinderShedding")

    class Oscillating:
        """Forces of three periods a second."""

        def integral(self, wall, traction, nodes, time):
            turn = 6 * math.pi * time
            force = torch.tensor([3 + math.cos(2 * turn), 2 * math.sin(turn)])
            return SimpleNamespace(value=force)

    found, unit = problem.quantities(Oscillating()), problem.unit_force
    assert float(found["greatest drag"]) == pytest.approx(4 / unit, rel=1e-3)
    assert float(found["greatest lift"]) == pytest.approx(2 / unit, rel=1e-3)
    assert found["Strouhal number"] == pytest.approx(3 * problem.diameter / problem.mean, rel=1e-3)
