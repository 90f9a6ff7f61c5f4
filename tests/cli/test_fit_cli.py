"""kanpinn fit: its files, what it leaves in a run folder, and what it says to bad input."""

import json
import math
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import library
import numpy
import pytest
import torch
from commands import kanpinn, refused

import kanpinn as kp
from kanpinn.plotting import draw_figures
from kanpinn.plotting.fits import confusion, scores_figure
from kanpinn.runs.config import Config
from kanpinn.runs.progress import shown_numbers
from kanpinn.solvers import Fitted
from kanpinn.solvers.fit import score

NUMBERS = """
[data]
path = "wave.csv"
targets = "value"
validation = 0.2

[network]
type = "kan"
width = [2, 2, 1]
grid = 3

[[optimizer]]
type = "levenberg_marquardt"
steps = 4
"""
CLASSES = """
[data]
path = "ring.npz"
targets = "inside"
kind = "classes"

[network]
type = "kan"
width = [2, 1]

[[optimizer]]
type = "levenberg_marquardt"
steps = 3
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with two fit files and their data; figures are not drawn."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("kanpinn.plotting.draw_figures", lambda *_: [])
    x, y = numpy.random.default_rng(0).uniform(-1, 1, (2, 120))
    rows = zip(x, y, numpy.exp(numpy.sin(math.pi * x) + y**2), strict=True)
    text = "x,y,value\n" + "".join(f"{a:.6f},{b:.6f},{v:.6f}\n" for a, b, v in rows)
    Path("wave.csv").write_text(text)
    numpy.savez("ring.npz", x=x, y=y, inside=numpy.where(x**2 + y**2 < 0.6, "yes", "no"))
    Path("wave.toml").write_text(NUMBERS)
    Path("ring.toml").write_text(CLASSES)
    return tmp_path


def fit(*arguments: str) -> Path:
    """A fit that succeeds; its run folder."""
    result = kanpinn("fit", *arguments, "--quiet")
    assert result.exit_code == 0, result.output
    return Path(result.stdout.strip())


# Files


def test_the_sections_are_the_arguments_of_a_fit() -> None:
    pairs = ["fit.scaling=standard", "fit.batch=16", "fit.patience=5", "optimizer[0].type=adam"]
    pairs += ["fit.sparsity={strength = 1e-2}", 'data.inputs=["y", "x"]']
    job = Config.read(Path("wave.toml"), [*pairs, "run.seed=3"]).build()
    settings = job.settings
    assert (settings.scaling, settings.batch, settings.patience) == ("standard", 16, 5)
    assert job.sparsity.strength == 1e-2
    assert job.optimizers == (kp.Adam(steps=4),)
    assert job.data.train.names == ("y", "x")
    table = kp.Table.read("wave.csv", ["y", "x"], "value")
    same = kp.Data.split(table, 0.2, 0.2, seed=3)
    assert torch.equal(job.data.test.inputs, same.test.inputs)
    default = Config.from_dict({"data": {"path": "wave.csv"}, "network": {"type": "kan",
                               "width": [2, 1]}}).build()  # fmt: skip
    assert default.optimizers == (kp.LevenbergMarquardt(),)


def test_bounds_hold_the_first_grid_and_stay_with_the_run() -> None:
    run = fit("wave.toml", "--set", "fit.bounds={x = [-2, 2]}", "--set", "fit.bounds.y=[0, 5]")
    loaded, record = kp.load(run), json.loads((run / "run.json").read_text())
    assert record["config"]["fit"]["bounds"] == {"x": [-2, 2], "y": [0, 5]}
    assert (loaded.surrogate.low.tolist(), loaded.surrogate.high.tolist()) == ([-2, 0], [2, 5])
    assert loaded.network.layers[0].basis.breaks[:, [0, -1]].tolist() == [[-1, 1], [-1, 1]]
    further = kanpinn("fit", "--resume", str(run), "--set", "optimizer[0].steps=5", "--quiet")
    assert further.exit_code == 0, further.output


def test_a_file_can_ask_for_a_sine_network() -> None:
    pairs = ["network.type=mlp", "network.activation=sine", "network.frequency=30"]
    network = Config.read(Path("wave.toml"), [*pairs, "run.seed=2"]).build().network
    same = kp.MLP([2, 2, 1], "sine", frequency=30, seed=2)
    ours, theirs = network.state_dict(), same.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert [layer.frequency for layer in network.layers] == [1, 30]


def test_parts_can_be_files_of_their_own() -> None:
    lines = Path("wave.csv").read_text().splitlines(keepends=True)
    Path("new.csv").write_text("".join(lines[:31]))
    config = Config.read(Path("wave.toml"), ["data.test=new.csv", "data.validation=0.5"])
    parts = config.build().data.parts
    assert {name: len(table) for name, table in parts.items()} == {
        "train": 60, "validation": 60, "test": 30,
    }  # fmt: skip


def test_parts_of_other_files_have_the_classes_of_the_first() -> None:
    ring = numpy.load("ring.npz")
    only = {name: ring[name][ring["inside"] == "yes"] for name in ring}
    numpy.savez("inner.npz", **only)
    data = Config.read(Path("ring.toml"), ["data.test=inner.npz"]).build().data
    assert data.test.classes == ("no", "yes") and data.test.targets.unique().tolist() == [1]
    named = Config.read(
        Path("ring.toml"), ['data.classes=["yes", "maybe", "no"]', "network.width=[2,3]"]
    )
    assert named.build().data.train.classes == ("yes", "maybe", "no")
    numpy.savez("odd.npz", **{**ring, "inside": numpy.where(ring["x"] > 0, "yes", "never")})
    refused(kanpinn("fit", "ring.toml", "--set", "data.test=odd.npz"), "odd.npz", "'never'")


def test_a_formula_makes_data() -> None:
    section = {
        "formula": ["x*y", "sin(x)"],
        "rows": 40,
        "domain": {"type": "box", "x": [0, 1], "y": [0, 2]},
    }
    network = {"type": "kan", "width": [2, 2]}
    data = Config.from_dict({"data": section, "network": network}).build().data
    x, y = data.train.inputs.T
    assert torch.allclose(data.train.targets, torch.stack([x * y, x.sin()], dim=1))
    assert (data.train.outputs, len(data.test)) == (("f0", "f1"), 8)


def test_the_schema_of_fit_files() -> None:
    assert json.loads(kanpinn("schema").stdout)["title"] == "kanpinn problem file"
    schema = json.loads(kanpinn("schema", "--fit").stdout)
    assert set(schema["properties"]) == {"data", "network", "fit", "optimizer", "run"}
    tables = schema["$defs"]
    file, formula = schema["properties"]["data"]["oneOf"]
    assert (file["$ref"], formula["$ref"]) == ("#/$defs/FileTable", "#/$defs/FormulaTable")
    assert tables["FileTable"]["required"] == ["path"]
    assert set(tables["FormulaTable"]["required"]) == {"formula", "domain"}


# Runs


def test_fit_prints_scores_status_and_where_the_folder_is() -> None:
    result = kanpinn("fit", "wave.toml")
    assert result.exit_code == 0, result.output
    (run,) = Path("results/wave").iterdir()
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["part", "rows", "RMSE", "max.", "error", "R²"]
    assert [line.split()[:2] for line in lines[1:4]] == [
        ["train", "72"], ["validation", "24"], ["test", "24"],
    ]  # fmt: skip
    assert lines[-2].startswith("stopped: limit of 4 steps")
    assert lines[-1] == f"run folder: {run}"


def test_a_run_folder_says_what_was_fitted_and_how_well() -> None:
    result = kanpinn("fit", "ring.toml", "--json", "--seed", "5", "--output", "elsewhere")
    (run,) = Path("elsewhere/ring").iterdir()
    assert result.stdout == (run / "run.json").read_text()
    record = json.loads(result.stdout)
    assert record["seed"] == 5 and record["parameters"] == 16 and record["steps"] == 3
    assert record["data"] == {
        "inputs": ["x", "y"],
        "targets": ["inside"],
        "classes": ["no", "yes"],
        "rows": {"train": 96, "test": 24},
    }
    assert record["errors"]["test"]["rows"] == 24 and record["errors"]["test"]["rmse"] is None
    assert 0.5 < record["errors"]["test"]["accuracy"] <= 1
    (file,) = record["files"]
    assert file["path"] == str(Path("ring.npz").resolve()) and len(file["sha256"]) == 64
    with h5py.File(run / "result.h5") as stored:
        assert list(stored.attrs["inputs"]) == ["x", "y"]
        assert list(stored.attrs["classes"]) == ["no", "yes"]
        assert len(stored["history/train_accuracy"]) == 4
        assert stored["network"].attrs["low"].shape == (2,)
        assert "mean" not in stored["network"].attrs


@pytest.mark.parametrize("file", ["wave.toml", "ring.toml"])
@pytest.mark.parametrize("missing", ["", "checkpoint.pt"])
def test_a_loaded_fit_is_the_one_that_was_saved(file: str, missing: str) -> None:
    run = fit(file)
    if missing:
        (run / missing).unlink()
    Path("wave.csv").unlink()  # the folder has its own copy
    Path("ring.npz").unlink()
    loaded, record = kp.load(run), json.loads((run / "run.json").read_text())
    assert isinstance(loaded, Fitted)
    assert loaded.status == record["status"] and len(loaded.history) == record["steps"] + 1
    assert loaded.scores["test"] == score(loaded(loaded.data.test.inputs), loaded.data.test)
    test = loaded.data.test
    if test.classes:
        right = (loaded.predict(test.inputs) == test.targets).double().mean()
        assert loaded.scores["test"].accuracy == pytest.approx(float(right))
    else:
        error = float((loaded(test.inputs) - test.targets).square().mean().sqrt())
        assert loaded.scores["test"].rmse == pytest.approx(error, rel=1e-9)
        with h5py.File(run / "result.h5") as stored:
            scale = stored["network"].attrs["deviation"]
        assert scale == pytest.approx(loaded.surrogate.output.deviation.numpy())


def test_large_data_stay_where_they_are_and_must_not_change(monkeypatch) -> None:
    monkeypatch.setattr("kanpinn.runs.results.sources.LARGE", 1000)
    run = fit("wave.toml")
    assert not (run / "wave.csv").exists()
    assert isinstance(kp.load(run), Fitted)
    text = Path("wave.csv").read_text()
    Path("wave.csv").write_text(text + "0,0,0\n")
    with pytest.raises(kp.InputError, match=r"wave\.csv has changed since .*wave"):
        kp.load(run)
    Path("wave.csv").unlink()
    with pytest.raises(kp.InputError, match=r"wave\.csv is missing"):
        kp.load(run)


def test_a_numerical_failure_has_exit_code_1() -> None:
    adam = ["--set", "optimizer[0].type=adam", "--set", "optimizer[0].lr=1e300"]
    result = kanpinn("fit", "wave.toml", *adam)
    assert result.exit_code == 1, result.output
    assert "failed: the loss became" in result.stdout


def test_check_shows_what_would_run_and_runs_nothing() -> None:
    result = kanpinn("check", "ring.toml")
    assert result.exit_code == 0, result.output
    assert "ring.npz: 96 rows train, 24 rows test" in result.stdout
    assert "2: no, yes" in result.stdout and "LevenbergMarquardt(steps=3" in result.stdout
    refused(kanpinn("check", "ring.toml", "--set", "network.width=[2,4]"), "must end with 2")


def test_list_plot_and_export_know_fits() -> None:
    run = fit("wave.toml")
    listed = kanpinn("list", ".").stdout
    assert "test rmse " in listed and "validation rmse " in listed
    exported = kanpinn("export", str(run), "--format", "npz")
    assert exported.exit_code == 0, exported.output
    arrays, loaded = numpy.load(run / "fields.npz"), kp.load(run)
    assert arrays["test_outputs"] == pytest.approx(loaded(loaded.data.test.inputs).numpy())
    result = kanpinn("export", str(run))
    assert result.exit_code == 2 and "a fit has no fields on a grid: --format npz" in result.stderr
    assert kanpinn("plot", str(run)).exit_code == 0
    (run / "figures").symlink_to(Path.cwd())
    linked = kanpinn("plot", str(run))
    assert linked.exit_code == 2 and "figures is a link" in linked.stderr


# Studies


@pytest.fixture
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs of studies go to a thread: new processes take seconds."""
    module = sys.modules[kp.sweep.__module__]
    monkeypatch.setattr(module, "Processes", lambda _: ThreadPoolExecutor(1))


