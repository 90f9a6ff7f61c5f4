"""A solution as a function of points: its derivatives by PyTorch, and the points outside."""

import math
import warnings

import numpy
import pytest
import torch
from cases import Stated, formulas

import kanpinn as kp
from kanpinn.runs.results.contents import SolveContents
from kanpinn.solvers.summary import quantities

POINT = torch.tensor([0.3, 0.4], dtype=torch.float64)


def poisson():
    """-Δu = f in the unit square for u = sin πx sin πy."""
    return kp.Poisson(kp.Box(x=(0, 1), y=(0, 1)), exact="sin(pi*x) * sin(pi*y)")


def test_complex_points_are_refused():
    solution = kp.solve(poisson(), kp.KAN([2, 1], degree=5), kp.LeastSquares(), verified=False)
    with pytest.raises(kp.InputError, match="points must be real"):
        solution(POINT[None] + 1j)


def heat():
    """∂u/∂t = ∂²u/∂x² + f for u = e^(-t) sin πx."""
    return kp.Heat(kp.Box(x=(0, 1), t=(0, 1)), exact="exp(-t) * sin(pi*x)")


@pytest.fixture(
    scope="module",
    params=[
        (poisson, kp.KAN(hidden=[24], degree=7, grid=[3, 4]), 1e-6),
        (poisson, kp.Cells(degree=8), 1e-6),
        (heat, kp.Windows(), 1e-6),
    ],
    ids=["output layer", "cells", "march"],
)
def solved(request):
    make, network, tolerance = request.param
    return kp.solve(make(), network, tolerance=tolerance)


def exact_at(problem, x):
    (point,) = problem.exact(kp.Points(x[None], problem.domain.names))
    return point.squeeze()


# PyTorch's forward mode uses its own deprecated compiler.
@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
def test_pytorch_differentiates_a_solution_backward_and_forward(solved):
    def u(x):
        return solved(x[None])[0, 0]

    x = POINT.clone().requires_grad_()
    (backward,) = torch.autograd.grad(u(x), x)
    own = solved.gradient(POINT[None])[0]
    for gradient in (backward, torch.func.grad(u)(POINT), torch.func.jacfwd(u)(POINT)):
        assert torch.allclose(gradient, own, rtol=1e-12, atol=1e-12)
    hessian = torch.func.hessian(u)(POINT)
    expected = torch.func.hessian(lambda x: exact_at(solved.problem, x))(POINT)
    assert torch.allclose(hessian, expected, atol=1e-3)
    assert torch.allclose(hessian, hessian.T, atol=1e-12)


def test_derivatives_go_up_to_the_fourth():
    problem = kp.Poisson(kp.Box(x=(0, 1)), exact="sin(pi*x)")
    solution = kp.solve(problem, kp.Cells(degree=12), tolerance=1e-10)

    def derivative(x):
        return solution(x[None, None])[0, 0]

    x = POINT[0]
    for order in range(1, 5):
        derivative = torch.func.grad(derivative)
        known = math.pi**order * math.sin(math.pi * x + order * math.pi / 2)
        assert float(derivative(x)) == pytest.approx(known, rel=1e-4)
    with pytest.raises(kp.InputError, match="1 to 4 coordinate names"):
        torch.func.grad(derivative)(x)


