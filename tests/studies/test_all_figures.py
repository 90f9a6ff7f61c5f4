"""scripts/all_figures.py tells what has drifted from the committed figures, and what has failed."""

import json
import math
from pathlib import Path

import pytest


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
