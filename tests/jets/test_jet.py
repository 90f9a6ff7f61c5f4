"""Jets and their algebra against torch.func."""

import itertools

import pytest
import reference
import torch
from torch.func import jacrev, vmap

import kanpinn as kp
from kanpinn.jets import (
    SECOND_KINDS,
    Channels,
    Jet,
    Linearised,
    MissingChannel,
    directional,
    find_channels,
    jet_of,
    partial,
    random_jets,
)

NAMES = ("x", "y")
DIRECTIONS = ((1.0, 0.0), (1.0, 1.0), (2.0, -0.5))
FULL = Channels(NAMES, second="hessian", directions=DIRECTIONS, order=4)
TOLERANCE = 1e-12


def f(x):
    return torch.stack([torch.exp(x[0]) * torch.cos(x[1]), 2 + x[0] * x[1] ** 2])


def g(x):
    return torch.stack([2 + torch.sin(x[0] * x[1]), 3 + x[0] - x[1]])


@pytest.fixture
def x(generator) -> torch.Tensor:
    return 2 * torch.rand(7, 2, generator=generator, dtype=torch.float64) - 1


def jet(function, x, channels=FULL) -> Jet:
    return jet_of(lambda rows: torch.stack([function(row) for row in rows]), x, channels)


def assert_jet_of(found: Jet, function, x) -> None:
    """Every channel of a jet is the derivative of the function."""
    true = reference.jet_of_point(function, x, NAMES)
    for name in ("value", "gradient", "second"):
        assert reference.distance(getattr(found, name), getattr(true, name)) < TOLERANCE
    for i, direction in enumerate(DIRECTIONS):
        line = reference.along(function, x, direction, 4)
        for order in range(4):
            assert reference.distance(found.lines[:, i, order], line[:, order]) < TOLERANCE


@pytest.mark.parametrize(
    "combine",
    [
        lambda a, b: a + b,
        lambda a, b: a - b,
        lambda a, b: a * b,
        lambda a, b: a / b,
        lambda a, b: 3 / b + 2 * a - 1,
        lambda a, b: 1 - a / 4,
        lambda a, b: -(b**3) + a**2 * b,
        lambda a, b: b**-2 + b**0.5,
        lambda a, b: b**1 - b**0,
    ],
)
def test_arithmetic_of_jets_is_arithmetic_of_functions(combine, x):
    found = combine(jet(f, x), jet(g, x))
    assert_jet_of(found, lambda row: combine(f(row), g(row)), x)


def test_the_chain_rule_holds_to_fourth_order(x):
    b = jet(g, x)
    s, c = torch.sin(b.value), torch.cos(b.value)
    assert_jet_of(b.chain([s, c, -s, -c, s]), lambda row: torch.sin(g(row)), x)


def test_powers_of_zero_have_finite_derivatives():
    zero = torch.zeros(1, 1, dtype=torch.float64)
    u = jet_of(lambda x: x, zero, Channels(("x",), second="laplacian"))
    square = u**2
    assert square.gradient.item() == 0 and square.second.item() == 2


@pytest.mark.parametrize("kind", SECOND_KINDS[1:])
def test_each_kind_of_second_channel_obeys_the_product_and_the_quotient_rule(kind, x):
    channels = Channels(NAMES, second=kind)
    found = jet(f, x, channels) / jet(g, x, channels)
    true = reference.jet_of_point(lambda row: f(row) / g(row), x, NAMES)
    full = true.second.unflatten(1, (2, 2))
    diagonal = torch.stack([full[:, 0, 0], full[:, 1, 1]], dim=1)
    expected = {
        "laplacian": diagonal.sum(1, keepdim=True),
        "diagonal": diagonal,
        "hessian": true.second,
    }[kind]
    assert reference.distance(found.second, expected) < TOLERANCE


def test_a_tensor_has_no_derivatives_so_arithmetic_with_it_gives_values(x):
    a, t = jet(f, x), torch.full((7, 2), 2.0, dtype=torch.float64)
    for found, value in (
        (a * t, a.value * 2),
        (t * a, a.value * 2),
        (a / t, a.value / 2),
        (t / a, 2 / a.value),
        (t - a, 2 - a.value),
        (a + t, a.value + 2),
    ):
        assert isinstance(found, torch.Tensor)
        torch.testing.assert_close(found, value)


def test_a_component_of_a_jet_is_the_jet_of_the_component(x):
    assert_jet_of(jet(f, x)[1], lambda row: f(row)[1:], x)


