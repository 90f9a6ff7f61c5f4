"""References: solutions made here against exact ones, data files, and what refuses."""

import inspect
import math
import re

import numpy as np
import pytest
import torch
from cases import Line, Manufactured, Stated
from commands import kanpinn, solved

import kanpinn as kp
from kanpinn.accuracy.norms import ErrorNorm
from kanpinn.accuracy.references import reference_of
from kanpinn.jets import Channels

RING = kp.Disk((0, 0), 1, name="outer") - kp.Disk((0.3, 0.1), 0.25, name="hole")


def variable(p, u):
    """An equation with variable coefficients of all orders."""
    div = (1 + p.x * p.y) * kp.laplacian(u) + p.y * kp.partial(u, "x") + p.x * kp.partial(u, "y")
    return div + 0.3 * kp.partial(u, "x", "y") + kp.partial(u, "x") - 2 * u.value


CUBIC = "exp(x) * cos(y) + x * y**2"
KNOWN = {
    "values": Manufactured(kp.Box(x=(0, 1), y=(0, 1.5)), variable, "sin(2 * x + 0.3) * cos(3 * y)"),
    "flux and Robin's condition": Manufactured(
        RING, lambda p, u: kp.laplacian(u) - u.value, CUBIC, {"hole": "neumann", "outer": "robin"}
    ),
    "up to a constant": Manufactured(
        RING, lambda p, u: kp.laplacian(u), CUBIC, "neumann", free_constant=("u",)
    ),
}


class Torsion(kp.Problem):
    """-Δu = 1 on the L-shape, without an exact solution."""

    domain = kp.LShape()

    def residual(self, p, u):
        return kp.laplacian(u) + 1

    def conditions(self):
        return [kp.Dirichlet(self.domain.boundary, 0.0)]

    def reference(self):
        return kp.ReferenceSolution(tolerance=1e-3)


def true_error(problem, reference):
    return ErrorNorm(problem)(reference.jet)


@pytest.mark.parametrize("problem", KNOWN.values(), ids=KNOWN)
def test_the_stated_error_is_the_true_one_or_above(problem):
    found = kp.ReferenceSolution(tolerance=1e-2).build(problem)
    assert true_error(problem, found).l2_relative < 3 * found.error < 3e-2


def test_the_torsion_of_the_l_shape():
    """∫ u = 0.2140797 and u(-1/2, -1/2) = 0.13105, by finite elements on graded meshes."""
    points, weights = Torsion.domain.quadrature(40)
    channels = Channels(("x", "y"))
    found = kp.ReferenceSolution(tolerance=1e-5).build(Torsion())
    integral = float(weights @ found.jet(points, channels).value[:, 0])
    middle = kp.Points(torch.tensor([[-0.5, -0.5]], dtype=torch.float64), ("x", "y"))
    assert float(found.jet(middle, channels).value) == pytest.approx(0.1310530, abs=1e-6)
    assert integral == pytest.approx(0.2140797, abs=3e-6)


def test_what_is_made_for_a_network_does_not_stop_its_reference():
    class Stretched(Torsion):
        def inputs(self):
            return kp.Stretch(self.domain, (0, 0), 0.005)

        def enrichment(self):
            return [kp.Corner(self.domain, (0, 0), orders=2)]

    assert kp.ReferenceSolution(tolerance=1e-3).build(Stretched()).error < 1e-3


def test_errors_of_a_solve_are_against_the_reference():
    network = kp.KAN([2, 24, 1], degree=5, grid=4)
    solution = kp.solve(Torsion(), network, boundary="penalty", verified=False)
    assert 1e-3 < solution.errors.l2_relative < 0.5
    assert solution.reference.error < 1e-3 and solution.reference_seconds > 0
    assert "a solution by Cells" in solution.reference.source


def test_a_recipe_stands_in_before_the_problems_own_reference_where_nothing_is_exact():
    assert reference_of(Line()) is None
    with pytest.raises(kp.InputError, match="is for problems without an exact solution, which"):
        reference_of(Line(), kp.ReferenceSolution())
    assert reference_of(Torsion()).recipe == kp.ReferenceSolution(tolerance=1e-3)
    assert reference_of(Torsion(), kp.ReferenceSolution(budget=5)).recipe == kp.ReferenceSolution(
        budget=5
    )
    odd = Torsion()
    odd.reference = lambda: "cells"
    with pytest.raises(kp.InputError, match=r"Torsion\.reference\(\) must give .* got 'cells'"):
        reference_of(odd)


