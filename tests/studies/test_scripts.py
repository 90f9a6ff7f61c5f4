"""Every script has a smoke run of at most a minute, from any folder, and judges its figures."""

import json
import os
import subprocess
import sys
from pathlib import Path

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
