"""Progress of a study: a live line on a terminal, plain log lines elsewhere."""

import io
import logging

import pytest
from rich.console import Console

from kanpinn.runs.progress import StudyProgress, study_line
from kanpinn.runs.study import Tally


def tally(done: int, seconds: float, **others: float | int | None) -> Tally:
    fields = {"found": 0, "failed": 0, "running": 2, "best": None, "left": None} | others
    return Tally(total=40, done=done, seconds=seconds, **fields)


def nowhere() -> Console:
    return Console(file=io.StringIO())


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (tally(0, 0.0), "0 of 40 runs done, 2 running"),
        (
            tally(12, 30.0, failed=1, best=1.25e-9, left=70.0),
            "12 of 40 runs done, 1 failed, 2 running, best rel. L2 1.25e-09, about 1 min 10 s left",
        ),
        (tally(12, 3.0, found=12), "12 of 40 runs done (12 from before), 2 running"),
        (
            tally(40, 3725.0, failed=3, running=0, best=0.5, left=0.0),
            "40 of 40 runs done, 3 failed, best rel. L2 5.00e-01, in 1 h 02 min",
        ),
    ],
)
def test_how_far_a_study_is_in_one_line(given: Tally, text: str) -> None:
    assert study_line(given) == text


def test_without_a_terminal_lines_come_rarer_as_time_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    seconds = [0.5 * i for i in range(20000)]  # looks of 10000 s
    with StudyProgress(nowhere(), interval=5.0) as progress:
        for second in seconds:
            progress(tally(1, second))
        progress(tally(40, seconds[-1], running=0))
        progress(tally(40, seconds[-1], running=0))
    lines = [record.getMessage() for record in caplog.records]
    assert lines[0] == "1 of 40 runs done, 2 running"
    assert lines[-1] == "40 of 40 runs done, in 2 h 46 min"
    # One at once, 20 until 100 s, then each 5% later than the one before, one at the end.
    assert 100 < len(lines) < 125
    assert sum(line.startswith("40 of 40") for line in lines) == 1


def test_on_a_terminal_there_is_a_live_line_and_no_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    screen = io.StringIO()
    with StudyProgress(Console(file=screen, force_terminal=True, width=120)) as progress:
        progress(tally(3, 1.0, best=1e-3))
        progress(tally(7, 2.0, failed=1, best=1e-5, left=9.0))
    assert not caplog.records
    text = screen.getvalue()
    assert "7 of 40 runs done" in text and "1 failed" in text and "best rel. L2 1.00e-05" in text
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")  # the cursor is shown again


def test_the_live_line_ends_when_the_study_does_not_come_to_its_end() -> None:
    screen = io.StringIO()
    with pytest.raises(ZeroDivisionError):
        with StudyProgress(Console(file=screen, force_terminal=True)) as progress:
            progress(tally(3, 1.0))
            raise ZeroDivisionError
    assert screen.getvalue().rindex("\x1b[?25h") > screen.getvalue().rindex("\x1b[?25l")
