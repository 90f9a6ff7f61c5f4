"""Whether exact solutions satisfy their problems: a defect says by how much they do not."""

import pytest
import torch
from cases import Coupled, Cubic, Line

import kanpinn as kp
from kanpinn.pde.verify import exact_defects


class Wrong(Line):
    """u'' = 0 on [-1, 2] with u = x at its ends, and u = x² given for the solution."""

    def residual(self, p, u):
        return kp.laplacian(u)

    def conditions(self):
        return [kp.Dirichlet(self.domain.boundary, lambda p: p.x)]

    def exact(self, p):
        return p.x**2


class Ends(Line):
    """The same solution with a condition for each end: faces of one point."""

    def conditions(self):
        faces = [self.domain.boundary[name] for name in ("x_min", "x_max")]
        return [kp.Dirichlet(face, self.exact) for face in faces]


class Pair(Coupled):
    """Two fields on an interval: two equations at two points are no broadcast."""

    domain = kp.Box(x=(-1, 2))

    def residual(self, p, u, v):
        return kp.laplacian(u), kp.laplacian(v) - 2

    def conditions(self):
        return [kp.Dirichlet(self.domain.boundary, self.exact)]

    def exact(self, p):
        return torch.cat([1 - p.x, p.x**2], dim=1)


class Broadcast(Line):
    def residual(self, p, u):
        return kp.laplacian(u) - p.x[:, 0]


@pytest.mark.parametrize("problem", [Line(), Cubic(), Ends(), Pair()])
def test_solutions_satisfy_their_problems_to_rounding(problem):
    defects = list(exact_defects(problem))
    name = type(problem).__name__
    assert defects[0].name == f"{name}.residual"
    assert [d.name for d in defects[1:]] == [
        f"{name}.conditions()[{i}]" for i in range(len(problem.conditions()))
    ]
    assert all(d.is_rounding for d in defects)


def test_a_wrong_solution_has_a_defect():
    inside, at_ends = exact_defects(Wrong())
    assert not inside.is_rounding and inside.size == pytest.approx(2)
    assert at_ends.size == pytest.approx((((1 + 1) ** 2 + (4 - 2) ** 2) / 2) ** 0.5)


def test_without_a_solution_there_is_no_defect():
    assert list(exact_defects(Coupled())) == []


def test_a_broadcast_is_refused():
    with pytest.raises(kp.InputError, match=r"Broadcast\.residual must have shape \(n, 1\)"):
        list(exact_defects(Broadcast()))
