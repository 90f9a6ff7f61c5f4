"""Every script has a smoke run of at most a minute, from any folder, which enters all its code."""

import ast
import importlib
import json
import math
import os
from dataclasses import dataclass
from pathlib import Path

import numpy
import pytest
import smoke
import torch

import kanpinn as kp

ROOT = Path(__file__).parents[2]
SCRIPTS = [path.stem for path in smoke.SCRIPTS]


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all worker processes of this test session share."""
    folder = tmp_path_factory.getbasetemp()
    folder = folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder
    (folder / "smoke").mkdir(exist_ok=True)
    return folder / "smoke"


@pytest.mark.parametrize("script", SCRIPTS)
def test_smoke_run(script: str, shared: Path) -> None:
    run = smoke.run(script, shared)
    assert run.code == 0, run.log
    figures = json.loads((run.output / f"{script}.json").read_text(encoding="utf-8"))
    assert figures
    for figure in figures.values():
        assert set(figure) == {"value", "target", "met"}
        assert isinstance(figure["target"], str) and figure["met"] in (True, False, None)


def test_no_mutated_file_or_damaged_folder_and_no_kill_makes_a_command_fail(shared: Path) -> None:
    """The fuzzers of trust_files.py at their smallest numbers."""
    output = smoke.run("trust_files", shared).output
    figures = json.loads((output / "trust_files.json").read_text(encoding="utf-8"))
    of_files = ("mutated", "damaged", "faults at", "a kill has changed")
    judged = {name: one["met"] for name, one in figures.items() if any(w in name for w in of_files)}
    assert len(judged) >= 10 and False not in judged.values(), (output / "failures.md").read_text()


# Functions that no smoke run enters, by the beginnings of "FILE NAME", and why.
ABSENT_PEERS = "needs a peer code that is installed from the network into its own environment"
ONE_TASK = "a smoke run draws a task of each kind and does one"
ABSENT_SNAPPY = "needs SnapPy, which is in no extra that the tests install"
UNENTERED = {
    "peers/run_deepxde.py ": ABSENT_PEERS,
    "peers/run_jaxkan.py ": ABSENT_PEERS,
    "peers/run_jinns.py ": ABSENT_PEERS,
    "peers/run_pina.py ": ABSENT_PEERS,
    "peers/run_pykan.py ": ABSENT_PEERS,
    "peers/measuring.py boundary_grid": ABSENT_PEERS,
    "peers/measuring.py collocation": ABSENT_PEERS,
    "peers/measuring.py laplacian": ABSENT_PEERS,
    "peers/measuring.py penalty_loss": ABSENT_PEERS,
    "peers/measuring.py torch_field": ABSENT_PEERS,
    "peers/measuring.py _evaluate": ABSENT_PEERS,
    "peers/launch.py interpreter": "makes such an environment",
    "peers/launch.py _logged": "makes such an environment",
    "peers/launch.py PeerError": "a smoke run in which a peer fails has failed",
    "marches/run_dedalus.py ": ABSENT_PEERS,
    "march_peers.py dedalus": ABSENT_PEERS,
    "march_peers.py of_dedalus": ABSENT_PEERS,
    "knots.py draw_names": ABSENT_SNAPPY,
    "knots.py invariants": ABSENT_SNAPPY,
    "knots.py geometry": ABSENT_SNAPPY,
    "knots.py cusp_translations": ABSENT_SNAPPY,
    "knots.py shortest_": ABSENT_SNAPPY,
    "knots.py signature": ABSENT_SNAPPY,
    "check_": "tests of certificates run them",
    "hostile/adversarial.py LotkaVolterra": "its solve takes a minute",
    "hostile/numbers.py with_corner": "solves at a corner take ten seconds",
    "hostile/numbers.py _in_triangle": "solves at a corner take ten seconds",
    "hostile/budgets.py bounded.bound": ONE_TASK,
    "hostile/budgets.py crowded.solve": ONE_TASK,
    "hostile/budgets.py heated.solve": ONE_TASK,
    "hostile/budgets.py library.solve": ONE_TASK,
    "machinery/timing.py Poisson.conditions": "a problem has them, but its equation alone is timed",
    "imaging.py camera": "needs scikit-image, which is in no extra that the tests install",
}


def test_smoke_runs_enter_every_function(shared: Path) -> None:
    files = sorted((ROOT / "scripts").rglob("*.py"))
    defined = {name for path in files for name in smoke.functions(path)}
    for script in SCRIPTS:
        smoke.run(script, shared)
    entered = smoke.entered(shared)
    excused = {name for name in defined if name.startswith(tuple(UNENTERED))}
    assert sorted(defined - entered - excused) == []
    assert sorted(excused & entered) == [], "these names need no excuse"
    assert all(any(name.startswith(one) for name in excused) for one in UNENTERED)


# What scripts may import besides the public names: what a room's `__init__` lists, these tools,
ROOMS = {*"accuracy geometry interpret jets linalg loss networks optimizers solvers".split()}
TOOLS = {
    *("_support.files", "_support.processes", "_support.errors", "accuracy.orders"),
    *("plotting.edges", "plotting.fields", "plotting.convergence", "plotting.style"),
    *("runs.config", "runs.library", "runs.results.record", "runs.study", "solvers.grid_fields"),
}
# and the insides that a study is about, each in that study alone.
INSIDES = {
    "anderson": {
        *("interpret.formula", "interpret.graph", "interpret.snapping"),
        "optimizers.damping",
    },
    "benchmark_distributed": {"_support.distributed", "optimizers.output_layer"},
    "benchmark_study": {"runs.study.sweep"},
    "continual_learning": {"solvers.loop", "solvers.state"},
    "growth": {"spaces.cells.system.cell_system"},
    "hostile": {
        *("__main__", "accuracy.norms", "accuracy.references"),
        *("pde", "pde.boundary_value_problem", "pde.conditions", "pde.defects"),
        *("geometry.curves", "geometry.rules", "geometry.sampling", "spaces.cells.quadrature"),
        "solvers.eigen.spectrum",
    },
    "imaging": {"solvers.state"},
    "knots": {"networks.basis", "solvers.fit"},
    "machinery": {"geometry.sampling", "loss.terms"},
    "make_references": {"accuracy.references"},
    "trust_files": {"cli.screen", "runs.results"},
}
SOURCES = sorted([*(ROOT / "scripts").rglob("*.py"), *(ROOT / "problems").glob("*.py")])


def study(path: Path) -> str:
    """The script or the folder of scripts/ that a file belongs to."""
    return Path(path.relative_to(ROOT).parts[1]).stem


def imports(path: Path) -> list[tuple[str, list[str]]]:
    """The modules of kanpinn that a file imports, "" for the package itself, and their names."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "kanpinn":
            module = (node.module or "").partition(".")[2]
            found.append((module, [alias.name for alias in node.names]))
        elif isinstance(node, ast.Import):
            names = [a.name for a in node.names if a.name.split(".")[0] == "kanpinn"]
            found += [(name.partition(".")[2], []) for name in names]
    return found


