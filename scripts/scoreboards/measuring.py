"""The study: which runs there are, which of them are done, and the solves of the others."""

from collections.abc import Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path

from common.pieces import package_digest
from scoreboards import files, rows, solves
from scoreboards.rows import AUTO, HAND, Row
from scoreboards.solves import Task
from scoreboards.summaries import TIGHTEST, Spread, seconds_text

Key = tuple[str, str, int]
LEAST = 5.0  # seconds that an automatic solve may always take


@dataclass(frozen=True)
class Study:
    """The rows of runs.csv; rows of other code or settings are measured anew.

    automatic: the problems that are also solved without their file's choices. again: measure all
    runs anew, also those that are done.
    """

    output: Path
    seeds: Sequence[int]
    workers: int
    automatic: Sequence[str]
    again: bool

    def measure(self, problems: Sequence[str]) -> list[Row]:
        """Return the rows of this call and of earlier ones; runs.csv is written after each solve.

        A problem is solved automatically when all its hand-set runs are done.
        """
        known = {row.key: row for row in rows.read(self.path)}
        _drop_old(problems, known)
        threads = 1 if self.workers > 1 else None
        running: dict[Future[Row], Task] = {}
        with ThreadPoolExecutor(self.workers) as pool:

            def begin(tasks: Sequence[Task]) -> None:
                for task in self._left(tasks, known):
                    running[pool.submit(solves.solve, task, threads)] = task

            begin([task for name in problems for task in self._hand(name)])
            unfinished = list(problems)
            try:
                while running or unfinished:
                    at_work = {t.problem for t in running.values() if t.mode == HAND}
                    for name in [name for name in unfinished if name not in at_work]:
                        unfinished.remove(name)
                        begin(self._automatic(name, known.values()))
                    for done in wait(running, return_when=FIRST_COMPLETED).done:
                        running.pop(done)
                        self._keep(done.result(), known)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return list(known.values())

    @property
    def path(self) -> Path:
        return self.output / "runs.csv"

    def picture(self, problem: str) -> Path:
        """Return the file of a problem's picture."""
        return self.output / "pictures" / f"{problem}.npz"

    def _hand(self, problem: str) -> list[Task]:
        """Return one task for each seed with the file's choices, the first with a picture."""
        first, *others = (Task(problem, seed) for seed in self.seeds)
        return [replace(first, picture=self.picture(problem)), *others]

    def _automatic(self, problem: str, known: Iterable[Row]) -> list[Task]:
        """Return tasks without the file's choices, for the hand-set error, in twice the time.

        There are none for an eigenvalue problem, and none if the hand-set error is not known.
        """
        if problem not in self.automatic or files.is_eigen(problem):
            return []
        own = [r for r in known if (r.problem, r.mode) == (problem, HAND) and not r.failed]
        error = Spread.of([row.error for row in own])
        seconds = Spread.of([row.seconds for row in own])
        if error is None or seconds is None:
            print(f"{problem} is not solved automatically: no error to reach", flush=True)
            return []
        tolerance, budget = max(error.median, TIGHTEST), max(2 * seconds.median, LEAST)
        return [Task(problem, seed, AUTO, tolerance, budget) for seed in self.seeds]

    def _left(self, tasks: Sequence[Task], known: dict[Key, Row]) -> list[Task]:
        """Return the tasks that are not done, and drop their known rows."""
        left = [t for t in tasks if self.again or not _is_done(t, known.get(t.key))]
        for task in left:
            known.pop(task.key, None)
        if len(left) < len(tasks):
            print(f"{len(tasks) - len(left)} of {len(tasks)} runs are done already", flush=True)
        return left

    def _keep(self, row: Row, known: dict[Key, Row]) -> None:
        known[row.key] = row
        rows.write(self.path, known.values())
        said = row.status
        if row.error is not None and row.seconds is not None:
            said = f"{row.error:.1e} in {seconds_text(row.seconds)}"
        print(f"{row.problem} seed {row.seed}, {row.mode}: {said}", flush=True)


def _is_done(task: Task, row: Row | None) -> bool:
    return row is not None and task.is_done_by(row)


def _drop_old(problems: Sequence[str], known: dict[Key, Row]) -> None:
    """Drop rows of these problems with other code or settings, so that no median mixes them."""
    for key, row in list(known.items()):
        if row.problem in problems:
            current = (package_digest(), files.settings(row.problem))
            if current != (row.code, row.settings):
                del known[key]