def test_a_solution_is_mapped_over_batches_of_points(solved):
    x = torch.rand(3, 5, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert torch.equal(torch.vmap(solved)(x).flatten(0, 1), solved(x.flatten(0, 1)))


def test_the_fields_of_one_network_are_exported_for_any_number_of_points(generator):
    exact = "exp(x) * cos(y)"
    problem = kp.Poisson(kp.Disk((0, 0), 1), exact=exact)
    solution = kp.solve(problem, kp.KAN(hidden=[4], degree=3, grid=3))
    points = torch.rand(50, 2, generator=generator, dtype=torch.float64) - 0.5
    sizes = ({0: torch.export.Dim.DYNAMIC},)
    exported = torch.export.export(solution.module(), (points[:3],), dynamic_shapes=sizes).module()
    assert torch.allclose(exported(points), solution(points), rtol=0, atol=1e-12)


def test_a_solution_in_cells_is_not_exported():
    problem = kp.Poisson(kp.Box(x=(0, 1)), source="1", boundary="0")
    with pytest.raises(kp.InputError, match="Cells cannot be exported"):
        kp.solve(problem, kp.Cells(degree=4)).module()


def test_values_outside_the_domain_are_nan_with_a_warning():
    problem = kp.Poisson(kp.LShape(), source="1", boundary="0")
    solution = kp.solve(problem, kp.Cells(degree=4), tolerance=1e-1)
    points = torch.tensor([[-0.5, 0.5], [0.5, -0.5], [3.0, 0.0], [0.0, 0.5], [1.0, 1.0]])
    inside = problem.domain.contains(points.double())
    assert inside.any() and not inside.all()
    with pytest.warns(UserWarning, match=f"{int((~inside).sum())} of 5 points lie outside"):
        values = solution(points)
    assert torch.equal(values[:, 0].isnan(), ~inside)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        solution(points[inside])
    with pytest.warns(UserWarning, match="lie outside"):
        slopes = solution.gradient(points)
    assert torch.equal(slopes[:, 0].isnan(), ~inside)
    with pytest.warns(UserWarning, match="lie outside"):
        residual = solution.residual(points)
    assert torch.equal(residual[:, 0].isnan(), ~inside)


def test_points_on_a_curved_edge_count_as_inside():
    problem = kp.Poisson(kp.Disk((0, 0), 1.0), source="1", boundary="0")
    solution = kp.solve(problem, kp.Cells(degree=6), tolerance=1e-3)
    angles = torch.linspace(0, 2 * math.pi, 50, dtype=torch.float64)
    rim = torch.stack([angles.cos(), angles.sin()], dim=1)
    assert solution(rim).abs().max() < 1e-3


def test_modes_and_fits_are_differentiated_too():
    class String(kp.EigenProblem):
        domain = kp.Box(x=(0, 1))

        def operator(self, p, u):
            return -kp.laplacian(u)

        def conditions(self):
            return [kp.Dirichlet(self.domain.boundary)]

    x = torch.linspace(0, 1, 200, dtype=torch.float64)[:, None]
    fitted = kp.fit(kp.KAN([1, 1], degree=5, grid=8), kp.Table(x, torch.sin(3 * x)))
    modes = kp.eigen(String(), kp.KAN([1, 1], degree=9, grid=8), count=2)
    at = torch.tensor([0.3], dtype=torch.float64)
    slope = torch.func.jacrev(lambda x: fitted(x[None])[0, 0])(at)
    assert float(slope) == pytest.approx(3 * math.cos(0.9), abs=1e-3)
    slopes = torch.func.jacrev(lambda x: modes(x[None])[0])(at)[:, 0]
    assert torch.allclose(slopes, modes.gradient(at[None])[0, 0], atol=1e-10)


def test_an_integral_over_cells_has_the_accuracy_of_the_solution():
    problem = kp.Poisson(kp.LShape(), source="1", boundary="0")
    solution = kp.solve(problem, kp.Cells(degree=8), tolerance=1e-6)
    total = float(solution.integral())
    assert total == pytest.approx(0.214075802683, rel=1e-6)  # by a solution to 1e-12

    def squared_gradient(p, u):
        return kp.grad(u).square().sum(dim=1, keepdim=True)

    # ∫ |∇u|² = ∫ u for -Δu = 1 and u = 0 on the boundary; ∇u is infinite at the corner.
    assert float(solution.integral(density=squared_gradient)) == pytest.approx(total, rel=1e-4)


def test_a_printed_solution_has_its_errors_and_status(solved):
    shown = str(solved)
    assert shown.splitlines()[0].split() == ["error", "absolute", "relative", "squared"]
    assert f"{solved.errors.l2_relative:.2e}" in shown and solved.status in shown
    known = solved.estimated_error
    assert solved.errors.l2_relative < 3 * known <= 3e-6
    assert f"estimated relative L2 error {known:.1e}" in shown
    assert SolveContents().record(solved)["estimated_error"] == known


# --- Numbers that a problem computes from its solution


def poiseuille(answer=lambda solution: {"flow": solution.integral()}, **attributes):
    """u'' = -2 on (0, 1), u = 0 at both ends: u = y (1 - y), ∫ u = 1/6."""
    line = kp.Box(y=(0, 1))
    given, attributes["quantities"] = [kp.Dirichlet(line.boundary, 0.0)], answer
    return Stated(line, lambda p, u: kp.laplacian(u) + 2.0, given, **attributes)


def poiseuille_flow(*answer) -> kp.Solution:
    return kp.solve(poiseuille(*answer), kp.KAN([1, 1], degree=3), verified=False)


def test_a_flow_through_a_channel_is_a_sixth():
    found = {"flow": pytest.approx(1 / 6, abs=1e-12)}
    solution = poiseuille_flow()
    assert solution.quantities == SolveContents().record(solution)["quantities"] == found
    assert list(quantities(solution)) == ["flow = 0.1666666667"]


def test_numbers_of_numpy_and_torch_are_numbers():
    numbers = {"a": numpy.float32(0.5), "b": numpy.int64(2), "c": torch.tensor([0.25]), "d": 1}
    assert poiseuille_flow(lambda s: numbers).quantities == {
        "a": 0.5,
        "b": 2.0,
        "c": 0.25,
        "d": 1.0,
    }


def test_a_solution_is_kept_if_its_quantities_fail(caplog):
    solution = poiseuille_flow(lambda s: {"flow": 1 / 0})
    assert SolveContents().record(solution)["quantities"] is None
    assert "the quantities of the solution could not be computed" in caplog.text
    assert list(quantities(solution)) == []


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda s: 1.0, "quantities must return a dict from names to numbers, got 1.0"),
        (lambda s: {1: 1.0}, "must return a dict from names"),
        (lambda s: {"flow": s.gradient}, "quantities: flow must be a real number, got"),
        (lambda s: {"flow": torch.tensor(1j)}, "flow must be a real number, got tensor"),
        (lambda s: {"flow": True}, "flow must be a real number, got True"),
    ],
)
def test_what_is_no_number_with_a_name_is_refused(answer, words):
    with pytest.raises(kp.InputError, match=words):
        _ = poiseuille_flow(answer).quantities


