"""Progress of runs and studies: a live line on a terminal, plain log lines elsewhere."""

import io
import itertools
import logging
import sys

import pytest
from rich.console import Console

import kanpinn as kp
from kanpinn.runs.progress import Progress, StudyProgress, parts
from kanpinn.runs.study import Tally

LINE = kp.Poisson(kp.Box(x=(0, 1)), exact="x")
STAGES = (kp.Adam(steps=5), kp.Refine(4), kp.LeastSquares())


def solve(progress: Progress) -> None:
    points = kp.Collocation(20, 2)
    with progress:
        network = kp.KAN([1, 2, 1], grid=2)
        kp.solve(LINE, network, STAGES, points, boundary="penalty", observers=(progress,))


def lines_of(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def test_without_a_terminal_each_stage_ends_with_a_line(caplog):
    caplog.set_level(logging.INFO)
    solve(Progress(Console(file=io.StringIO()), interval=3600.0))
    adam, refine, least_squares = lines_of(caplog)
    assert adam.startswith("Adam [1 of 3]: step 5/5, loss ")
    assert "rel. L2 " in adam and adam.endswith("(all steps done)")
    assert refine.startswith("Refine [2 of 3]: step 1/1, loss ") and "projection" not in refine
    assert "rank " in least_squares and " of " in least_squares
    assert "damping" not in least_squares and least_squares.endswith("(converged)")


def test_lines_within_a_stage_say_how_long_it_may_take(caplog):
    caplog.set_level(logging.INFO)
    solve(Progress(Console(file=io.StringIO()), interval=0.0))
    lines = lines_of(caplog)
    assert len(lines) == 5 + 1 + 1
    assert lines[0].startswith("Adam [1 of 3]: step 1/5") and lines[0].endswith(" s left")


def test_no_time_is_told_where_each_step_takes_longer_than_all_before(caplog):
    caplog.set_level(logging.INFO)

    peak = kp.Poisson(kp.Box(x=(0, 1), y=(0, 1)), exact="exp(-60 * ((x - 0.3)**2 + (y - 0.4)**2))")
    progress = Progress(Console(file=io.StringIO()), interval=0.0)
    network, method = kp.Cells([2, 1], 5, 2), kp.AdaptiveLeastSquares(1e-2)
    kp.solve(peak, network, method, observers=[progress], errors=False)
    first, *_, last = lines_of(caplog)
    assert "% done" in first and not first.endswith("left") and last.endswith("(converged)")


def test_on_a_terminal_there_is_a_live_line_and_no_log(caplog):
    caplog.set_level(logging.INFO)
    screen = io.StringIO()
    solve(Progress(Console(file=screen, force_terminal=True, width=120)))
    assert not caplog.records
    text = screen.getvalue()
    assert "Least Squares [3 of 3]: step 1/20" in text and "\x1b[?25l" in text
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")  # the cursor is shown again


# --- notebooks ---------------------------------------------------------------------------------


class Kernel:
    """What a process of a notebook has as the module IPython, and what it was told to show."""

    def __init__(self) -> None:
        self.kernel, self.display_pub, self.published = object(), self, []

    def get_ipython(self) -> "Kernel":
        return self

    def publish(self, *, data, metadata, transient, update) -> None:
        self.published.append((transient["display_id"], update, data))


def test_in_a_notebook_one_line_is_updated(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "IPython", kernel := Kernel())
    monkeypatch.setattr("kanpinn.runs.progress.time.monotonic", itertools.count().__next__)
    points = kp.Collocation(20, 2)
    kp.solve(
        LINE, kp.KAN([1, 2, 1], grid=2), STAGES, points, boundary="penalty",
        observers=[kp.Progress()],
    )  # fmt: skip
    names, updates, shown = zip(*kernel.published, strict=True)
    assert len(set(names)) == 1 and updates == (False, *[True] * (len(updates) - 1))
    assert len(shown) >= 7 and shown[0]["text/plain"].startswith("Adam [1 of 3]: step 1/5")
    assert 'value="0.2000" max="1"' in shown[0]["text/html"]
    assert shown[-1]["text/plain"].endswith("(converged)")
    assert "<progress" not in shown[-1]["text/html"]
    assert capsys.readouterr() == ("", "")


def test_a_solve_enters_its_observers_and_leaves_them_when_it_fails():
    screen = io.StringIO()
    progress = kp.Progress(Console(file=screen, force_terminal=True, width=120))

    def broken(state) -> None:
        assert progress.bar is not None
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        kp.solve(LINE, kp.KAN([1, 2, 1], grid=2), observers=[progress, broken])
    assert progress.bar is None
    assert screen.getvalue().rindex("\x1b[?25h") > screen.getvalue().rindex("\x1b[?25l")


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
        (tally(12, 3.0, left=3.4), "12 of 40 runs done, 2 running, about 3 s left"),
        (tally(12, 3.0, found=12), "12 of 40 runs done (12 from before), 2 running"),
        (
            tally(40, 3725.0, failed=3, running=0, best=0.5, left=0.0),
            "40 of 40 runs done, 3 failed, best rel. L2 5.00e-01, in 1 h 02 min",
        ),
    ],
)
def test_how_far_a_study_is_in_one_line(given: Tally, text: str) -> None:
    assert ", ".join(parts(given)) == text


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


def test_on_a_terminal_a_study_has_a_live_line_and_no_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    screen = io.StringIO()
    with StudyProgress(Console(file=screen, force_terminal=True, width=120)) as progress:
        progress(tally(3, 1.0, best=1e-3))
        progress(tally(7, 2.0, failed=1, best=1e-5, left=9.0))
    assert not caplog.records
    text = screen.getvalue()
    assert "7 of 40 runs done" in text and "1 failed" in text and "best rel. L2 1.00e-05" in text
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")  # the cursor is shown again
