"""What notebooks show of a study, and what `Study.plot` draws."""

import pytest
from cards import Read
from made_studies import made
from matplotlib.figure import Figure

import kanpinn as kp


def test_a_study_shows_its_runs_and_errors(tmp_path):
    over = {"network.grid": [2, 4, 8], "run.seed": [0, 1]}
    study = made(tmp_path, over, lambda grid, seed: (1 + seed) * grid**-4.0, name="<i>made</i>")
    shown = Read(study)
    assert "Study <i>made</i>" in shown.text and "6 of 6 are done." in shown.text
    for row in study.rows:
        assert f"{row['l2_relative']:.2e}" in shown.text
    assert shown.colours > 5 and shown.words == "Errors against grid: relative L² error."
    ax = study.plot(ax=Figure().subplots())
    medians = {float(y) for line in ax.lines for y in line.get_ydata()}
    assert {1.5 * grid**-4.0 for grid in (2, 4, 8)} <= medians
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("grid (intervals)", "relative $L^2$ error")
    ax = study.plot("parameters", "h1_relative", ax=Figure().subplots())
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("parameters", "relative $H^1$ error")
    with pytest.raises(kp.InputError, match=r"over must be one of grid, parameters, .*'seed'"):
        study.plot("seed")
    with pytest.raises(kp.InputError, match="error must be one of l2_relative, h1_relative"):
        study.plot(error="w")


def test_a_study_without_errors_has_no_picture(tmp_path):
    study = made(tmp_path, {"network.grid": [2, 4]}, lambda grid: None)
    shown = Read(study)
    assert shown.pixels is None and "no run has an error yet" in shown.text
    assert "0 of 2 are done." in shown.text
