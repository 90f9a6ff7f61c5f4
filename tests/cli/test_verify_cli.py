"""`kanpinn verify`: fields from files and functions, exit codes, what is written."""

import json

import numpy
import pytest
from commands import kanpinn, refused
from matplotlib.image import imread

FILE = """
[problem]
equation = "poisson"
domain = { type = "box", x = [0, 1], y = [0, 1] }
source = "2 * pi**2 * sin(pi*x) * sin(pi*y)"
boundary = "0"
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