STUDY = """
[study]
base = "{}"
[study.over]
"network.grid" = [2, 4]
"optimizer[0].steps" = [1]
"""


@pytest.mark.parametrize(
    ("file", "column"), [("wave.toml", "test_rmse"), ("ring.toml", "test_cross_entropy")]
)
def test_a_study_of_fits_has_their_scores(file: str, column: str, one_thread: None) -> None:
    Path("grids.toml").write_text(STUDY.format(file))
    result = kanpinn("study", "grids.toml")
    assert result.exit_code == 0, result.output
    title, fine = column.replace("_", " "), result.stdout.splitlines()[2]
    assert title in result.stdout and fine.startswith("4 ")
    (folder,) = Path("results").glob("grids-*")
    study = kp.Study.read(folder)
    assert study.kind == "fit" and column in study.columns
    for row in study.rows:
        record = json.loads((study.run(row) / "run.json").read_text())
        part, _, score = column.partition("_")
        assert row[column] == record["errors"][part][score]
        assert row["points"] == record["data"]["rows"]["train"]
    assert f"best {title}" in result.stderr
    assert "best test" in kanpinn("list", ".").stdout
    assert kanpinn("report", str(folder)).exit_code == 0
    again = kanpinn("study", "grids.toml", "--json")
    assert json.loads(again.stdout)["best"][column] == min(r[column] for r in study.rows)
    assert "2 from before" in again.stderr


