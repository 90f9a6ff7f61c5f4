"""When there is an interval and when there is none, and what is said then."""

import functools
import math
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import commands
import h5py
import numpy
import pytest
import torch
from toy_inverse import LINE, Field, Toy, solved

import kanpinn as kp
from kanpinn.accuracy.confidence import Noise, approximation
from kanpinn.optimizers import Adam, LevenbergMarquardt, SSBroyden
from kanpinn.optimizers.output_layer import unknown_columns
from kanpinn.plotting.edges import edges_of
from kanpinn.plotting.solutions import unknown_figures
from kanpinn.solvers.grid_fields import on_grid
from kanpinn.solvers.summary import unknowns

SOURCE = """
import math, torch
import kanpinn as kp

class Toy(kp.Problem):
    domain = kp.Box(x=(0, 1))
    unknowns = {"k": kp.Unknown(1.0, exact=2.0)}

    def __init__(self, hole: bool = False, slope: float = 1.0):
        self.hole, self.slope = hole, slope

    def residual(self, p, u, k):
        gone = torch.sqrt(p.x - 0.5) if self.hole else 0.0
        return -k * kp.laplacian(u) - self.slope * torch.sin(math.pi * p.x) + 0 * gone

    def conditions(self):
        at = torch.linspace(0.05, 0.95, 20, dtype=torch.float64)[:, None]
        data = torch.sin(math.pi * at) / (2 * math.pi**2)
        return [kp.Dirichlet(self.domain.boundary), kp.Observed(self.domain, at, data, 0.001)]
"""
FILE = """
[problem]
class = "toy.py:Toy"
[network]
type = "kan"
width = [1, 4, 1]
degree = 4
grid = 2
[points]
interior = 40
boundary = 2
"""
SECTIONS = tomllib.loads(FILE)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "toy.py").write_text(SOURCE)
    (tmp_path / "toy.toml").write_text(FILE)
    return tmp_path


def found_by(optimizer, points=64, dtype=torch.float64, problem=None):
    network = kp.KAN([1, 8, 1], 5, 4).to(dtype)
    points = kp.Collocation(points, 2)
    options = {"errors": False, "verified": False}
    return kp.solve(problem or Toy(), network, optimizer, points, **options)


@functools.cache
def arrived():
    return found_by(kp.LeastSquares(30))


@functools.cache
def solved_field(method=kp.LeastSquares(30)):  # noqa: B008
    network = kp.Beside([kp.KAN([1, 12, 1], 7, 4), kp.KAN([1, 1], 3, 1, seed=1)])
    options = {"errors": False, "verified": False}
    return kp.solve(Field(), network, method, kp.Collocation(80, 2), **options)


def test_a_band_that_the_search_has_not_reached_is_not_drawn():
    solution = solved_field(Adam(20))
    spread = solution.spreads["a"]
    assert not spread.arrived and math.isinf(spread.least)
    assert "the search has not arrived" in next(unknowns(solution))


@pytest.mark.parametrize("points", [64, 400])
@pytest.mark.parametrize("optimizer", [Adam(60), LevenbergMarquardt(3)], ids=["adam", "lm"])
def test_a_search_that_has_not_arrived_has_no_interval(optimizer, points):
    solution = found_by(optimizer, points)
    k = solution.estimated["k"]
    assert not k.arrived and not k.is_identified
    assert (k.step > 0) == (k.value < 2.0)  # it says where to go on
    assert "the search has not arrived, one more step would change it by" in str(k)
    assert list(unknowns(solution)) == [f"k = {k}, exact 2"]  # nothing goes by the noise
    low, high = solution.interval(torch.tensor([[0.5]], dtype=torch.float64))
    assert bool(low.isinf().all() and high.isinf().all())


def test_a_search_that_has_arrived_would_not_move():
    k = arrived().estimated["k"]
    assert k.arrived and abs(k.step) < 1e-4 * (k.high - k.low)


def test_intervals_do_not_depend_on_the_optimizer():
    first, other = (one.estimated["k"] for one in (arrived(), found_by(SSBroyden(150))))
    assert first.high - first.low == pytest.approx(0.0623, rel=0.05)  # least squares, 400 points
    assert other.high - other.low == pytest.approx(first.high - first.low, rel=0.02)


def test_intervals_of_single_precision_are_those_of_double():
    double, single = arrived(), found_by(kp.LeastSquares(30), dtype=torch.float32)
    ends = [(s.estimated["k"].low, s.estimated["k"].high) for s in (double, single)]
    few = 0.02 * (ends[0][1] - ends[0][0])  # which rounding in single precision may change
    assert ends[0] == pytest.approx(ends[1], abs=few)
    low, high = single.interval(torch.tensor([[0.5]]))
    assert low.dtype == high.dtype == torch.float32 and bool(low < high)


