"""Scores of edges and units, and pruning: what is useless goes, and the original stays."""

import math

import cases
import pytest
import reference
import torch

import kanpinn as kp
from kanpinn.geometry import Points
from kanpinn.interpret import pruning
from kanpinn.interpret.pruning import prune, prune_greedily, score_edges
from kanpinn.loss.residuals import Residuals
from kanpinn.networks import Surrogate
from kanpinn.runs.results.hdf5 import new_file, read_state, write_run

BOX = kp.Box(x=(-1, 1), y=(-1, 1))


def wave(p):
    return torch.exp(torch.sin(math.pi * p.x) + p.y**2)


def fitted(width=(2, 3, 1), steps=8, base=None, f=wave):
    data = kp.Table.sample(BOX, f, 300, seed=0)
    network = kp.KAN(list(width), degree=3, grid=4, base=base, seed=0)
    return kp.fit(network, data, kp.LevenbergMarquardt(steps=steps))


def states(network):
    return {name: t.clone() for name, t in network.state_dict().items()}


@torch.no_grad()
def make_idle(network, unit):
    """The unit gives constants only."""
    network.layers[1].coefficients[unit] = 0
    network.layers[1].coefficients[unit, : network.layers[1].basis.size] = 0.7


@pytest.mark.parametrize("base", [None, "silu"])
def test_useless_units_and_edges_go_without_a_trace(base):
    fit = fitted(base=base)
    make_idle(fit.network, 1)
    with torch.no_grad():
        layer = fit.network.layers[0]
        layer.coefficients[1, :, 2] = 0
        layer.coefficients[1, : layer.basis.size, 2] = -0.1  # a constant edge
    before, x = states(fit.network), fit.residuals.points
    pruned = prune(fit, 1e-9)
    assert pruned.network.width == (2, 2, 1) and pruned.units == ((1, 1),)
    assert set(pruned.edges) == {(0, 0, 1), (0, 1, 1), (1, 1, 0), (0, 1, 2)}
    assert pruned.change < 1e-14
    assert reference.distance(pruned.surrogate(x), fit(x)) < 1e-13
    edge = 4 + 3 + (base is not None)
    assert pruned.parameters == (9 * edge, 5 * edge)
    assert all(torch.equal(before[name], t) for name, t in fit.network.state_dict().items())


def test_what_is_cut_is_measured_and_means_stay():
    fit = fitted()
    pruned = prune(fit, 0.2)
    assert 0 < len(pruned.edges) < 9
    x = fit.residuals.points
    old, new = fit(x), pruned.surrogate(x)
    change = float((new - old).norm() / old.norm())
    assert pruned.change == pytest.approx(change, rel=1e-12)
    assert pruned.losses == (fit.residuals.loss(), pruned.residuals.loss())
    assert f"{len(pruned.edges)} edges" in pruned.words and f"{change:.1e}" in pruned.words
    again = prune(pruned, 1e-9)  # nothing more to do, and a Pruned can be pruned
    assert again.edges == () and again.change == 0


def test_outputs_keep_their_means_when_edges_into_them_go():
    fit = fitted()
    with torch.no_grad():
        fit.network.layers[1].coefficients[1:] *= 1e-3
    pruned = prune(fit, 0.1)
    assert pruned.network.width == (2, 1, 1)
    x = fit.residuals.points
    assert float((pruned.surrogate(x) - fit(x)).mean()) == pytest.approx(0, abs=1e-12)


def test_greedy_pruning_finds_the_one_unit_that_is_needed():
    data = kp.Table.sample(BOX, wave, 200, seed=0)
    network = kp.KAN([2, 2, 1], degree=3, grid=4, seed=0)
    fit = kp.fit(network, data, kp.LevenbergMarquardt(steps=15), sparsity=kp.Sparsity(1e-2))
    before = states(network)
    pruned = prune_greedily(fit, 1.0)
    assert pruned.network.width == (2, 1, 1)
    assert pruned.losses[1] <= pruned.losses[0]
    assert all(torch.equal(before[name], t) for name, t in network.state_dict().items())
    assert len(pruned.units) == 1 and len(pruned.edges) == 3
    assert [term.name for term in pruned.residuals.terms] == ["data"]


def test_greedy_pruning_keeps_what_the_loss_needs():
    fit = fitted((2, 1, 1), steps=6)
    assert prune_greedily(fit, 1.5, steps=2).edges == ()