def test_a_fit_that_fails_is_a_row(one_thread: None) -> None:
    values = {"network.width": [[2, 1], [2, 3]], "optimizer[0].steps": [1]}
    study = kp.sweep("wave.toml", values)
    assert study.rows[1]["status"].startswith("failed: network.width must end with 1")
    assert study.rows[1]["test_rmse"] is None and study.rows[0]["test_rmse"] > 0


def test_a_study_is_of_one_kind() -> None:
    def base(kind: str) -> dict:
        network = {"type": "kan", "width": [2, 1]}
        if kind == "fit":
            return {"data": {"path": "wave.csv"}, "network": network}
        domain = {"type": "box", "x": [0, 1], "y": [0, 1]}
        problem = {"equation": "poisson", "domain": domain, "exact": "x*y"}
        return {"problem": problem, "network": network | {"degree": 4}}

    with pytest.raises(kp.InputError, match="the runs of a study must be of one kind"):
        kp.sweep(base, {"kind": ["fit", "problem"]})


# Interpretation


def fit_formula(formula: str, *network: str) -> Path:
    """The run of a KAN with these settings, fitted to a formula of x and y."""
    lines = ["[data]", f'formula = "{formula}"', "rows = 300"]
    lines += ['domain = { type = "box", x = [-1, 1], y = [0, 2] }']
    lines += ["[network]", 'type = "kan"', *network]
    Path("formula.toml").write_text("\n".join(lines))
    return fit("formula.toml")


