"""The command line: what it prints where, its exit codes, and what it says to bad input."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy
import pytest
from commands import kanpinn, refused, run_folders
from forks import Command
from library import script
from matplotlib.image import imread
from typer.testing import CliRunner

from kanpinn._support.shown import plain_table
from kanpinn.cli import app
from kanpinn.runs.library import library

PROBLEMS = Path(__file__).parents[2] / "problems"

GOOD = """
import torch
import kanpinn as kp

class Square(kp.Problem):
    "u_xx + u_yy = 4; u = x² + y²."

    domain = kp.Box(x=(0, 1), y=(0, 1))

    def __init__(self, factor: float = 1.0):
        self.factor = factor

    def residual(self, p, u):
        return kp.laplacian(u) - 4

    def conditions(self):
        return [kp.Dirichlet(self.domain.boundary, self.exact)]

    def exact(self, p):
        return p.x**2 + p.y**2

class Unfinished(kp.Problem):
    domain = kp.Box(x=(0, 1))

    def residual(self, p, u):
        return u.value

class Other:
    pass
"""
DRUM = """
import kanpinn as kp

class Drum(kp.EigenProblem):
    "A membrane, in wind."

    domain = kp.Box(x=(0, 1), y=(0, 1))

    def __init__(self, wind: float = 0.0):
        self.wind = wind

    def operator(self, p, u):
        return self.wind * kp.partial(u, "x") - kp.laplacian(u)

    def conditions(self):
        return [kp.Dirichlet(self.domain.boundary)]
"""
TABLES = """
[problem]
class = "square.py:Square"

[network]
type = "kan"
width = [2, 4, 1]
degree = 4

[points]
interior = 100
boundary = 20
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a problem in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("kanpinn.plotting.draw_figures", lambda *_: [])  # they take a second
    (tmp_path / "square.py").write_text(GOOD)
    (tmp_path / "square.toml").write_text(TABLES)
    return tmp_path


# Good input


def test_solve_prints_errors_status_and_where_the_folder_is(folder: Path) -> None:
    result = kanpinn("solve", "square.toml")
    assert result.exit_code == 0, result.output
    (run,) = run_folders()
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["error", "absolute", "relative", "squared"]
    assert [line.split()[0] for line in lines[1:3]] == ["L2", "H1"]
    assert float(lines[1].split()[2]) < 1e-6
    assert lines[-2].startswith("converged (1 step, ")
    assert lines[-1] == f"run folder: {run}"
    assert run.parent.name == "square"
    assert json.loads((run / "run.json").read_text())["status"] == "converged"


def test_json_is_run_json_and_nothing_else(folder: Path) -> None:
    result = kanpinn("solve", "square.toml", "--json", "--output", "elsewhere", "--seed", "5")
    (run,) = run_folders(Path("elsewhere"))
    assert result.stdout == (run / "run.json").read_text()
    assert json.loads(result.stdout)["seed"] == 5
    assert not Path("results").exists()


def test_quiet_prints_the_folder_only_and_each_run_has_its_own(folder: Path) -> None:
    shown = [kanpinn("solve", "square.toml", "--quiet", "--set", f"network.degree={d}").output
             for d in (2, 3)]  # fmt: skip
    assert sorted(shown) == [f"{run}\n" for run in sorted(run_folders())]


def test_warnings_are_single_lines(folder: Path) -> None:
    (folder / "square.py").write_text(GOOD.replace("- 4", "- 5"))
    result = kanpinn("solve", "square.toml", "--set", "network.degree=2")
    assert result.exit_code == 0
    warned = [line for line in result.stderr.splitlines() if line.startswith("warning: ")]
    assert len(warned) == 2
    assert "network.degree = 2 equals the order" in warned[0]
    assert "the exact solution does not satisfy Square.residual" in warned[1]
    assert "UserWarning" not in result.stderr


def test_messages_are_short_whatever_the_file_holds(folder: Path) -> None:
    path = folder / "square.toml"
    path.write_text(path.read_text() + "".join(f"{'k' * n} = 1\n" for n in range(1000, 1500)))
    result = kanpinn("check", "square.toml")
    assert result.exit_code == 2 and len(result.stderr.encode()) < 2000
    assert "lines more" in result.stderr and "is unknown" in result.stderr


