"""Figures: what the axes show is the data, and every kind of solution can be drawn."""

import dataclasses
import itertools
import math
from types import SimpleNamespace

import numpy
import pytest
import reference
import torch
from matplotlib.collections import LineCollection
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

import kanpinn as kp
from kanpinn.accuracy.references import DataFile
from kanpinn.geometry import Domain
from kanpinn.interpret.pictures import Layout, Link, draw_network, network_figure
from kanpinn.interpret.pruning import prune, score_edges
from kanpinn.jets import Channels
from kanpinn.plotting import draw_figures, plot_edge, plot_history, plot_magnitude, plot_values
from kanpinn.plotting.edges import Edge, edges_figure, edges_of
from kanpinn.plotting.fields import (
    Sheet,
    cells_figure,
    continued,
    outline_of,
    residual_figure,
    solution_figure,
    streamlines_figure,
)
from kanpinn.plotting.modes import plot_mode
from kanpinn.plotting.solutions import (
    WindowsTried,
    components,
    components_figure,
    evolution_figures,
    figures,
    is_logarithmic,
    phase_figure,
    steps_figure,
)
from kanpinn.plotting.style import cut_title, save, symbol
from kanpinn.solvers.grid_fields import GridFields, on_grid, plane_of
from kanpinn.solvers.state import History


class Laplace(kp.Problem):
    def __init__(self, domain: Domain | None = None, **ranges: tuple[float, float]) -> None:
        self.domain = domain or kp.Box(**ranges)

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
    monkeypatch.setattr("kanpinn.solvers.grid_fields.NODES", {1: 21, 2: 11, 3: 5})


@pytest.fixture
def ax():
    return Figure().subplots()


def solve(problem: kp.Problem, network: kp.KAN | kp.MLP) -> kp.Solution:
    points = kp.Collocation(50, 20)
    return kp.solve(problem, network, kp.Adam(steps=2), points, boundary="penalty")


SHEET = Sheet({"x": numpy.linspace(0, 1, 5), "y": numpy.linspace(0, 2, 9)})


def test_a_map_shows_values_with_x_to_the_right_and_y_up(ax):
    values = SHEET.axes["x"][:, None] + 10 * SHEET.axes["y"]
    plot_values(ax, SHEET, values, (0.0, 21.0), "u")
    (image,) = ax.images
    assert image.origin == "lower" and numpy.array_equal(image.get_array(), values.T)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("$x$", "$y$")
    assert ax.get_xlim() == (0, 1) and ax.get_ylim() == (0, 2)


def test_fields_of_both_signs_are_white_at_zero(ax):
    plot_values(ax, SHEET, numpy.ones((5, 9)), (-1.0, 3.0), "u")
    assert (ax.images[0].norm.vmin, ax.images[0].norm.vmax) == (-3.0, 3.0)


def test_walls_where_a_mode_vanishes_up_to_errors_are_no_nodal_lines(ax):
    x = numpy.linspace(-1, 1, 33)
    mode = numpy.cos(numpy.pi / 2 * x)[:, None] * numpy.sin(numpy.pi * x)
    mode[[0, -1]] = 1e-4 * (-1) ** numpy.arange(33)
    fields = GridFields({"x": x, "y": x}, {"u": mode}, {}, ("u",))
    square = kp.Poisson(kp.Box(x=(-1, 1), y=(-1, 1)), source="1", boundary="0")
    plot_mode(ax, SimpleNamespace(problem=square), fields, "u", "")
    drawn = numpy.concatenate([path.vertices for path in ax.collections[-1].get_paths()])
    assert numpy.abs(drawn[:, 1]).max() < 0.05 and numpy.abs(drawn[:, 0]).max() > 0.9


def test_magnitudes_are_logarithmic_and_zero_is_no_trouble(ax):
    values = numpy.outer(10.0 ** -numpy.arange(5), numpy.ones(9))
    values[0, 0] = 0.0
    plot_magnitude(ax, SHEET, -values, "error")
    norm = ax.images[0].norm
    assert isinstance(norm, LogNorm) and norm.vmax == 1.0 and norm.vmin >= 1e-6
    plot_magnitude(Figure().subplots(), SHEET, numpy.zeros((5, 9)), "error")