def offences(path: Path) -> list[str]:
    """The imports of a file that are not listed above."""
    is_problem = path.parent.name == "problems"
    inner = set() if is_problem else TOOLS | INSIDES.get(study(path), set())
    found = []
    for module, names in imports(path):
        if not module:
            allowed = {"interpret", *kp.__all__}
        elif module in ROOMS and not is_problem:
            allowed = {*vars(importlib.import_module(f"kanpinn.{module}"))}
        else:
            allowed = {*names} if module in inner else set()
        found += [f"{path.name}: {name} of kanpinn.{module}" for name in {*names} - allowed]
    return found


def test_scripts_and_problems_import_public_names_and_what_is_listed() -> None:
    assert [offence for path in SOURCES for offence in offences(path)] == []


def test_no_listed_inside_is_unused() -> None:
    used = {(study(path), module) for path in SOURCES for module, _ in imports(path)}
    listed = {(folder, module) for folder, modules in INSIDES.items() for module in modules}
    assert listed <= used


# --- scripts/all_figures.py tells what has drifted from the committed figures, and what has failed


@pytest.fixture
def script(module):
    return module("all_figures")


@pytest.mark.parametrize(
    ("before", "now", "change"),
    [
        (2.0, 1.0, 0.5),
        (3e-15, 1e-15, 0.0),
        ([1.0, 4], [1.0, 5], 0.2),
        ({"a": 1.0, "b": "D4"}, {"a": 1.0, "b": "D6"}, math.inf),
        ([1.0, 2.0], [1.0], math.inf),
        (None, 1e-3, math.inf),
        ("x", "x", None),
        (True, False, math.inf),
    ],
)
def test_the_largest_change_of_a_value(script, before, now, change) -> None:
    assert script.largest_change(before, now) == change


def test_a_verdict_outweighs_its_number_and_times_do_not_drift(script) -> None:
    def figure(value, met=None):
        return {"value": value, "target": "", "met": met}

    before = {"a": figure(1.0, True), "b": figure(1.0), "seconds": figure(1.0), "c": figure(1.0)}
    now = {"a": figure(9.0, False), "b": figure(1.05), "seconds": figure(9.0), "d": figure(1.0)}
    found = {drift.figure: drift.kind for drift in script.compared("s", before, now, 0.1)}
    assert found == {"a": "verdict", "b": "same", "seconds": "same", "c": "gone", "d": "new"}
    assert {drift.kind for drift in script.compared("s", None, now, 0.1)} == {"new"}


