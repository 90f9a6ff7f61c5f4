"""The equation and the natural conditions of an energy are its first variation."""

import pytest
import torch

import kanpinn as kp
from kanpinn.geometry import Points
from kanpinn.geometry.sampling import sample
from kanpinn.jets import Channels, find_channels, jet_of
from kanpinn.pde.boundary_value_problem import stated
from kanpinn.pde.energies import Natural, euler_lagrange
from kanpinn.pde.problem import by_energy

SQUARE = kp.Box(x=(0, 1), y=(0, 1))
FIELDS = (
    lambda x: torch.sin(2 * x[:, :1] + x[:, 1:]),
    lambda x: torch.exp(x[:, :1] * x[:, 1:] / 2),
)
HESSIAN = Channels(("x", "y"), second="hessian")


def _density(p, u, v):
    """A density without symmetries, with coefficients that depend on the place."""
    a, b, c = kp.partial(u, "x"), kp.directional(u, (1, 2)), kp.partial(v, "y")
    invariants = 1 + a**2 + p.x * a * b + (1 + p.y**2) * b**2 * v.value.square() + c**2
    return invariants.sqrt() + torch.cos(p.x * u.value) * c + u.value * v.value


def _of_functions(p, i):
    """The derivatives of the density by the gradient and the value of field i, as functions."""
    jets = [jet_of(f, p.coords, HESSIAN) for f in FIELDS]

    def varied(which):
        steps = p.coords.new_zeros(3, len(p), 1).requires_grad_()
        fields = []
        for k, u in enumerate(jets):
            value, gradient = u.value, u.gradient
            if k == i:
                value, gradient = value + steps[0], gradient + steps[1:].transpose(0, 1)
            channels = Channels(p.names, gradient=True, directions=((1.0, 2.0),), order=1)
            lines = gradient[:, 0] + 2 * gradient[:, 1]
            fields.append(kp.Jet(channels, value, gradient, None, lines[:, None, None]))
        (slopes,) = torch.autograd.grad(_density(p, *fields).sum(), steps)
        return slopes[which]

    return varied


def test_the_equation_is_the_divergence_of_the_derived_fluxes(generator):
    p = Points(torch.rand(7, 2, generator=generator, dtype=torch.float64), ("x", "y"))
    found = euler_lagrange(_density, p, [jet_of(f, p.coords, HESSIAN) for f in FIELDS], "e", 2)
    h, wanted = 1e-4, []
    for i in range(2):
        total = _of_functions(p, i)(0)
        for axis in (0, 1):
            step = h * torch.eye(2, dtype=torch.float64)[axis]
            at = [
                _of_functions(Points(p.coords + k * step, p.names), i)(1 + axis)
                for k in (-2, -1, 1, 2)
            ]
            total = total - (at[0] - 8 * at[1] + 8 * at[2] - at[3]) / (12 * h)
        wanted.append(total)
    torch.testing.assert_close(found, torch.cat(wanted, dim=1), rtol=1e-9, atol=1e-9)


def test_second_derivatives_of_a_density_give_those_of_the_moments(generator):
    """The equation of a (Δu)²/2 + b u_xy² / 2 is Δ(a Δu) + ∂_xy(b u_xy) = 0."""
    p = Points(torch.rand(7, 2, generator=generator, dtype=torch.float64), ("x", "y"))
    a, b = lambda x, y: 1 + x**2 * y, lambda x, y: torch.exp(x - y)

    def density(p, u):
        laplacian, twist = (
            kp.directional(u, (1, 0), 2) + kp.partial(u, "y", "y"),
            kp.partial(u, *"xy"),
        )
        return (a(p.x, p.y) * laplacian**2 + b(p.x, p.y) * twist**2) / 2

    def moments(x):
        x, y = x[:, :1], x[:, 1:]
        bend = -5 * torch.sin(2 * x + y) * a(x, y)
        return torch.cat([bend, -2 * torch.sin(2 * x + y) * b(x, y)], dim=1)

    wanted = jet_of(moments, p.coords, HESSIAN)
    _, found = find_channels(
        lambda c: euler_lagrange(density, p, [jet_of(FIELDS[0], p.coords, c)], "e", 1), p.names
    )
    bend, twist = wanted[0], wanted[1]
    torch.testing.assert_close(found, kp.laplacian(bend) + kp.partial(twist, "x", "y"))


