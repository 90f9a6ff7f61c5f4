"""Differential operators against torch.func."""

import itertools

import pytest
import reference
import torch
from torch.func import jacrev, vmap

import kanpinn as kp
from kanpinn.jets import Channels, MissingChannel, directional, find_channels, jet_of, partial

NAMES = ("x", "y", "z")
TOLERANCE = 1e-12


def scalar(x):
    return (torch.exp(x[0]) * torch.sin(2 * x[1] + x[2]) + x[0] ** 2 * x[1] * x[2])[None]


def vector(x):
    return torch.stack([scalar(x)[0], x[0] * x[1] ** 3, torch.cos(x[0] * x[2])])


@pytest.fixture
def x(generator) -> torch.Tensor:
    return 2 * torch.rand(3, 3, generator=generator, dtype=torch.float64) - 1


def apply(operator, function, x):
    """The operator on a jet that carries what the operator asks for, and nothing else."""
    field = lambda rows: torch.stack([function(row) for row in rows])  # noqa: E731
    channels, values = find_channels(lambda c: operator(jet_of(field, x, c)), NAMES)
    return values, channels


def derivative(function, axis: int):
    return lambda x: jacrev(function)(x)[..., axis]


def mixed(function, x, axes):
    """∂_{a_1} … ∂_{a_n} by nested derivatives."""
    for axis in axes:
        function = derivative(function, axis)
    return vmap(function)(x)


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_every_partial_derivative_agrees_with_torch_func(order, x):
    for axes in itertools.combinations_with_replacement(range(3), order):
        names = [NAMES[a] for a in reversed(axes)]
        found, _ = apply(lambda u, names=names: partial(u, *names), scalar, x)
        assert reference.distance(found, mixed(scalar, x, axes)) < TOLERANCE


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_directional_derivatives_agree_with_torch_func(order, x):
    v = (1.0, -2.0, 0.5)
    found, channels = apply(lambda u: directional(u, v, order), vector, x)
    assert reference.distance(found, reference.along(vector, x, v, order)[:, -1]) < TOLERANCE
    assert channels == Channels(NAMES, directions=(v,), order=order)


def test_gradient_divergence_and_hessian_have_the_documented_shapes(x):
    true = reference.jet_of_point(vector, x, NAMES)
    grad, _ = apply(kp.grad, vector, x)
    div, _ = apply(kp.div, vector, x)
    hessian, _ = apply(kp.hessian, vector, x)
    assert reference.distance(grad, true.gradient) < TOLERANCE
    trace = sum(true.gradient[:, i, i] for i in range(3))[:, None]
    assert reference.distance(div, trace) < TOLERANCE
    assert reference.distance(hessian, true.second.unflatten(1, (3, 3))) < TOLERANCE
    assert apply(kp.grad, scalar, x)[0].shape == (3, 3)
    assert apply(kp.hessian, scalar, x)[0].shape == (3, 3, 3)


@pytest.mark.parametrize("kind", ["laplacian", "diagonal", "hessian"])
def test_the_laplacian_is_the_same_from_each_kind_of_second_channel(kind, x):
    field = lambda rows: torch.stack([vector(row) for row in rows])  # noqa: E731
    u = jet_of(field, x, Channels(NAMES, second=kind))
    true = sum(mixed(vector, x, (a, a)) for a in range(3))
    assert reference.distance(kp.laplacian(u), true) < TOLERANCE


def test_the_biharmonic_operator_agrees_with_torch_func(x):
    found, _ = apply(kp.biharmonic, vector, x)
    true = sum(mixed(vector, x, (a, a, b, b)) for a, b in itertools.product(range(3), repeat=2))
    assert reference.distance(found, true) < TOLERANCE


@pytest.mark.parametrize(
    ("operator", "channels"),
    [
        (lambda u: u.value, Channels(NAMES)),
        (kp.grad, Channels(NAMES, gradient=True)),
        (lambda u: partial(u, "y"), Channels(NAMES, gradient=True)),
        (kp.laplacian, Channels(NAMES, second="laplacian")),
        (lambda u: kp.laplacian(u) + u.value, Channels(NAMES, second="laplacian")),
        (lambda u: partial(u, "z", "z"), Channels(NAMES, second="diagonal")),
        (lambda u: partial(u, "z", "z") + kp.laplacian(u), Channels(NAMES, second="diagonal")),
        (lambda u: partial(u, "x", "z"), Channels(NAMES, second="hessian")),
        (
            lambda u: partial(u, "y", "y", "y"),
            Channels(NAMES, directions=((0.0, 1.0, 0.0),), order=3),
        ),
    ],
)
def test_only_the_derivatives_that_are_used_are_carried(operator, channels, x):
    _, found = apply(operator, scalar, x)
    assert found == channels


def test_what_is_not_carried_is_asked_for(x):
    u = jet_of(lambda rows: rows[:, :1], x, Channels(NAMES))
    with pytest.raises(MissingChannel):
        kp.laplacian(u)


@pytest.mark.parametrize(
    ("operator", "words"),
    [
        (lambda u: partial(u, "t"), "'t'.*x, y, z"),
        (lambda u: partial(u), "1 to 4"),
        (lambda u: partial(u, *"xxxxx"), "1 to 4"),
        (lambda u: directional(u, (1.0, 0.0)), "3 numbers"),
        (lambda u: kp.div(u), "3 components"),
    ],
)
def test_operators_refuse_what_they_cannot_take(operator, words, x):
    with pytest.raises(kp.InputError, match=words):
        apply(operator, scalar, x)
