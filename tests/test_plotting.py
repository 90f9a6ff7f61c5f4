"""Figures: what the axes show is the data, and every kind of solution can be drawn."""

import dataclasses

import numpy
import pytest
import torch
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

import kanpinn as kp
from kanpinn.history import History
from kanpinn.plotting import draw_figures, plot_edge, plot_history, plot_magnitude, plot_values
from kanpinn.plotting.edges import Edge, edges_of
from kanpinn.plotting.figures import edges_figure


class Laplace(kp.Problem):
    def __init__(self, **ranges: tuple[float, float]) -> None:
        self.domain = kp.Box(**ranges)

    def residual(self, p, u):
        return kp.laplacian(u)

    def conditions(self):
        return [kp.Dirichlet(self.domain.boundary, 1.0)]


class Linear(Laplace):
    fields = ("u", "v")

    def residual(self, p, u, v):
        return kp.laplacian(u), kp.laplacian(v)

    def conditions(self):
        return [kp.Dirichlet(self.domain.boundary, self.exact)]

    def exact(self, p):
        return torch.cat([p.coords[:, :1], 1 - p.coords[:, :1]], dim=1)


@pytest.fixture(autouse=True)
def coarse(monkeypatch) -> None:
    monkeypatch.setattr("kanpinn.fields.NODES", {1: 21, 2: 11, 3: 5})


@pytest.fixture
def ax():
    return Figure().subplots()


def solve(problem: kp.Problem, network: kp.KAN | kp.MLP) -> kp.Solution:
    points = kp.Collocation(50, 20)
    return kp.solve(problem, network, kp.Adam(steps=2), points, boundary="penalty")


AXES = {"x": numpy.linspace(0, 1, 5), "y": numpy.linspace(0, 2, 9)}


def test_a_map_shows_values_with_x_to_the_right_and_y_up(ax):
    values = AXES["x"][:, None] + 10 * AXES["y"]
    plot_values(ax, AXES, values, (0.0, 21.0), "u")
    (image,) = ax.images
    assert image.origin == "lower" and numpy.array_equal(image.get_array(), values.T)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("x", "y")
    assert ax.get_xlim() == (0, 1) and ax.get_ylim() == (0, 2)


def test_fields_of_both_signs_are_white_at_zero(ax):
    plot_values(ax, AXES, numpy.ones((5, 9)), (-1.0, 3.0), "u")
    assert (ax.images[0].norm.vmin, ax.images[0].norm.vmax) == (-3.0, 3.0)


def test_magnitudes_are_logarithmic_and_zero_is_no_trouble(ax):
    values = numpy.outer(10.0 ** -numpy.arange(5), numpy.ones(9))
    values[0, 0] = 0.0
    plot_magnitude(ax, AXES, -values, "error")
    norm = ax.images[0].norm
    assert isinstance(norm, LogNorm) and norm.vmax == 1.0 and norm.vmin >= 1e-6
    plot_magnitude(Figure().subplots(), AXES, numpy.zeros((5, 9)), "error")