def table(n=9):
    """u = x y and its gradient on a grid of the unit square."""
    x, y = np.meshgrid(np.linspace(0, 1, n), np.linspace(0, 1, n), indexing="ij")
    return {"x": x, "y": y, "u": x * y, "u_x": y, "u_y": x}


def write(path, columns):
    if path.suffix == ".npz":
        np.savez(path, **columns)
    elif path.suffix == ".csv":
        rows = np.stack([column.ravel() for column in columns.values()], axis=1)
        lines = [",".join(columns), *(",".join(map(repr, row)) for row in rows.tolist())]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    else:
        import h5py

        with h5py.File(path, "w") as file:
            for name, column in columns.items():
                file[name] = column
    return str(path)


class Unknown(Torsion):
    domain = kp.Box(x=(0, 1), y=(0, 1))


@pytest.mark.parametrize("ending", ["npz", "csv", "h5"])
def test_errors_against_data_are_means_over_their_points(tmp_path, ending):
    path = write(tmp_path / f"known.{ending}", table())
    found = kp.DataFile(path, error=1e-3).build(Unknown())
    errors = ErrorNorm(Unknown(), found).converged(constant(0.1))
    x, y = np.linspace(0, 1, 9), np.linspace(0, 1, 9)
    exact = np.outer(x, y)
    assert errors.l2_squared == pytest.approx(np.mean((exact - 0.1) ** 2))
    assert errors.h1_squared - errors.l2_squared == pytest.approx(2 * np.mean(x**2))
    assert errors.rule_error == 0 and found.error == 1e-3 and "known" in found.source


def constant(value):
    def jet(p, channels):
        gradient = torch.zeros(len(p), 2, 1, dtype=torch.float64)
        return kp.Jet(channels, torch.full((len(p), 1), value, dtype=torch.float64), gradient)

    return jet


def test_without_derivatives_the_h1_errors_are_not_known(tmp_path):
    columns = {name: table()[name] for name in ("x", "y", "u")}
    columns["weight"] = np.where(columns["x"] < 0.5, 1.0, 0.0)
    found = kp.DataFile(write(tmp_path / "known.npz", columns)).build(Unknown())
    errors = ErrorNorm(Unknown(), found)(constant(0.0))
    assert math.isnan(errors.h1_squared) and math.isnan(errors.h1_relative)
    grid = np.linspace(0, 1, 9)
    assert errors.l2_squared == pytest.approx(np.mean(np.outer(grid[:4], grid) ** 2))


def grid(x=None, y=None):
    """u = x²y - y³ on uneven points of the unit square, known by an index for each coordinate."""
    x = np.linspace(0, 1, 9) ** 2 if x is None else x
    y = np.linspace(0, 1, 6) if y is None else y
    return {"x": x, "y": y, "u": np.subtract.outer(x**2, 0 * y) * y - y**3}


@pytest.mark.parametrize(
    ("base", "change", "message"),
    [
        (table, {"u": None}, "has no column 'u'; its columns are x, y, u_x, u_y"),
        (
            table,
            {"u": np.full(81, np.nan)},
            "u has 81 numbers that are not finite, the first is number 1",
        ),
        (table, {"x": np.full(81, 2.0)}, "81 points outside the domain"),
        (table, {"u": np.zeros(80)}, "u has 80 numbers, x has 81"),
        (table, {"u": np.array(["a"] * 81)}, "u must be numbers"),
        (table, {"weight": np.full(81, -1.0)}, "every weight must be at least 0"),
        (table, {name: np.zeros(0) for name in table()}, "has no points"),
        (grid, {"x": np.linspace(0, 1, 9)[::-1]}, "the grid's x must increase"),
        (grid, {"y": np.linspace(0, 0.9, 6)}, "y goes from 0 to 1; it goes from 0 to 0.9"),
        (grid, {"y": np.linspace(0.1, 1.5, 6)}, "y goes from 0 to 1; it goes from 0.1 to 1.5"),
        (
            grid,
            {"y": np.linspace(0, 1, 7)},
            r"u has the shape \(9, 6\), the coordinates make it \(9, 7\)",
        ),
        (
            grid,
            {"y": np.linspace(0, 1, 3), "u": np.zeros((9, 3))},
            "degree 3 need more than 3 numbers",
        ),
        (
            grid,
            {"u": np.full((9, 6), np.nan)},
            r"54 numbers that are not finite, the first at \[0, 0\]",
        ),
        (grid, {"weight": np.ones(9)}, "takes no weight"),
        (grid, {"y": None}, "has no column 'y'"),
    ],
)
def test_data_that_do_not_fit_are_refused(tmp_path, base, change, message):
    columns = {k: v for k, v in (base() | change).items() if v is not None}
    path = write(tmp_path / "known.npz", columns)
    with pytest.raises(kp.InputError, match=message):
        kp.DataFile(path, degree=3).build(Unknown())


