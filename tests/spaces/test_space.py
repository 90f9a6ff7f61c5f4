"""What every space fulfils. A new space is one more line of SPACES."""

import copy
import functools
from collections.abc import Callable
from typing import NamedTuple

import pytest
import torch
from cases import Manufactured, error_of

import kanpinn as kp
from kanpinn.jets import Channels, Coordinates, jet_of
from kanpinn.networks.layer import Tape, get_coefficients, set_coefficients

F = torch.float64
ROD = kp.Box(x=(0, 1), t=(0, 1))
SQUARE, PRISM = kp.Box(x=(0, 1), y=(-1, 1)), kp.Box(x=(0, 1), y=(-1, 1), t=(0, 1))


class Space(NamedTuple):
    """A space, and what is solved in it.

    make: a new network with the same settings. problem: its solution is a member of the space.
    method: solves for a member. foreign: a method of another space. wrong: networks that cannot be
    made, and a word of the refusal.
    """

    make: Callable[[], kp.networks.Network]
    problem: kp.Problem
    method: kp.optimizers.Method
    foreign: kp.optimizers.Method
    wrong: dict[Callable[[], object], str]


def in_steps(**settings):
    """A march in two windows on the intervals or the cells that the network has."""
    return kp.March(1e-6, windows=2, stages=3, regrade=False, **settings)


SPACES = {
    "splines of each coordinate": Space(
        lambda: kp.KAN([2, 1], degree=5, grid=3),
        kp.Poisson(SQUARE, exact="x**3 - 2*y**4 + x"),
        kp.LeastSquares(),
        kp.March(),
        {lambda: kp.KAN([2, 1], grid=[1, 2]): "grid"},
    ),
    "output layer of a KAN": Space(
        lambda: kp.KAN([2, 7, 1], degree=[1, 6], grid=[1, 3], seed=1),
        kp.Poisson(SQUARE, exact="x**3 * y**3"),
        kp.LeastSquares(),
        kp.AdaptiveLeastSquares(),
        {lambda: kp.KAN([2, 0, 1]): "width"},
    ),
    "parallel networks": Space(
        lambda: kp.Beside([kp.KAN([1, 1], degree=k, grid=3) for k in (5, 3)]),
        Manufactured(
            kp.Box(x=(0, 1)),
            lambda p, u, v: (kp.laplacian(u) - v.value, kp.laplacian(v) + u.value),
            ("x**5 - x", "x**3"),
            fields=("u", "v"),
        ),
        kp.LeastSquares(),
        kp.March(),
        {lambda: kp.Beside([kp.KAN([1, 1]), kp.KAN([2, 1])]): "same inputs"},
    ),
    "splines in windows": Space(
        lambda: kp.Windows([2, 1], degree=5, grid=4),
        kp.Heat(ROD, exact="(x**3 + x) * (1 + t**2)"),
        in_steps(),
        kp.LeastSquares(),
        {},
    ),
    "random functions in windows": Space(
        lambda: kp.Windows([3, 7, 1], degree=[1, 6], grid=[1, 1], seed=1),
        kp.Heat(PRISM, exact="(x**3 * y + x) * (1 + t**2)"),
        in_steps(),
        kp.LeastSquares(),
        {},
    ),
    "products of splines in windows": Space(
        lambda: kp.Windows([3, 1], degree=5, grid=2),
        kp.Heat(PRISM, exact="(x**3 * y**2 + x) * (1 + t**2)"),
        in_steps(),
        kp.AdaptiveLeastSquares(),
        {},
    ),
    "polynomials in windows": Space(
        lambda: kp.Windows([1, 1]),
        Manufactured(
            kp.Box(t=(0, 1)), lambda p, u: kp.partial(u, "t") + u.value**2, "1 + t - t**2"
        ),
        in_steps(),
        kp.LeastSquares(),
        {},
    ),
    "cells": Space(
        lambda: kp.Cells([2, 1], degree=5, cells=2),
        kp.Poisson(SQUARE, exact="x**3 * y**2 + x"),
        kp.AdaptiveLeastSquares(1e-9),
        kp.LeastSquares(),
        {
            lambda: kp.Cells([2, 8, 1]): "no hidden layer",
            lambda: kp.Cells([5, 1], 4): "at most 4 inputs",
            lambda: kp.Cells([2, 1], 31): "degree must be at most 30",
            lambda: kp.Cells([2, 1], 4, [1, 2, 3]): "cells must be one number or 2",
        },
    ),
    "cells in time": Space(
        lambda: kp.CellWindows([3, 1], degree=5, cells=1),
        kp.Heat(PRISM, exact="(x**3 * y**2 + x) * (1 + t**2)"),
        in_steps(),
        kp.LeastSquares(),
        {
            lambda: kp.CellWindows([1, 1]): "at least 2 inputs",
            lambda: kp.CellWindows([3, 4, 1]): "no hidden layers",
        },
    ),
}


