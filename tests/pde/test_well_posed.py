"""How many conditions an equation needs at each side, and data that have no solution."""

import math

import pytest
import torch
from cases import Stated

import kanpinn as kp
from kanpinn.geometry import Points
from kanpinn.geometry.sampling import sample
from kanpinn.jets import Channels, biharmonic, find_channels, jet_of
from kanpinn.pde.boundary_value_problem import stated
from kanpinn.pde.checks import (
    Probe,
    check_well_posed,
    excess_conditions,
    imbalance,
    lacking_conditions,
    pure_fluxes,
)
from kanpinn.pde.energies import Energy, Natural
from kanpinn.pde.problem import by_energy

SQUARE, DISK = kp.Box(x=(0, 2), y=(-1, 1)), kp.Disk((0, 0), 1.5)
FILM, TUBE = kp.Box(x=(0, 2), t=(0, 1)), kp.Disk((0, 0), 1.5).over(t=(0, 1))
LINE = kp.Box(x=(0, 2))


def values(domain, *names, **field):
    return [kp.Dirichlet(domain.boundary[name], **field) for name in names]


def fluxes(domain, *names):
    return [kp.Neumann(domain.boundary[name]) for name in names]


def laplace(p, u):
    return kp.laplacian(u)


def plate(p, u):
    return biharmonic(u)


def heat(p, u):
    return kp.partial(u, "t") - 0.01 * kp.partial(u, "x", "x")


def heat_in_tube(p, u):
    return kp.partial(u, "t") - kp.partial(u, "x", "x") - kp.partial(u, "y", "y")


def wave(p, u):
    return 4 * kp.partial(u, "x", "x") - kp.partial(u, "t", "t") + u.value


def advection(p, u):
    return kp.partial(u, "t") - (1 + p.x) * kp.partial(u, "x")


def dispersion(p, u):
    return kp.partial(u, "t") + u.value * kp.partial(u, "x") + kp.partial(u, "x", "x", "x")


def beam(p, u):
    return kp.partial(u, "x", "x", "x", "x") - u.value


def black_scholes(p, u):
    """Backward in time, and degenerate at x = 0."""
    bend = p.x**2 * kp.partial(u, "x", "x") / 8
    return kp.partial(u, "t") + bend + 0.1 * p.x * kp.partial(u, "x") - 0.1 * u.value


def stokes(p, u, v, q):
    return (
        kp.laplacian(u) - kp.partial(q, "x"),
        kp.laplacian(v) - kp.partial(q, "y"),
        kp.div(u, v),
    )


def cauchy_riemann(p, u, v):
    return kp.partial(u, "x") - kp.partial(v, "y"), kp.partial(u, "y") + kp.partial(v, "x")


def pendulum(p, u, v):
    return kp.partial(u, "x") - v.value, kp.partial(v, "x") + u.chain([u.value.sin()] * 5).value


def stress(p, u, v, q):
    return kp.partial(u, "x") - q.value, kp.partial(v, "x")


FLOW = (
    *values(SQUARE, "x_min", "y_min", "y_max", field="u"),
    *values(SQUARE, "x_min", "y_min", "y_max", field="v"),
)
NEEDED = {  # all conditions that the equation needs: each of them is lacking if it is left out
    "laplace": (
        SQUARE, laplace, values(SQUARE, "x_min", "x_max", "y_min") + fluxes(SQUARE, "y_max"),
    ),
    "disk": (DISK, laplace, [kp.Robin(DISK.boundary, 1.0, 1.0)]),
    "plate": (DISK, plate, values(DISK, "circle") + fluxes(DISK, "circle")),
    "heat": (FILM, heat, [kp.Initial(FILM), *values(FILM, "x_min"), *fluxes(FILM, "x_max")]),
    "tube": (TUBE, heat_in_tube, [kp.Initial(TUBE), *values(TUBE, "circle")]),
    "wave": (FILM, wave, [kp.Initial(FILM, 0.0, 0.0), *values(FILM, "x_min", "x_max")]),
    "advection": (FILM, advection, [kp.Initial(FILM), *values(FILM, "x_max")]),
    "dispersion": (
        FILM,
        dispersion,
        [kp.Initial(FILM), *values(FILM, "x_min", "x_max"), *fluxes(FILM, "x_max")],
    ),
    "beam": (LINE, beam, values(LINE, "x_min", "x_max") + fluxes(LINE, "x_min", "x_max")),
    "option": (FILM, black_scholes, values(FILM, "t_max", "x_max")),
    "outlet": (SQUARE, stokes, [*FLOW, kp.Constraint(SQUARE.boundary["x_max"], stress)]),
    "harmonic pair": (
        SQUARE, cauchy_riemann, values(SQUARE, "x_min", "x_max", "y_min", "y_max", field="u"),
    ),
    "pendulum": (
        LINE, pendulum, values(LINE, "x_min", field="u") + values(LINE, "x_max", field="v"),
    ),
}  # fmt: skip
FIELDS = {stokes: ("u", "v", "q"), cauchy_riemann: ("u", "v"), pendulum: ("u", "v")}