def test_a_name_that_is_too_long_for_the_system_is_refused(folder: Path) -> None:
    changes = ["--set", f"problem.class={'a' * 5000}.py:Square"]
    result = kanpinn("check", "square.toml", *changes)
    assert result.exit_code == 2 and "Traceback" not in result.output
    assert len(result.stderr.encode()) < 2000 and "error: " in result.stderr


def test_check_says_where_there_are_no_boundary_data(folder: Path) -> None:
    mean = "[kp.Neumann(self.domain.boundary, 1.0), kp.Integral(self.domain, 2 / 3)]"
    text = GOOD.replace("[kp.Dirichlet(self.domain.boundary, self.exact)]", mean)
    (folder / "square.py").write_text(text)
    lines = kanpinn("check", "square.toml").stdout.splitlines()
    assert [line.split() for line in lines if "boundary data" in line] == [
        ["boundary", "data", "none"]
    ]
    (folder / "square.py").write_text(GOOD)
    assert "boundary data   exact" in kanpinn("check", "square.toml").stdout


def test_check_shows_what_would_run_and_runs_nothing(folder: Path) -> None:
    result = kanpinn("check", "square.toml")
    assert result.exit_code == 0, result.output
    for word in ("u_xx + u_yy = 4", "KAN [2, 4, 1], 108 parameters", "100 points", "laplacian"):
        assert word in result.stdout
    assert "LeastSquares" in result.stdout
    assert not Path("results").exists()


def test_check_says_that_trials_choose_and_with_what_they_begin(folder: Path) -> None:
    result = kanpinn("check", "square.toml", "--set", "network.type=auto")
    assert result.exit_code == 0, result.output
    assert "network.width, network.degree of the file do not apply" in result.stderr
    assert "section [points] of the file does not apply" in result.stderr
    assert "chosen by trials  network, points and optimizers, until" in result.stdout
    assert "Cells [2, 1]" in result.stdout and "(first trial)" in result.stdout
    exact = ["--set", "network.type=auto", "--set", "network.boundary=exact"]
    imposed = kanpinn("check", "square.toml", *exact)
    assert "KAN [2, 24, 1]" in imposed.stdout and "(first trial)" in imposed.stdout


def test_list_shows_problem_files_and_runs(folder: Path) -> None:
    (folder / "bad.toml").write_text("[problem")
    (folder / "plain.toml").write_text(f"#\n{TABLES}")  # its first line says nothing
    assert kanpinn("solve", "square.toml", "--quiet").exit_code == 0
    result = kanpinn("list", ".")
    assert result.exit_code == 0, result.output
    assert "square.toml  u_xx + u_yy = 4; u = x² + y²." in result.stdout
    assert "plain.toml   u_xx + u_yy = 4; u = x² + y²." in result.stdout
    assert "bad.toml     unusable: bad.toml: is not valid TOML" in result.stdout
    assert f"{run_folders()[0].relative_to('results')}  converged  L2 " in result.stdout


def test_list_shows_a_files_own_first_line_and_cuts_long_statuses(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "square.toml").write_text(f"# Four units, by least squares.\n{TABLES}")
    for name, status in (("a", "failed: " + "too long " * 50), ("b", "converged")):
        (folder / "results" / "square" / name).mkdir(parents=True)
        record = {"status": status, "errors": None, "seconds": {"total": 1.0}}
        (folder / "results" / "square" / name / "run.json").write_text(json.dumps(record))
    monkeypatch.setenv("COLUMNS", "70")
    lines = kanpinn("list", ".").stdout.splitlines()
    assert "  square.toml  Four units, by least squares." in lines
    assert all(len(line) <= 70 for line in lines)
    assert lines[-2].startswith("  square/a  failed: too long too") and "…  L2 -" in lines[-2]
    assert lines[-1].startswith("  square/b  converged")


