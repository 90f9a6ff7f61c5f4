"""Figures of evolutions show the solution and the windows of its march."""

import math

import numpy
import pytest
import torch
from matplotlib.figure import Figure

import kanpinn as kp
from kanpinn.plotting import draw_figures
from kanpinn.plotting.evolution import (
    WindowsTried,
    components,
    components_figure,
    evolution_figures,
    is_logarithmic,
    phase_figure,
    snapshots_figure,
    steps_figure,
)
from kanpinn.solvers.state import History


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
    figure = snapshots_figure(marched(Rod()))
    (ax,) = figure.axes
    lines = ax.get_lines()
    assert len(lines) == 12 and ax.get_xlabel() == "$x$" and ax.get_ylabel() == "$u$"
    for moment, line, known in zip(numpy.linspace(0, 0.2, 6), lines[:6], lines[6:], strict=True):
        x, u = line.get_data()
        true = numpy.exp(-(math.pi**2) * moment) * numpy.sin(math.pi * x)
        assert abs(u - true).max() < 1e-4 and abs(known.get_ydata() - true).max() < 1e-14
        assert line.get_label() == f"$t = $ {moment:.3g}"
    (legend,) = figure.legends
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
    figure = snapshots_figure(kp.solve(Sheet(), network, kp.Adam(steps=1), points, errors=False))
    maps = [ax for ax in figure.axes if ax.get_title()]
    assert [ax.get_title() for ax in maps] == [
        f"$u$ at $t = $ {time}" for time in ("0", "0.0667", "0.133", "0.2")
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