def test_a_residual_that_is_no_number_leaves_a_run_without_intervals(folder):
    hole = "parameters = { hole = true }\n[network]"
    done, run, record = commands.solved(folder / "toy.toml", FILE.replace("[network]", hole))
    assert done.exit_code == 1
    assert "no intervals: a residual or one of its derivatives is not a finite" in done.output
    assert not run.name.endswith(".partial")
    k = record["estimated"]["k"]
    assert k["low"] is k["high"] is None and k["arrived"] is False


@pytest.mark.parametrize("factor", [0.1, 10.0])
def test_a_given_noise_that_is_wrong_is_said_to_be(factor):
    problem = Toy(count=60)
    problem.noise *= factor
    noise = solved(problem).covariance.noise
    assert not noise.fits
    assert noise.scatter == pytest.approx(1 / factor, rel=0.3)
    assert f"the data scatter {noise.scatter:.3g} times as much" in str(noise)


def test_a_given_noise_that_is_right_is_believed():
    for seed in range(3):
        noise = solved(Toy(seed=seed)).covariance.noise
        assert noise.fits and "scatter" not in str(noise)
        assert noise.freedom == pytest.approx(39, abs=1)  # of 40 data one number is found


def test_the_chance_that_a_right_noise_is_doubted_is_a_thousandth():
    generator = torch.Generator().manual_seed(0)
    squares = torch.randn(20000, 12, generator=generator).square().mean(dim=1)
    doubted = sum(not Noise(1.0, True, 12.0, float(s) ** 0.5).fits for s in squares)
    assert 5 <= doubted <= 40


def test_what_no_datum_depends_on_is_not_said_to_be_free():
    found = found_by(kp.LeastSquares(30, starts=0), problem=Toy(start=-1.0)).estimated["k"]
    assert not found.is_identified
    assert "not determined here" in str(found)


class Power(kp.Problem):
    """u' = k x^(power - 1) / power, u(0) = 0: u = k x^power, of which exact values are given."""

    domain = LINE

    def __init__(self, power, positive=False):
        self.power, self.unknowns = power, {"k": kp.Unknown(1.0, positive, exact=2.0)}

    def residual(self, p, u, k):
        return kp.partial(u, "x") - k.value * self.power * p.x ** (self.power - 1)

    def conditions(self):
        at = torch.linspace(0.02, 1, 40, dtype=torch.float64)[:, None]
        return [
            kp.Dirichlet(self.domain.boundary["x_min"], 0.0),
            kp.Observed(self.domain, at, 2 * at**self.power),
        ]


@pytest.mark.parametrize("grid", [1, 3])
def test_the_bounds_contain_the_error_of_a_small_network(grid):
    network, points = kp.KAN([1, 1], 2, grid), kp.Collocation(40, 2)
    solution = kp.solve(Power(4.5), network, kp.LeastSquares(), points, errors=False)
    covariance, k = solution.covariance, solution.estimated["k"]
    gradient = covariance._number_gradients
    by_noise, by_network = covariance.margins(gradient), covariance.approximation_errors(gradient)
    error = abs(k.value - 2)
    assert error > float(by_noise)  # the misfit of a smooth error is no noise
    assert k.low < 2 < k.high
    assert 0.9 * error < float(by_network) < 2 * error


def test_there_are_no_bounds_where_no_network_resolves_the_solution():
    network, points = kp.KAN([1, 1], 2, 4), kp.Collocation(40, 2)
    solution = kp.solve(Power(0.55), network, kp.LeastSquares(), points, errors=False)
    k = solution.estimated["k"]
    assert k.arrived and not k.resolved and not k.is_identified
    assert "the network is too small" in str(k)


def test_numbers_that_the_data_do_not_tell_apart_name_each_other():
    class Product(Toy):
        def __init__(self):
            super().__init__()
            self.unknowns = {"k": kp.Unknown(1.0), "m": kp.Unknown(1.5)}

        def residual(self, p, u, k, m):
            return super().residual(p, u, k.value * m.value)

    found = solved(Product()).estimated
    assert found["k"].value * found["m"].value == pytest.approx(2, rel=0.05)
    assert found["k"].confounded == ("m",) and found["m"].confounded == ("k",)
    assert "the data do not tell it from m" in str(found["k"])


@pytest.mark.parametrize("seed", [0, 1])
def test_what_noise_leaves_of_the_equation_is_no_error_of_the_network(seed):
    # With a small weight of the equation its residual is mostly due to noise, in a richer network,
    # too: with this part the ratio of the residuals is 0.6.
    network, points = kp.KAN([1, 1], 3, 3), kp.Collocation(48, 2)
    options = {"loss": kp.Loss(interior=1e-2), "errors": False, "verified": False}
    problem = Toy(noise=0.03, seed=seed, start=2.0)
    solution = kp.solve(problem, network, points=points, **options)
    richer = solution.covariance._richer()
    found = approximation(richer, unknown_columns(solution.residuals.surrogate), freedom=2.0)
    assert found.contraction < 0.4