def test_list_without_anything_says_so(folder: Path) -> None:
    result = kanpinn("list")
    assert result.stdout == "problem files in problems: none\nruns in results: none\n"


def test_plot_and_export_write_files_from_a_run(folder: Path) -> None:
    run = kanpinn("solve", "square.toml", "--quiet").stdout.strip()
    plotted = kanpinn("plot", run)
    assert plotted.exit_code == 0, plotted.output
    assert all(Path(line).is_file() for line in plotted.stdout.splitlines())
    exported = kanpinn("export", run, "--format", "npz", "--output", "fields.npz")
    assert exported.exit_code == 0, exported.output
    with numpy.load("fields.npz") as fields:
        x, y = numpy.meshgrid(fields["x"], fields["y"], indexing="ij")
        assert numpy.allclose(fields["u"], x**2 + y**2, atol=1e-6)
    assert kanpinn("export", run).stdout.strip() == str(Path(run).absolute() / "fields.vtkhdf")


def test_certify_writes_a_certificate_or_says_why_there_is_none(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = kanpinn("solve", "square.toml", "--quiet").stdout.strip()
    certified = kanpinn("certify", run, "--output", "bound.npz")
    assert certified.exit_code == 0 and "guaranteed relative bounds" in certified.stdout
    checker = script("check_certificate")
    with numpy.load("bound.npz") as arrays:
        assert checker.check(dict(arrays))[0] < 1e-6
    monkeypatch.setattr(sys, "argv", ["check_certificate.py", "bound.npz"])
    assert checker.main() == 0
    missing = kanpinn("certify", run, "--output", "no/bound.npz")
    assert missing.exit_code == 2 and "there is no folder" in missing.stderr


def test_certify_writes_intervals_of_eigenvalues_or_says_why_there_are_none(folder: Path) -> None:
    (folder / "drum.py").write_text(DRUM)
    tables = TABLES.replace("square.py:Square", "drum.py:Drum") + "[eigen]\ncount = 1\n"
    (folder / "drum.toml").write_text(tables)
    still, windy = (
        kanpinn("solve", "drum.toml", "--set", f"problem.parameters.wind={wind}", "--quiet")
        for wind in (0, 1)
    )
    certified = kanpinn("certify", still.stdout.strip(), "--output", "bound.npz")
    assert certified.exit_code == 0 and "eigenvalue 1 in [" in certified.stdout, certified.output
    with numpy.load("bound.npz") as arrays:
        (low, *_), (high, *_) = script("check_eigenvalue_certificate").check(dict(arrays))
    assert low < 2 * numpy.pi**2 < high < low + 0.1
    without = kanpinn("certify", windy.stdout.strip())
    assert without.exit_code == 2 and not without.stdout
    assert "has no certificate: the equation has convection" in without.stderr


def test_what_new_writes_runs_as_it_is(folder: Path) -> None:
    assert kanpinn("new", "heat_2d").stdout.splitlines() == ["heat_2d.py", "heat_2d.toml"]
    result = kanpinn("solve", "heat_2d.toml", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["errors"]["l2_relative"] < 1e-9
    (folder / "heat_2d.py").unlink()
    before = (folder / "heat_2d.toml").read_text()
    again = kanpinn("new", "heat_2d")
    assert again.exit_code == 2
    assert "heat_2d.toml exists already" in again.stderr
    assert (folder / "heat_2d.toml").read_text() == before
    assert not (folder / "heat_2d.py").exists()


def test_a_limit_of_steps_is_a_usable_solution_that_can_go_on(folder: Path) -> None:
    adam = ["--set", "optimizer[0].type=adam", "--set", "optimizer[0].steps=3"]
    result = kanpinn("solve", "square.toml", *adam, "--quiet")
    assert result.exit_code == 0, result.output
    run = result.stdout.strip()
    resumed = kanpinn("solve", "--resume", run, "--set", "optimizer[0].steps=6", "--json")
    assert resumed.exit_code == 0, resumed.output
    record = json.loads(resumed.stdout)
    assert (record["status"], record["steps"]) == (
        "stopped: limit of 6 steps; more steps may help",
        6,
    )
    assert record["name"] == "square"
    straight = kanpinn("solve", "square.toml", *adam[:2], "--set", "optimizer[0].steps=6", "--json")
    assert json.loads(straight.stdout)["errors"] == record["errors"]  # bit for bit


def test_a_numerical_failure_has_exit_code_1(folder: Path) -> None:
    (folder / "square.py").write_text(GOOD.replace("- 4", "- 4 + 0 * torch.log(u.value - 1e9)"))
    result = kanpinn("solve", "square.toml", "--json", "--set", "optimizer[0].type=adam")
    assert result.exit_code == 1, result.output
    record = json.loads(result.stdout)
    assert record["status"].startswith("failed: ")


def test_user_code_that_fails_late_leaves_the_folder_and_says_why(folder: Path) -> None:
    late = GOOD.replace("self.factor = factor", "self.factor, self.calls = factor, 0")
    late = late.replace(
        "        return kp.laplacian(u) - 4",
        """\
        self.calls += 1
        if self.calls > 40:
            raise ValueError("the sensor is broken")
        return kp.laplacian(u) - 4""",
    )
    (folder / "square.py").write_text(late)
    adam = ["--set", "optimizer[0].type=adam", "--set", "optimizer[0].steps=1000"]
    result = kanpinn("solve", "square.toml", *adam)
    assert result.exit_code == 1, result.output
    assert "square.py:16 in residual: ValueError: the sensor is broken" in result.stderr
    assert "Traceback" not in result.output
    (run,) = run_folders()
    assert run.name.endswith(".partial") and f"run folder: {run}" in result.stderr
    status = json.loads((run / "run.json").read_text())["status"]
    assert status.startswith("failed: Square at") and status.endswith("the sensor is broken")
    listed = kanpinn("list", ".").stdout.split()
    assert str(run.relative_to("results")) in listed and "failed:" in listed
    (folder / run / "square.py").write_text(GOOD)
    resume = ["solve", "--resume", str(run), "--trust"]
    resumed = kanpinn(*resume, "--set", "optimizer[0].steps=9", "--json")
    assert json.loads(resumed.stdout)["status"] == "stopped: limit of 9 steps; more steps may help"


def test_the_version_is_shown() -> None:
    result = kanpinn("--version")
    assert result.exit_code == 0
    assert result.stdout.startswith("kanpinn")


# Bad input

KEYS = [
    ("network.widht=[2,1]", "network.widht", 'did you mean "width"?'),
    ("netwrok.width=[2,1]", "netwrok", 'did you mean "network"?'),
    ("network.boundry=exact", "network.boundry", 'did you mean "boundary"?'),
    ("network.boundary=exakt", 'network.boundary = "exakt"', 'did you mean "exact"?'),
    ("network.width=64", "network.width = 64", "expected a list of integers"),
    ("network.width=[2,-4,1]", "network.width", "-4"),
    ("network.width=[3,4,1]", "network.width", "[3, 4, 1]"),
    ("network.width=[2,4,2]", "network.width", "[2, 4, 2]"),
    ("network.width=", "network: either width", "must be given"),
    ("network.degree=1", "network.degree", "order 2"),
    ("network.degree=2.5", "network.degree = 2.5", "expected an integer"),
    ("network.degree=[3,3,3]", "network.degree", "[3, 3, 3]"),
    ("network.grid=0", "network.grid", "got 0"),
    ("network.base=silo", "network.base", 'did you mean "silu"?'),
    ("network.type=kna", 'network.type = "kna"', 'did you mean "kan"?'),
    ("network.type=", "network.type is missing", "expected"),
    ("network.activation=tanh", "network.activation", "unknown"),
    ("points.sampler=gaus", "points.sampler", 'did you mean "gauss"?'),
    ("points.interior=-1", "points.interior", "got -1"),
    ("points.interior=nan", "points.interior = nan", "finite"),
    ("points.resample=5", "points.resample", "got 5"),
    ("loss.interior=-0.1", "loss.interior = -0.1", ">= 0"),
    ("loss.interior=inf", "loss.interior = inf", "finite"),
    ("loss.interior=much", 'loss.interior = "much"', "expected a number"),
    ("loss=3", "loss = 3", "expected a table"),
    ("run.dtype=float16", 'run.dtype = "float16"', '"float32"'),
    ("run.seed=-1", "run.seed = -1", ">= 0"),
    ("run.threads=0", "run.threads = 0", ">= 1"),
    ("run.device=gpu", 'run.device = "gpu"', "no such device"),
    ('optimizer=[{type="adma"}]', 'optimizer[0].type = "adma"', 'did you mean "adam"?'),
    ('optimizer=[{type="adam",step=5}]', "optimizer[0].step", 'did you mean "steps"?'),
    ('optimizer=[{type="adam",steps=-5}]', "optimizer[0].steps", "got -5"),
    ('optimizer=[{type="adam",lr=-1.0}]', "optimizer[0].lr", "got -1.0"),
    ('optimizer=[{type="adam",lr=nan}]', "optimizer[0].lr = nan", "finite"),
    ('optimizer=[{type="refine",grid=[1,2,3]}]', "optimizer[0].grid", "[1, 2, 3]"),
    ("optimizer=adam", 'optimizer = "adam"', "[[optimizer]]"),
    ("problem.class=square.py", 'problem.class = "square.py"', "file.py:Class"),
    ("problem.class=sqare.py:Square", "problem.class", 'did you mean "square.py"?'),
    ("problem.class=square.py:Sqare", "problem.class", 'did you mean "Square"?'),
    ("problem.class=square.py:Other", "problem.class", "subclass of kanpinn.Problem"),
    ("problem.class=square.py:Unfinished", "problem.class", "conditions"),
    ("problem.class=no.such.module:Square", "problem.class", "no module no"),
    ("problem.parameters.factr=1", "problem.parameters.factr", 'did you mean "factor"?'),
    ("problem.parameters.factor=big", "problem.parameters.factor", "expected a number"),
    ("problem.parameters.factor=2026-01-01", "problem.parameters.factor", "2026-01-01"),
    ("network.width=[2,", "network.width=[2,", "not valid TOML"),
    ("network.width", "--set network.width", "KEY=VALUE"),
]


@pytest.mark.parametrize(("pair", "key", "help"), KEYS, ids=[pair for pair, _, _ in KEYS])
def test_a_bad_key_is_refused(folder: Path, pair: str, key: str, help: str) -> None:
    refused(kanpinn("solve", "square.toml", "--set", pair), key, help)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("- 4", "- p.x[:, 0]", ["residual must have shape (n, 1)", "(n, n)"]),
        ("- 4", "- p.z", ["Square at", "square.py:14 in residual", "coordinate 'z'"]),
        ("- 4", "- four", ["square.py:14 in residual", "NameError", "'four'"]),
        ("- 4", '- kp.partial(u, "z")', ["square.py:14 in residual", "unknown coordinate 'z'"]),
        ("self.factor = factor", "1 / 0", ["square.py:11 in __init__", "ZeroDivisionError"]),
        ("import torch", "import torhc", ["problem.class", "square.py:2", "torhc"]),
        ("class Other:", "class Other", ["problem.class", "square.py:28", "SyntaxError"]),
        ("kp.Box(x=(0, 1), y=(0, 1))", "3", ["Square.domain"]),
        ("[kp.Dirichlet(self.domain.boundary, self.exact)]", "[3]", ["Square.conditions()"]),
        ("kp.Box(x=(0, 1), y=(0, 1))", "kp.Box(x=(1, 0))", ["square.py:8", "x must be"]),
    ],
    ids=["shape", "coordinate", "name", "operator", "init", "import", "syntax", "domain",
         "condition", "box"],
)  # fmt: skip
def test_a_bad_class_is_named_with_its_line(
    folder: Path, old: str, new: str, words: list[str]
) -> None:
    assert old in GOOD
    (folder / "square.py").write_text(GOOD.replace(old, new, 1))
    refused(kanpinn("solve", "square.toml"), *words)


