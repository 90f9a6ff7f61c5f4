"""Progress of a run: a live line on a terminal or in a notebook, plain log lines elsewhere."""

import logging
import time
from collections import deque
from collections.abc import Mapping

from rich.console import Console
from rich.progress import Progress as Bar

from kanpinn.runs.live_line import LiveLine
from kanpinn.solvers.history import UNKNOWN
from kanpinn.solvers.state import SolverState

SCORES = ("rmse", "accuracy", "cross_entropy")  # of fits, on "train", "validation" and "test"

log = logging.getLogger(__name__)


class Progress(LiveLine):
    """Observer of a solve or fit that shows stage, step, loss, error and time left.

    In a notebook it is one line that is updated; on a terminal it is too, and leaves a line for
    each stage that has ended. Elsewhere the lines go to the logger "kanpinn.runs.progress" at level
    INFO: one for the end of each stage, and in between at most one every `interval` seconds.

    Args:
        console: to write to; by default the notebook or standard error.
        interval: the shortest time between two log lines, in seconds.

    Example:
        >>> import kanpinn as kp
        >>> problem = kp.Poisson(kp.Box(x=(0, 1)), source="1", boundary="0")
        >>> solution = kp.solve(problem, kp.KAN([1, 8, 1]), observers=[kp.Progress()])
    """

    def __init__(self, console: Console | None = None, interval: float = 1.0) -> None:
        super().__init__(console)
        self.interval = interval
        self._stage = -1
        self._last = self._said = time.monotonic()
        self._done: deque[tuple[float, float]] = deque(maxlen=200)  # moments and parts done then

    def __call__(self, run: SolverState) -> None:
        progress = run.progress
        if progress.stage_index != self._stage:
            # The stage began at the last call, or for the first stage when this was made.
            self._stage = progress.stage_index
            self._done.clear()
            if run.stage is None or run.stage.part is None:  # else the part then is not known
                self._done.append((self._last, (progress.stage_step - 1) / run.optimizer.steps))
        self._last = time.monotonic()
        self._done.append((self._last, _part(run)))
        ended = progress.finished is not None or progress.stage_step == run.optimizer.steps
        if self.cell is not None:
            left = "" if ended else self._left(run)
            self.cell.show(run_line(run, left, ended), None if ended else _part(run))
        elif self.bar is not None:
            self._show(run, self.bar, ended)
        elif ended or self._last - self._said >= self.interval:
            self._said = self._last
            log.info("%s", run_line(run, "" if ended else self._left(run), ended))

    def _show(self, run: SolverState, bar: Bar, ended: bool) -> None:
        bar.update(
            self.task,
            description=_where(run),
            completed=_part(run),
            total=1.0,
            text=f"{shown_numbers(run)}  {self._left(run)}",
        )
        if ended:
            bar.console.print(run_line(run, "", ended), highlight=False)

    def _left(self, run: SolverState) -> str:
        """Return the time until this stage's end as text; empty where it is not known.

        The pace is that of the later half of the latest steps: those of a march become longer.
        """
        (before, first), (now, part) = self._done[(len(self._done) - 1) // 2], self._done[-1]
        if part <= first or (run.stage is not None and not run.stage.steady):
            return ""
        return _left((now - before) * (1 - part) / (part - first), run)


def run_line(run: SolverState, left: str, ended: bool) -> str:
    """Return a line on a run's stage, step, loss and errors, and the time left or how it ended.

    left: the remaining time of the stage in words. ended: whether the stage has ended.
    """
    line = f"{_where(run)}, {shown_numbers(run)}"
    if ended:
        return f"{line} ({run.progress.finished or 'all steps done'})"
    return f"{line}, {left}" if left else line


def shown_numbers(run: SolverState) -> str:
    """Return the last recorded loss, error or score, optimizer's message and unknown numbers.

    The score of a fit is that of the validation rows if there are some, else of the training rows.
    """
    row = run.history.rows[-1]
    # A march has no loss that its steps lower.
    parts = [f"loss {row['loss']:.2e}"] if run.stage is None or run.stage.part is None else []
    if "l2_relative" in row:
        parts.append(f"rel. L2 {row['l2_relative']:.2e}")
    if (score := _score(row)) is not None:
        parts.append(f"{score.replace('_', ' ')} {row[score]:.3g}")
    if run.words:
        parts.append(run.words)
    unknowns = (name for name in row if name.startswith(UNKNOWN))
    parts += [f"{name.removeprefix(UNKNOWN)} {row[name]:.6g}" for name in unknowns]
    return ", ".join(parts)


def _score(row: Mapping[str, float | int]) -> str | None:
    """Return the name of the score that is shown, None if the row has no score."""
    choices = (f"{part}_{score}" for part in ("validation", "train") for score in SCORES)
    return next((name for name in choices if name in row), None)


def _part(run: SolverState) -> float:
    """Return the fraction of the stage that is done, else that of the limit of steps."""
    part = None if run.stage is None else run.stage.part
    return run.progress.stage_step / run.optimizer.steps if part is None else part


def _where(run: SolverState) -> str:
    """Return the stage and its step, such as "Adam [1 of 2]: step 3/100"."""
    title, count, step = run.optimizer.title, len(run.optimizers), run.progress.stage_step
    stage = title if count == 1 else f"{title} [{run.progress.stage_index + 1} of {count}]"
    if run.stage is None or run.stage.part is None:
        return f"{stage}: step {step}/{run.optimizer.steps}"
    return f"{stage}: step {step}, {run.stage.part:.0%} done"


def duration(seconds: float) -> str:
    """Return seconds as text: 3 s, 1 min 01 s, 1 h 02 min."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def _left(seconds: float, run: SolverState | None = None) -> str:
    """Return the time left as text; "at most" where only a limit of steps is known."""
    known = run is not None and run.stage is not None and run.stage.part is not None
    return f"{'about' if known else 'at most'} {duration(seconds)} left"
