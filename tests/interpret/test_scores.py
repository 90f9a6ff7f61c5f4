"""Scores of edges, units and inputs: known functions, and what does not depend on chunks."""

import pytest
import reference
import torch

import kanpinn as kp
from kanpinn.geometry import Points
from kanpinn.interpret import pruning
from kanpinn.interpret.pruning import Moments, edge_values, score_edges
from kanpinn.networks import Surrogate

BOX = kp.Box(x=(-1, 1), y=(-1, 1), z=(-1, 1))


def with_edges(width, functions) -> Surrogate:
    """A KAN of given edges: functions[layer][(i, o)] of x; all others are zero."""
    network = kp.KAN(width, degree=3, grid=4, seed=0)
    x = torch.linspace(-1, 1, 50, dtype=torch.float64)
    for layer, known in zip(network.layers, functions, strict=True):
        n_in, _, n_out = layer.coefficients.shape
        values = torch.zeros(50, n_in, n_out, dtype=torch.float64)
        for (i, o), f in known.items():
            values[:, i, o] = f(x)
        with torch.no_grad():
            layer.coefficients.copy_(layer.basis.fit(x[:, None].expand(-1, n_in), values))
    return Surrogate(network, BOX)


def random_points(generator, n=4000) -> Points:
    return BOX.from_unit(torch.rand(n, 3, generator=generator, dtype=torch.float64))


def test_scores_of_known_functions(generator):
    """u = (0.3 x + 0.4 y) - 2·(0.2 y²), v = 0.2 y² - 5; nothing depends on z."""
    surrogate = with_edges(
        [3, 2, 2],
        [
            {
                (0, 0): lambda x: 0.3 * x,
                (1, 0): lambda x: 0.4 * x + 0.1,
                (1, 1): lambda x: 0.2 * x**2,
            },
            {(0, 0): lambda x: x, (1, 0): lambda x: -2 * x, (1, 1): lambda x: x - 5},
        ],
    )
    p = random_points(generator)
    found = score_edges(surrogate, p)
    x, y = p.x.std(correction=0), p.y.std(correction=0)
    e = torch.stack([0.3 * x, 0.4 * y, 0.2 * p.y.square().std(correction=0)])
    assert reference.distance(found.deviations[0][[0, 1, 1], [0, 0, 1]], e) < 1e-12
    assert float(found.means[1][1, 1]) == pytest.approx(float(0.2 * p.y.square().mean()) - 5)
    first = e[:2].norm()  # the first hidden unit's deviation, for its edges are independent
    u = torch.stack([first, 2 * e[2]]) / torch.stack([first, 2 * e[2]]).norm()
    assert reference.distance(found.by_output[1][0, :, 0], u) < 1e-2  # x and y are so only nearly
    assert torch.equal(found.by_output[1][1], torch.tensor([[0.0, 0.0], [0.0, 1.0]]).double())
    root = e[:2] / first
    expected = torch.tensor([[u[0] * root[0], 0], [u[0] * root[1], 1], [0, 0]]).double()
    assert reference.distance(found.edges[0], expected) < 1e-2
    assert float(found.inputs[:, 2].abs().max()) < 1e-15
    assert found.inputs.sum(dim=1).tolist() == pytest.approx([1, 1])
    assert found.inputs[1].tolist() == pytest.approx([0, 1, 0], abs=1e-15)
    assert found.units[1].tolist() == pytest.approx([float(u[0]), 1], rel=1e-2)


def test_chunks_do_not_matter(generator, monkeypatch):
    surrogate = Surrogate(kp.KAN([3, 4, 2], seed=1), BOX)
    p = random_points(generator, 100)
    whole = score_edges(surrogate, p)
    monkeypatch.setattr(pruning, "CHUNK", 7)
    assert len(list(edge_values(surrogate, p))) == 15
    parts = score_edges(surrogate, p)
    for name in ("means", "deviations", "by_output"):
        for a, b in zip(getattr(parts, name), getattr(whole, name), strict=True):
            assert reference.distance(a, b) < 1e-12


def test_deviations_beside_large_means_are_exact(generator):
    moments, rows = Moments(), torch.randn(1000, 2, generator=generator, dtype=torch.float64)
    for chunk in (1e6 + rows).split(128):
        moments.add(chunk)
    assert reference.distance(moments.deviation, rows.std(dim=0, correction=0)) < 1e-9


def test_scores_are_for_kans_and_points(generator):
    p = random_points(generator, 5)
    with pytest.raises(kp.InputError, match="KAN was expected, got MLP"):
        score_edges(Surrogate(kp.MLP([3, 4, 1]), BOX), p)
    with pytest.raises(kp.InputError, match="need points"):
        score_edges(Surrogate(kp.KAN([3, 4, 1]), BOX), p[:0])
