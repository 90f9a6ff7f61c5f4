"""What notebooks show of results, and what `plot` draws of them."""

import math

import numpy
import pytest
import torch
from cases import ZeroOnWalls
from eigen_cases import Membrane
from html_pages import Read
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import kanpinn as kp
from kanpinn.accuracy import Estimate
from kanpinn.solvers import Eigensolution, Fitted


class Moving(kp.Problem):
    """Two fields over a rectangle and a time, which are known: nothing is solved for."""

    fields = ("u", "v")
    domain = kp.Box(x=(0, 2), y=(0, 1), t=(0, 1))

    def residual(self, p, u, v):
        return u - self.exact(p)[:, :1], v - self.exact(p)[:, 1:]

    def conditions(self):
        return []

    def exact(self, p):
        return torch.stack([p.coords[:, 0] - p.coords[:, 2], p.coords[:, 1] ** 2], dim=1)


class Line(ZeroOnWalls):
    domain = kp.Box(x=(0, 1))

    def residual(self, p, u):
        return kp.laplacian(u) + math.pi**2 * torch.sin(math.pi * p.coords)

    def exact(self, p):
        return torch.sin(math.pi * p.coords)


@pytest.fixture(scope="module")
def moving() -> kp.Solution:
    return kp.solve(Moving(), kp.MLP([3, 8, 2]), kp.LeastSquares(), kp.Collocation(200, 50))


@pytest.fixture(scope="module")
def line() -> kp.Solution:
    return kp.solve(Line(), kp.KAN([1, 1], degree=3, grid=4))


@pytest.fixture(scope="module")
def modes() -> Eigensolution:
    return kp.eigen(Membrane(), kp.KAN([2, 24, 1], grid=3), count=3)


@pytest.fixture(scope="module")
def fitted() -> Fitted:
    x = torch.linspace(-1, 1, 40, dtype=torch.float64)[:, None]
    table = kp.Table(x, torch.cat([x**2, 3 * x], dim=1), outputs=("square", "triple"))
    return kp.fit(kp.KAN([1, 2], grid=3), kp.Data(table[::2], test=table[1::2]))


def axes(count: int = 1):
    return Figure().subplots(1, count)


def at(solution, *coordinates) -> numpy.ndarray:
    columns = [numpy.ravel(one) for one in numpy.broadcast_arrays(*coordinates)]
    return solution(torch.tensor(numpy.stack(columns, axis=1))).numpy()


# --- cards -------------------------------------------------------------------------------------


def test_cards_have_the_numbers_and_a_picture(line, modes, fitted):
    shown = Read(line)
    for text in ("Line", "converged", "KAN [1, 1]", f"{line.parameters} parameters", "Box(x="):
        assert text in shown.text
    assert f"{line.errors.l2_relative:.2e}" in shown.text
    assert shown.colours > 10 and shown.words == "Line of u over x: values from 0 to 1."
    assert f"{line.errors.h1_squared:.2e}" in Read(line.errors).text
    shown = Read(Estimate(line.errors, 0.25, 1.5))
    assert "L2, estimated" in shown.text and "a finer network leaves 25.0%" in shown.text
    shown = Read(modes)
    for value, size in zip(modes.values.tolist(), modes.residual_norms.tolist(), strict=True):
        assert f"{value:.12g}" in shown.text and f"{size:.1e}" in shown.text
    assert shown.colours > 10 and "first mode" in shown.words
    shown = Read(fitted)
    for scores in fitted.scores.values():
        assert f"{scores.rmse:.2e}" in shown.text
    assert shown.colours > 5 and "square" in shown.words


def test_results_are_one_line_of_text(line, modes, fitted):
    assert repr(line) == f"<Solution of Line: converged; steps: 1, parameters: {line.parameters}>"
    assert repr(modes).startswith("<Eigensolution of Membrane: converged; values: [19.7392")
    assert repr(fitted).startswith("<Fitted square, triple: ")


