"""Every script has a smoke run of at most a minute, from any folder, and judges its figures."""

import importlib
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy
import pytest

SCRIPTS = sorted((Path(__file__).parents[2] / "scripts").glob("*.py"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_smoke_run(script: Path, tmp_path: Path) -> None:
    output = tmp_path / "output"
    run = subprocess.run(
        [sys.executable, script, "--smoke", "--output", output],
        capture_output=True,
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"},
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=60,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    figures = json.loads((output / f"{script.stem}.json").read_text(encoding="utf-8"))
    assert figures
    for figure in figures.values():
        assert set(figure) == {"value", "target", "met"}
        assert isinstance(figure["target"], str) and figure["met"] in (True, False, None)


@pytest.fixture
def verdicts(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(SCRIPTS[0].parent))
    return importlib.import_module("common.verdicts")


def test_verdicts_are_strict_json(verdicts, tmp_path: Path) -> None:
    path = tmp_path / "new" / "script.json"
    figures = {
        "slope": {"value": numpy.float64(4.1), "target": "as high as it goes", "met": None},
        "errors": {"value": [math.nan, 1e-3], "target": "<= 1", "met": numpy.bool_(True)},
    }
    verdicts.write(path, figures)
    assert json.loads(path.read_text()) == {
        "slope": {"value": 4.1, "target": "as high as it goes", "met": None},
        "errors": {"value": [None, 1e-3], "target": "<= 1", "met": True},
    }


def test_a_figure_without_its_target_is_refused(verdicts, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="slope: expected value, target"):
        verdicts.write(tmp_path / "script.json", {"slope": {"value": 4.1, "met": True}})
    assert not list(tmp_path.iterdir())