def test_what_has_failed_is_said_and_what_has_succeeded_is_not_run_again(
    script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, output = tmp_path / "tiny", tmp_path / "output"
    (folder / "reference").mkdir(parents=True)
    (folder / "bad.py").write_text("raise SystemExit('no data')")
    good = "import sys; open(f'{sys.argv[2]}/good.json', 'w').write('{}')"
    (folder / "good.py").write_text(good)
    monkeypatch.setattr(script, "TINY", folder)
    assert script.main(["--smoke", f"--output={output}"]) == 1
    verdicts = json.loads((output / "all_figures.json").read_text())
    assert verdicts["bad"]["met"] is False and "no data" in verdicts["bad"]["value"]
    assert "bad failed: exit code 1: no data" in (output / "drift.md").read_text()
    pieces = script.Pieces.under(output)
    for text in (good, "raise SystemExit(1)"):
        (folder / "good.py").write_text(text)
        assert script.measured(folder / "good.py", output, pieces)[0] == {}


# --- What all scripts share: verdicts as strict JSON, and pieces that are made once


def test_verdicts_are_strict_json(module, tmp_path: Path) -> None:
    path = tmp_path / "new" / "script.json"
    figures = {
        "slope": {"value": numpy.float64(4.1), "target": "as high as it goes", "met": None},
        "errors": {"value": [math.nan, 1e-3], "target": "<= 1", "met": numpy.bool_(True)},
    }
    module("common.script").write_verdicts(path, figures)
    assert json.loads(path.read_text()) == {
        "slope": {"value": 4.1, "target": "as high as it goes", "met": None},
        "errors": {"value": [None, 1e-3], "target": "<= 1", "met": True},
    }


def test_a_figure_without_its_target_is_refused(module, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="slope: expected value, target"):
        module("common.script").write_verdicts(
            tmp_path / "script.json", {"slope": {"value": 4.1, "met": True}}
        )
    assert not list(tmp_path.iterdir())


@dataclass(frozen=True)
class Fit:
    name: str
    errors: list[float]
    picture: torch.Tensor | list


def test_a_piece_is_made_once_and_comes_back_as_it_was(module, tmp_path: Path) -> None:
    pieces, calls = module("common.pieces").Pieces.under(tmp_path), []
    fit, key = Fit("KAN", [math.pi, math.nan], torch.eye(2)), {"function": "jv 0,1", "seed": 3}

    def counted(made):
        return lambda: calls.append(1) or made

    for _ in range(2):
        assert pieces.rows(key, counted([{"error": 0.1 + 0.2}])) == [key | {"error": 0.1 + 0.2}]
        (found,) = pieces.records(Fit, {"seed": 0}, counted([fit]))
        assert (found.name, found.picture) == ("KAN", [[1, 0], [0, 1]])
        assert found.errors[0] == math.pi and math.isnan(found.errors[1])
        picture = pieces.pickled({"seed": 0}, counted({"picture": fit.picture}))["picture"]
        assert torch.equal(picture, fit.picture)
    assert len(calls) == 3
    assert pieces.rows(key | {"seed": 4}, counted([{"error": 1.0}])) and len(calls) == 4
    before = [*tmp_path.rglob("*")]
    for make in (pieces.rows, pieces.pickled):
        with pytest.raises(ZeroDivisionError):
            make({"seed": 5}, lambda: 1 / 0)
    assert [*tmp_path.rglob("*")] == before  # a piece that fails leaves nothing


def test_other_sources_make_other_pieces(module, tmp_path: Path, monkeypatch) -> None:
    module = module("common.pieces")
    monkeypatch.setattr(module, "package_digest", lambda: "before")
    module.Pieces.under(tmp_path).rows({"seed": 0}, lambda: [{"error": 1.0}])
    monkeypatch.setattr(module, "package_digest", lambda: "after")
    (row,) = module.Pieces.under(tmp_path).rows({"seed": 0}, lambda: [{"error": 2.0}])
    assert row["error"] == 2.0
    for error in (3.0, 4.0):
        pieces = module.Pieces.under(tmp_path, again=True)
        (row,) = pieces.rows({"seed": 0}, lambda: [{"error": error}])  # noqa: B023
        assert row["error"] == error
    (row,) = module.Pieces.under(tmp_path).rows({"seed": 0}, lambda: [{"error": 5.0}])
    assert row["error"] == 2.0