def test_texts_of_users_are_escaped():
    name = "<script>alert('&')</script>"
    evil = type(name, (Line,), {"quantities": lambda self, solution: {name: 2.5}})()
    shown = Read(kp.solve(evil, kp.KAN([1, 1], grid=2)))
    assert f"Solution of {name}" in shown.text and f"{name} = 2.5" in shown.text


def test_what_fails_is_said_and_the_rest_is_shown(line, monkeypatch):
    def broken(*_, **__):
        raise ZeroDivisionError("no <b>colours</b>\nleft")

    monkeypatch.setattr("kanpinn.plotting.fields.plot_lines", broken)
    shown = Read(line)
    assert shown.pixels is None and f"{line.errors.l2_relative:.2e}" in shown.text
    assert "there is no picture: ZeroDivisionError: no <b>colours</b>" in shown.text
    monkeypatch.setattr("kanpinn.solvers.summary.quantities", broken)
    assert "converged" in Read(line).text and "some facts cannot be shown" in Read(line).text


def test_a_reference_is_not_made_for_a_card(monkeypatch):
    class Unknown(Line):
        exact = None

        def reference(self):
            return kp.ReferenceSolution()

    made = lambda *_: pytest.fail("the reference was made")  # noqa: E731
    monkeypatch.setattr(kp.ReferenceSolution, "build", made)
    solution = kp.solve(Unknown(), kp.KAN([1, 1], grid=2), errors=False)
    assert "status" in Read(solution).text


# --- plots of solutions ------------------------------------------------------------------------


def test_lines_are_the_solution_with_the_exact_one_beside_it(line):
    ax = line.plot(ax=axes(), nodes=11)
    mine, exact = ax.lines
    x = numpy.linspace(0, 1, 11)
    assert numpy.allclose(mine.get_xdata(), x, atol=1e-15)
    assert numpy.allclose(mine.get_ydata(), at(line, x)[:, 0], atol=1e-15)
    assert numpy.allclose(exact.get_ydata(), numpy.sin(math.pi * x))
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("$x$", "$u$")
    ax = line.plot(error=True, ax=axes(), nodes=11)
    assert ax.get_yscale() == "log" and ax.get_ylabel() == "|error of $u$|"
    error = abs(at(line, x)[:, 0] - numpy.sin(math.pi * x))
    assert numpy.allclose(ax.lines[0].get_ydata(), error, atol=1e-14)


def test_maps_are_cuts_at_the_given_time(moving):
    drawn = moving.plot(time=[0.25, 1], ax=axes(4), nodes=9)
    assert drawn.shape == (2, 2)
    x, y = numpy.linspace(0, 2, 9)[:, None], numpy.linspace(0, 1, 9)
    for row, field in zip(drawn, range(2), strict=True):
        for ax, moment in zip(row, (0.25, 1), strict=True):
            expected = at(moving, x, y, moment)[:, field].reshape(9, 9).T
            assert numpy.allclose(ax.images[0].get_array(), expected, atol=1e-14)
            assert ax.get_title() == f"${'uv'[field]}$ at $t = {moment:g}$"
            assert (ax.get_xlabel(), ax.get_ylabel()) == ("$x$", "$y$")
        assert row[0].images[0].norm.vmax == row[1].images[0].norm.vmax


def test_lines_at_several_times_and_along_a_cut(moving):
    ax = moving.plot("v", along="y", at={"x": 0.5}, time=(0, 1), ax=axes(), nodes=5)
    y = numpy.linspace(0, 1, 5)
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["$t = $ 0", "$t = $ 1", "exact"]
    for drawn, moment in zip(ax.lines, (0, 1), strict=False):
        assert numpy.allclose(drawn.get_ydata(), at(moving, 0.5, y, moment)[:, 1], atol=1e-14)
    ax = moving.plot("u", cut=((0, 0), (2, 1)), time=0.5, ax=axes(), nodes=5)
    share = numpy.linspace(0, 1, 5)
    assert numpy.allclose(ax.lines[0].get_xdata(), share * math.sqrt(5))
    expected = at(moving, 2 * share, share, 0.5)[:, 0]
    assert numpy.allclose(ax.lines[0].get_ydata(), expected, atol=1e-14)
    assert ax.get_xlabel() == "distance from (0, 0) to (2, 1)"
    assert ax.get_title() == "at $t = 0.5$"