@functools.cache
def solved(name):
    """The member of a space that solves its problem; all tests of a space share it."""
    space = SPACES[name]
    return kp.solve(space.problem, space.make(), space.method, verified=False, errors=False)


@pytest.fixture(params=SPACES)
def space(request):
    return request.param


def test_a_member_is_found_by_linear_solves(space):
    solution = solved(space)
    assert solution.status.startswith("converged") and error_of(solution) < 1e-9


def inputs(network, count=30):
    """Random places where the network is smooth, (n, d)."""
    generator = torch.Generator().manual_seed(1)
    x = 2 * torch.rand(count, network.width[0], generator=generator, dtype=F) - 1
    if network.starts_at_zero:
        x[:, -1] += 1
    return x


def test_jets_are_those_of_automatic_differentiation(space):
    network = solved(space).network
    x, names = inputs(network), tuple("xyt"[: network.width[0]])
    ways = ((1.0,) * len(names), (0.6, -0.8, 0.3)[: len(names)])
    channels = Channels(names, True, "hessian", ways, 3)
    found = network.jet(Coordinates(channels, x, torch.ones(len(names), dtype=F)))
    expected = jet_of(network.forward, x, channels)
    for mine, exact in zip(found.parts(), expected.parts(), strict=True):
        assert (mine - exact).abs().max() <= 1e-10 * (1 + exact.abs().max())


@pytest.mark.parametrize("name", [name for name in SPACES if "in " not in name])
def test_the_jacobian_is_that_of_the_coefficients(name):
    """Windows need it for unknown parameters alone, see the tests of these."""
    network = solved(name).network
    layers, names = [network.layers[-1]], tuple("xyt"[: network.width[0]])
    channels, x = Channels(names, second="laplacian"), inputs(network)
    coordinates = Coordinates(channels, x, torch.ones(len(names), dtype=F))

    def residual(tape=None):
        jet = network.jet(coordinates, tape)
        return jet.value[:, 0] * jet.gradient[:, 0, 0] + jet.second[:, 0, 0]

    tape, vector = Tape(layers), get_coefficients(layers)
    found = tape.jacobian(residual(tape))
    step = torch.randn(len(vector), generator=torch.Generator().manual_seed(0), dtype=F)
    ends = []
    for sign in (1, -1):
        set_coefficients(layers, vector + sign * 1e-4 * step)
        ends.append(residual())
    set_coefficients(layers, vector)
    slope = (
        ends[0] - ends[1]
    ).detach() / 2e-4  # exact: the residual is quadratic in the coefficients
    assert torch.allclose(found @ step, slope, rtol=1e-6, atol=1e-6 * float(slope.abs().max()))


def test_a_state_brings_the_function_into_another_network(space):
    network, other = solved(space).network, SPACES[space].make()
    other.load_state_dict(copy.deepcopy(network.state_dict()))
    assert torch.equal(other(inputs(network)), network(inputs(network)))
    assert other.parameter_count == network.parameter_count
    assert torch.equal(get_coefficients(other.all_layers), get_coefficients(network.all_layers))


def test_a_richer_space_contains_the_member(space):
    network = solved(space).network
    richer = network.refined()
    if richer is None:  # a random network of more functions is better
        pytest.skip("there is no refinement")
    problem, method = SPACES[space].problem, SPACES[space].method.finer()
    solution = kp.solve(problem, richer, method, verified=False, errors=False)
    assert error_of(solution) < 1e-9
    other = SPACES[space].make()
    if other.take(network):
        assert torch.equal(other(inputs(network)), network(inputs(network)))


def test_pieces_fill_the_domain_once(space, generator):
    pieces = solved(space).network.pieces
    if pieces is None:
        pytest.skip("it is smooth, or has as many pieces as its grids")
    low, high = pieces.double().unbind(dim=1)  # of the unit box
    assert float((high - low).prod(dim=1).sum()) == pytest.approx(1.0)
    places = torch.rand(200, low.shape[1], generator=generator, dtype=F)
    inside = (places[:, None] > low) & (places[:, None] < high)
    assert (inside.all(dim=2).sum(dim=1) == 1).all()


def test_points_are_of_the_width(space):
    network = solved(space).network
    d, outputs = network.width[0], network.width[-1]
    assert network(torch.zeros(0, d, dtype=F)).shape == (0, outputs)
    with pytest.raises(kp.InputError, match=rf"expected points of shape \(n, {d}\)"):
        network(torch.zeros(3, d + 1, dtype=F))


def test_what_it_cannot_do_is_refused_in_a_sentence(space):
    one = SPACES[space]
    with pytest.raises(kp.InputError, match=r"does not solve for|(is|are) for networks in"):
        kp.solve(one.problem, one.make(), one.foreign)
    for make, words in one.wrong.items():
        with pytest.raises(kp.InputError, match=words):
            make()