def test_a_residual_that_fails_without_an_exact_solution_leaves_no_folder(folder: Path) -> None:
    text = GOOD.replace("self.exact)", "lambda p: p.x)").replace("def exact", "def known")
    (folder / "square.py").write_text(text.replace("- 4", "- p.x[:, 0]"))
    refused(kanpinn("solve", "square.toml"), "residual must have shape (n, 1)")
    (folder / "square.py").write_text(text.replace("- 4", "- four"))
    refused(kanpinn("solve", "square.toml"), "square.py:14 in residual")


def test_a_missing_file_names_the_nearest(folder: Path) -> None:
    refused(kanpinn("solve", "sqare.toml"), "sqare.toml", 'did you mean "square.toml"?')


@pytest.mark.parametrize(
    "arguments",
    [["fit"], ["solve", "square.toml", "--resume", "nowhere"], ["solve", "--resume", "nowhere"],
     ["plot", "nowhere"], ["export", "nowhere"], ["list", "nowhere"], ["new", "no/where"],
     ["new", "1st"]],
    ids=" ".join,
)  # fmt: skip
def test_a_command_that_cannot_be_carried_out_is_refused(
    folder: Path, arguments: list[str]
) -> None:
    refused(kanpinn(*arguments))


# Processes. Those in which the start is at issue are new ones, the others forks that have torch.