def test_a_cut_ends_where_the_domain_does():
    domain = kp.Disk((0, 0), 1)
    solution = kp.solve(kp.Poisson(domain, source="1", boundary="0"), kp.KAN([2, 8, 1], grid=2))
    (line,) = solution.plot(cut=((-2, 0), (2, 0)), ax=axes(), nodes=9).lines
    assert numpy.isnan(line.get_ydata()).tolist() == [True] * 2 + [False] * 5 + [True] * 2


def test_without_axes_there_is_a_figure_that_notebooks_show(moving):
    from matplotlib import pyplot

    drawn = moving.plot(time=1, nodes=5)
    assert drawn.shape == (2,) and all(isinstance(ax, Axes) for ax in drawn)
    assert drawn[0].figure.number in pyplot.get_fignums()
    pyplot.close(drawn[0].figure)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"field": "w"}, "field must be one of u, v, got 'w'"),
        ({"along": ("x", "w")}, r"along must be one or two of x, y, t, got \('x', 'w'\)"),
        ({"along": "x", "at": {"x": 1}}, "along must be one or two of y, t, got 'x'"),
        ({"at": {"z": 1}}, "at must name some of x, y, t, got 'z'"),
        ({"time": 2}, "t must lie between 0 and 1, got 2"),
        ({"time": []}, r"time must be a number or a list of numbers, got \[\]"),
        ({"cut": ((0, 0), (1, 1))}, r"cut must be two different points of \(x, y, t\)"),
        ({"cut": 3, "time": 0}, r"cut must be two points, .* got 3"),
        ({"along": "x", "cut": ((0, 0), (1, 1)), "time": 0}, "cut and along exclude each other"),
        ({"ax": 3}, "ax must be 2 axes of Matplotlib, one for each panel, got 3"),
    ],
)
def test_choices_that_do_not_fit_are_refused_in_words(moving, options, message):
    with pytest.raises(kp.InputError, match=message):
        moving.plot(**options)


def test_errors_need_something_to_compare_with():
    problem = kp.Poisson(kp.Box(x=(0, 1)), source="1", boundary="0")
    solution = kp.solve(problem, kp.KAN([1, 1], grid=2))
    with pytest.raises(kp.InputError, match="error needs an exact solution, or a reference"):
        solution.plot(error=True, ax=axes())
    with pytest.raises(kp.InputError, match="time is for problems with a coordinate t"):
        solution.plot(time=0, ax=axes())


# --- plots of modes and fits -------------------------------------------------------------------


def test_modes_have_the_numbers_of_their_titles(modes):
    ax = modes.plot(2, nodes=9, ax=axes())
    assert ax.get_title().startswith(rf"$\lambda_{{2}}$ = {float(modes.values[1]):.10g}")
    x = numpy.linspace(0, 1, 9)
    expected = at(modes, x[:, None], x)[:, 1].reshape(9, 9).T
    assert numpy.allclose(ax.images[0].get_array(), expected, atol=1e-12)
    assert modes.plot(nodes=9, ax=axes(3)).shape == (3,)
    for options, message in (
        ({"mode": 0}, "mode must be an integer from 1 to 3"),
        ({"field": "w"}, "field must be one of u, got 'w'"),
        ({"imaginary": True}, "imaginary is for complex modes"),
    ):
        with pytest.raises(kp.InputError, match=message):
            modes.plot(**options)


def test_fits_are_drawn_against_their_data(fitted):
    ax = fitted.plot("triple", ax=axes())
    _, train, test = ax.lines
    for drawn, table in ((train, fitted.data.train), (test, fitted.data.test)):
        assert numpy.array_equal(drawn.get_xdata(), table.targets[:, 1])
        assert numpy.allclose(drawn.get_ydata(), fitted(table.inputs)[:, 1])
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("triple, data", "triple, fitted")
    assert fitted.plot(error=True, ax=axes(2)).shape == (2,)
    with pytest.raises(kp.InputError, match="target must be one of square, triple, got 'w'"):
        fitted.plot("w")
