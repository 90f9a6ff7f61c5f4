"""Numbers that a problem computes from its solution."""

import math

import numpy
import pytest
import torch
from cases import Stated, formulas

import kanpinn as kp
from kanpinn.runs.results.contents import SolveContents
from kanpinn.solvers.summary import quantities


def poiseuille(answer=lambda solution: {"flow": solution.integral()}, **attributes):
    """u'' = -2 on (0, 1), u = 0 at both ends: u = y (1 - y), ∫ u = 1/6."""
    line = kp.Box(y=(0, 1))
    given, attributes["quantities"] = [kp.Dirichlet(line.boundary, 0.0)], answer
    return Stated(line, lambda p, u: kp.laplacian(u) + 2.0, given, **attributes)


def solved(*answer) -> kp.Solution:
    return kp.solve(poiseuille(*answer), kp.KAN([1, 1], degree=3), verified=False)


def test_a_flow_through_a_channel_is_a_sixth():
    found = {"flow": pytest.approx(1 / 6, abs=1e-12)}
    solution = solved()
    assert solution.quantities == SolveContents().record(solution)["quantities"] == found
    assert list(quantities(solution)) == ["flow = 0.1666666667"]


def test_numbers_of_numpy_and_torch_are_numbers():
    numbers = {"a": numpy.float32(0.5), "b": numpy.int64(2), "c": torch.tensor([0.25]), "d": 1}
    assert solved(lambda s: numbers).quantities == {"a": 0.5, "b": 2.0, "c": 0.25, "d": 1.0}


def test_a_solution_is_kept_if_its_quantities_fail(caplog):
    solution = solved(lambda s: {"flow": 1 / 0})
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
        _ = solved(answer).quantities


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
    torch.testing.assert_close(force, expected, rtol=1e-5, atol=1e-4)
    for region, time in ((disk, None), (solution.problem.domain, 0.5)):
        with pytest.raises(kp.InputError, match="expected a region with the coordinates"):
            solution.integral(region, time=time)
    with pytest.raises(kp.InputError, match=r"got 'x_min'; a piece is a boundary by its name"):
        solution.flux("x_min")