def test_two_fields_are_a_velocity_in_the_plane():
    words = r"velocity_fields must name two fields .* in the plane"
    with pytest.raises(kp.InputError, match=words):
        kp.solve(poiseuille(velocity_fields=("u",)), kp.KAN([1, 1]))


def decay():
    """u_t = -u over a disk with a radius of 2, u = e^-t (1 + x)."""
    disk, exact = kp.Disk((0, 0), 2).over(t=(0, 1)), formulas("exp(-t) * (1 + x)")
    residual = lambda p, u: kp.partial(u, "t") + u.value  # noqa: E731
    return Stated(disk, residual, [kp.Initial(disk, exact)], exact=exact)


def test_integrals_over_space_at_one_moment():
    network = kp.KAN([3, 80, 1], grid=1, degree=9)
    solution = kp.solve(decay(), network, kp.LeastSquares(), errors=False, verified=False)
    disk, size = kp.Disk((0, 0), 2), math.exp(-0.5)
    assert float(solution.integral(disk, time=0.5)) == pytest.approx(4 * math.pi * size, rel=1e-5)

    def across(p, u):  # ∫ u n over the circle is the area, times the factor at that moment
        return u.value * p.normals

    force = solution.integral(disk.boundary, across, time=0.5)
    expected = torch.tensor([4 * math.pi * size, 0.0, 0.0]).double()
    torch.testing.assert_close(force.value, expected, rtol=1e-5, atol=1e-4)
    for region, time in ((disk, None), (solution.problem.domain, 0.5)):
        with pytest.raises(kp.InputError, match="expected a region with the coordinates"):
            solution.integral(region, time=time)
    with pytest.raises(kp.InputError, match=r"got 'x_min'; a piece is a boundary by its name"):
        solution.flux("x_min")