@pytest.mark.parametrize("ending", ["npz", "h5"])
def test_between_the_points_of_a_grid_there_are_splines(tmp_path, ending, generator):
    found = kp.DataFile(write(tmp_path / f"known.{ending}", grid()), degree=3).build(Unknown())
    x, y = torch.rand(2, 50, 1, generator=generator, dtype=torch.float64)
    p = kp.Points(torch.cat([x, y], dim=1), ("x", "y"))
    jet = found.jet(p, Channels(("x", "y"), gradient=True))
    assert (jet.value - (x**2 * y - y**3)).abs().max() < 1e-14
    slopes = torch.stack([2 * x * y, x**2 - 3 * y**2], dim=1)
    assert found.points is None and (jet.gradient - slopes).abs().max() < 1e-13


def test_errors_against_a_grid_are_means_over_the_domain(tmp_path):
    found = kp.DataFile(write(tmp_path / "known.npz", grid()), degree=3).build(Unknown())
    errors = ErrorNorm(Unknown(), found).converged(constant(0.0))
    assert errors.l2_squared == pytest.approx(1 / 15 - 2 / 15 + 1 / 7, rel=1e-12)
    assert errors.h1_squared - errors.l2_squared == pytest.approx(4 / 9 + 1 / 5 - 2 / 3 + 9 / 5)


def test_splines_of_a_grid_in_three_dimensions_with_two_fields(tmp_path, generator):
    domain, fields = kp.Box(x=(0, 1), y=(-1, 0), t=(0, 2)), ("u", "v")
    pair = Stated(domain, lambda p, u, v: (u.value, v.value), fields=fields, error_fields=("v",))
    x, y, t = np.linspace(0, 1, 4), np.linspace(-1, 0, 5), np.linspace(0, 2, 6)
    v = x[:, None, None] * y[None, :, None] * t**3
    path = write(tmp_path / "known.npz", {"x": x, "y": y, "t": t, "v": v})
    found = kp.DataFile(path, degree=3).build(pair)
    p = domain.image(torch.rand(40, 3, generator=generator, dtype=torch.float64))
    jet = found.jet(p, Channels(p.names, gradient=True))
    assert (jet.value[:, [1]] - p.x * p.y * p.t**3).abs().max() < 1e-13
    assert (jet.gradient[:, 2, [1]] - 3 * p.x * p.y * p.t**2).abs().max() < 1e-12
    assert jet.value[:, 0].isnan().all()


def test_a_grid_may_go_beyond_the_domain(tmp_path, generator):
    path = write(tmp_path / "known.npz", grid(np.linspace(-0.5, 2, 9), np.linspace(0, 3, 6)))
    found = kp.DataFile(path, degree=3).build(Unknown())
    x, y = torch.rand(2, 50, 1, generator=generator, dtype=torch.float64)
    p = kp.Points(torch.cat([x, y], dim=1), ("x", "y"))
    jet = found.jet(p, Channels(("x", "y")))
    assert (jet.value - (x**2 * y - y**3)).abs().max() < 1e-13