LONG = ["--set", "optimizer[0].type=adam", "--set", "optimizer[0].steps=1000000"]


def environment() -> dict[str, str]:
    root = str(PROBLEMS.parent)
    return {**os.environ, "OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg", "PYTHONPATH": root}


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")
def test_ctrl_c_ends_with_a_checkpoint_and_exit_code_130(folder: Path) -> None:
    process = Command(["-m", "kanpinn", "solve", "square.toml", *LONG], folder)
    process.stderr.readline()  # a line of progress: the loop is at work
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "the present step ends first" in errors
    (run,) = run_folders(folder / "results")
    assert output.splitlines()[-1] == f"run folder: {run.relative_to(folder)}"
    assert json.loads((run / "run.json").read_text())["status"] == "stopped: interrupted"
    assert (run / "checkpoint.pt").is_file()


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")
@pytest.mark.parametrize("delay", [0.2, 0.9])
def test_ctrl_c_while_it_starts_is_quiet(folder: Path, delay: float) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "kanpinn", "solve", "square.toml", *LONG],
        cwd=folder, env=environment(), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    with pytest.raises(subprocess.TimeoutExpired):
        process.communicate(timeout=delay)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert not list(folder.glob("results/*/*.tmp*"))


INTERRUPTED = """
import signal
from unittest.mock import patch
from kanpinn.cli import app

def interrupted(*_, **__):
    signal.raise_signal(signal.SIGINT)
    raise AssertionError("it goes on")

with patch("kanpinn.{place}", interrupted):
    app(["solve", "square.toml"])
"""


