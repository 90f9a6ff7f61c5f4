"""Progress of a study: a live line on a terminal or in a notebook, plain log lines elsewhere."""

import logging
from typing import Any

from rich.console import Console

from kanpinn.runs.live_line import LiveLine
from kanpinn.runs.progress import duration
from kanpinn.runs.study.sweeping import Tally

log = logging.getLogger(__name__)


class StudyProgress(LiveLine):
    """Observer of a study that shows the finished runs, the lowest error and the time left.

    On a terminal and in a notebook it updates one line. Elsewhere it writes lines to the logger
    "kanpinn.runs.study.progress" at level INFO: one at the start, one at the end, and in between
    one after each pause of 5% of the elapsed time, but not less than `interval` seconds nor more
    than 10 minutes.

    Args:
        console: to write to; by default the notebook or standard error.
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
        if self.cell is not None:
            self.cell.show(study_line(tally), tally.done / max(tally.total, 1))
        elif self.bar is not None:
            counts, *rest = parts(tally)
            shown: dict[str, Any] = {"description": counts, "text": "  ".join(rest)}
            self.bar.update(self.task, completed=tally.done, total=tally.total, **shown)
        elif self._due(tally):
            self._said = tally
            log.info("%s", study_line(tally))

    def _due(self, tally: Tally) -> bool:
        if self._said is None:
            return True
        if tally.done == tally.total:
            return self._said.done < tally.total
        pause = min(max(self.interval, 0.05 * tally.seconds), 600.0)
        return tally.seconds - self._said.seconds >= pause


def study_line(tally: Tally) -> str:
    """Return the progress of a study as one line of text."""
    return ", ".join(parts(tally))


def parts(tally: Tally) -> list[str]:
    """Return texts on the counts of runs, the lowest error, and the time left or taken."""
    texts = [f"{tally.done} of {tally.total} runs done"]
    if tally.found:
        texts[0] += f" ({tally.found} from before)"
    if tally.failed:
        texts.append(f"{tally.failed} failed")
    over = tally.done == tally.total
    if not over:
        texts.append(f"{tally.running} running")
    if tally.best is not None:
        what = "rel. L2" if tally.error == "l2_relative" else tally.error.replace("_", " ")
        texts.append(f"best {what} {tally.best:.2e}")
    if over:
        texts.append(f"in {duration(tally.seconds)}")
    elif tally.left is not None:
        texts.append(f"about {duration(tally.left)} left")
    return texts