def test_a_few_far_magnitudes_do_not_take_the_scale(ax):
    values = numpy.linspace(0.1, 1, 10_000).reshape(100, 100)
    values[0, 0], values[0, 1], values[0, 2] = 1e154, numpy.inf, numpy.nan
    axes = Sheet({"x": numpy.arange(100.0), "y": numpy.arange(100.0)})
    plot_magnitude(ax, axes, values, "residual")
    (image,) = ax.images
    assert 0.9 < image.norm.vmax <= 1 and image.colorbar.extend == "max"
    assert image.get_array().mask.sum() == 2  # what is not finite is left out
    plot_magnitude(bare := Figure().subplots(), axes, numpy.clip(values, 0, 1), "residual")
    assert bare.images[0].norm.vmax == 1 and bare.images[0].colorbar.extend == "neither"


def test_names_are_mathematics():
    assert [symbol(name) for name in ("x", "x1", "u_x")] == ["x", "x_{1}", "u_{x}"]
    assert (symbol("theta2"), symbol("rate")) == (r"\theta_{2}", r"\mathit{rate}")
    assert symbol("_a_b") == r"\mathit{\_a\_b}"
    ax = Figure().subplots()
    odd = ("a b$c", "%#{e}^f~g\\h", "°C & é", "x'y")
    ax.set_title(" ".join(f"${symbol(name)}$" for name in ("_a_b", "sigma_x_1", "Lambda", *odd)))
    ax.figure.draw_without_rendering()


def test_a_title_says_where_the_others_are_held():
    assert cut_title({"x3": 0.5, "x4": 0.5, "t": 1.0}) == "cut at $x_{3} = x_{4} = 0.5$, $t = 1$"
    many = {f"x{i}": 0.5 for i in range(3, 101)}
    assert cut_title(many) == r"cut at $x_{3} = \ldots = x_{100} = 0.5$"
    assert "centre" in cut_title({f"x{i}": float(i) for i in range(9)})


# --- what is cut and where it ends -------------------------------------------------------------

SPACE4 = {f"x{i}": (0.0, 1.0) for i in range(1, 5)}


@pytest.mark.parametrize(
    ("domain", "names"),
    [
        (kp.Box(x=(0, 1), t=(0, 1)), ("x", "t")),
        (kp.Disk((0, 0), 1).over(t=(0, 1)), ("x", "y")),
        (kp.Box(t=(0, 1), x=(0, 1), y=(0, 1)), ("x", "y")),
        (kp.Box(x=(0, 1), y=(0, 1), z=(0, 1)), ("x", "y")),
        (kp.Box(**SPACE4), ("x1", "x2")),
        (kp.Box(**SPACE4).over(tau=(0, 1)), ("x1", "tau")),
        (kp.Box(t=(0, 1), **SPACE4), ("t", "x1")),
    ],
)
def test_cuts_above_three_dimensions_show_time(domain, names):
    assert plane_of(domain) == names


def grid_of(domain: Domain):
    problem = Laplace(domain)
    network = kp.MLP([domain.dim, 2, 1])
    points = kp.Collocation(20, 20)
    solution = kp.solve(problem, network, kp.Adam(steps=1), points, boundary="penalty")
    return on_grid(solution, plane_of(domain))


def area_in(path) -> float:
    """By the shoelace formula: loops of holes count negatively."""
    total = 0.0
    for loop in path.to_polygons():
        x, y = loop.T
        total += 0.5 * float(numpy.sum(x[:-1] * y[1:] - x[1:] * y[:-1]))
    return total


HOLED = kp.Disk((0, 0), 1) - kp.Disk((0.3, 0.1), 0.3, name="hole")


@pytest.mark.parametrize(
    ("domain", "area"),
    [
        (kp.Disk((0, 0), 1), numpy.pi),
        (HOLED, 0.91 * numpy.pi),
        (HOLED.over(t=(0, 2)), 0.91 * numpy.pi),
        (kp.Triangle((0, 0), (1, 0), (0, 1)), 0.5),
    ],
)
def test_outlines_of_planar_domains_are_their_boundaries(domain, area):
    assert area_in(outline_of(domain, grid_of(domain))) == pytest.approx(area, rel=2e-4)