@pytest.mark.parametrize(
    "place",
    [
        "accuracy.norms.ErrorNorm.converged",
        "runs.results.folder.run_record",
        "plotting.draw_figures",
    ],
)
def test_ctrl_c_after_the_last_step_ends_at_once_and_loses_nothing(
    folder: Path, place: str
) -> None:
    process = Command(["-c", INTERRUPTED.format(place=place)], folder)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors and "the last checkpoint" in errors
    (run,) = run_folders(folder / "results")
    assert run.name.endswith(".partial")
    assert kanpinn("solve", "--resume", str(run), "--quiet").exit_code == 0
    (whole,) = run_folders(folder / "results")
    record = json.loads((whole / "run.json").read_text())
    assert record["status"] == "converged" and record["steps"] == 1


def test_help_and_the_list_of_problems_do_not_wait_for_torch() -> None:
    code = (
        "import sys; from kanpinn.cli import app; app(['--help'], standalone_mode=False);"
        "print('library'); app(['new', '--list'], standalone_mode=False);"
        "sys.exit('torch' in sys.modules)"
    )
    before = {name: value for name, value in environment().items() if name != "COLUMNS"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, env=before, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    listed = done.stdout.partition("library\n")[2].splitlines()
    assert [line.split()[0] for line in listed] == [one.name for one in library()]


# --- `kanpinn list` shows what can be read, whatever else lies in the folders


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes")
def test_a_bad_folder_never_breaks_the_list(tmp_path):
    results, problems = tmp_path / "results", tmp_path / "problems"
    problems.mkdir()
    bad = {
        "nested": lambda file: file.write_text("[" * 100_000),
        "pipe": os.mkfifo,
        "endless": lambda file: file.symlink_to("/dev/zero"),
        "loop": lambda file: file.symlink_to(file),
        "escape\x1b[2J": lambda file: file.write_text(json.dumps({"status": "\x1b]0;title\x07"})),
    }
    for name, write in bad.items():
        for folder, file in ((f"p/{name}", "run.json"), (name, "study.json")):
            (results / folder).mkdir(parents=True, exist_ok=True)
            write(results / folder / file)
    os.mkfifo(problems / "pipe.toml")
    shown = CliRunner().invoke(app, ["list", str(problems), "--output", str(results)])
    assert shown.exit_code == 0
    assert shown.output.count("run.json cannot be read") >= 3
    assert "pipe.toml" in shown.output and "\x1b" not in shown.output


def test_control_characters_are_written_out_in_tables():
    assert plain_table([("a\x1b[31m", "b\x9b2J")], left=True) == "a\\x1b[31m  b\\x9b2J"


# --- `kanpinn verify`: fields from files and functions, exit codes, what is written


FILE = """
[problem]
equation = "poisson"
domain = { type = "box", x = [0, 1], y = [0, 1] }
exact = "sin(pi*x) * sin(pi*y)"
"""
MINE = """
import numpy as np


def field(x):
    return (1 + 1e-3) * np.sin(np.pi * x[:, 0]) * np.sin(np.pi * x[:, 1])
"""


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "problem.toml").write_text(FILE)
    (tmp_path / "mine.py").write_text(MINE)
    x, y = numpy.random.default_rng(0).random((2, 200))
    u = 1.01 * numpy.sin(numpy.pi * x) * numpy.sin(numpy.pi * y)
    numpy.savez(tmp_path / "field.npz", x=x, y=y, u=u)
    return tmp_path


