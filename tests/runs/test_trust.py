"""Run folders from elsewhere: no Python file is run but those that the run has used."""

import importlib.util
import json
import py_compile
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from commands import kanpinn

import kanpinn as kp
from kanpinn.runs.config import Config
from kanpinn.runs.config.models import load_class, load_function
from kanpinn.runs.results import RunFolder, config_of, load

CLASS = """
import pathlib

import kanpinn as kp
from neighbour import LENGTH


class Bump(kp.Problem):
    "u'' = v'' = -2 on (0, 1) with u = v = 0 at both ends."

    domain = kp.Box(x=(0, LENGTH))
    fields = ("u", "v")

    def residual(self, p, u, v):
        return kp.laplacian(u) + 2, kp.laplacian(v) + 2

    def conditions(self):
        return [kp.Dirichlet(self.domain.boundary, 0.0)]


class Net(kp.KAN):
    '''A KAN of the user's own.'''
"""
EVIL = "\nimport pathlib\npathlib.Path(__file__).with_name('ran').touch()\n"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run whose problem and one of whose networks are classes in a file."""
    sources = tmp_path_factory.mktemp("sources")
    (sources / "bump.py").write_text(CLASS)
    (sources / "neighbour.py").write_text("LENGTH = 1\n")
    part = {"width": [1, 3, 1], "degree": 3, "grid": 3}
    settings: dict[str, Any] = {
        "problem": {"class": "bump.py:Bump"},
        "network": {
            "type": "beside",
            "of": [{"type": "bump.py:Net"} | part, {"type": "kan"} | part],
        },
        "points": {"interior": 20, "boundary": 2},
        "optimizer": [{"type": "levenberg_marquardt", "steps": 3}],
    }
    config = Config.from_dict(settings, sources)
    folder = RunFolder.create(tmp_path_factory.mktemp("runs"), "bump", config)
    return folder.finish(config.build().run((folder.checkpoint,)), figures=False)


@pytest.fixture
def copied(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "run"))


def rename_class(path: Path, name: str) -> None:
    record = json.loads((path / "run.json").read_text())
    record["config"]["problem"]["class"] = name
    (path / "run.json").write_text(json.dumps(record))


def is_refused(path: Path, words: str) -> None:
    for read in (load, config_of, RunFolder.resume):
        with pytest.raises(kp.InputError, match=f"{words}.*: if you trust it, give --trust"):
            read(path)
    assert not [*path.parent.rglob("ran")]


def test_a_folder_that_was_moved_is_read(copied):
    names = [one["path"] for one in json.loads((copied / "run.json").read_text())["code"]]
    assert names == ["bump.py", "neighbour.py"]
    assert load(copied).problem.domain.dim == 1


@pytest.mark.parametrize("name", ["bump.py", "neighbour.py"])
def test_changed_code_is_run_only_if_it_is_trusted(copied, name):
    with (copied / name).open("a") as file:
        file.write(EVIL)
    is_refused(copied, rf"{name} is not the code that the run has used")
    assert load(copied, trust=True).problem.domain.dim == 1
    assert (copied / "ran").exists()


def test_a_module_that_is_added_beside_the_class_file_is_refused(copied):
    (copied / "pathlib.py").write_text(EVIL)
    is_refused(copied, r"pathlib\.py is not the code")


def test_hashes_that_are_missing_are_no_leave(copied):
    record = json.loads((copied / "run.json").read_text())
    del record["code"]
    (copied / "run.json").write_text(json.dumps(record))
    is_refused(copied, r"bump\.py is not the code")


@pytest.mark.parametrize("linked", [False, True])
def test_a_path_that_leaves_the_folder_is_refused(copied, linked):
    outside = copied.parent / "outside.py"
    outside.write_text((copied / "bump.py").read_text() + EVIL)
    shutil.copy(copied / "neighbour.py", outside.parent)
    rename_class(copied, "outside.py:Bump" if linked else "../outside.py:Bump")
    if linked:
        (copied / "outside.py").symlink_to(outside)
    is_refused(copied, r"outside\.py, which is not in that folder")
    assert config_of(copied, trust=True).build().problem.domain.dim == 1


def test_a_module_in_the_folder_is_not_taken_for_an_installed_one(copied, monkeypatch):
    (copied / "installed.py").write_text(CLASS + EVIL)
    rename_class(copied, "installed:Bump")
    monkeypatch.setattr(sys, "path", [str(copied), *sys.path])
    is_refused(copied, "would run its module installed")


def test_a_trusted_run_keeps_the_hashes_of_what_it_ran(copied):
    with (copied / "neighbour.py").open("a") as file:
        file.write("# changed\n")
    more = [{"type": "levenberg_marquardt", "steps": 5}]
    config = config_of(copied, trust=True).vary({"optimizer": more})
    folder = RunFolder.resume(copied, config)
    path = folder.finish(folder.config.build().run((folder.checkpoint,), folder.state), False)
    assert load(path).history.steps > 0


@pytest.mark.parametrize("command", ["export", "plot", "interpret", "solve --resume"])
def test_commands_refuse_changed_code_in_a_sentence(copied, command):
    with (copied / "bump.py").open("a") as file:
        file.write(EVIL)
    refused = kanpinn(*command.split(), copied)
    assert refused.exit_code == 2 and not (copied / "ran").exists()
    assert refused.stderr.count("\n") == 1 and "--trust" in refused.stderr


def test_the_option_runs_changed_code(copied):
    with (copied / "bump.py").open("a") as file:
        file.write("# changed\n")
    assert kanpinn("export", copied, "--trust").exit_code == 0
    alone = kanpinn("solve", "problem.toml", "--trust")
    assert alone.exit_code == 2 and "--trust goes with --resume" in alone.stderr


# --- Class files run from their sources, never from cached files


PROBLEM = """
import kanpinn as kp
import {name}_helper