def test_interpret_reads_a_formula_off_a_fit() -> None:
    run = fit_formula("x**2 + 3*y", "width = [2, 1]")
    result = kanpinn("interpret", str(run), "--library", "x,x^2", "--seconds", "20")
    assert result.exit_code == 0, result.output
    assert "f = x**2 + 3*y" in result.stdout and "x^2" in result.stdout
    record = json.loads((run / "formula.json").read_text())
    assert record["formulas"]["f"]["expression"] == "x**2 + 3*y"
    assert record["error"] < 1e-10 and record["exact_constants"] and len(record["edges"]) == 2
    assert (run / "formula.tex").read_text().startswith("f = ")
    assert (run / "network.png").read_bytes().startswith(b"\x89PNG")
    assert record["own_edges"] and "read off a KAN" not in result.stdout


def test_interpret_says_whose_edges_it_shows() -> None:
    """A network [2,1] with a term of silu has no edges to read, the KAN [2,1] fitted to it has."""
    run = fit_formula("x**2 + 3*y", "width = [2, 1]", 'base = "silu"')
    result = kanpinn("interpret", str(run), "--library", "x,x^2", "--seconds", "20")
    assert result.exit_code == 0, result.output
    assert "read off a KAN [2, 1] that was fitted to the values of this network" in result.stdout
    record = json.loads((run / "formula.json").read_text())
    assert not record["own_edges"] and record["width"] == [2, 1]


def test_interpret_says_what_is_multiplied() -> None:
    few = "[[optimizer]]", 'type = "levenberg_marquardt"', "steps = 40"
    run = fit_formula("x*exp(y)", "width = [2, 8, 1]", *few)
    result = kanpinn("interpret", str(run), "--library", "x,exp", "--seconds", "20")
    assert result.exit_code == 0, result.output
    assert "f = x*exp(y)" in result.stdout
    assert "layer 0: the edges to 0 are multiplied" in result.stdout
    assert json.loads((run / "formula.json").read_text())["products"] == [[0, 0]]