def test_exit_codes_compare_with_the_tolerance_and_json_has_the_numbers(files):
    result = kanpinn("verify", "problem.toml", "field.npz", "--tolerance", 0.1, "--json")
    assert result.exit_code == 0, result.output
    record = json.loads(result.stdout)
    assert record["errors"]["l2_relative"] == pytest.approx(0.01, rel=1e-3)
    assert record["errors"]["h1_relative"] is None
    result = kanpinn("verify", "problem.toml", "mine.py:field", "--tolerance", 1e-4)
    assert result.exit_code == 1
    assert "the relative L2 error is 1.0e-03, above the tolerance 1.0e-04" in result.stdout


def test_a_folder_gets_the_numbers_and_a_picture(files):
    result = kanpinn("verify", "problem.toml", "mine.py:field", "--output", "checked")
    assert result.exit_code == 0, result.output
    assert json.loads((files / "checked/verify.json").read_text())["worst"]["at"]
    assert imread(files / "checked/error.png").std() > 0
    kanpinn("verify", "problem.toml", "field.npz", "--output", "at_points")
    assert imread(files / "at_points/error.png").std() > 0


def test_bad_input_is_refused_in_one_line(files):
    refused(kanpinn("verify", "problem.toml", "none.npz"), "none.npz", "cannot be read")
    refused(kanpinn("verify", "problem.toml", "mine.py:other"), "has no function other")
    refused(kanpinn("verify", "problem.toml", "field.txt"), "path must end in")
    refused(kanpinn("verify", "problem.toml", "field.npz", "--tolerance", -1), "tolerance")
    refused(kanpinn("verify", "problem.toml", "field.npz", "--column", "u"), "NAME=COLUMN")
    refused(kanpinn("verify", "problem.toml", "field.npz", "--column", "u=v"), "no column 'v'")