class Mine(kp.Poisson):
    said = {name}_helper.said


def field(x):
    return x
"""


def plant(path, text):
    """Put a `.pyc` of another source beside a file; importing the file as usual would run it."""
    other = path.with_name("other.txt")
    other.write_text(text)
    cached = importlib.util.cache_from_source(str(path))
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    py_compile.compile(str(other), cfile=cached, invalidation_mode=mode)


def test_a_cached_file_of_another_source_is_not_run(tmp_path):
    problem, helper = tmp_path / "planted.py", tmp_path / "planted_helper.py"
    problem.write_text(PROBLEM.format(name="planted"))
    helper.write_text("said = 'source'\n")
    plant(problem, "raise SystemExit('planted')\n")
    plant(helper, "said = 'planted'\n")
    loaded = load_class("planted.py:Mine", kp.Problem, tmp_path, "problem.class")
    assert loaded.said == "source"


def test_a_package_beside_a_class_file_is_run_from_its_sources(tmp_path):
    package = tmp_path / "beside_helper"
    package.mkdir()
    (package / "__init__.py").write_text("from beside_helper.inner import said\n")
    (package / "inner.py").write_text("said = 'source'\n")
    plant(package / "inner.py", "said = 'planted'\n")
    (tmp_path / "beside.py").write_text(PROBLEM.format(name="beside"))
    loaded = load_class("beside.py:Mine", kp.Problem, tmp_path, "problem.class")
    assert loaded.said == "source"
    with pytest.raises(ModuleNotFoundError):  # other files do not find it
        importlib.import_module("beside_helper.inner2")


def test_functions_are_loaded_and_refused_by_name(tmp_path):
    (tmp_path / "mine.py").write_text("def field(x):\n    return x\n\n\nvalue = 1\n")
    assert load_function("mine.py:field", tmp_path, "FIELD")(3) == 3
    for spec, said in {
        "mine.py:feild": 'has no function feild.* "field"',
        "mine.py:value": "has no function value",
        "none.py:field": "there is no file none.py",
        "mine.py": "expected",
    }.items():
        with pytest.raises(kp.InputError, match=said):
            load_function(spec, tmp_path, "FIELD")