def test_interpret_refuses_what_it_cannot_read() -> None:
    mlp = fit("wave.toml", "--set", "network.type=mlp", "--set", "optimizer[0].steps=1")
    result = kanpinn("interpret", str(mlp))
    assert result.exit_code == 2 and "MLP, which has no edge functions" in result.stderr
    result = kanpinn("interpret", str(fit("ring.toml")))
    assert result.exit_code == 2 and "these are classes" in result.stderr
    run = str(fit("wave.toml"))
    for given, words in (
        (["--library", "sine"], "unknown function 'sine'"),
        (["--seconds", "0"], "--seconds must be a finite number above 0, got 0"),
        (["--seconds", "nan"], "--seconds must be a finite number above 0, got nan"),
        (["--seed", "-1"], "--seed must be an integer of at least 0, got -1"),
    ):
        result = kanpinn("interpret", run, *given)
        assert result.exit_code == 2 and words in result.stderr and not result.stdout
        assert not Path(run, "formula.json").exists()
    result = kanpinn("interpret", str(Path(run).parent))
    assert result.exit_code == 2 and f"did you mean {run}?" in result.stderr
    Path(run, "run.json").write_text("{}")
    result = kanpinn("interpret", run)
    assert result.exit_code == 2 and "run.json is no record of a run" in result.stderr


# Bad input


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        ("data.path=waves.csv", ["waves.csv: there is no such file", 'did you mean "wave.csv"']),
        ("data.targets=valeu", ["no column 'valeu'", 'did you mean "value"']),
        ('data.inputs=["x", "z"]', ["no column 'z'", "its columns are x, y, value"]),
        ("data.validation=1.5", ["data.validation = 1.5", "expected a number >= 0 and < 1"]),
        ("data.kind=words", ["data.kind", '"numbers" or "classes"']),
        ("data.validaton=0.1", ["data.validaton is unknown", 'did you mean "validation"']),
        ("fit.patience=0", ["fit.patience = 0", ">= 1"]),
        ("fit.scaling=rang", ["fit.scaling", '"range" or "standard" or "quantile"']),
        ("network.width=[3,1]", ["network.width must start with 2 for the inputs x, y"]),
        ("network.boundary=exact", ["network.boundary is unknown"]),
        ("points.interior=5", ["points is unknown", "[data], [network], [fit]"]),
        ("run.estimate=true", ["run.estimate = true"]),
        ("data.formula=x*y", ["data.formula: expected a formula or a file, not both"]),
        ("data.path=", ["data.path is missing: expected a file, or a formula"]),
        ("fit.sparsity={strength=-1}", ["fit.sparsity.strength", "-1"]),
        ("fit.bounds={x=3}", ["fit.bounds", "expected a table of lists of numbers"]),
        ("fit.bounds.x=[1,0]", ["fit.bounds of x must be low < high, got (1.0, 0.0)"]),
        ("fit.bounds.x1=[0,1]", ["fit.bounds name 'x1'", 'did you mean "x"']),
        ('data.inputs=["x", "x"]', ["wave.csv", "different columns"]),
        ('data.classes=["a", "b"]', ["data.classes are for kind", "numbers"]),
        ("data.path=folder.csv", ["folder.csv: there is no such file"]),
        ("data.path=wave.toml", ["wave.toml must end in .csv, .npz"]),
        ("network.frequency=30", ["network.frequency is unknown"]),
        ("fit.patience=3 data.validation=0", ["fit.patience needs rows for validation"]),
        ("network.type=mlp fit.scaling=quantile", ['fit.scaling "quantile" is for KANs']),
        ("network.type=mlp fit.bounds.x=[0,1]", ["fit.bounds are for scaling"]),
        ("network.type=mlp network.frequency=30", ["network.frequency is for sines"]),
        (
            "network.type=mlp network.activation=sine network.frequency=-3",
            ["network.frequency must be a finite number above 0, got -3"],
        ),
    ],
)
def test_bad_keys_are_refused(pairs: str, words: list[str]) -> None:
    Path("folder.csv").mkdir()
    refused(kanpinn("fit", "wave.toml", sets=re.split(r" (?=\w+\.)", pairs)), *words)


CORNERS = numpy.array(["a", "b", "c", "d"])[numpy.arange(120) % 4]