def test_a_pruned_network_can_be_trained_further():
    fit = fitted(steps=4)
    small = prune(fit, 0.2)
    better = small.trained(kp.LevenbergMarquardt(steps=3))
    assert better.losses[0] == small.losses[0] and better.losses[1] < 0.5 * small.losses[1]
    assert small.residuals.loss() == small.losses[1]  # which stays as it was
    assert better.edges == small.edges and better.parameters == small.parameters
    finer = better.trained(kp.Refine(8))
    assert finer.parameters[1] > small.parameters[1]
    assert finer.losses[1] == pytest.approx(better.losses[1], rel=1e-9)
    x = fit.residuals.points
    assert better.change == pytest.approx(
        float((better.surrogate(x) - fit(x)).norm() / fit(x).norm()), rel=1e-12
    )


def test_solutions_of_equations_are_pruned_with_their_residuals():
    solution = kp.solve(cases.Square(), kp.KAN([2, 6, 1], degree=4, seed=0))
    make_idle(solution.network, 2)
    pruned = prune(solution, 1e-9)
    assert pruned.units == ((1, 2),) and pruned.change < 1e-13
    assert isinstance(pruned.residuals, Residuals)
    assert pruned.losses[1] == pytest.approx(pruned.losses[0], rel=1e-6)


def test_a_pruned_network_survives_its_run_folder(tmp_path):
    """It is read back from result.h5 as it was written."""
    solution = kp.solve(cases.Square(), kp.KAN([2, 4, 1], degree=4, seed=0))
    reference.remove_edge(solution.network, 0, 1, 2)
    with new_file(tmp_path / "result.h5") as file:
        write_run(file, solution, {})
    state = read_state(tmp_path / "result.h5")
    other = kp.KAN([2, 4, 1], degree=4, seed=1)
    other.load_state_dict(state["network"])
    assert other.parameter_count == solution.network.parameter_count
    x = torch.zeros(1, 2, dtype=torch.float64)
    assert torch.equal(other(x), solution.network(x))


def hasty():
    return fitted(steps=1)


def constant(fit):
    with torch.no_grad():
        fit.network.layers[1].coefficients.zero_()
    return fit


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: prune(hasty(), 0.0), "threshold must be .* above 0, got 0.0"),
        (lambda: prune(hasty(), 1.5), "threshold must be at most 1, got 1.5"),
        (lambda: prune(hasty(), 1.0), "threshold = 1 would remove every edge: .* is 0"),
        (lambda: prune(constant(hasty())), "constant on the points: there is nothing to keep"),
        (lambda: prune_greedily(hasty(), 0.5), "factor must be .* at least 1, got 0.5"),
    ],
)
def test_impossible_pruning_is_refused_in_words(call, words):
    with pytest.raises(kp.InputError, match=words):
        call()


CUBE = kp.Box(x=(-1, 1), y=(-1, 1), z=(-1, 1))


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
    return Surrogate(network, CUBE)


def random_points(generator, n=4000) -> Points:
    return CUBE.image(torch.rand(n, 3, generator=generator, dtype=torch.float64))


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
    assert found.units[1].tolist() == pytest.approx([float(u[0]), 1], rel=1e-2)


def test_chunks_do_not_matter(generator, monkeypatch):
    surrogate = Surrogate(kp.KAN([3, 4, 2], seed=1), CUBE)
    p = random_points(generator, 100)
    whole = score_edges(surrogate, p)
    monkeypatch.setattr(pruning, "CHUNK", 7)
    parts = score_edges(surrogate, p)
    for name in ("means", "deviations", "by_output"):
        for a, b in zip(getattr(parts, name), getattr(whole, name), strict=True):
            assert reference.distance(a, b) < 1e-12


def test_deviations_beside_large_means_are_exact(generator, monkeypatch):
    monkeypatch.setattr(pruning, "CHUNK", 128)
    p = random_points(generator, 1000)
    edge = {(0, 0): lambda x: 1e6 + x}
    found = score_edges(with_edges([3, 1], [edge]), p).deviations[0][0, 0]
    assert abs(float(found - p.x.std(correction=0))) < 1e-9


def test_scores_are_for_kans_and_points(generator):
    p = random_points(generator, 5)
    with pytest.raises(kp.InputError, match="KAN was expected, got MLP"):
        score_edges(Surrogate(kp.MLP([3, 4, 1]), CUBE), p)
    with pytest.raises(kp.InputError, match="need points"):
        score_edges(Surrogate(kp.KAN([3, 4, 1]), CUBE), p[:0])
