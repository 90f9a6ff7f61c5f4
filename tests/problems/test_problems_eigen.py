"""The drum: its eigenvalues, its file, and what a run folder holds of an eigenvalue problem."""

import json
import math
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy
import pytest
import scipy.special
import torch
from typer.testing import CliRunner

import kanpinn as kp
from kanpinn.cli import app
from kanpinn.plotting.modes import figures
from kanpinn.runs.config import Config
from kanpinn.solvers import Eigensolution

PROBLEMS = Path(__file__).parents[2] / "problems"
DRUM = PROBLEMS / "drum.toml"
SMALL = ("network.hidden=[16]", "network.grid=[4,6]", "eigen.count=3", "points=")


@pytest.fixture
def drum(monkeypatch):
    monkeypatch.syspath_prepend(str(PROBLEMS))
    yield __import__("drum").Drum()
    sys.modules.pop("drum", None)


def kanpinn(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    return result.exit_code, result.output


def folder_in(text: str) -> Path:
    """The run folder that a command names."""
    return Path(re.findall(r"^run folder: (.*)$", text, re.MULTILINE)[-1])


def test_the_exact_eigenvalues_are_the_zeros_of_bessel_functions(drum):
    values = drum.exact_eigenvalues(200)
    assert values == sorted(values) and len(values) == 200
    roots = numpy.sqrt(values)
    # Each is a zero of some J_m, and the smallest are j01, j11 (twice), j21 (twice), j02.
    orders = numpy.arange(40)[:, None]
    assert numpy.abs(scipy.special.jv(orders, roots)).min(axis=0).max() < 1e-13
    zeros = [scipy.special.jn_zeros(m, 2) for m in range(3)]
    first = [zeros[0][0], zeros[1][0], zeros[1][0], zeros[2][0], zeros[2][0], zeros[0][1]]
    assert numpy.allclose(roots[:6], first, rtol=1e-14)


def test_the_drum_is_solved_to_twelve_digits():
    solution = Config.read(DRUM, []).build().run()
    assert solution.status == "converged" and solution.self_adjoint
    assert solution.multiplicities == [1, 2, 2, 2, 2, 1, 2, 2, 2, 2]
    assert solution.errors[:3].max() < 1e-12 and solution.errors.max() < 1e-11
    assert ((solution.values - solution.exact).abs() <= solution.bounds).all()


OSCILLATOR = PROBLEMS / "oscillator.toml"


def test_the_oscillator_has_its_levels():
    solution = Config.read(OSCILLATOR, ["eigen.count=6"]).build().run()
    assert solution.status == "converged" and solution.self_adjoint
    assert solution.multiplicities == [1, 2, 2, 3, 3, 3]
    errors = (solution.values - solution.exact).abs()
    assert solution.errors.max() < 1e-10 and (errors < 2 * solution.estimates).all()


def test_modes_of_a_cavity_are_free_of_charge():
    settings = ("network.degree=5", "eigen.count=5", "run.tolerance=1e-2")
    solution = Config.read(PROBLEMS / "maxwell_cavity.toml", settings).build().run()
    assert solution.status == "converged"
    assert solution.multiplicities == [1, 1, 1, 2, 2]
    errors = (solution.values - solution.exact).abs()
    assert solution.errors.max() < 1e-2 and (errors < 3 * solution.estimates).all()
    modes = solution(torch.tensor([[0.3, 0.0, 0.5]], dtype=torch.float64))[0]  # at y = 0
    assert modes[..., 0].abs().max() < 5e-2 * modes.abs().max()


def test_hydrogen_has_its_levels():
    file = PROBLEMS / "hydrogen.toml"
    for momentum in (0, 1):
        settings = (f"problem.parameters.momentum={momentum}", "run.tolerance=1e-7")
        solution = Config.read(file, settings).build().run()
        assert solution.status == "converged"
        assert float(solution.values[0]) == pytest.approx(-0.5 / (momentum + 1) ** 2, rel=1e-7)
        errors = (solution.values - solution.exact).abs()
        assert (errors < 3 * solution.estimates + 1e-10).all()


def test_a_clamped_plate_has_its_eigenvalues():
    settings = ("network.degree=8", "eigen.count=3", "run.tolerance=1e-4")
    solution = Config.read(PROBLEMS / "clamped_plate.toml", settings).build().run()
    assert solution.status == "converged" and solution.multiplicities == [1, 2, 2]
    assert float(solution.exact[0]) == pytest.approx(104.3631056, rel=1e-9)  # Leissa (1969)
    errors = (solution.values - solution.exact).abs()
    assert solution.errors.max() < 1e-4 and (errors < 3 * solution.estimates).all()


def test_the_first_mode_of_a_cavity_with_a_corner_is_not_bounded():
    settings = ("network.degree=8", "network.cells=1", "eigen.count=1", "run.tolerance=2e-2")
    solution = Config.read(PROBLEMS / "maxwell_corner.toml", settings).build().run()
    assert solution.status == "converged" and solution.errors.max() < 2e-2
    places = torch.tensor([[-0.03, 0.03], [-0.24, 0.24]], dtype=torch.float64)
    near, far = solution(places)[:, :, 0].norm(dim=1)
    assert 1.5 < float(near / far) < 3  # like r^(-1/3)


def test_a_run_in_cells_is_loaded_with_its_cells(tmp_path):
    settings = ("network.cells=2", "eigen.count=3", "run.tolerance=1e-4")
    pairs = [part for pair in settings for part in ("--set", pair)]
    code, text = kanpinn("solve", OSCILLATOR, *pairs, "--output", tmp_path)
    assert code == 0, text
    folder = folder_in(text)
    record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    loaded = kp.load(folder)
    assert loaded.network.count > 4 and loaded.status == "converged"
    assert loaded.values.tolist() == [one["real"] for one in record["eigenvalues"]]
    assert loaded.estimates.tolist() == [one["estimate"] for one in record["eigenvalues"]]
    assert all(one["bound"] is None for one in record["eigenvalues"])
    middle = float(loaded(torch.zeros(1, 2, dtype=torch.float64))[0, 0])
    assert abs(middle - 1 / math.sqrt(math.pi)) < 1e-3  # of e^(-r²/2), normalised
    assert (folder / "figures/modes.png").is_file()


def test_a_file_may_leave_the_network_to_the_solve():
    pairs = ["network=", "points=", "optimizer=", "eigen.count=2", "run.tolerance=1e-5"]
    for file in (DRUM, OSCILLATOR):
        job = Config.read(file, pairs).build()
        assert (
            job.network.solved_by == "AdaptiveLeastSquares" and job.optimizers[0].tolerance == 1e-5
        )
    solution = Config.read(DRUM, pairs).build().run()
    assert solution.status == "converged" and solution.errors.max() < 1e-5


def test_cells_take_adaptive_least_squares_alone():
    for change, message in (
        ("optimizer[0].type=lbfgs", "must be AdaptiveLeastSquares"),
        ("loss.boundary=3", "the weight of boundary must be left out"),
    ):
        code, text = kanpinn("check", OSCILLATOR, "--set", change)
        assert code == 2 and message in " ".join(text.split()), text
    code, text = kanpinn(
        "check", OSCILLATOR, "--set", "run.tolerance=", "--set", "optimizer[0].type=adam"
    )
    assert code == 2 and "must be AdaptiveLeastSquares" in " ".join(text.split()), text


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> tuple[Path, str]:
    settings = [part for pair in SMALL for part in ("--set", pair)]
    code, text = kanpinn("solve", DRUM, *settings, "--output", tmp_path_factory.mktemp("runs"))
    assert code == 0, text
    return folder_in(text), text


def test_a_run_shows_a_table_of_eigenvalues(run):
    _, text = run
    head, first, *_ = text.splitlines()
    assert head.split() == [
        "mode", "eigenvalue", "multiplicity", "residual", "bound", "estimate", "relative", "error",
    ]  # fmt: skip
    number, value, multiplicity, *_ = first.split()
    assert (number, multiplicity) == ("1", "1") and value.startswith("5.78318")
    assert "converged (1 step" in text


def test_run_json_lists_the_eigenvalues(run):
    folder, _ = run
    record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    assert record["status"] == "converged" and record["self_adjoint"] is True
    assert [entry["multiplicity"] for entry in record["eigenvalues"]] == [1, 2, 2]
    first = record["eigenvalues"][0]
    assert first["imaginary"] == 0 and abs(first["real"] - first["exact_real"]) <= first["bound"]
    assert record["errors"]["eigenvalue_relative"] < 1e-6 and record["unbounded"] is None


def test_result_h5_has_the_modes_on_a_grid(run):
    folder, _ = run
    with h5py.File(folder / "result.h5") as file:
        modes, values = file["modes"], file["eigenvalues"][()]
        u = modes["u_1"][()]
        assert u.shape == (len(modes["x"]), len(modes["y"])) and len(values) == 3
        assert modes["u_2"].dims[0].label == "x"
    j = scipy.special.jn_zeros(0, 1)[0]
    centre = 1 / (numpy.sqrt(numpy.pi) * scipy.special.j1(j))
    assert abs(u[u.shape[0] // 2, u.shape[1] // 2] - centre) < 1e-4
    assert (folder / "fields.vtkhdf").is_file() and (folder / "figures/modes.png").is_file()


def test_a_run_is_loaded_as_it_was(run):
    folder, _ = run
    solution = kp.load(folder)
    assert isinstance(solution, Eigensolution) and solution.status == "converged"
    record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    assert solution.values.tolist() == [entry["real"] for entry in record["eigenvalues"]]
    assert solution.bounds.tolist() == [entry["bound"] for entry in record["eigenvalues"]]
    assert solution.residual(torch.tensor([[0.2, 0.1]])).abs().max() < 1e-2
    with h5py.File(folder / "result.h5") as file:
        x, u = file["modes/x"][()], file["modes/u_3"][()]
    again = solution(torch.tensor([[x[40], x[70]]]))[0, 2]
    assert abs(float(again) - u[40, 70]) < 1e-13
    (folder / "checkpoint.pt").rename(folder / "checkpoint.away")
    try:
        assert abs(float(kp.load(folder)(torch.tensor([[x[40], x[70]]]))[0, 2]) - u[40, 70]) < 1e-13
    finally:
        (folder / "checkpoint.away").rename(folder / "checkpoint.pt")


def test_a_run_is_drawn_exported_and_listed(run, tmp_path):
    folder, _ = run
    assert kanpinn("plot", folder) == (0, f"{folder / 'figures' / 'modes.png'}\n")
    assert kanpinn("export", folder, "--format", "npz", "--output", tmp_path / "u.npz")[0] == 0
    with numpy.load(tmp_path / "u.npz") as arrays:
        assert arrays["eigenvalues"].shape == (3,) and "u_3" in arrays
    code, text = kanpinn("list", PROBLEMS, "--output", folder.parents[1])
    assert code == 0 and "residual" in text and "eigenvalues of the unit disk" in text
    code, text = kanpinn("interpret", folder)
    assert code == 2 and "has eigenmodes" in text


def test_a_finished_run_has_nothing_to_resume(run):
    code, text = kanpinn("solve", "--resume", run[0])
    assert code == 2 and "converged" in text


def test_a_run_that_resolves_nothing_fails_in_words(tmp_path):
    tiny = ("network.hidden=[1]", "network.grid=[1,1]", "network.degree=3", "eigen.count=3")
    settings = [part for pair in tiny for part in ("--set", pair)]
    code, text = kanpinn("solve", DRUM, *settings, "--output", tmp_path)
    assert code == 1 and "failed: no eigenvalue is resolved: more units" in text
    solution = kp.load(folder_in(text))
    assert solution.status.startswith("failed") and solution.count == 0 and solution.unresolved


def test_check_says_what_would_run():
    code, text = kanpinn("check", DRUM)
    assert code == 0, text
    assert "10, the smallest" in text and "boundary data" in text and "known" in text


def test_complex_modes_are_written_and_loaded(tmp_path):
    (tmp_path / "turn.py").write_text(
        "import kanpinn as kp\n"
        "class Turn(kp.EigenProblem):\n"
        "    domain = kp.Disk((0, 0), 1.0)\n"
        "    def operator(self, p, u):\n"
        "        g = kp.grad(u)\n"
        "        return -kp.laplacian(u) + 20 * (p.x * g[:, 1:] - p.y * g[:, :1])\n"
        "    def conditions(self):\n"
        "        return [kp.Dirichlet(self.domain.boundary, 0.0)]\n"
    )
    (tmp_path / "turn.toml").write_text(
        '[problem]\nclass = "turn.py:Turn"\n[eigen]\ncount = 3\n'
        '[network]\ntype = "kan"\nwidth = [2, 16, 1]\ndegree = 9\ngrid = [4, 6]\n'
    )
    code, text = kanpinn("solve", tmp_path / "turn.toml", "--output", tmp_path / "runs")
    assert code == 0 and "no bounds: the problem is not self-adjoint" in text, text
    assert "- 20" in text and "+ 20" in text
    folder = folder_in(text)
    solution = kp.load(folder)
    assert solution.values.is_complex() and solution.errors is None
    with h5py.File(folder / "result.h5") as file:
        assert "u_2_imaginary" in file["modes"]
    assert solution(torch.tensor([[0.1, 0.2]])).shape == (1, 3)
    assert (folder / "figures/modes.png").is_file()


class Strings(kp.EigenProblem):
    """Two strings, the second under four times the tension: λ = (πn)² and 4 (πn)²."""

    domain = kp.Box(x=(0, 1))
    fields = ("u", "v")

    def operator(self, p, u, v):
        return -kp.laplacian(u), -4 * kp.laplacian(v)

    def conditions(self):
        return [kp.Dirichlet(self.domain.boundary, 0.0, field=name) for name in self.fields]


def test_a_figure_of_modes_says_what_it_leaves_out():
    solution = kp.eigen(Strings(), kp.KAN([1, 4, 2], degree=7, grid=[2, 6], seed=0), count=13)
    ((_, figure),) = figures(solution)
    assert figure.get_suptitle() == "12 of 13 modes"
    assert all(ax.get_title().startswith("$u$, ") for ax in figure.axes)


def test_a_study_of_seeds_has_columns_of_its_own(tmp_path):
    base, seeds = Config.read(DRUM, SMALL).to_dict(), {"run.seed": [0, 1]}
    with ThreadPoolExecutor(1) as executor:
        study = kp.sweep(base, seeds, output=tmp_path, directory=PROBLEMS, executor=executor)
    assert study.kind == "eigen" and max(study.column("eigenvalue_relative")) < 1e-6
    assert study.column("found") == [3, 3]


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ("eigen.count=0", "eigen.count = 0: expected an integer >= 1"),
        ("eigen.number=3", "eigen.number is unknown"),
        ("eigen=3", "eigen = 3: expected a table"),
        ("eigen.near=high", 'eigen.near = "high": expected a number'),
        ("eigen.count=5000", "count must be at most 912"),
        ("loss.form=energy", "loss.form is unknown"),
        ("run.estimate=true", "run.estimate = true: expected to be left out, since eigenvalues"),
        ("optimizer[0].type=adam", "optimizer[0]: optimizers must be None for a KAN"),
        ("optimizer[0].type=adaptive_least_squares", "optimizer[0]: optimizers must be None"),
        ("problem.class=poisson2d.py:Poisson2D", "expected a subclass of kanpinn.EigenProblem"),
        ("network.width=[2,8,3]", "network.width must end with 1"),
        ("eigen=", "expected a section [eigen]"),
    ],
)
def test_bad_files_are_refused_with_their_key(pair, message):
    code, text = kanpinn("check", DRUM, "--set", pair)
    assert code == 2 and message in " ".join(text.split()), text
