"""The frame of a fit: the box that a network's inputs come from, and its first grid."""

import math

import pytest
import torch

import kanpinn as kp
from kanpinn.geometry import Points
from kanpinn.solvers.fit import scaled_surrogate

NAMES = ("x", "y")


def rows(count: int = 40) -> kp.Table:
    """The product of two numbers in the middle of [-1, 1]²."""
    generator = torch.Generator().manual_seed(0)
    x = 1.8 * torch.rand(count, 2, generator=generator, dtype=torch.float64) - 0.9
    return kp.Table(x, x.prod(dim=1), NAMES, ("f",))


def test_bounds_are_mapped_to_the_unit_box_and_hold_the_first_grid():
    network, table = kp.KAN([2, 2, 1], grid=4), rows()
    surrogate = scaled_surrogate(network, table, None, {"y": (-1, 3)})
    low, high = table.inputs[:, 0].aminmax()
    corners = torch.tensor([[float(low), -1], [float(high), 3]], dtype=torch.float64)
    inputs = surrogate.inputs_at(Points(corners, NAMES))
    assert torch.equal(inputs, torch.tensor([[-1, -1], [1, 1]]).double())
    assert torch.equal(network.layers[0].basis.breaks[:, [0, -1]], inputs.T)


def test_a_quantile_grid_reaches_the_bounds():
    network = kp.KAN([2, 2, 1], grid=4)
    scaled_surrogate(network, rows(), "quantile", {"x": (-2, 2), "y": (-0.1, 0.1)})
    breaks = network.layers[0].basis.breaks
    ends = torch.tensor([[-1.0, 1.0]] * 2).double()
    torch.testing.assert_close(breaks[:, [0, -1]], ends, rtol=0, atol=1e-15)
    assert (breaks.diff(dim=1) > 0).all()


def test_what_lies_between_the_rows_and_the_bounds_is_fitted_as_the_rows_are():
    """xy is a KAN on any grid; beyond its grid it would be a tangent."""
    corner, errors = torch.ones(1, 2, dtype=torch.float64), []
    for bounds in (None, dict.fromkeys(NAMES, (-1, 1))):
        network = kp.KAN([2, 2, 1], degree=3, grid=1, seed=1)
        stages = [kp.VariableProjection(steps=100, prune=False), kp.LevenbergMarquardt(steps=30)]
        fitted = kp.fit(network, rows(200), stages, bounds=bounds)
        errors.append(float((fitted(corner) - 1).abs()))
    assert errors[1] < 1e-9 < 1e-4 < errors[0]


def test_the_first_grid_of_standardised_inputs_reaches_a_deviation():
    network, table = kp.KAN([2, 2, 1], grid=4), rows()
    surrogate = scaled_surrogate(network, table, "standard")
    layer = network.layers[0]
    assert torch.equal(layer.basis.breaks[:, [0, -1]], torch.tensor([[-1.0, 1.0]] * 2).double())
    outside = surrogate.inputs_at(Points(table.inputs, NAMES)).abs() > 1
    assert outside.any()
    beyond = torch.linspace(1.1, 3, 5, dtype=torch.float64)[:, None].expand(-1, 2)
    assert layer.edges(beyond, 2)[:, 2].abs().max() == 0


def test_a_trained_network_keeps_its_first_grid():
    network, table = kp.KAN([2, 2, 1], grid=4), rows()
    first = kp.fit(network, table, kp.LevenbergMarquardt(steps=2), scaling="quantile")
    before = first(table.inputs)
    second = kp.fit(network, table, kp.Refine(grid=[6, 4]), scaling="range")
    assert (second(table.inputs) - before).abs().max() < 1e-12


@pytest.mark.parametrize(
    ("bounds", "words"),
    [
        ({"z": (0, 1)}, "bounds name 'z', the inputs are x, y"),
        ({"x": (1, 1)}, r"bounds of x must be low < high, got \(1, 1\)"),
        ({"y": (0, math.nan)}, r"bounds of y must be low < high, got \(0, nan\)"),
        ({"y": (-math.inf, 0)}, r"bounds of y must be low < high, got \(-inf, 0\)"),
        ({"x": (0, 1, 2)}, r"bounds of x must be low < high, got \(0, 1, 2\)"),
    ],
)
def test_bounds_that_are_no_box_are_refused(bounds, words):
    with pytest.raises(kp.InputError, match=words):
        kp.fit(kp.KAN([2, 2, 1]), rows(), bounds=bounds)


def test_bounds_of_standardised_inputs_are_refused():
    with pytest.raises(kp.InputError, match='bounds are for scaling "range" and "quantile"'):
        kp.fit(kp.MLP([2, 3, 1]), rows(), bounds={"x": (0, 1)})