def test_of_two_parts_of_one_term_the_data_tell_the_sum_only():
    class Parts(Toy):
        def __init__(self):
            super().__init__(noise=1e-3)
            self.unknowns = {"k": kp.Unknown(1.0), "m": kp.Unknown(0.5)}

        def residual(self, p, u, k, m):
            return super().residual(p, u, k.value + m.value * (1 + 1e-3 * p.x))

    (one,) = solved(Parts()).covariance.dependences()
    assert (one.first, one.second) == ("k", "m") and one.correlation < -0.999
    assert "times as narrow" in str(one)


def test_a_field_s_half_widths_are_told(folder):
    solution = solved_field()
    spread = solution.spreads["a"]
    assert 0 < spread.least < spread.median < spread.largest < 0.1 and spread.arrived
    first, second = unknowns(solution)
    assert first.startswith("a: 95% half-width 0.0") and "median 0.0" in first
    assert "noise" in second
    fields = on_grid(solution, nodes=9)
    points = torch.linspace(0, 1, 9, dtype=torch.float64)[:, None]
    for end, tensor in zip(fields.ends("a"), solution.interval(points, "a"), strict=True):
        numpy.testing.assert_allclose(end, tensor.numpy())


def test_a_field_s_ends_are_in_its_files(folder):
    text = FILE.replace("[network]", "parameters = { slope = 1.0 }\n[network]")
    source = SOURCE.replace('unknowns = {"k"', 'fields = ("u", "k")\n    unknowns = {"k"')
    source = source.replace(", exact=2.0", "").replace("-k *", "-k.value *")
    source = source.replace("kp.Dirichlet(self.domain.boundary)", "self.wall()")
    source = source.replace("data, 0.001)", 'data, 0.001, field="u")')
    source += "\n    def wall(self):\n        boundary = self.domain.boundary\n"
    source += '        return kp.Dirichlet(boundary, field="u")\n'
    (folder / "toy.py").write_text(source)
    text = text.replace("[1, 4, 1]", "[1, 4, 2]")
    done, run, record = commands.solved(folder / "toy.toml", text)
    assert done.exit_code == 0 and "k: " in done.output
    spread = record["spreads"]["k"]
    assert {"least", "median", "largest", "arrived"} <= set(spread)
    with h5py.File(run / "result.h5") as file:
        assert file["fields/low_k"].shape == file["fields/high_k"].shape == file["fields/k"].shape


def test_a_band_and_the_edges_of_each_network_are_drawn():
    solution = solved_field()
    ((name, figure),) = unknown_figures(solution, on_grid(solution, nodes=9))
    assert name == "interval_a"
    assert [t.get_text() for t in figure.axes[0].get_legend().get_texts()] == [
        "95% interval",
        "estimate",
        "exact",
    ]
    layers = edges_of(solution)
    assert [len(edges) for edges in layers] == [12, 12, 1]
    assert layers[0][0].target == "h^{u}_{1}" and layers[2][0].target == "N_{a}"


@pytest.mark.parametrize("steps", [2, 30])
def test_a_number_is_drawn_with_an_interval_where_there_is_one(steps):
    solution = arrived() if steps == 30 else found_by(LevenbergMarquardt(steps))
    ((_, figure),) = unknown_figures(solution, on_grid(solution, nodes=9))
    has_arrived = solution.estimated["k"].arrived
    assert has_arrived == (steps == 30)
    assert len(figure.axes) == 1 + has_arrived
    titles = [ax.get_title(loc="left") + ax.get_title() for ax in figure.axes]
    assert titles == [f"k = {solution.estimated['k']}", ""][: len(titles)]
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert ("95% interval" in labels) == has_arrived and "exact 2" in labels
    assert all(tick == round(tick) for ax in figure.axes for tick in ax.get_xticks())


def test_a_study_s_table_has_the_numbers_and_their_ends(folder):
    over = {"problem.parameters.slope": [1.0, 2.0], "problem.parameters.hole": [False, True]}
    with ThreadPoolExecutor(1) as executor:
        study = kp.sweep(SECTIONS, over, executor=executor)
    assert study.columns[-3:] == ("k", "k_low", "k_high")
    for value, slope in zip(study.column("k")[::2], (1.0, 2.0), strict=True):
        assert value == pytest.approx(2 * slope, rel=0.05)
    assert all(low < high for low, high in zip(*ends(study), strict=True))
    assert study.column("k_low")[1] is None
    assert kp.Study.read(study.path).columns == study.columns
    assert study.csv().splitlines()[0].endswith("run,k,k_low,k_high")


def ends(study):
    return study.column("k_low")[::2], study.column("k_high")[::2]
