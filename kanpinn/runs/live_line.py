"""The line that shows progress: kept up to date on a terminal or in a notebook."""

import html
import sys
import time
import uuid
from abc import ABC, abstractmethod
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar


class NotebookLine:
    """A line of the output of a notebook's cell that is shown once and then updated.

    Args:
        shell: the shell of an IPython kernel, as `notebook_shell` finds it.
        interval: the shortest time between two updates, in seconds: notebooks that get more of
            them become slow.
    """

    def __init__(self, shell: Any, interval: float = 0.2) -> None:
        self._publish, self._interval = shell.display_pub.publish, interval
        self._name, self._shown, self._last = f"kanpinn-{uuid.uuid4().hex}", False, -interval
        self._waiting: tuple[str, float | None] | None = None

    def show(self, text: str, part: float | None = None) -> None:
        """Show a text in place of the last one, now or with a later call.

        part: the fraction that is done, as a bar; None without one.
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
    """Base of observers that keep one line up to date while they are entered.

    A solve or a study enters its observers. If a line has been entered before several solves, all
    of them share it.

    bar: the live line while it is entered, if the console is a terminal that can move its cursor;
        otherwise None.
    task: the entry of the bar that is updated.
    cell: the line in a notebook while it is entered; None elsewhere.

    Args:
        console: to write to; by default the notebook, or standard error.
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
        """Update the line, or write a line to the log if there is neither terminal nor notebook."""

    def __enter__(self) -> Self:
        self._entered += 1
        if self._entered > 1:
            return self
        if self._shell is not None:
            self.cell = NotebookLine(self._shell)
        elif self.console.is_terminal and not self.console.is_dumb_terminal:
            self.bar = Bar(
                SpinnerColumn(),
                TextColumn("{task.description}"),
                BarColumn(bar_width=20),
                TextColumn("{task.fields[text]}"),
                TimeElapsedColumn(),
                console=self.console,
                transient=True,
                refresh_per_second=5,
            )
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
