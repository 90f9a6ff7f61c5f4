"""Progress of runs and studies: a live line on a terminal or in a notebook, else log lines."""

import html
import logging
import sys
import time
import uuid
from abc import ABC, abstractmethod
from collections import deque
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from kanpinn.runs.study.sweep import Tally
from kanpinn.runs.study.table import title_of
from kanpinn.solvers.state import UNKNOWN, SolverState


class NotebookLine:
    """A line in the output of a notebook's cell that is shown once and then updated.

    Args:
        shell: the shell of an IPython kernel, from `notebook_shell`.
        interval: the shortest time between two updates, in seconds: more frequent updates make
            notebooks slow.
    """

    def __init__(self, shell: Any, interval: float = 0.2) -> None:
        self._publish, self._interval = shell.display_pub.publish, interval
        self._name, self._shown, self._last = f"kanpinn-{uuid.uuid4().hex}", False, -interval
        self._waiting: tuple[str, float | None] | None = None

    def show(self, text: str, part: float | None = None) -> None:
        """Replace the text of the line.

        If the last update was less than `interval` seconds ago, the text is shown by a later call
        of `show` or `flush`.

        Args:
            text: the new text.
            part: the fraction of the work that is done, shown as a bar; None for no bar.
        """
        self._waiting = text, part
        if time.monotonic() - self._last >= self._interval:
            self.flush()

    def flush(self) -> None:
        """Show the last text if it has not been shown yet."""
        if self._waiting is None:
            return
        (text, part), self._waiting = self._waiting, None
        bar = "" if part is None else f'<progress value="{part:.4f}" max="1"></progress> '
        shown = {"text/plain": text, "text/html": f"{bar}<small>{html.escape(text)}</small>"}
        place = {"display_id": self._name}
        self._publish(data=shown, metadata={}, transient=place, update=self._shown)
        self._shown, self._last = True, time.monotonic()


def notebook_shell() -> Any | None:
    """Return the shell of the IPython kernel that runs this process; None without one.

    This function does not import IPython: a process that IPython runs has imported it already.
    """
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return shell if getattr(shell, "kernel", None) is not None else None