@pytest.mark.parametrize("name", NEEDED)
def test_a_solution_is_unique_with_all_conditions_and_without_any_it_is_not(name):
    domain, residual, conditions = NEEDED[name]
    fields = FIELDS.get(residual, ("u",))
    stated = Stated(domain, residual, conditions, fields)
    probe = Probe(stated)
    assert lacking_conditions(probe) is None and not excess_conditions(probe)
    for left in range(len(conditions)):
        fewer = [c for index, c in enumerate(conditions) if index != left]
        lack = lacking_conditions(Probe(Stated(domain, residual, fewer, fields)))
        assert lack is not None and lack.is_sure


def test_two_conditions_on_one_field_do_not_stand_for_one_on_each():
    def pair(p, u, v):
        return kp.laplacian(u) - v.value, kp.laplacian(v)

    wall = SQUARE.boundary
    both = [kp.Dirichlet(wall, field="u"), kp.Neumann(wall, field="v")]
    assert lacking_conditions(Probe(Stated(SQUARE, pair, both, ("u", "v")))) is None

    def apart(p, u, v):
        return kp.laplacian(u), kp.laplacian(v)

    twice = [kp.Dirichlet(wall, field="u"), kp.Neumann(wall, field="u")]
    lack = lacking_conditions(Probe(Stated(SQUARE, apart, twice, ("u", "v"))))
    assert lack is not None and "2 conditions, none of them about v, which determine" in lack.text


def test_a_rate_is_asked_for_by_equations_of_second_order_in_time():
    conditions = [kp.Initial(FILM), *values(FILM, "x_min", "x_max")]
    with pytest.raises(kp.InputError, match=r"t_min and t_max have 1 .* needs 2"):
        check_well_posed(Stated(FILM, wave, conditions))


def test_a_laplacian_that_contains_the_time_is_named():
    def slow(p, u):
        return kp.partial(u, "t") - kp.laplacian(u)

    conditions = [kp.Initial(FILM), *values(FILM, "x_min", "x_max")]
    with pytest.raises(kp.InputError, match=r"needs 2 \(kp.laplacian\(u\) contains .* in t\)"):
        check_well_posed(Stated(FILM, slow, conditions))


def test_more_conditions_elsewhere_may_make_up_for_a_lack():
    """Cauchy's data on one side determine a harmonic function, though not continuously."""
    conditions = values(SQUARE, "x_min", "y_min", "y_max") + fluxes(SQUARE, "x_min")
    with pytest.warns(UserWarning, match="may have more than one solution.*x_max has no condition"):
        check_well_posed(Stated(SQUARE, laplace, conditions))


def test_a_side_with_a_value_and_a_flux_has_one_condition_too_many():
    conditions = [kp.Dirichlet(SQUARE.boundary), *fluxes(SQUARE, "x_min")]
    text = "no solution unless .*: x_min has 2 conditions, and the equation needs 1 there"
    with pytest.warns(UserWarning, match=text):
        check_well_posed(Stated(SQUARE, laplace, conditions))


def test_conditions_may_tie_two_sides_or_lie_on_a_part_of_one():
    half = kp.Box(x=(-1, 2), y=(0, 1)).boundary["x_max"]
    tied = [kp.Periodic(SQUARE, "y"), *values(SQUARE, "x_min"), kp.Dirichlet(half)]
    assert lacking_conditions(Probe(Stated(SQUARE, laplace, tied))) is None


def test_a_class_may_do_without_conditions():
    residual = lambda p, u: kp.laplacian(u) - u.value  # noqa: E731
    check_well_posed(Stated(SQUARE, residual, needs_conditions=False))


def source(p):
    return 2 + torch.cos(torch.pi * p.x)


def poisson(p, u):
    return -(1 + p.x) * kp.laplacian(u) - kp.partial(u, "x") - source(p)


@pytest.mark.parametrize("extra", [0.0, 0.1, -1e-5])
def test_the_imbalance_is_the_integral_of_the_source_and_of_all_fluxes(extra):
    """∮ (1 + x) g = 12 g on the square's four sides, where ∫ f = 8."""
    flux = kp.Neumann(SQUARE.boundary, -8 / 16 + extra)
    weighed = 2 * 1 + 2 * 3 + 2 * (2 + 2)  # ∮ (1 + x)
    assert weighed == 16
    problem = Stated(SQUARE, poisson, [flux, kp.Integral(SQUARE)])
    probe = Probe(problem)
    found = imbalance(probe)
    assert pure_fluxes(probe) and found is not None
    assert math.isclose(-found[0], weighed * extra, abs_tol=1e-12)
    if extra == 0.1:
        with pytest.raises(kp.InputError, match="balance"):
            check_well_posed(problem)
    elif extra:
        with pytest.warns(UserWarning, match="balance"):
            check_well_posed(problem)
    else:
        check_well_posed(problem)


def test_only_equations_in_divergence_form_have_a_balance():
    problem = Stated(SQUARE, lambda p, u: p.x * kp.laplacian(u) - 1, [kp.Neumann(SQUARE.boundary)])
    assert imbalance(Probe(problem)) is None


