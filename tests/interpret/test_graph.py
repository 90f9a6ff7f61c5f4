"""Graphs of edges: the same function as the KAN, Jacobians, refits, normal forms."""

import pytest
import reference
import torch

import kanpinn as kp
from kanpinn.interpret.formula import normal_form, rounded
from kanpinn.interpret.graph import (
    Graph,
    Rows,
    Spline,
    Symbolic,
    covering,
    graph_of,
    refit,
    relative_error,
    split_layer,
)
from kanpinn.interpret.interpret import Search, connected, grown, straightened, trimmed
from kanpinn.interpret.univariate import LIBRARY


def kan(width=(2, 2, 1), degree=3, grid=4, seed=1):
    network = kp.KAN(width, degree=degree, grid=grid, seed=seed)
    for layer in network.layers[1:]:
        layer.randomise(torch.Generator().manual_seed(seed))
    return network


def square(rows, generator, low=-1.0, high=1.0, inputs=2):
    return low + (high - low) * torch.rand(rows, inputs, generator=generator, dtype=torch.float64)


def symbolic(name, a=1.0, b=0.0, c=1.0, d=0.0):
    return Symbolic(LIBRARY[name], a, b, c, d)


def waves(c=(0.5, -0.5)):
    """c₀ cos(πx - πy²) + c₁ cos(πx + πy²) with constants that a gauge could undo."""
    pi = torch.pi
    return Graph(
        (2, 2, 1),
        {
            (0, 0, 0): symbolic("x", c=0.7, d=0.3),
            (0, 1, 0): symbolic("x^2", c=-0.7, d=-0.1),
            (0, 0, 1): symbolic("x", c=-0.4, d=0.2),
            (0, 1, 1): symbolic("x^2", c=-0.4, d=0.6),
            (1, 0, 0): symbolic("cos", pi / 0.7, -0.2 * pi / 0.7, c[0], 0.25),
            (1, 1, 0): symbolic("cos", pi / 0.4, -0.8 * pi / 0.4, c[1], -0.25),
        },
    )


@pytest.mark.parametrize("pruned", [False, True])
def test_a_graph_is_the_network_in_the_coordinates_of_the_data(generator, pruned):
    network = kan()
    if pruned:
        network.layers[-1].kept[0, 0] = 0
    low, high = torch.tensor([0.5, -3.0]).double(), torch.tensor([2.0, 5.0]).double()
    mean, scale = torch.tensor([7.0]).double(), torch.tensor([0.3]).double()
    graph = graph_of(network, low, high, mean, scale)
    xi = square(50, generator)
    expected = mean + scale * network(xi)
    x = low + (xi + 1) / 2 * (high - low)
    assert reference.distance(graph(x), expected.detach()) < 1e-13


@pytest.mark.parametrize("width", [(2, 1), (2, 2, 1), (3, 2, 2, 2)])
def test_the_jacobian_is_that_of_all_parameters(width, generator):
    network = kan(width)
    ones = torch.ones(width[0]).double()
    graph = graph_of(network, -ones, ones)
    graph = graph.with_edge((0, 0, 0), symbolic("sin", 1.3, 0.2, 0.8, 0.1))
    x = square(7, generator, inputs=width[0], low=-0.7, high=0.7)
    values, jacobian = graph.jacobian(x)
    assert reference.distance(values, graph(x)) < 1e-14
    start, h = graph.parameters, 1e-6
    direction = torch.randn(len(start), 3, generator=generator, dtype=torch.float64)
    for step in (h * direction).T:
        change = (graph.moved(start + step)(x) - graph.moved(start - step)(x)) / 2
        assert float((jacobian @ step - change).abs().max()) < 1e-7 * h * len(start)


def test_finer_grids_and_wider_ones_leave_the_function(generator):
    graph = graph_of(kan(), -torch.ones(2).double(), torch.ones(2).double())
    x = square(40, generator)
    for layer in (0, 1):
        assert reference.distance(split_layer(graph, layer)(x), graph(x)) < 1e-13
    inside = x[graph.units(x)[1].abs().amax(dim=1) <= 1]
    assert reference.distance(covering(graph, 2 * x)(inside), graph(inside)) < 1e-12
    wide = covering(graph, 2 * x).edges[0, 0, 0]
    assert isinstance(wide, Spline) and wide.breaks[0] <= 2 * x[:, 0].min()


def test_a_refit_finds_the_constants_of_a_formula(generator):
    x = square(200, generator)
    graph = waves()
    noise = torch.randn(len(graph.parameters), generator=generator, dtype=torch.float64)
    found = refit(graph.moved(graph.parameters + 0.02 * noise), x, graph(x), steps=60)
    assert relative_error(found, x, graph(x)) < 1e-13