def test_channels_join_to_the_least_that_has_both():
    a = Channels(NAMES, second="diagonal", directions=((1.0, 0.0),), order=3)
    b = Channels(NAMES, gradient=True, directions=((0.0, 1.0), (1.0, 0.0)), order=2)
    both = a | b
    assert both == Channels(NAMES, True, "diagonal", ((1.0, 0.0), (0.0, 1.0)), 3)
    assert both.derivative_order == 3 and both | a == both
    assert Channels(NAMES).derivative_order == 0
    assert Channels(NAMES, second="laplacian").gradient


# --- Differential operators against torch.func


XYZ = ("x", "y", "z")


def scalar(sample_of_jet):
    return (
        torch.exp(sample_of_jet[0]) * torch.sin(2 * sample_of_jet[1] + sample_of_jet[2])
        + sample_of_jet[0] ** 2 * sample_of_jet[1] * sample_of_jet[2]
    )[None]


def vector(sample_of_jet):
    return torch.stack(
        [
            scalar(sample_of_jet)[0],
            sample_of_jet[0] * sample_of_jet[1] ** 3,
            torch.cos(sample_of_jet[0] * sample_of_jet[2]),
        ]
    )


@pytest.fixture
def sample_of_jet(generator) -> torch.Tensor:
    return 2 * torch.rand(2, 3, generator=generator, dtype=torch.float64) - 1


def apply(operator, function, sample_of_jet):
    """The operator on a jet that carries what the operator asks for, and nothing else."""
    field = lambda rows: torch.stack([function(row) for row in rows])  # noqa: E731
    channels, values = find_channels(lambda c: operator(jet_of(field, sample_of_jet, c)), XYZ)
    return values, channels


def derivative(function, axis: int):
    return lambda sample_of_jet: jacrev(function)(sample_of_jet)[..., axis]


def mixed(function, sample_of_jet, axes):
    """∂_{a_1} … ∂_{a_n} by nested derivatives."""
    for axis in axes:
        function = derivative(function, axis)
    return vmap(function)(sample_of_jet)


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_every_partial_derivative_agrees_with_torch_func(order, sample_of_jet):
    several = list(itertools.combinations_with_replacement(range(3), order))
    for axes in several[:: 1 if order < 4 else 5]:
        names = [XYZ[a] for a in reversed(axes)]
        found, _ = apply(lambda u, names=names: partial(u, *names), scalar, sample_of_jet)
        assert reference.distance(found, mixed(scalar, sample_of_jet, axes)) < TOLERANCE


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_directional_derivatives_agree_with_torch_func(order, sample_of_jet):
    v = (1.0, -2.0, 0.5)
    found, channels = apply(lambda u: directional(u, v, order), vector, sample_of_jet)
    assert (
        reference.distance(found, reference.along(vector, sample_of_jet, v, order)[:, -1])
        < TOLERANCE
    )
    assert channels == Channels(XYZ, directions=(v,), order=order)


def test_gradient_divergence_and_hessian_have_the_documented_shapes(sample_of_jet):
    true = reference.jet_of_point(vector, sample_of_jet, XYZ)
    grad, _ = apply(kp.grad, vector, sample_of_jet)
    div, _ = apply(kp.div, vector, sample_of_jet)
    hessian, _ = apply(kp.hessian, vector, sample_of_jet)
    assert reference.distance(grad, true.gradient) < TOLERANCE
    trace = sum(true.gradient[:, i, i] for i in range(3))[:, None]
    assert reference.distance(div, trace) < TOLERANCE
    assert reference.distance(hessian, true.second.unflatten(1, (3, 3))) < TOLERANCE
    assert apply(kp.grad, scalar, sample_of_jet)[0].shape == (2, 3)
    assert apply(kp.hessian, scalar, sample_of_jet)[0].shape == (2, 3, 3)


def stress(p, u, v):
    slopes = torch.stack([kp.grad(u), kp.grad(v)], dim=2)
    return (1 + p.x + slopes[:, :1, 0] * u.value)[:, None] * slopes


FLUXES = {  # functions of points and of the first one or two components of `vector`
    "of the gradient": (lambda p, u: (kp.grad(u) ** 2).sum(1, keepdim=True) ** 0.6 * kp.grad(u), 1),
    "with coefficients": (lambda p, u: (torch.sin(p.x * p.z) + u.value**2) * kp.grad(u), 1),
    "as a tuple": (lambda p, u: (partial(u, "y"), p.x * u.value, p.z), 1),
    "of the Laplacian": (lambda p, u: kp.laplacian(u) * kp.grad(u), 1),
    "of two equations": (stress, 2),
}


