"""Every script has a smoke run of at most a minute, from any folder, and judges its figures."""

import ast
import json
from pathlib import Path

import pytest
import smoke

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