def test_natural_conditions_are_fluxes_and_derivatives_on_the_boundary():
    p = sample(SQUARE.boundary["x_max", "y_min"], 9, "uniform")
    jets = [jet_of(f, p.coords, HESSIAN) for f in FIELDS]
    wall = lambda p, u, v: p.y * u.value**3 + v.value  # noqa: E731
    sides = SQUARE.boundary["x_max", "y_min"]
    found = Natural(sides, _density, [(wall, "b")], 2, [0, 1], "e").residual(p, *jets)
    for i in range(2):
        of = _of_functions(p, i)
        flux = p.normals[:, :1] * of(1) + p.normals[:, 1:] * of(2)
        added = 3 * p.y * jets[0].value ** 2 if i == 0 else 1.0
        torch.testing.assert_close(found[:, i, None], flux + added)


class Membrane(kp.Problem):
    domain = SQUARE

    def energy(self, p, u):
        return kp.grad(u).square().sum(dim=1, keepdim=True) / 2 - u.value

    def conditions(self):
        return [
            kp.Dirichlet(self.domain.boundary["x_min"]),
            kp.Neumann(self.domain.boundary["x_max"]),
        ]


def test_natural_conditions_hold_where_no_value_is_prescribed():
    wall, natural = stated(Membrane()).conditions()
    assert [piece.name for piece in wall.pieces] == ["x_min"]
    assert [piece.name for piece in natural.pieces] == ["x_max", "y_min", "y_max"]
    again = by_energy(stated(Membrane()))
    assert len(again.conditions()) == 2


class Twisted(Membrane):
    fields = ("u", "v")

    def energy(self, p, u, v):
        return super().energy(p, u) + v.value**2

    def conditions(self):
        return [kp.Constraint(self.domain.boundary, lambda p, u, v: u.value - v.value)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"energy": lambda self, p, u: kp.partial(u, *"xxy") ** 2}, "derivatives of order 3"),
        (
            {
                "energy": lambda self, p, u: kp.laplacian(u) ** 2,
                "boundary_energies": lambda self: [(SQUARE.boundary, lambda p, u: u.value)],
            },
            "contains second derivatives, for which",
        ),
        (
            {"energy": lambda self, p, u: p.x.detach() * kp.partial(u, "x") ** 2},
            "whose derivative by x is not that of its values",
        ),
        ({"energy": lambda self, p, u: kp.grad(u)}, r"must have shape \(n, 1\)"),
        ({"domain": kp.Box(x=(0, 1), t=(0, 1))}, "has the time t"),
        ({"energy": kp.Problem.energy}, "neither residual"),
        (
            {
                "boundary_energies": lambda self: [
                    (SQUARE.boundary, lambda p, u: kp.partial(u, "x") ** 2)
                ]
            },
            r"boundary_energies\(\)\[0\] contains derivatives",
        ),
        (
            {"boundary_energies": lambda self: [SQUARE.boundary]},
            r"boundary_energies\(\)\[0\] must be a pair of a part of the boundary",
        ),
        (
            {"boundary_energies": lambda self: [("x_max", lambda p, u: u.value)]},
            r"boundary_energies\(\)\[0\] must be a pair of a part of the boundary",
        ),
        (
            {
                "boundary_energies": lambda self: [
                    (SQUARE.boundary["x_min"], lambda p, u: u.value**2)
                ]
            },
            r"boundary_energies\(\)\[0\] changes nothing: all fields are prescribed on x_min",
        ),
        (
            {"conditions": lambda self: [kp.Neumann(SQUARE.boundary["x_max"], 1.0)]},
            r"conditions\(\)\[0\], a Neumann, is natural for an energy",
        ),
    ],
)
def test_energies_without_an_equation_are_refused(changes, message):
    problem = type("Changed", (Membrane,), changes)()
    with pytest.raises(kp.InputError, match=message):
        stated(problem)


def test_conditions_that_couple_fields_are_refused():
    with pytest.raises(kp.InputError, match="couples the fields u, v"):
        stated(Twisted())
