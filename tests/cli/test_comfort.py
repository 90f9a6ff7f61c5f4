"""Commands that help to begin, and tables that fit into the terminal."""

import io
import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from commands import kanpinn
from rich.console import Console

from kanpinn._support.shown import plain_table
from kanpinn.cli import doctor
from kanpinn.cli.options import only_file
from kanpinn.runs.progress import Progress


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_only_problem_file_of_a_folder_needs_no_name(folder: Path) -> None:
    (folder / "study.toml").write_text("[study]\nbase = 'a.toml'\n")
    (folder / "broken.toml").write_text("[problem\n")
    none = kanpinn("solve")
    assert none.exit_code == 2 and "has none: kanpinn new NAME writes one" in none.stderr
    kanpinn("new", "heat", "--equation", "heat")
    checked = kanpinn("check")
    assert checked.exit_code == 0, checked.output
    assert "check: heat.toml, the only problem file here" in checked.stderr
    assert only_file("solve") == Path("heat.toml")
    kanpinn("new", "wave", "--equation", "wave")
    several = kanpinn("solve")
    assert several.exit_code == 2 and len(several.stderr.splitlines()) == 1
    assert "one of the 2 problem files here: heat.toml, wave.toml" in several.stderr


def test_the_doctor_finds_this_installation_well() -> None:
    result = kanpinn("doctor")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[-1] == "all is well"
    names = [line.split("  ")[0] for line in lines]
    assert {"kanpinn", "torch", "memory", "device cpu", "self-test"} <= {*names}
    assert f"{torch.get_num_threads()} of {os.cpu_count()} cores" in result.stdout


def test_the_doctor_says_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("libblas is missing")

    monkeypatch.setattr(doctor.kanpinn, "solve", fail)
    result = kanpinn("doctor")
    assert result.exit_code == 1
    assert result.stderr == "error: the self-test failed: OSError: libblas is missing\n"
    monkeypatch.setattr(doctor, "free_memory", lambda: 1e8)
    result = kanpinn("doctor")
    assert result.exit_code == 1 and "only 100 MB of memory are free" in result.stderr
    assert "all is well" not in result.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_printed_for_each_shell(shell: str) -> None:
    """A process of its own: the variable that asks for the script stays set."""
    command = [sys.executable, "-m", "kanpinn", "completion", shell]
    root = str(Path(__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": root}
    done = subprocess.run(command, capture_output=True, env=environment, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert f"_KANPINN_COMPLETE=complete_{shell}" in done.stdout


def test_no_live_line_where_the_cursor_cannot_move(monkeypatch: pytest.MonkeyPatch) -> None:
    for term, live in (("xterm", True), ("dumb", False)):
        monkeypatch.setenv("TERM", term)
        console = Console(file=io.StringIO(), force_terminal=True)
        with Progress(console) as progress:
            assert (progress.bar is not None) is live


ERRORS = [
    ["error", "absolute", "relative", "squared"],
    ["L2 of the velocity, estimated", "1.00e-09", "2.00e-09", "4.00e-18"],
    ["H1", "1.00e-07", "2.00e-07", "4.00e-14"],
]
FILES = [
    ("  burgers.toml", "Burgers' equation, marched in time: windows follow the shock.", "0.9 s"),
    ("  rather_long_name.toml", "Poisson's equation.", "12 s"),
]


@pytest.mark.parametrize(("rows", "left"), [(ERRORS, False), (FILES, True)])
@pytest.mark.parametrize("width", [24, 40, 60, 80, 200])
def test_no_line_is_wider_than_the_terminal_and_every_word_is_there(rows, left, width) -> None:
    text = plain_table(rows, left=left, width=width)
    assert max(map(len, text.splitlines())) <= width
    words = sorted(word for word in text.split())
    cells = itertools.chain.from_iterable(rows if left else rows[1:])
    expected = sorted(word for cell in cells for word in cell.split())
    assert all(words.count(word) >= expected.count(word) for word in expected)


def test_a_pipe_gets_whole_lines_and_columns_are_those_of_the_variable(monkeypatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setattr("sys.__stdout__", None)  # no terminal
    assert len(plain_table(FILES, left=True).splitlines()) == len(FILES)
    monkeypatch.setenv("COLUMNS", "40")
    assert max(map(len, plain_table(FILES, left=True).splitlines())) <= 40
    assert plain_table(ERRORS).splitlines()[0] == "L2 of the velocity, estimated"