def test_other_cuts_are_traced_on_the_grid():
    shell = kp.Ball((0, 0, 0), 1) - kp.Ball((0, 0, 0), 0.5)
    path = outline_of(shell, grid_of(shell))
    radii = numpy.linalg.norm(path.vertices, axis=1)
    assert numpy.minimum(abs(radii - 1), abs(radii - 0.5)).max() < 1e-8
    assert area_in(path) == pytest.approx(0.75 * numpy.pi, rel=0.1)  # of a grid of 11 x 11
    box = kp.Box(**SPACE4).over(t=(0, 1))
    assert outline_of(box, grid_of(box)) is None


def test_a_cut_along_a_side_gives_way_to_one_through_more_of_the_domain():
    block = kp.Box(x=(0, 4), y=(0, 1), z=(0, 2)) - kp.Box(x=(1, 5), y=(-1, 2), z=(1, 3))
    assert grid_of(block).fixed == {"z": 0.75}  # at z = 1 a quarter of the domain
    notched = kp.Box(x=(0, 4), y=(0, 1), z=(0, 2)) - kp.Box(x=(3, 5), y=(-1, 2), z=(1, 3))
    assert grid_of(notched).fixed == {"z": 1.0}


def test_maps_end_at_the_boundary_without_a_gap():
    fields = grid_of(HOLED)
    path = outline_of(HOLED, fields)
    figure = solution_figure(fields, Sheet(fields.axes, path), "u")
    images = [image for ax in figure.axes for image in ax.images]
    assert len(images) == 2 and numpy.isnan(fields.values["u"]).any()
    for image in images:
        clip, _ = image.get_clip_path().get_transformed_path_and_affine()
        assert len(clip.vertices) == len(path.vertices)
        filled = ~numpy.ma.getmaskarray(image.get_array()).T
        for i, x in enumerate(fields.axes["x"][:-1]):
            for j, y in enumerate(fields.axes["y"][:-1]):
                middle = (x + 0.1, y + 0.1)  # of a cell of the 11 x 11 nodes
                assert not path.contains_point(middle) or filled[i : i + 2, j : j + 2].all()


def test_what_lies_beyond_the_boundary_is_the_nearest_value():
    values = numpy.full((5, 5), numpy.nan)
    values[0, 0], values[0, 1] = 1.0, 3.0
    further = continued(values, rings=1)
    assert further[1, 0] == further[0, 0] == 1.0
    assert further[1, 1] == further[1, 2] == further[0, 2] == 3.0
    assert numpy.isnan(further[2:]).all() and numpy.isnan(further[:, 3:]).all()


def panels_of(figure: Figure) -> list[str]:
    assert all(ax.axison for ax in figure.axes)
    return [ax.get_title() for ax in figure.axes]


def test_cells_are_drawn_where_they_are_and_coloured_by_their_levels():
    network = kp.Cells([2, 1], 3, [2, 1])
    problem = Laplace(x=(0, 4), y=(0, 1))
    solution = kp.solve(problem, network, kp.AdaptiveLeastSquares(steps=1), verified=False)
    tree, _ = network.tree.split(torch.tensor([[True, True], [False, False]]))
    network.layer.reset(tree, tree.boxes, torch.zeros(5, 10, 1, dtype=torch.float64))
    figure = cells_figure(solution, fields := on_grid(solution), Sheet(fields.axes))
    left, right = figure.axes[:2]
    (lines,), (boxes,) = left.collections, right.collections
    corners = numpy.array([path.vertices[:4] for path in boxes.get_paths()])
    assert sorted(corners.max(axis=1).tolist()) == [[1, 0.5], [1, 1], [2, 0.5], [2, 1], [4, 1]]
    assert sorted(boxes.get_array().tolist()) == [0, 1, 1, 1, 1] and len(lines.get_paths()) == 5
    assert right.get_xlim() == left.get_xlim() == (0, 4)