def test_the_history_shows_losses_at_their_steps(ax):
    history = History()
    for step in range(100):
        history.add(step=step, stage=step // 50, loss=10.0**-step, seconds=0.1 * step)
    plot_history(ax, history, ("Adam", "LBFGS"))
    curve = ax.lines[0]
    assert numpy.array_equal(curve.get_xdata(), numpy.arange(100))
    assert curve.get_ydata()[3] == pytest.approx(1e-3)
    assert ax.get_yscale() == "log" and {t.get_text() for t in ax.texts} == {"LBFGS", "Adam"}


@pytest.mark.parametrize("x", ["step", "seconds"])
def test_a_single_point_is_a_history(ax, x):
    plot_history(ax, History([{"step": 0, "stage": 0, "loss": 2.0, "seconds": 0.0}]), ("A",), x)
    ax.figure.draw_without_rendering()
    low, high = ax.get_xlim()
    assert low < 0 < high and ax.lines[0].get_marker() == "o"


def test_titles_of_stages_lie_above_the_curves(ax):
    history = History()
    for step in range(9):
        history.add(step=step, stage=step // 6, loss=0.1**step, seconds=0.1 * step)
    titles = tuple(optimizer.title for optimizer in (kp.LBFGS(), kp.LeastSquares()))
    plot_history(ax, history, titles)
    ax.figure.draw_without_rendering()
    assert [t.get_text() for t in ax.texts] == ["L-BFGS", "Least Squares"]
    top = ax.get_window_extent().y1
    assert all(t.get_window_extent().y0 >= top - 2 for t in ax.texts)


def test_titles_of_stages_do_not_overlap(ax):
    history = History()
    for step in range(41):
        history.add(step=step, stage=max(0, step - 1), loss=1.0, seconds=step)
    plot_history(ax, history, tuple("A" * 40))
    at = sorted(t.xy[0] for t in ax.texts)
    assert 2 <= len(at) < 40 and min(numpy.diff(at)) >= 0.035 * 40


def test_edges_are_the_layers_functions():
    solution = solve(Laplace(x=(0, 4), y=(0, 1)), kp.KAN([2, 3, 1], grid=2))
    first, second = edges_of(solution)
    assert [len(first), len(second)] == [6, 3]
    edge = first[1]
    assert (edge.source, edge.target) == ("x", "h_{2}")
    assert edge.breaks == pytest.approx([0, 2, 4])  # in the coordinate itself
    layer = solution.network.layers[0]
    scaled = torch.from_numpy(edge.x)[:, None] / 2 - 1
    values = layer.edges(scaled.expand(-1, 2))[:, 0, 0, 1]
    assert edge.y == pytest.approx(values.detach().numpy())
    assert 0 <= edge.seen[0] < edge.seen[1] <= 4
    ax = plot_edge(Figure().subplots(), edge)
    assert numpy.array_equal(ax.lines[0].get_ydata(), edge.y)


@pytest.mark.parametrize(("scale", "power"), [(1.0, None), (3e7, 7), (2e-5, -5), (0.0, None)])
def test_powers_of_large_functions_stand_in_their_titles(ax, scale, power):
    x = numpy.linspace(0, 1, 11)
    edge = Edge("x", "u", x, scale * x, numpy.array([0.0, 1.0]), (0.0, 1.0))
    plot_edge(ax, edge).figure.draw_without_rendering()
    assert ax.yaxis.get_offset_text().get_text() == ""
    assert ("10^" in ax.get_title()) == (power is not None)
    if power is not None:
        assert f"10^{{{power}}}" in ax.get_title()
        labels = [float(t.get_text().replace("−", "-")) for t in ax.get_yticklabels()]
        assert labels == pytest.approx(ax.get_yticks() / 10.0**power)


def test_activations_outside_the_grid_are_drawn_dotted():
    solution = solve(Laplace(x=(0, 1)), kp.KAN([1, 2, 1], grid=2))
    layer = solution.network.layers[1]
    layer.knots = layer.knots.mean() + 0.1 * (layer.knots - layer.knots.mean())
    ax = plot_edge(Figure().subplots(), edges_of(solution)[1][0])
    assert [line.get_linestyle() for line in ax.lines] == ["-", ":"]


def test_large_networks_show_some_edges_and_say_so():
    solution = solve(Laplace(x=(0, 1), y=(0, 1)), kp.KAN([2, 30, 1], grid=1))
    figure = edges_figure(edges_of(solution))
    drawn = [ax for ax in figure.axes if ax.lines]
    assert len(drawn) == 24 and "12 of 60, 12 of 30" in figure.texts[0].get_text()


@pytest.mark.parametrize(
    ("problem", "network", "names"),
    [
        (Laplace(t=(0, 1)), kp.MLP([1, 3, 1]), {"solution", "history"}),
        (
            Linear(x=(0, 1), y=(0, 9)),
            kp.KAN([2, 2, 2], grid=1),
            {"solution_u", "solution_v", "history", "edges"},
        ),
        (Laplace(x=(0, 1), y=(0, 1), z=(0, 1)), kp.MLP([3, 2, 1]), {"solution", "history"}),
    ],
    ids=["line", "system", "brick"],
)
def test_every_solution_has_its_figures(tmp_path, problem, network, names):
    solution = solve(problem, network)
    paths = draw_figures(solution, tmp_path / "figures")
    assert {p.stem for p in paths} == names
    assert {p.name for p in (tmp_path / "figures").iterdir()} == {f"{n}.png" for n in names}
    assert all(p.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n" for p in paths)


def test_a_solution_without_history_is_drawn(tmp_path):
    solution = solve(Laplace(t=(0, 1)), kp.MLP([1, 2, 1]))
    bare = dataclasses.replace(solution, history=History())
    assert [p.name for p in draw_figures(bare, tmp_path)] == ["solution.png"]
