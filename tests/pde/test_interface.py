"""Coefficients that jump: the flux is continuous, or jumps as it should; the slope does not."""

import pytest
import torch

import kanpinn as kp
from kanpinn.geometry import Boundary
from kanpinn.pde.verify import exact_defects

RADIUS, INSIDE, OUTSIDE = 0.5, 1.0, 10.0
DISK = kp.Disk((0, 0), RADIUS)


class Inclusion(kp.Problem):
    """-∇·(a ∇u) = -4 with a = 1 in a disk and 10 around it: u = r²/4a·4 but for constants."""

    domain = kp.Box(x=(-1, 1), y=(-1, 1))

    def inputs(self):
        return lambda p: torch.cat([p.x, p.y, (self.rim(p).abs() - 0.875) / 0.875], dim=1)

    def cells(self):
        return DISK, self.domain - DISK

    def rim(self, p):
        return p.x**2 + p.y**2 - RADIUS**2

    def a(self, p):
        return torch.where(self.rim(p) < 0, INSIDE, OUTSIDE)

    def residual(self, p, u):
        return self.a(p) * kp.laplacian(u) - 4

    def energy(self, p, u):
        return self.a(p) * kp.grad(u).square().sum(dim=1, keepdim=True) / 2 + 4 * u.value

    def conditions(self):
        return [
            kp.Dirichlet(self.domain.boundary, lambda p: self.rim(p) / OUTSIDE),
            kp.Interface(self.domain, DISK.boundary, self.a),
        ]

    def exact(self, p):
        return self.rim(p) / self.a(p)


class Heated(Inclusion):
    """The same with a flux of 3 out of the rim: the outer part has a logarithm, too."""

    def conditions(self):
        whole = self.domain.boundary
        rim = kp.Interface(self.domain, DISK.boundary, self.a, flux=lambda p: 3 + 0 * p.x)
        return [kp.Dirichlet(whole, self.exact), rim]

    def exact(self, p):
        r2 = (p.x**2 + p.y**2).clamp_min(RADIUS**2)
        return self.rim(p) / self.a(p) + 3 * RADIUS / OUTSIDE * torch.log(r2 / RADIUS**2) / 2


@pytest.mark.parametrize("problem", [Inclusion(), Heated()], ids=["flux 0", "flux 3"])
def test_a_flux_across_an_interface_in_the_strong_form(problem):
    assert all(defect.is_rounding for defect in exact_defects(problem))
    network = kp.KAN([3, 80, 1], degree=9, grid=[2, 4])
    points, loss = kp.Collocation(2200, 300), kp.Loss(interior=0.01)
    errors = kp.solve(problem, network, None, points, boundary="penalty", loss=loss).errors
    assert errors.h1_relative < 1e-5


def test_a_flux_across_an_interface_is_natural_in_the_energy_form():
    class Natural(Inclusion):
        def conditions(self):
            return super().conditions()[:1]

    network = kp.KAN([3, 24, 1], degree=5, grid=[1, 3])
    points = kp.Collocation(3000, 100)
    solution = kp.solve(
        Natural(), network, points=points, boundary="exact", loss=kp.Loss(form="energy")
    )
    assert solution.errors.h1_relative < 5e-3


def test_an_interface_that_is_no_boundary_is_refused():
    with pytest.raises(kp.InputError, match="coefficient takes a number or a function"):
        kp.Interface(Inclusion.domain, DISK.boundary, float("nan"))


def test_single_precision_cannot_tell_the_sides():
    network = kp.KAN([3, 4, 1], degree=5, grid=2, dtype=torch.float32)
    with pytest.raises(kp.InputError, match="Interface needs float64"):
        kp.solve(Inclusion(), network, boundary="penalty")


class Named(Inclusion):
    """Two conditions on the same piece: the second one with another coefficient, or with the same.

    The pieces are equal, but made anew, as in a class that makes its shapes when it is asked.
    """

    def __init__(self, domain, part, name, second):
        self.domain, self.part, self.name, self.second = domain, part, name, second

    def conditions(self):
        first, again = (Boundary(self.part().boundary[self.name].pieces) for _ in range(2))
        return [
            kp.Dirichlet(self.domain.boundary, 0.0),
            kp.Interface(self.domain, first, 2.0),
            kp.Interface(self.domain, again, self.second),
        ]


@pytest.mark.parametrize("second", [2.0, 3.0], ids=["the same", "another"])
@pytest.mark.parametrize(
    ("domain", "part", "name"),
    [
        (Inclusion.domain, lambda: kp.Disk((0, 0), 0.5), "circle"),
        (kp.Box(x=(-1, 1), y=(-1, 1), z=(-1, 1)), lambda: kp.Ball((0, 0, 0), 0.5), "sphere"),
        (
            kp.Box(x=(0, 2), y=(0, 1), z=(0, 1)),
            lambda: kp.Box(x=(0, 1.2), y=(0, 1), z=(0, 1)),
            "x_max",
        ),
    ],
    ids=["disk", "ball", "face"],
)
def test_a_piece_that_two_interfaces_name_is_refused(domain, part, name, second):
    network = kp.Cells([domain.dim, 1], 3, 2)
    with pytest.raises(
        kp.InputError, match=rf"piece of an interface once, got '{name}' in .*\[1\]"
    ):
        kp.solve(Named(domain, part, name, second), network, kp.AdaptiveLeastSquares(steps=1))