def test_cells_of_one_level_need_no_colour_bar_and_one_step_no_history(tmp_path):
    problem = Laplace(x=(0, 4), y=(0, 1))
    problem.exact = None
    solution = kp.solve(problem, kp.Cells([2, 1], 3, [2, 1]), kp.AdaptiveLeastSquares(steps=1))
    assert "history" not in {path.stem for path in draw_figures(solution, tmp_path)}
    network = solution.network
    tree, _ = network.tree.split(torch.ones(2, 2, dtype=torch.bool))
    network.layer.reset(tree, tree.boxes, torch.zeros(8, 10, 1, dtype=torch.float64))
    figure = cells_figure(solution, fields := on_grid(solution), Sheet(fields.axes))
    assert panels_of(figure)[1] == "all cells have level 1"
    assert not figure.axes[1].child_axes


def test_residuals_of_a_system_have_their_own_figure_and_no_panel_is_empty():
    fields = on_grid(solve(Linear(x=(0, 1), y=(0, 1)), kp.KAN([2, 2, 2], grid=1)))
    assert panels_of(solution_figure(fields, Sheet(fields.axes), "v")) == [
        "$v$",
        "exact $v$",
        "|error of $v$|",
    ]
    titles = ["|residual of equation 1|", "|residual of equation 2|"]
    assert panels_of(residual_figure(fields, Sheet(fields.axes))) == titles
    one = on_grid(solve(Laplace(x=(0, 1), y=(0, 1)), kp.MLP([2, 2, 1])))
    assert panels_of(solution_figure(one, Sheet(one.axes), "u")) == ["$u$", "|residual|"]


def test_fields_of_a_system_share_their_kind_of_colours():
    fields = on_grid(solve(Linear(x=(0, 1), y=(0, 1)), kp.KAN([2, 2, 2], grid=1)))
    for name, (low, high) in {"u": (-1, 1), "v": (0, 1)}.items():
        for key in (name, f"exact_{name}"):
            fields.values[key] = numpy.linspace(low, high, 121).reshape(11, 11)
    maps = [
        solution_figure(fields, Sheet(fields.axes), name).axes[0].images[0] for name in ("u", "v")
    ]
    assert {image.cmap.name for image in maps} == {"RdBu_r"}
    fields.values["u"] += 10  # far from zero
    assert solution_figure(fields, Sheet(fields.axes), "v").axes[0].images[0].cmap.name == "viridis"


def test_five_residuals_fill_their_rows():
    fields = on_grid(solve(Laplace(x=(0, 1), y=(0, 1)), kp.MLP([2, 2, 1])))
    size = fields.values.pop("residual")
    fields.values.update({f"residual_{i}": size for i in range(5)})
    figure = residual_figure(fields, Sheet(fields.axes))
    figure.draw_without_rendering()
    left, right = (figure.axes[i].get_position() for i in (3, 4))
    assert len(figure.axes) == 5 and abs(left.x0 + right.x1 - 1) < 0.1  # in the middle


def test_space_and_time_have_no_common_scale():
    fields = on_grid(solve(Laplace(x=(0, 1), t=(0, 1)), kp.MLP([2, 2, 1])))
    assert solution_figure(fields, Sheet(fields.axes, time="t"), "u").axes[0].get_aspect() == "auto"
    assert solution_figure(fields, Sheet(fields.axes), "u").axes[0].get_aspect() == 1


def test_data_at_points_have_no_panel(tmp_path):
    (tmp_path / "data.csv").write_text("x,y,u\n0.2,0.2,1\n0.5,0.7,1\n0.9,0.3,1\n")
    problem = Laplace(x=(0, 1), y=(0, 1))
    solution = solve(problem, kp.MLP([2, 2, 1]))
    reference = DataFile(str(tmp_path / "data.csv")).build(problem)
    fields = on_grid(dataclasses.replace(solution, reference=reference))
    assert panels_of(solution_figure(fields, Sheet(fields.axes), "u")) == ["$u$", "|residual|"]


# --- history ----------------------------------------------------------------------------------


def history(count, stage=lambda step: 0):
    rows = [(step, stage(step), 0.1**step, 0.1 * step) for step in range(count)]
    names = ("step", "stage", "loss", "seconds")
    return History([dict(zip(names, row, strict=True)) for row in rows])