# --- The equation and the natural conditions of an energy are its first variation


UNIT = kp.Box(x=(0, 1), y=(0, 1))
FORMS = (lambda x: torch.sin(2 * x[:, :1] + x[:, 1:]), lambda x: torch.exp(x[:, :1] * x[:, 1:] / 2))
HESSIAN = Channels(("x", "y"), second="hessian")


def _density(p, u, v):
    """A density without symmetries, with coefficients that depend on the place."""
    a, b, c = kp.partial(u, "x"), kp.directional(u, (1, 2)), kp.partial(v, "y")
    invariants = 1 + a**2 + p.x * a * b + (1 + p.y**2) * b**2 * v.value.square() + c**2
    return invariants.sqrt() + torch.cos(p.x * u.value) * c + u.value * v.value


def _of_functions(p, i):
    """The derivatives of the density by the gradient and the value of field i, as functions."""
    jets = [jet_of(f, p.coords, HESSIAN) for f in FORMS]

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


ENERGY = Energy(_density, "e", ["u", "v"], 2)


def test_the_equation_is_the_divergence_of_the_derived_fluxes(generator):
    p = Points(torch.rand(7, 2, generator=generator, dtype=torch.float64), ("x", "y"))
    found = ENERGY.equation(p, [jet_of(f, p.coords, HESSIAN) for f in FORMS])
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
        lambda c: Energy(density, "e", "u", 1).equation(p, [jet_of(FORMS[0], p.coords, c)]), p.names
    )
    bend, twist = wanted[0], wanted[1]
    torch.testing.assert_close(found, kp.laplacian(bend) + kp.partial(twist, "x", "y"))


def test_natural_conditions_are_fluxes_and_derivatives_on_the_boundary():
    p = sample(UNIT.boundary["x_max", "y_min"], 9, "uniform")
    jets = [jet_of(f, p.coords, HESSIAN) for f in FORMS]
    wall = lambda p, u, v: p.y * u.value**3 + v.value  # noqa: E731
    sides = UNIT.boundary["x_max", "y_min"]
    found = Natural(sides, ENERGY, [(wall, "b")], [0, 1]).residual(p, *jets)
    for i in range(2):
        of = _of_functions(p, i)
        flux = p.normals[:, :1] * of(1) + p.normals[:, 1:] * of(2)
        added = 3 * p.y * jets[0].value ** 2 if i == 0 else 1.0
        torch.testing.assert_close(found[:, i, None], flux + added)


class Membrane(kp.Problem):
    domain = UNIT

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
                "boundary_energies": lambda self: [(UNIT.boundary, lambda p, u: u.value)],
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
                    (UNIT.boundary, lambda p, u: kp.partial(u, "x") ** 2)
                ]
            },
            r"boundary_energies\(\)\[0\] contains derivatives",
        ),
        (
            {"boundary_energies": lambda self: [UNIT.boundary]},
            r"boundary_energies\(\)\[0\] must be a pair of a part of the boundary",
        ),
        (
            {"boundary_energies": lambda self: [("x_max", lambda p, u: u.value)]},
            r"boundary_energies\(\)\[0\] must be a pair of a part of the boundary",
        ),
        (
            {"boundary_energies": lambda self: [(UNIT.boundary["x_min"], lambda p, u: u.value**2)]},
            r"boundary_energies\(\)\[0\] changes nothing: all fields are prescribed on x_min",
        ),
        (
            {"conditions": lambda self: [kp.Neumann(UNIT.boundary["x_max"], 1.0)]},
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


def of_step(p, u):
    return torch.where(p.x < 0.7, 1.0, 3.0) * kp.grad(u)


def outside(p, u):
    k = 1 + p.x**2
    return kp.div(lambda q, w: k * kp.grad(w), p, u)


@pytest.mark.parametrize(
    ("domain", "residual", "message"),
    [
        (SQUARE, of_step, "flux of_step .* jumps at x = 0.7, y"),
        (LINE, of_step, "flux of_step .* jumps at x = 0.7, "),
        (SQUARE, lambda p, u: p.coords, "does not depend on the fields"),
        (SQUARE, lambda p, u: (1 + p.y).detach() * kp.grad(u), "changes with y otherwise"),
        (FILM, lambda p, u: (kp.grad(u) ** 2).sum(1, keepdim=True), "depends on a derivative by t"),
        (LINE, None, "uses values at points other than its own"),
    ],
)
def test_fluxes_that_cannot_be_differentiated_are_refused(domain, residual, message):
    equation = outside if residual is None else lambda p, u: kp.div(residual, p, u) - u.value
    with pytest.raises(kp.InputError, match=message):
        check_well_posed(stated(Stated(domain, equation, [kp.Dirichlet(domain.boundary)])))


def test_at_an_interface_a_flux_may_jump():
    part = kp.Box(x=(0, 0.7), y=(-1, 1))
    conditions = [
        kp.Dirichlet(SQUARE.boundary),
        kp.Interface(SQUARE, part.boundary["x_max"], law=of_step),
    ]
    check_well_posed(stated(Stated(SQUARE, lambda p, u: kp.div(of_step, p, u), conditions)))
