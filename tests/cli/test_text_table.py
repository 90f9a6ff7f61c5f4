"""Tables fit into any terminal, and lose no cell."""

import itertools

import pytest

from kanpinn.cli.screen import plain_table

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