def test_the_history_shows_losses_at_their_steps(ax):
    plot_history(ax, history(100, lambda step: step // 50), ("Adam", "LBFGS"))
    curve = ax.lines[0]
    assert numpy.array_equal(curve.get_xdata(), numpy.arange(100))
    assert curve.get_ydata()[3] == pytest.approx(1e-3)
    assert ax.get_yscale() == "log" and {t.get_text() for t in ax.texts} == {"LBFGS", "Adam"}
    plot_history(few := Figure().subplots(), history(3))  # no line suggests what lies between
    assert few.lines[0].get_linestyle() == "None" and few.lines[0].get_marker() == "o"
    for x in ("step", "seconds"):
        plot_history(one := Figure().subplots(), history(1), ("A",), x)
        one.figure.draw_without_rendering()
        assert one.get_xlim()[0] < 0 < one.get_xlim()[1] and one.lines[0].get_marker() == "o"


def test_titles_of_stages_lie_above_the_curves_and_do_not_overlap(ax):
    titles = tuple(optimizer.title for optimizer in (kp.LBFGS(), kp.LeastSquares()))
    plot_history(ax, history(9, lambda step: step // 6), titles)
    ax.figure.draw_without_rendering()
    assert [t.get_text() for t in ax.texts] == ["L-BFGS", "Least Squares"]
    top = ax.get_window_extent().y1
    assert all(t.get_window_extent().y0 >= top - 2 for t in ax.texts)
    many = Figure().subplots()
    plot_history(many, history(41, lambda step: max(0, step - 1)), tuple("A" * 40))
    at = sorted(t.xy[0] for t in many.texts)
    assert 2 <= len(at) < 40 and min(numpy.diff(at)) >= 0.035 * 40


# --- edges ------------------------------------------------------------------------------------


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


def test_edges_of_other_inputs_do_not_show_coordinates():
    class Squared(Laplace):
        def inputs(self):
            return lambda p: 2 * p.coords**2 - 1

    solution = solve(Squared(x=(0, 1), y=(0, 1)), kp.KAN([2, 1, 1], grid=2))
    (edge, _), _ = edges_of(solution)
    assert edge.source == r"\xi_{1}" and edge.breaks == pytest.approx([-1, 0, 1])


@pytest.mark.usefixtures("ticks")
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
    middle = layer.basis.breaks.mean()
    layer.basis = layer.basis.on(middle + 0.1 * (layer.basis.breaks - middle))
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
            {"solution_u", "solution_v", "residuals", "history", "edges"},
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


def test_streamlines_of_a_rotation_are_circles():
    line = numpy.linspace(-1, 1, 41)
    x, y = numpy.meshgrid(line, line, indexing="ij")
    fields = GridFields({"x": line, "y": line}, {"u": -y, "v": x}, {}, ("u", "v"))
    ax, *_ = streamlines_figure(fields, Sheet(fields.axes), ("u", "v")).axes
    (lines,) = (one for one in ax.collections if isinstance(one, LineCollection))
    radii = [numpy.hypot(*line.T) for line in lines.get_segments()]
    assert len(radii) > 10 and all(numpy.ptp(radius) < 1e-2 for radius in radii)


def test_flows_have_streamlines():
    class Shear(Linear):
        velocity_fields = ("u", "v")

    for domain in (kp.Box(x=(0, 2), y=(0, 1)), kp.Disk((0, 0), 1).over(t=(0, 1))):
        solution = solve(Shear(domain), kp.MLP([domain.dim, 4, 2]))
        assert "streamlines" in (name for name, _ in figures(solution))


# --- Figures of evolutions show the solution and the windows of its march


class Rod(kp.Problem):
    """u = exp(-π² t) sin πx."""

    domain = kp.Box(x=(0, 1), t=(0, 0.2))

    def residual(self, p, u):
        return kp.partial(u, "t") - kp.partial(u, "x", "x")

    def conditions(self):
        ends = self.domain.boundary["x_min", "x_max"]
        return [kp.Initial(self.domain, self.exact), kp.Dirichlet(ends, 0.0)]

    def exact(self, p):
        return torch.exp(-(math.pi**2) * p.t) * torch.sin(math.pi * p.x)


class Stiff(kp.Problem):
    """u' = -u, v' = -k v, and for three fields w' = w."""

    def __init__(self, rate: float = 2.0, count: int = 2, end: float = 2.0) -> None:
        self.rates = (-1.0, -rate, 0.01)[:count]
        self.fields = ("u", "v", "w")[:count]
        self.domain = kp.Box(t=(0, end))

    def residual(self, p, *fields):
        both = zip(self.rates, fields, strict=True)
        return tuple(kp.partial(u, "t") - rate * u.value for rate, u in both)

    def conditions(self):
        return [kp.Initial(self.domain, 1.0, field=name) for name in self.fields]

    def exact(self, p):
        return torch.cat([torch.exp(rate * p.t) for rate in self.rates], dim=1)


def marched(problem, tolerance=1e-5):
    inputs = problem.domain.dim
    network = kp.Windows([inputs, len(problem.fields)], degree=5, grid=8)
    return kp.solve(problem, network, kp.March(tolerance), verified=False)


def test_snapshots_are_the_solution_at_equidistant_times():
    figure = dict(figures(marched(Rod())))["snapshots"]
    (ax,) = figure.axes
    lines = ax.get_lines()
    assert len(lines) == 12 and ax.get_xlabel() == "$x$" and ax.get_ylabel() == "$u$"
    for moment, line, known in zip(numpy.linspace(0, 0.2, 6), lines[:6], lines[6:], strict=True):
        x, u = line.get_data()
        true = numpy.exp(-(math.pi**2) * moment) * numpy.sin(math.pi * x)
        assert abs(u - true).max() < 1e-4 and abs(known.get_ydata() - true).max() < 1e-14
        assert line.get_label() == f"$t = $ {moment:.3g}"
    legend = ax.get_legend()
    assert [one.get_text() for one in legend.get_texts()].count("exact") == 1


def test_snapshots_over_two_coordinates_are_maps_of_equal_colours():
    class Sheet(Rod):
        domain = kp.Disk((0.0, 0.0), 1.0).over(t=(0, 0.2))

        def exact(self, p):
            return p.t * (1 - p.x**2 - p.y**2)

        def residual(self, p, u):
            return kp.partial(u, "t") - (1 - p.x**2 - p.y**2)

        def conditions(self):
            return [kp.Initial(self.domain, 0.0)]

    points = kp.Collocation(20, 8)
    network = kp.KAN([3, 4, 1], degree=4, grid=2)
    solution = kp.solve(Sheet(), network, kp.Adam(steps=1), points, errors=False)
    figure = dict(figures(solution))["snapshots"]
    maps = [ax for ax in figure.axes if ax.get_title()]
    assert [ax.get_title() for ax in maps] == [
        f"$u$ at $t = {time}$" for time in ("0", "0.06667", "0.1333", "0.2")
    ]
    limits = {(ax.images[0].norm.vmin, ax.images[0].norm.vmax) for ax in maps}
    assert len(limits) == 1


@pytest.mark.parametrize("count", [2, 3])
def test_components_and_their_path(count):
    problem = Stiff(2.0, count)
    points = kp.Collocation(20, 8)
    network = kp.Windows([1, count], degree=5)
    solution = kp.solve(problem, network, kp.March(1e-5), points, verified=False, errors=False)
    found = components(solution)
    assert not is_logarithmic(found.axes["t"])
    assert all(abs(found.of(name)["error"]).max() < 1e-3 for name in found.fields)
    assert len(components_figure(found).axes) == 1
    ax, bar = phase_figure(found).axes
    assert ax.get_xlabel() == "$u$" and ax.get_ylabel() == "$v$" and bar.get_ylabel() == "$t$"
    assert ax.name == ("3d" if count == 3 else "rectilinear")


def test_times_of_many_orders_of_magnitude_are_logarithmic():
    solution = marched(Stiff(1e7, end=2.0))
    found = components(solution)
    assert is_logarithmic(found.axes["t"])
    assert components_figure(found).axes[0].get_xscale() == "log"
    figure = steps_figure(solution.history, 0.0, "t", 5e-6)
    assert [ax.get_xscale() for ax in figure.axes] == ["log"] * 3  # there are no intervals


def test_steps_are_those_of_the_history():
    rows = [
        {"step": 0, "loss": 1.0},
        {"window": 1, "time": 0.5, "length": 0.5, "stages": 3, "newton": 2, "intervals": 0},
        {"window": 1, "time": 0.5, "length": 0.5, "stages": 3, "newton": 9, "intervals": 0},
        {"window": 2, "time": 1.0, "length": 0.5, "stages": 5, "newton": 4, "intervals": 0},
    ]
    found = WindowsTried.of(History(rows), 0.0)
    assert found.starts.tolist() == [0.0, 0.5, 0.5]
    assert found.accepted.tolist() == [True, False, True]
    ax = Figure().subplots()
    found.plot(ax, "newton", "", "black", "-")
    values, ends, _ = ax.patches[0].get_data()
    assert values.tolist() == [2, 4] and ends.tolist() == [0.0, 0.5, 1.0]


def test_a_march_has_its_figures(tmp_path):
    solution = marched(Rod())
    paths = draw_figures(solution, tmp_path)
    assert {"snapshots", "steps", "history"} <= {path.stem for path in paths}
    names = [name for name, _ in evolution_figures(marched(Stiff()))]
    assert names == ["components", "phases", "steps"]
    lengths, stages, errors, intervals = steps_figure(solution.history, 0.0, "t", 5e-6).axes
    texts = [one.get_text() for one in errors.get_legend().get_texts()]
    assert texts == [
        "of a window in time",
        "of a window in space",
        "estimated up to there",
        "measured up to there",
        "allowed for a window",
    ]
    assert lengths.get_yscale() == errors.get_yscale() == "log"
    assert intervals.get_ylabel() == "intervals in space" and stages.get_ylim()[0] == 0


# --- The picture of a network: boxes that do not meet, curves that are the edges', files


BOX = kp.Box(x=(-1, 1), y=(-1, 1))
WIDTHS = [(2, 2, 1), (2, 5, 1), (3, 4, 2, 1), (17, 1, 14), (2, 5, 5, 1), (100, 1, 1), (1, 1)]
CURVE = numpy.linspace(-1, 1, 20), numpy.linspace(3, 5, 20) ** 2


def whole(width):
    """All edges of a network, layer by layer."""
    return [[(i, o) for i in range(a) for o in range(b)] for a, b in itertools.pairwise(width)]


def links_of(width, score=1.0):
    layers = enumerate(whole(width))
    return [Link(layer, i, o, *CURVE, score) for layer, ends in layers for i, o in ends]


def names(letter, count):
    return [f"{letter}{i}" for i in range(count)]


@pytest.mark.parametrize("width", WIDTHS)
def test_boxes_and_units_do_not_meet_and_stay_inside(width):
    layout = Layout(width, tuple(tuple(ends) for ends in whole(width)))
    boxes = [p for layer in range(len(width) - 1) for p in layout.boxes(layer)]
    assert len(boxes) == sum(a * b for a, b in itertools.pairwise(width))
    for a, b in itertools.combinations(boxes, 2):
        assert max(abs(a.x - b.x), abs(a.y - b.y)) > max(a.size, b.size) * 1.05
    units = [layout.unit(level, k) for level, n in enumerate(width) for k in range(n)]
    assert len(set(units)) == sum(width)
    for box in boxes:
        assert box.size >= 0.2  # of an inch: a curve can be seen
        assert box.size / 2 <= box.x <= layout.across - box.size / 2
        assert 0 < box.y < layout.height
        assert all(abs(y - box.y) > box.size / 2 + 0.3 for _, y in units)


def test_a_curve_fills_its_box_and_is_as_clear_as_its_score():
    links = [Link(0, 0, 0, *CURVE, 0.2), Link(0, 1, 0, *CURVE, 0.7, symbolic=True)]
    figure = network_figure([2, 1], links, ["x", "y"], ["u"])
    lines, curves = (c for c in figure.axes[0].collections if isinstance(c, LineCollection))
    for link, curve, colour in zip(links, curves.get_segments(), curves.get_colors(), strict=True):
        assert colour[3] == pytest.approx(numpy.tanh(3 * link.score))
        for column, values in zip(curve.T, CURVE, strict=True):
            shares = (values - values.min()) / numpy.ptp(values)
            assert (column - column.min()) / numpy.ptp(column) == pytest.approx(shares)
    assert not numpy.allclose(*curves.get_colors()[:, :3])
    assert len(lines.get_segments()) == 4
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["splines", "formulas"]


def test_units_that_add_are_marked():
    figure = network_figure([2, 2, 1], links_of((2, 2, 1))[:-1], ["x", "y"], ["u"])
    marks = [line.get_marker() for line in figure.axes[0].lines]
    assert marks.count("+") == 2  # the output has one edge left
    assert marks.count("o") == 5


@pytest.mark.parametrize("name", ["x", "theta_1", "a $ strange_name\\", "50 %", "", "Länge {mm}"])
def test_any_name_is_written(name, tmp_path):
    figure = network_figure([2, 1], links_of((2, 1)), [name, "y"], [name])
    save(figure, tmp_path / "network.png")
    assert any(name[:1] in text.get_text() for text in figure.axes[0].texts)


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_files_of_all_kinds(suffix, tmp_path):
    figure = network_figure([17, 1, 14], links_of((17, 1, 14)), names("x", 17), names("y", 14))
    assert save(figure, tmp_path / f"network.{suffix}").stat().st_size > 3000


def fitted(width=(2, 3, 1)):
    data = kp.Table.sample(BOX, lambda p: torch.exp(p.x + p.y**2), 200, seed=0)
    return kp.fit(kp.KAN(list(width), seed=0), data, kp.LevenbergMarquardt(steps=4))


def test_the_picture_of_a_fit_shows_its_edges_where_the_data_are():
    fit = fitted()
    figure = draw_network(fit, {(0, 1, 2)})
    _, curves = (c for c in figure.axes[0].collections if isinstance(c, LineCollection))
    scores = torch.cat(
        [s.flatten() for s in score_edges(fit.surrogate, fit.residuals.points).edges]
    )
    opacity = curves.get_colors()[:, 3]
    assert opacity == pytest.approx(numpy.tanh(3 * scores.numpy()))
    unit = fit.network.layers[0](fit.surrogate.coordinates(fit.residuals.points, _value())).value
    low, high = unit[:, 1].aminmax()
    x = torch.lerp(low, high, torch.linspace(0, 1, 120, dtype=torch.float64))[:, None]
    y = fit.network.layers[1].edges(x.expand(-1, 3))[:, 0, 1, 0].detach()
    drawn = curves.get_segments()[7][:, 1]
    shares = ((y - y.min()) / (y.max() - y.min())).numpy()
    assert (drawn - drawn.min()) / numpy.ptp(drawn) == pytest.approx(shares, abs=1e-6)
    assert {t.get_text() for t in figure.axes[0].texts} == {"$x$", "$y$", "$y_{0}$"}


def _value():
    return Channels(BOX.names)


def test_removed_edges_are_left_out():
    fit = fitted()
    reference.remove_edge(fit.network, 0, 1, 2)
    _, curves = (c for c in draw_network(fit).axes[0].collections if isinstance(c, LineCollection))
    assert len(curves.get_segments()) == 8
    small = prune(fit, 0.2)
    assert draw_network(small, outputs=["the output"]).axes[0].texts[-1].get_text() == "the output"


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: network_figure([2, 1], [], ["x"], ["u"]), "inputs must be 2 names"),
        (lambda: network_figure([2, 1], [], ["x", "y"], []), "outputs must be 1 names"),
        (
            lambda: network_figure([2, 1], [Link(0, 0, 1, *CURVE, 1.0)], ["x", "y"], ["u"]),
            r"no edge \(0, 0, 1\)",
        ),
    ],
)
def test_what_does_not_fit_is_refused_in_words(call, words):
    with pytest.raises(kp.InputError, match=words):
        call()
