"""Every script has a smoke run of at most a minute, from any folder, and judges its figures."""

import ast
import importlib
import json
from pathlib import Path

import pytest
import smoke

import kanpinn as kp

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted((ROOT / "scripts").glob("*.py"))
SECONDS = 60


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_smoke_run(script: Path, tmp_path: Path) -> None:
    output, log = tmp_path / "output", tmp_path / "log.txt"
    assert smoke.run(script, output, log, SECONDS) == 0, log.read_text(encoding="utf-8")
    figures = json.loads((output / f"{script.stem}.json").read_text(encoding="utf-8"))
    assert figures
    for figure in figures.values():
        assert set(figure) == {"value", "target", "met"}
        assert isinstance(figure["target"], str) and figure["met"] in (True, False, None)


# What scripts may import besides the public names: what a room's `__init__` lists, these tools,
ROOMS = {"accuracy", "geometry", "interpret", "jets", "linalg", "loss", "networks", "solvers"}
TOOLS = {
    "_support.files",
    "_support.processes",
    "accuracy.orders",
    "plotting.edges",
    "plotting.fields",
    "plotting.convergence",
    "plotting.style",
    "runs.config",
    "runs.study",
    "solvers.grid_fields",
}
# and the insides that a study is about, each in that study alone.
INSIDES = {
    "anderson_localization": {
        "interpret.graphs.graph",
        "interpret.graphs.refit",
        "interpret.univariate.candidates",
        "optimizers.damping",
    },
    "continual": {"solvers.loop", "solvers.losses", "solvers.state"},
    "images": {"solvers.state"},
    "knot_theory": {"networks.basis", "solvers.fit.scores"},
    "machinery": {"geometry.sampling", "loss.terms"},
    "poster": {"runs.results.record"},
    "references": {"accuracy.references.tabulated"},
    "scaling": {"_support.distributed", "optimizers.output_layer"},
    "study": {
        "runs.results",
        "runs.results.checkpoint",
        "runs.results.contents",
        "runs.results.kinds",
        "runs.results.solves",
        "runs.study.plan",
        "runs.study.table",
        "runs.study.work",
    },
}
SOURCES = sorted([*(ROOT / "scripts").rglob("*.py"), *(ROOT / "problems").glob("*.py")])


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
    inner = set() if is_problem else TOOLS | INSIDES.get(path.parent.name, set())
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
    used = {(path.parent.name, module) for path in SOURCES for module, _ in imports(path)}
    listed = {(folder, module) for folder, modules in INSIDES.items() for module in modules}
    assert listed <= used