@pytest.mark.parametrize(("flux", "fields"), FLUXES.values(), ids=FLUXES)
def test_the_divergence_of_a_flux_agrees_with_torch_func(flux, fields, sample_of_jet):
    def components(x):
        """The flux at one point, (3, equations)."""
        jet = reference.jet_of_point(vector, x[None], XYZ)
        values = flux(kp.Points(x[None], XYZ), *jet.components()[:fields])
        values = torch.stack(values, dim=1) if isinstance(values, tuple) else values
        return values.reshape(3, -1)

    true = torch.stack(
        [jacrev(components)(x).diagonal(dim1=0, dim2=2).sum(-1) for x in sample_of_jet]
    )
    p = kp.Points(sample_of_jet, XYZ)
    found, _ = apply(lambda u: kp.div(flux, p, *u.components()[:fields]), vector, sample_of_jet)
    assert reference.distance(found, true) < TOLERANCE * float(1 + true.abs().max())


def test_a_flux_may_contain_a_divergence_and_takes_no_derivatives_by_the_time(sample_of_jet):
    p, gradient = kp.Points(sample_of_jet, XYZ), lambda p, u: kp.grad(u)
    flux = lambda p, u: kp.div(gradient, p, u) * kp.grad(u)  # noqa: E731
    found, _ = apply(lambda u: kp.div(flux, p, u[0]), vector, sample_of_jet)
    true, _ = apply(lambda u: kp.div(FLUXES["of the Laplacian"][0], p, u[0]), vector, sample_of_jet)
    assert reference.distance(found, true) < TOLERANCE * float(1 + true.abs().max())
    moving = Channels(("x", "t"), second="diagonal")
    u = jet_of(lambda x: x[:, :1] ** 2 * x[:, 1:], sample_of_jet[:, :2], moving)
    heat = kp.div(gradient, kp.Points(sample_of_jet[:, :2], moving.names), u)
    assert reference.distance(heat, 2 * sample_of_jet[:, 1:2]) < TOLERANCE


@pytest.mark.parametrize("kind", ["laplacian", "diagonal", "hessian"])
def test_the_laplacian_is_the_same_from_each_kind_of_second_channel(kind, sample_of_jet):
    field = lambda rows: torch.stack([vector(row) for row in rows])  # noqa: E731
    u = jet_of(field, sample_of_jet, Channels(XYZ, second=kind))
    true = sum(mixed(vector, sample_of_jet, (a, a)) for a in range(3))
    assert reference.distance(kp.laplacian(u), true) < TOLERANCE


def test_the_biharmonic_operator_agrees_with_torch_func(sample_of_jet):
    found, _ = apply(kp.biharmonic, scalar, sample_of_jet)
    true = sum(
        mixed(scalar, sample_of_jet, (a, a, b, b)) for a, b in itertools.product(range(3), repeat=2)
    )
    assert reference.distance(found, true) < TOLERANCE


@pytest.mark.parametrize(
    ("operator", "channels"),
    [
        (lambda u: u.value, Channels(XYZ)),
        (kp.grad, Channels(XYZ, gradient=True)),
        (lambda u: partial(u, "y"), Channels(XYZ, gradient=True)),
        (kp.laplacian, Channels(XYZ, second="laplacian")),
        (lambda u: kp.laplacian(u) + u.value, Channels(XYZ, second="laplacian")),
        (lambda u: partial(u, "z", "z"), Channels(XYZ, second="diagonal")),
        (lambda u: partial(u, "z", "z") + kp.laplacian(u), Channels(XYZ, second="diagonal")),
        (lambda u: partial(u, "x", "z"), Channels(XYZ, second="hessian")),
        (
            lambda u: partial(u, "y", "y", "y"),
            Channels(XYZ, directions=((0.0, 1.0, 0.0),), order=3),
        ),
    ],
)
def test_only_the_derivatives_that_are_used_are_carried(operator, channels, sample_of_jet):
    _, found = apply(operator, scalar, sample_of_jet)
    assert found == channels