@pytest.mark.parametrize(
    ("column", "cells", "words"),
    [
        ("inside", CORNERS, "network.width must end with 4, an output for each of the classes a"),
        ("inside", numpy.where(CORNERS == "a", "", "b"), "inside has no class in row 1"),
        ("inside", numpy.where(CORNERS == "c", numpy.nan, 1), "inside has no class in row 3"),
        ("x", numpy.zeros((120, 2)), "x must have one value a row, its shape is (120, 2)"),
        ("x", numpy.array(1.0), "x must have one value a row, its shape is ()"),
        ("x", numpy.arange(50), "y has 120 rows, x has 50"),
        ("x", 1j * numpy.arange(120), "x must be real numbers"),
    ],
)
def test_bad_classes_and_arrays_are_refused(column: str, cells: object, words: str) -> None:
    ring = dict(numpy.load("ring.npz"))
    numpy.savez("ring.npz", **{**ring, column: cells})
    refused(kanpinn("fit", "ring.toml"), words)


def test_classes_are_named_once() -> None:
    twice = 'data.classes=["no", "no", "yes"]'
    refused(kanpinn("fit", "ring.toml", "--set", twice), "classes must be 3 different names")


@pytest.mark.parametrize("rest", [0, 300])
def test_a_broken_archive_is_refused(rest: int) -> None:
    Path("ring.npz").write_bytes(Path("ring.npz").read_bytes()[:rest])
    refused(kanpinn("fit", "ring.toml"), "ring.npz is no NumPy archive")


def test_the_other_command_is_named() -> None:
    words = "wave.toml is not for kanpinn solve", "kanpinn fit wave.toml"
    refused(kanpinn("solve", "wave.toml"), *words)
    poisson = str(library.PROBLEMS / "poisson2d.toml")
    refused(kanpinn("fit", poisson), "is not for kanpinn fit", f"kanpinn solve {poisson}")
    run = fit("wave.toml")
    result = kanpinn("solve", "--resume", str(run))
    assert result.exit_code == 2 and f"kanpinn fit --resume {run}" in result.stderr


def test_neither_a_problem_nor_data() -> None:
    Path("empty.toml").write_text('[network]\ntype = "kan"\nwidth = [2, 1]\n')
    refused(kanpinn("fit", "empty.toml"), "problem is missing", "[data]")


# Figures and progress


def test_a_fit_has_its_figures(tmp_path: Path) -> None:
    names = ["a$b", "100 % {x}^2"]
    for file, kind in (("wave.toml", "agreement"), ("ring.toml", "confusion")):
        data = Config.read(Path(file)).build().data.train
        table = kp.Table(data.inputs, data.targets, tuple(names), data.outputs, data.classes)
        width = [2, 1]
        fitted = kp.fit(kp.KAN(width), kp.Data.split(table, 0.1, 0.3), kp.Adam(steps=2))
        paths = draw_figures(fitted, tmp_path / kind)
        assert [path.name for path in paths] == ["history.png", f"{kind}.png", "edges.png"]


def test_the_staircase_marks_refinements_and_the_state_that_is_kept() -> None:
    data = Config.read(Path("wave.toml")).build().data
    stages = [kp.Adam(steps=4), kp.Refine(grid=6), kp.Adam(steps=4)]
    fitted = kp.fit(kp.KAN([2, 1], grid=3), data, stages)
    ax = scores_figure(fitted).axes[0]
    assert [text.get_text() for text in ax.texts] == ["Adam", "grid 6"]
    assert [line.get_label() for line in ax.lines if line.get_label()[0] != "_"] == [
        "train", "validation", "test", "kept",
    ]  # fmt: skip
    kept = ax.lines[-1].get_ydata()
    assert kept[0] == fitted.history.column("validation_rmse").min()


def test_a_confusion_matrix_counts_what_is_taken_for_what() -> None:
    counts = confusion(numpy.array([0, 0, 1, 2]), numpy.array([0, 2, 1, 2]), ("a", "b", "c"))
    assert counts.tolist() == [[1, 0, 1], [0, 1, 0], [0, 0, 1]]


def test_progress_shows_one_score() -> None:
    said = []
    data = Config.read(Path("wave.toml")).build().data
    kp.fit(
        kp.KAN([2, 1]), data, kp.Adam(steps=1), observers=[lambda r: said.append(shown_numbers(r))]
    )
    assert "validation rmse" in said[0] and "train" not in said[0] and "test" not in said[0]
