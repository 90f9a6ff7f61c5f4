"""Sparsity in the loss: exact gradients, rows that model it, and networks that become small."""

import pytest
import reference
import torch

import kanpinn as kp
from kanpinn.geometry import Points
from kanpinn.loss.residuals import Residuals
from kanpinn.loss.sparsity import edge_sizes, factor
from kanpinn.networks import Surrogate
from kanpinn.networks.layer import get_coefficients, set_coefficients

BOX = kp.Box(x=(-1, 1), y=(-1, 1))
SETTINGS = [kp.Sparsity(1.0), kp.Sparsity(0.3, entropy=0.0), kp.Sparsity(2.0, l1=0.1, entropy=2.0)]


def penalty(settings, network) -> Residuals:
    """The loss that is nothing but sparsity."""
    surrogate = Surrogate(network, BOX)
    centre = Points(torch.zeros(1, 2, dtype=torch.float64), BOX.names)
    return Residuals(surrogate, [settings.term(surrogate, centre)])


def rough(generator, base=None) -> kp.KAN:
    """A KAN with random coefficients, uneven grids, and an edge missing."""
    network = kp.KAN([2, 3, 2], degree=[3, 4], grid=[4, 3], base=base, seed=0)
    noise = torch.randn(network.parameter_count, generator=generator, dtype=torch.float64)
    set_coefficients(network.layers, get_coefficients(network.layers) + 0.3 * noise)
    network.layers[0].widen(*torch.tensor([[-1.0, -3.0], [2.0, 1.0]], dtype=torch.float64))
    reference.remove_edge(network, 1, 2, 0)
    return network


@pytest.mark.parametrize("base", [None, "silu"])
def test_sizes_are_standard_deviations_over_the_grids(base, generator):
    layer = rough(generator, base).layers[1]
    low, high = layer.basis.breaks[:, 0], layer.basis.breaks[:, -1]
    n = 20000
    share = (torch.arange(n, dtype=torch.float64)[:, None] + 0.5) / n
    values = layer.edges(low + (high - low) * share)[:, 0]
    true = (values.var(dim=0, correction=0)[layer.kept] + 1e-8).sqrt()
    assert len(true) == 5
    assert reference.distance(edge_sizes(layer, factor(layer)), true) < (1e-3 if base else 1e-7)


@pytest.mark.parametrize("settings", SETTINGS)
def test_the_gradient_is_that_of_differences(settings, generator):
    network = rough(generator, "silu")
    residuals, layers = penalty(settings, network), network.layers
    loss = residuals.backward()
    gradient = torch.cat([layer.coefficients.grad.flatten() for layer in layers])
    assert loss == pytest.approx(residuals.loss(), rel=1e-14)
    start = get_coefficients(layers)
    for _ in range(5):
        direction = torch.randn(len(start), generator=generator, dtype=torch.float64)
        ends = []
        for step in (-1e-6, 1e-6):
            set_coefficients(layers, start + step * direction)
            ends.append(residuals.loss())
        slope = (ends[1] - ends[0]) / 2e-6
        assert slope == pytest.approx(float(gradient @ direction), rel=1e-6, abs=1e-8)


@pytest.mark.parametrize("settings", SETTINGS)
def test_the_rows_have_its_value_and_gradient(settings, generator):
    network = rough(generator)
    residuals, layers = penalty(settings, network), list(network.layers)
    loss = residuals.backward()
    gradient = torch.cat([layer.coefficients.grad.flatten() for layer in layers])
    for chosen, part in (
        (layers, gradient),
        (layers[1:], gradient[-layers[1].coefficients.numel() :]),
    ):
        ((jacobian, r),) = residuals.rows(chosen)
        assert float(r @ r) == pytest.approx(loss, rel=1e-13)
        assert reference.distance(2 * jacobian.T @ r, part) < 1e-13


def test_without_entropy_the_rows_lie_above_it_and_touch_it(generator):
    network = rough(generator)
    residuals, layers = penalty(kp.Sparsity(1.0, entropy=0.0), network), list(network.layers)
    ((jacobian, r),) = residuals.rows(layers)
    start = get_coefficients(layers)
    for size in (0.0, 1e-2, 0.3, 3.0):
        for _ in range(5):
            step = size * torch.randn(len(start), generator=generator, dtype=torch.float64)
            set_coefficients(layers, start + step)
            model = float((jacobian @ step + r).square().sum())
            assert model >= residuals.loss() * (1 - 1e-13)
            assert size or model == pytest.approx(residuals.loss(), rel=1e-13)


def test_it_counts_once_whatever_the_points(generator):
    data = kp.Table.sample(BOX, lambda p: p.x * p.y, 700, seed=0)
    fit = kp.fit(kp.KAN([2, 3, 1], seed=0), data, kp.Adam(steps=2))
    term = kp.Sparsity(0.5).term(fit.surrogate, fit.residuals.points)
    whole = Residuals(fit.surrogate, [*fit.residuals.terms, term])
    assert whole.loss() == pytest.approx(
        fit.residuals.loss() + 0.5 * whole.term_values()["sparsity"]
    )
    part = whole.subset(50, seed=0)
    assert part.term_values()["sparsity"] == whole.term_values()["sparsity"]
    assert len(part.terms[0].points) < 60


def test_a_sum_of_two_functions_gets_along_with_one_unit():
    """exp(sin πx + y²) is a KAN [2, 1, 1]; two of three units end with nothing to do."""
    function = lambda p: torch.exp(torch.sin(torch.pi * p.x) + p.y**2)  # noqa: E731
    data = kp.Table.sample(BOX, function, 200, seed=0)
    sparsity = kp.Sparsity(1e-2)
    network = kp.KAN([2, 3, 1], seed=0)
    kp.fit(network, data, kp.LevenbergMarquardt(steps=20), sparsity=sparsity)
    s = edge_sizes(network.layers[1], factor(network.layers[1])).detach().sort().values
    assert s[-1] > 0.1 and s[-2] < 1e-2 * s[-1]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: kp.Sparsity(0.0), "strength must be .* above 0, got 0.0"),
        (lambda: kp.Sparsity(l1=-1.0), "l1 must be .* got -1.0"),
        (lambda: kp.Sparsity(entropy=float("nan")), "entropy must be .* got nan"),
        (lambda: penalty(kp.Sparsity(), kp.MLP([2, 3, 1])), "for KANs: a MLP"),
    ],
)
def test_bad_settings_are_refused_in_words(make, words):
    with pytest.raises(kp.InputError, match=words):
        make()