def test_what_is_not_carried_is_asked_for(sample_of_jet):
    u = jet_of(lambda rows: rows[:, :1], sample_of_jet, Channels(XYZ))
    with pytest.raises(MissingChannel):
        kp.laplacian(u)
    second = jet_of(lambda rows: rows[:, :1], sample_of_jet, Channels(XYZ, second="hessian"))
    with pytest.raises(MissingChannel):  # by a law that takes a derivative of another jet
        kp.div(
            lambda p, v: kp.directional(u, (1, 1, 0)) * kp.grad(v),
            kp.Points(sample_of_jet, XYZ),
            second,
        )


ORIGIN = kp.Points(torch.zeros(2, 3, dtype=torch.float64), XYZ)


@pytest.mark.parametrize(
    ("operator", "words"),
    [
        (lambda u: partial(u, "t"), "'t'.*x, y, z"),
        (lambda u: partial(u), "1 to 4"),
        (lambda u: partial(u, *"xxxxx"), "1 to 4"),
        (lambda u: directional(u, (1.0, 0.0)), "3 numbers"),
        (lambda u: kp.div(u), "3 components"),
        (lambda u: kp.div(kp.grad(u)), "got Tensor"),
        (lambda u: kp.div(kp.grad), "got the flux alone"),
        (lambda u: kp.div(lambda p, u: u.value, ORIGIN, u), r"must have shape \(n, 3\)"),
        (lambda u: kp.div(lambda p, u: 1.0, ORIGIN, u), "got float"),
        (lambda u: kp.div(lambda p: p.x, ORIGIN, u), "raises an exception"),
        (lambda u: kp.div(lambda p, u: partial(u, *"xyz"), ORIGIN, u), "derivatives of order 3"),
        (lambda u: Channels(NAMES, second="trace"), "'trace'"),
        (lambda u: u.gradient[:, 0], r"write kp.grad\(u\)"),
    ],
)
def test_operators_refuse_what_they_cannot_take(operator, words, sample_of_jet):
    with pytest.raises(kp.InputError, match=words):
        apply(operator, scalar, sample_of_jet)


# --- Linearisations of equations against formulas, and the test whether equations are affine


POINTS = kp.Points(
    torch.rand(6, 2, generator=torch.Generator().manual_seed(1)).double(), ("x", "y")
)
EQUATIONS = {  # with whether they are affine
    "affine": (lambda p, u: p.x * kp.laplacian(u) - kp.partial(u, "y") + 3 * p.y, True),
    "of third order": (lambda p, u: kp.partial(u, "x", "y", "y") - u.value, True),
    "quadratic": (lambda p, u: kp.laplacian(u) + 1e-3 * u.value**2, False),
    "without fields": (lambda p, u: p.x, True),
    "in pairs": (lambda p, u: u.value[0::2] - 2 * u.value[1::2] + 1, True),
}


@pytest.mark.parametrize(("equation", "affine"), EQUATIONS.values(), ids=EQUATIONS)
def test_a_linearisation_gives_the_change_of_the_residual(equation, affine):
    u, v = random_jets(equation, POINTS, 1)
    linear = Linearised.at(equation, POINTS, u)
    assert torch.equal(linear.values, equation(POINTS, u))
    small = v * 1e-6
    change = equation(POINTS, u + small) - linear.values
    torch.testing.assert_close(linear.change(small), change, rtol=1e-3, atol=1e-14)
    torch.testing.assert_close(linear.right, linear.change(u) - linear.values)
    assert linear.is_affine() == affine


@pytest.mark.parametrize(
    "equation",
    [EQUATIONS["of third order"][0], lambda p, u: p.y * kp.hessian(u).sum(dim=(1, 2))[:, None]],
)
def test_the_symbol_is_what_an_equation_makes_of_an_exponential(equation):
    kappa = torch.tensor([0.3, -0.7], dtype=torch.float64)
    channels, _ = find_channels(
        lambda c: equation(POINTS, jet_of(lambda x: (x @ kappa).exp()[:, None], POINTS.coords, c)),
        "xy",
    )
    wave = jet_of(lambda x: (x @ kappa).exp()[:, None], POINTS.coords, channels)
    linear, expected = Linearised.at(equation, POINTS, wave), equation(POINTS, wave) / wave.value
    found = torch.cat([linear.symbol(row, kappa[None] + 0j)[0] for row in range(len(POINTS))])
    torch.testing.assert_close(found.real, expected)
    zero, one = torch.zeros(2).double(), torch.ones(2).double()
    polynomial = linear.along(0, zero + 0j, one + 0j)
    at_two = sum(c * 2**r for r, c in enumerate(polynomial))
    assert abs(at_two - linear.symbol(0, 2 * one[None] + 0j).numpy()[0]) < 1e-12