def test_only_free_parameters_move(generator):
    x, graph = square(100, generator), waves()
    free = torch.arange(len(graph.parameters)) % 2 == 0
    found = refit(graph, x, graph(x) + x[:, :1], 5, free)
    changed = found.parameters != graph.parameters
    assert not bool(changed[~free].any()) and bool(changed[free].any())


def test_the_normal_form_is_the_same_function_without_the_gauge(generator):
    x, graph = square(60, generator), waves()
    state = normal_form(graph)
    form = state.graph
    assert reference.distance(form(x), graph(x)) < 1e-13
    assert all(form.edges[k].d == 0 for k in form.edges if k[0] == 0)
    assert form.edges[1, 0, 0].a == 1.0 and form.edges[0, 0, 0].c == pytest.approx(torch.pi)
    assert ((1, 0, 0), "a") in state.redundant


def test_constants_become_the_numbers_that_they_are(generator):
    x, graph = square(300, generator), waves()
    done = rounded(normal_form(graph), x, graph(x))
    assert done.complete
    assert str(done.exact[(0, 0, 0), "c"]) == "pi" and str(done.exact[(1, 0, 0), "c"]) == "1/2"


def test_a_constant_that_is_no_simple_number_stays_a_float(generator):
    x, graph = square(300, generator), waves((0.5123456789123, -0.5))
    done = rounded(normal_form(graph), x, graph(x))
    assert not done.complete and ((1, 0, 0), "c") not in done.exact
    assert relative_error(done.graph, x, graph(x)) < 1e-13


def test_families_of_formulas_get_plain_constants(generator):
    """(x + αy)²/(4α) - (x - αy)²/(4α) = xy for any α."""
    alpha = 1.137
    edges = {(0, 0, o): symbolic("x", c=0.9) for o in (0, 1)}
    edges |= {(0, 1, o): symbolic("x", c=s * 0.9 * alpha) for o, s in ((0, 1), (1, -1))}
    scale = 1 / (4 * alpha * 0.81)
    edges |= {(1, o, 0): symbolic("x^2", c=s * scale) for o, s in ((0, 1), (1, -1))}
    x = square(200, generator)
    graph = Graph((2, 2, 1), edges)
    assert reference.distance(graph(x), x[:, :1] * x[:, 1:]) < 1e-13
    done = rounded(normal_form(graph), x, graph(x))
    assert done.complete
    assert {abs(float(v)) for v in done.exact.values()} <= {0.0, 0.25, 0.5, 1.0, 2.0}


def test_edges_that_can_be_missed_go(generator):
    """exp(x + y²/2) has no use for a third input."""
    x = square(160, generator, inputs=3)
    y = torch.exp(x[:, :1] + 0.5 * x[:, 1:2] ** 2)
    network = kan((3, 1, 1), degree=3, grid=2)
    graph = graph_of(network, -torch.ones(3).double(), torch.ones(3).double())
    data = x[40:], y[40:], x[:40], y[:40]
    rows = Rows(*data, ("x", "y"))
    graph = trimmed(grown(refit(graph, *data[:2], steps=15), rows), rows)
    assert sorted(graph.edges) == [(0, 0, 0), (0, 1, 0), (1, 0, 0)]
    assert relative_error(graph, *data[2:]) < 1e-2


def test_a_unit_with_one_edge_into_it_gets_its_input_as_it_is(generator):
    x, graph = square(60, generator), waves().without((0, 1, 0))
    straight = straightened(graph, x)
    assert reference.distance(straight(x), graph(x)) < 1e-6
    assert straight.edges[0, 0, 0].function.name == "x" and straight.edges[0, 0, 0].c == 1.0


def test_slopes_are_finite_at_the_end_of_a_domain():
    slope, own = symbolic("sqrt").derivatives(torch.zeros(1).double())
    assert bool(slope.isfinite().all()) and bool(own.isfinite().all())


def test_what_leads_nowhere_is_left_out():
    graph = waves().without((1, 1, 0))
    assert {key[2] for key in connected(graph).edges if key[0] == 0} == {0}


def test_the_search_passes_by_a_unit_that_has_become_constant() -> None:
    x = torch.linspace(-1, 1, 200, dtype=torch.float64)[:, None]
    table = Rows(x, x**3, x, x**3, ("x",))
    knots = torch.linspace(-4, 4, 9, dtype=torch.float64)
    constant = Spline(knots, 3, torch.full((5,), 0.5, dtype=torch.float64))
    line = Spline(knots, 3, torch.arange(5.0, dtype=torch.float64) - 2)  # x
    edges = {(0, 0, 0): constant, (0, 0, 1): line, (1, 0, 0): line, (1, 1, 0): line}
    graph = Graph((1, 2, 1), edges)
    search = Search(table, names=["x", "x^3"])
    assert search(graph) is None