class LiveLine(ABC):
    """Base class of observers that keep one line up to date on a terminal or in a notebook.

    A solve or a study enters the observer as a context manager; the line exists until the observer
    is exited. If the user enters the observer around several solves, the solves share the line.

    Args:
        console: the console to write to; by default the notebook, or standard error.

    Attributes:
        bar: rich's progress bar while the observer is entered, if the console is a terminal that
            can move its cursor; otherwise None.
        task: the number of the bar's only task.
        cell: the line in a notebook while the observer is entered; None elsewhere.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._shell = notebook_shell() if console is None else None
        self.console = Console(stderr=True) if console is None else console
        self.bar: Bar | None = None
        self.cell: NotebookLine | None = None
        self.task = TaskID(0)
        self._entered = 0

    @abstractmethod
    def __call__(self, state: Any) -> None:
        """Show the present state of a solve or study: update the line, or write a line to the log.

        The log gets the line if there is neither a terminal nor a notebook.
        """

    def show(self, line: str, part: float, head: str, tail: str, ended: bool, due: bool) -> None:
        """Show a line in the notebook or on the terminal, or write it to the log.

        Args:
            line: the text for the notebook or the log.
            part: the fraction of the work that is done.
            head, tail: the texts before and after the bar on a terminal.
            ended: whether the line in a notebook is shown without its bar.
            due: whether the line is written to the log.
        """
        if self.cell is not None:
            self.cell.show(line, None if ended else part)
        elif self.bar is not None:
            self.bar.update(self.task, description=head, completed=part, total=1.0, text=tail)
        elif due:
            log.info("%s", line)

    def __enter__(self) -> Self:
        self._entered += 1
        if self._entered > 1:
            return self
        if self._shell is not None:
            self.cell = NotebookLine(self._shell)
        elif self.console.is_terminal and not self.console.is_dumb_terminal:
            head, tail = TextColumn("{task.description}"), TextColumn("{task.fields[text]}")
            columns = SpinnerColumn(), head, BarColumn(bar_width=20), tail, TimeElapsedColumn()
            look: dict[str, Any] = {"transient": True, "refresh_per_second": 5}
            self.bar = Bar(*columns, console=self.console, **look)
            self.task = self.bar.add_task("starting", total=None, text="")
            self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._entered -= 1
        if self._entered:
            return
        if self.cell is not None:
            self.cell.flush()
            self.cell = None
        if self.bar is not None:
            self.bar.stop()
            self.bar = None


SCORES = ("rmse", "accuracy", "cross_entropy")  # of a fit: "train_rmse", "validation_rmse", …

log = logging.getLogger(__name__)


class Progress(LiveLine):
    """Observer of a solve or fit that shows the optimizer, the step, the loss, the error and the
    time left.

    In a notebook and on a terminal one line is updated; on a terminal a line stays for each
    optimizer that has ended. Elsewhere the lines go to the logger "kanpinn.runs.progress" at level
    INFO: one at the end of each optimizer, and in between at most one every `interval` seconds.

    Args:
        console: the console to write to; by default the notebook or standard error.
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
        self._done: deque[tuple[float, float]] = deque(maxlen=200)  # moment, fraction done by then

    def __call__(self, run: SolverState) -> None:
        progress = run.progress
        if progress.stage_index != self._stage:
            # The stage began at the last call; the first stage when this observer was made.
            self._stage = progress.stage_index
            self._done.clear()
            if run.stage is None or run.stage.part is None:  # else the part at its start is unknown
                self._done.append((self._last, (progress.stage_step - 1) / run.optimizer.steps))
        self._last = time.monotonic()
        self._done.append((self._last, _part(run)))
        ended = progress.finished is not None or progress.stage_step == run.optimizer.steps
        # The pace is measured on the later half of the last 200 steps: a march's steps get longer.
        (before, first), (now, part) = self._done[(len(self._done) - 1) // 2], self._done[-1]
        left, numbers = "", shown_numbers(run)
        if not ended and part > first and (run.stage is None or run.stage.steady):
            known = "at most" if run.stage is None or run.stage.part is None else "about"
            left = f"{known} {duration((now - before) * (1 - part) / (part - first))} left"
        how = f"({progress.finished or 'all steps done'})"
        line = f"{_where(run)}, {numbers}" + (f" {how}" if ended else f", {left}" if left else "")
        if due := ended or self._last - self._said >= self.interval:
            self._said = self._last
        self.show(line, _part(run), _where(run), f"{numbers}  {left}", ended, due)
        if ended and self.bar is not None:
            self.bar.console.print(line, highlight=False)


def shown_numbers(run: SolverState) -> str:
    """Return a text with the last recorded loss, error, score and unknown parameters of a run.

    The text also has the message of the optimizer, if there is one. The score of a fit is that on
    the validation rows or, without validation rows, on the training rows.
    """
    row = run.history.rows[-1]
    # The loss of a march is left out, since the steps of a march do not lower it.
    parts = [f"loss {row['loss']:.2e}"] if run.stage is None or run.stage.part is None else []
    if "l2_relative" in row:
        parts.append(f"rel. L2 {row['l2_relative']:.2e}")
    scores = (f"{part}_{score}" for part in ("validation", "train") for score in SCORES)
    if (score := next((name for name in scores if name in row), None)) is not None:
        parts.append(f"{score.replace('_', ' ')} {row[score]:.3g}")
    if run.words:
        parts.append(run.words)
    unknowns = (name for name in row if name.startswith(UNKNOWN))
    parts += [f"{name.removeprefix(UNKNOWN)} {row[name]:.6g}" for name in unknowns]
    return ", ".join(parts)


def _part(run: SolverState) -> float:
    """Return the fraction of an optimizer's work that is done.

    If it is unknown, it is the number of steps divided by their limit.
    """
    part = None if run.stage is None else run.stage.part
    return run.progress.stage_step / run.optimizer.steps if part is None else part


def _where(run: SolverState) -> str:
    """Return the optimizer and its step as text, such as "Adam [1 of 2]: step 3/100"."""
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


class StudyProgress(LiveLine):
    """Observer of a study that shows the finished runs, the lowest error and the time left.

    On a terminal and in a notebook it updates one line. Elsewhere it writes lines to the logger
    "kanpinn.runs.progress" at level INFO: at the start, at the end, and in between after pauses of
    5% of the elapsed time, at least `interval` seconds and at most 10 minutes.

    Args:
        console: the console to write to; by default the notebook or standard error.
        interval: the shortest pause between two log lines, in seconds.

    Example:
        >>> import kanpinn as kp
        >>> kp.StudyProgress(interval=60).interval
        60
    """

    def __init__(self, console: Console | None = None, interval: float = 5.0) -> None:
        super().__init__(console)
        self.interval = interval
        self._said: Tally | None = None

    def __call__(self, tally: Tally) -> None:
        pause = min(max(self.interval, 0.05 * tally.seconds), 600.0)
        over = tally.done == tally.total
        due = self._said is None or (
            self._said.done < tally.total if over else tally.seconds - self._said.seconds >= pause
        )
        if due:
            self._said = tally
        head, *rest = texts = parts(tally)
        part = tally.done / max(tally.total, 1)
        self.show(", ".join(texts), part, head, "  ".join(rest), False, due)


def parts(tally: Tally) -> list[str]:
    """Return the texts of a study's progress: counts of runs, lowest error, time left or taken."""
    texts = [f"{tally.done} of {tally.total} runs done"]
    if tally.found:
        texts[0] += f" ({tally.found} from before)"
    if tally.failed:
        texts.append(f"{tally.failed} failed")
    over = tally.done == tally.total
    if not over:
        texts.append(f"{tally.running} running")
    if tally.best is not None:
        texts.append(f"best {title_of(tally.error)} {tally.best:.2e}")
    if over:
        texts.append(f"in {duration(tally.seconds)}")
    elif tally.left is not None:
        texts.append(f"about {duration(tally.left)} left")
    return texts