def test_splines_on_a_period_are_of_their_order_up_to_its_ends(tmp_path, generator):
    """Of degree 5 on n points a period, where those with ends have errors tens of times larger."""
    near, across = torch.rand(2, 200, 1, generator=generator, dtype=torch.float64)
    p = kp.Points(torch.cat([near**4, across], dim=1), ("x", "y"))
    exact = torch.exp(torch.sin(2 * math.pi * p.x + 0.3)) * (1 + p.y)
    slope = 2 * math.pi * torch.cos(2 * math.pi * p.x + 0.3) * exact
    errors = {}
    for n, periodic in ((32, ("x",)), (64, ("x",)), (64, ())):
        x, y = np.linspace(0, 1, n + 1), np.linspace(0, 1, 8)
        u = np.outer(np.exp(np.sin(2 * np.pi * x + 0.3)), 1 + y)
        path = write(tmp_path / f"of_{n}.npz", {"x": x, "y": y, "u": u})
        found = kp.DataFile(path, degree=5, periodic=periodic).build(Unknown())
        jet = found.jet(p, Channels(("x", "y"), gradient=True))
        errors[n, periodic] = float((jet.value - exact).abs().max())
        assert (jet.gradient[:, 0] - slope).abs().max() < 2000 * errors[n, periodic]
    assert math.log2(errors[32, ("x",)] / errors[64, ("x",)]) == pytest.approx(6, abs=0.5)
    assert errors[64, ()] > 10 * errors[64, ("x",)]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("gone.csv", None, "gone.csv cannot be read"),
        ("odd.csv", "x,y,u\n0,0\n", "line 2 has 2 cells, the first 3"),
        ("odd.csv", "", "has no column 'x'; its columns are none"),
        ("odd.npz", "no archive", "odd.npz is no NumPy archive"),
        ("odd.h5", "no file", "odd.h5 cannot be read"),
    ],
)
def test_files_that_cannot_be_read_are_refused(tmp_path, name, text, message):
    if text is not None:
        (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(kp.InputError, match=message):
        kp.DataFile(str(tmp_path / name)).build(Unknown())


SETTINGS = {
    "tolerance must be a finite number above 0": lambda path: kp.ReferenceSolution(tolerance=0.0),
    "budget must be a finite number above 0": lambda path: kp.ReferenceSolution(budget=-1),
    "seed must be an integer": lambda path: kp.ReferenceSolution(seed=0.5),
    "degree must be an integer of at least 1, got 0": lambda path: kp.DataFile(path, degree=0),
    r"path must end in one of \.csv, .* got 'a.xlsx'": lambda path: kp.DataFile("a.xlsx"),
    "error must be a finite number": lambda path: kp.DataFile("a.csv", error=-1.0),
    "holds a grid, which is for boxes": lambda path: kp.DataFile(path).build(Torsion()),
    "its first and its last x; they differ by 1": lambda path: kp.DataFile(
        path, degree=3, periodic=("x",)
    ).build(Unknown()),
    "periodic must name coordinates, x, y, got 'z'": lambda path: kp.DataFile(
        path, degree=3, periodic=("z",)
    ).build(Unknown()),
}


@pytest.mark.parametrize("words", SETTINGS)
def test_settings_that_do_not_fit_are_refused(tmp_path, words):
    path = write(tmp_path / "known.npz", grid())
    with pytest.raises(kp.InputError, match=words):
        SETTINGS[words](path)


TOML = """
[problem]
class = "torsion.py:Torsion"

[network]
type = "kan"
width = [2, 12, 1]
degree = 5
boundary = "penalty"

[reference]
type = "solution"
tolerance = 1e-3
"""


def test_the_command_line_says_what_errors_are_against(tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("kanpinn.plotting.draw_figures", lambda *_: [])
    source = "import kanpinn as kp\n\n\n" + inspect.getsource(Torsion)
    (tmp_path / "torsion.py").write_text(source, encoding="utf-8")
    done, folder, record = solved(tmp_path / "torsion.toml", TOML)
    assert done.exit_code == 0
    said = "errors are measured against a solution by Cells .* whose own relative L2 error is"
    assert re.search(said, done.stdout)
    checked = kanpinn("check", tmp_path / "torsion.toml")
    assert "none: errors are measured against the solution by ReferenceSolution(" in checked.stdout
    assert set(record["reference"]) == {"source", "error"} and record["reference"]["error"] < 1e-3
    assert record["seconds"]["reference"] > 0 and record["errors"]["l2_relative"] > 0
    loaded = kp.load(folder)
    assert loaded.errors.l2_relative == record["errors"]["l2_relative"]
    assert loaded.reference_seconds == record["seconds"]["reference"]
