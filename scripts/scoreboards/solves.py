"""The scoreboard's solves: targets, measurements, rows, and what is judged."""

import hashlib
import json
import math
import sys
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

import numpy
from common import planes
from common.pieces import package_digest
from common.script import (
    PROBLEMS,
    NoRecord,
    Verdict,
    digests,
    read_rows,
    recorded,
    verdict,
    write_rows,
)
from matplotlib.figure import Figure

from kanpinn._support.errors import UNUSABLE
from kanpinn.plotting.style import STYLE, new_figure
from kanpinn.runs.library import library as problem_files
from kanpinn.runs.library import read_entry

DIRICHLET = "poisson2d"
"""What the variants of the poster's problem are measured against."""
VARIANT = 100.0
"""The factor that a variant may lose against it."""
AUTO_ERROR, AUTO_SECONDS = 10.0, 2.0
"""The factors that a solve without a hand-set choice may lose against one with it."""


@dataclass(frozen=True)
class Target:
    """The largest error and seconds; None: reported, not judged.

    The error is the relative L2 error; of an eigenvalue problem it is the largest relative error of
    the first `eigenvalues`. aim: a smaller error that is desired. fields: the largest errors of
    single fields of a system. variant: the error is judged against that of the Dirichlet problem.
    """

    error: float | None = None
    seconds: float | None = None
    aim: float | None = None
    fields: Mapping[str, float] = field(default_factory=dict)
    eigenvalues: int | None = None
    variant: bool = False


HERE = Path(__file__).parent
TARGETS = {
    name: Target(**one)
    for name, one in tomllib.loads((HERE / "targets.toml").read_text("utf-8")).items()
}


def library() -> tuple[list[str], list[str]]:
    """Return the files of solves and eigenvalue problems, and the targets without a file.

    Files with targets come first.
    """
    there = [one.name for one in problem_files() if one.command == "solve"]
    known = [name for name in TARGETS if name in there]
    missing = [name for name in TARGETS if name not in there]
    return [*known, *(name for name in there if name not in TARGETS)], missing


def is_eigen(problem: str) -> bool:
    """Return whether it is an eigenvalue problem, for which trials choose nothing."""
    return "eigen" in _read(problem)


def equation(problem: str) -> str:
    """Return the first line of a file's own comment."""
    return read_entry(PROBLEMS / f"{problem}.toml").about


@cache
def settings(problem: str) -> str:
    """Return a digest of the file and of all files that it needs."""
    return hashlib.sha256(repr(digests(problem)).encode()).hexdigest()[:12]


def _read(problem: str) -> dict[str, Any]:
    return tomllib.loads((PROBLEMS / f"{problem}.toml").read_text(encoding="utf-8"))


HAND, AUTO = "hand", "auto"


@dataclass(frozen=True)
class Row:
    """A run; problem, mode and seed tell which it is. None, or an empty text: not known.

    mode: "hand" as the file says, "auto" without its network, points, weights and optimizers, for a
    tolerance and within budget_seconds. error: the relative L2 error, or the largest relative one
    of the eigenvalues that count. parts: the same of a system's fields or of all eigenvalues, and
    unknowns: [value, low, high, truth] of each, as JSON. reference: what errors are against where
    that is no exact solution, reference_error that one's own. estimate, estimate_h1: the errors
    as kanpinn estimates them without either. code, settings: digests of what a run depends on.
    """

    problem: str
    mode: str
    seed: int
    status: str
    error: float | None = None
    h1: float | None = None
    parts: str = "{}"
    unknowns: str = "{}"
    parameters: int | None = None
    seconds: float | None = None
    threads: int | None = None
    reference: str = ""
    reference_error: float | None = None
    estimate: float | None = None
    estimate_h1: float | None = None
    contraction: float | None = None
    tolerance: float | None = None
    budget_seconds: float | None = None
    commit: str = ""
    code: str = ""
    settings: str = ""

    @property
    def key(self) -> tuple[str, str, int]:
        """What identifies the run."""
        return self.problem, self.mode, self.seed

    @property
    def failed(self) -> bool:
        """Whether the run has no result that may be used."""
        return self.status.startswith(UNUSABLE)

    @property
    def part_errors(self) -> dict[str, float]:
        """Errors of single fields or eigenvalues."""
        return json.loads(self.parts)

    @property
    def found(self) -> dict[str, list[float | None]]:
        """The unknowns, each with value, low, high and truth."""
        return json.loads(self.unknowns)


COLUMNS = 6


def keep(folder: Path, path: Path) -> None:
    """Keep the two axes and the values of a run's field, or of its first modes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        plane = planes.of_run(folder)
    except Exception as error:  # a run of an hour is not lost for its picture
        print(f"no picture of {path.stem}: {error}", file=sys.stderr)
        return
    if plane is not None:
        numpy.savez_compressed(path, allow_pickle=False, **plane)


def page(pictures: Sequence[tuple[Path, str]]) -> Figure:
    """Draw a grid of pictures, each a kept file with its title."""
    count = math.ceil(len(pictures) / COLUMNS)
    figure = new_figure(1.75 * min(COLUMNS, len(pictures)), 2.25 * count)
    grid = figure.subplots(count, min(COLUMNS, len(pictures)), squeeze=False)
    for ax, (path, title) in zip(grid.flat, pictures, strict=False):
        ax.set_title(title, fontsize=STYLE.small)
        with numpy.load(path) as kept:
            planes.draw(ax, dict(kept))
    for ax in grid.flat[len(pictures) :]:
        ax.set_axis_off()
    return figure


@dataclass(frozen=True)
class PublishedError:
    """A published relative L2 error: who reached it, when, and on which problem, if known.

    same: whether it is the very same problem; if not, source says what differs.
    """

    error: float
    source: str
    same: bool = True

    def __str__(self) -> str:
        return f"{self.error:.1e}: {self.source}"


@dataclass(frozen=True)
class Published:
    """The best error of a KAN code, and of any other neural code; None if none is known."""

    kan: PublishedError | None = None
    neural: PublishedError | None = None


PUBLISHED = {
    name: Published(**{code: PublishedError(**one) for code, one in both.items()})
    for name, both in tomllib.loads((HERE / "published.toml").read_text("utf-8")).items()
}


TIGHTEST = 1e-13
"""The smallest error that automatic solves are asked for, and measured against."""
CLEAR = 10.0  # times a reference's own error: below, errors against it are not true ones


@dataclass(frozen=True)
class Spread:
    """Median, smallest and largest of the seeds that have a value."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float | None]) -> "Spread | None":
        known = [value for value in values if value is not None]
        return cls(median(known), min(known), max(known)) if known else None

    def __str__(self) -> str:
        if self.low == self.high:
            return f"{self.median:.1e}"
        return f"{self.median:.1e} ({self.low:.1e} … {self.high:.1e})"


def seconds_text(seconds: float) -> str:
    """Return two digits, or all before the point: "2.5 s", "240 s"."""
    return f"{seconds:.2g} s" if seconds < 99.5 else f"{seconds:.0f} s"


@dataclass(frozen=True)
class Runs:
    """The rows of one problem in one mode, by seed."""

    rows: tuple[Row, ...]

    def spread(self, name: str) -> Spread | None:
        return Spread.of([getattr(row, name) for row in self.rows])

    def part(self, name: str) -> Spread | None:
        return Spread.of([row.part_errors.get(name) for row in self.rows])

    @property
    def part_names(self) -> list[str]:
        """The names of fields or eigenvalues."""
        return list(dict.fromkeys(name for row in self.rows for name in row.part_errors))

    @property
    def unknown_names(self) -> list[str]:
        return list(dict.fromkeys(name for row in self.rows for name in row.found))

    def effectivity(self, norm: str) -> Spread | None:
        """Return estimated over true errors ("l2" or "h1"), where the latter are well known."""
        return Spread.of([_ratio(row, norm) for row in self.rows])

    @property
    def failed(self) -> bool:
        return any(row.failed or row.error is None for row in self.rows)


def _ratio(row: Row, norm: str) -> float | None:
    pairs = {"l2": (row.estimate, row.error), "h1": (row.estimate_h1, row.h1)}
    estimate, true = pairs[norm]
    blurred = row.error is not None and row.error < CLEAR * (row.reference_error or 0.0)
    return None if estimate is None or not true or blurred else estimate / true


@dataclass(frozen=True)
class Summary:
    """A problem's line of the table; bound: the largest error that is allowed."""

    problem: str
    hand: Runs
    auto: Runs
    target: Target
    bound: float | None

    @property
    def published(self) -> Published:
        return PUBLISHED.get(self.problem, Published())

    @property
    def auto_error(self) -> float | None:
        """The automatic error over the hand-set one, or over 1e-13 where that is less."""
        own, other = self.auto.spread("error"), self.hand.spread("error")
        return own.median / max(other.median, TIGHTEST) if own and other else None

    @property
    def auto_seconds(self) -> float | None:
        """The automatic seconds over the hand-set ones."""
        own, other = self.auto.spread("seconds"), self.hand.spread("seconds")
        return own.median / other.median if own and other else None


def summarize(rows: Sequence[Row], order: Sequence[str]) -> list[Summary]:
    """Return a summary for each problem that has hand-set rows."""
    base = _runs(rows, DIRICHLET, HAND).spread("error")
    found = []
    for problem in order:
        target = TARGETS.get(problem, Target())
        hand, auto = (_runs(rows, problem, mode) for mode in (HAND, AUTO))
        if hand.rows:
            variant = VARIANT * base.median if base else None
            bound = variant if target.variant else target.error
            found.append(Summary(problem, hand, auto, target, bound))
    return found


def _runs(rows: Sequence[Row], problem: str, mode: str) -> Runs:
    own = (row for row in rows if (row.problem, row.mode) == (problem, mode))
    return Runs(tuple(sorted(own, key=lambda row: row.seed)))


def figures(summaries: Sequence[Summary]) -> dict[str, Verdict]:
    """Return all measured values of all problems by name."""
    found: dict[str, Verdict] = {}
    for s in summaries:
        own = {**_errors(s), **_published(s), **_effectivity(s), **_unknowns(s), **_automatic(s)}
        found |= {f"{s.problem}: {name}": figure for name, figure in own.items()}
    return found


def _errors(s: Summary) -> dict[str, Verdict]:
    what = _measure(s)
    judged = {what: (s.hand.spread("error"), s.bound)}
    for name in s.hand.part_names:
        said = f"relative error of {name}" if is_eigen(s.problem) else f"relative L2 of {name}"
        judged[said] = (s.hand.part(name), s.target.fields.get(name))
    judged["seconds"] = (s.hand.spread("seconds"), s.target.seconds)
    found: dict[str, Verdict] = {}
    for name, (spread, bound) in judged.items():
        variant = s.target.variant and name == what
        said = _said(bound, f", {VARIANT:g} x {DIRICHLET}'s" if variant else "")
        for which, part in (("median", "median"), ("worst seed", "high")):
            value = getattr(spread, part) if spread else None
            met = _met(value, bound) and not s.hand.failed if bound is not None else None
            found[f"{name}, {which}"] = verdict(value, said, met)
    if s.target.aim is not None:
        found[f"{what}, median, the aim"] = _against(s, s.target.aim, "")
    return found


def _measure(s: Summary) -> str:
    if not is_eigen(s.problem):
        return "relative L2"
    return f"largest relative error of {s.target.eigenvalues or 'all'} eigenvalues"


def _against(s: Summary, bound: float, why: str) -> Verdict:
    spread = s.hand.spread("error")
    value = spread.median if spread else None
    met = _met(value, bound) and not s.hand.failed
    return verdict(value, _said(bound, why), met)


def _published(s: Summary) -> dict[str, Verdict]:
    """Compare with published errors; those of KAN codes are targets, others are only reported."""
    found: dict[str, Verdict] = {}
    if (kan := s.published.kan) is not None:
        found["median below the best published KAN"] = _against(s, kan.error, f", {kan.source}")
    if (other := s.published.neural) is not None:
        value = _against(s, other.error, "")["value"]
        said = f"told: {other.error:.2g}, {other.source}"
        name = "median, beside the best published neural code"
        found[name] = verdict(value, said)
    return found


def _effectivity(s: Summary) -> dict[str, Verdict]:
    effect = s.hand.effectivity("l2")
    if effect is None:
        return {}
    value = [effect.low, effect.median, effect.high]
    name = "estimated over true L2 error, smallest, median, largest"
    return {name: verdict(value, "told")}


def _unknowns(s: Summary) -> dict[str, Verdict]:
    """Return value, ends of the 95% interval, and whether it holds the truth, for each seed."""
    found: dict[str, Verdict] = {}
    for name in s.hand.unknown_names:
        value = [[*row.found[name], holds(row, name)] for row in s.hand.rows if name in row.found]
        key = f"{name}: value, low, high, truth, whether the interval holds it, for each seed"
        found[key] = verdict(value, "told")
    return found


def holds(row: Row, name: str) -> bool | None:
    """Return whether the interval of an unknown parameter holds the truth, None if it is not known.

    An interval without ends, of a number that the data do not determine, holds everything.
    """
    _, low, high, truth = row.found[name]
    if truth is None:
        return None
    return (low is None or low <= truth) and (high is None or truth <= high)


def _automatic(s: Summary) -> dict[str, Verdict]:
    """Compare automatic solves with hand-set ones: ratios of errors and of seconds."""
    if not s.auto.rows:
        return {}
    pairs = {
        "automatic over hand-set error (or 1e-13), medians": (s.auto_error, AUTO_ERROR),
        "automatic over hand-set seconds, medians": (s.auto_seconds, AUTO_SECONDS),
    }
    return {
        name: verdict(value, _said(bound, ""), _met(value, bound) and not s.auto.failed)
        for name, (value, bound) in pairs.items()
    }


def met_words(pairs: Sequence[tuple[Spread | None, float | None]], failed: bool) -> str:
    """Return "yes", "no", or "median" if only the worst seed misses; "" if nothing is judged."""
    judged = [(spread, bound) for spread, bound in pairs if bound is not None]
    if not judged:
        return ""
    if failed or not all(_met(s.median if s else None, bound) for s, bound in judged):
        return "no"
    return "yes" if all(s.high <= bound for s, bound in judged if s) else "median"


def _met(value: float | None, bound: float | None) -> bool:
    return value is not None and bound is not None and value <= bound


def _said(bound: float | None, why: str) -> str:
    return "told" if bound is None else f"<= {bound:.2g}{why}"


DEADLINE = 3600  # seconds after which a solve is ended
UNSAID = ("optimizer", "network", "points", "loss")  # the sections that automatic solves lack


@dataclass(frozen=True)
class Task:
    """A run to be made; tolerance and budget_seconds are those of an automatic one.

    picture: the file for its picture.
    """

    problem: str
    seed: int
    mode: str = HAND
    tolerance: float | None = None
    budget_seconds: float | None = None
    picture: Path | None = None

    @property
    def key(self) -> tuple[str, str, int]:
        """What identifies the run."""
        return self.problem, self.mode, self.seed

    def is_done_by(self, row: Row) -> bool:
        """Return whether a row is of this run, with the same code and settings, and not failed."""
        same = row.code == package_digest() and row.settings == settings(self.problem)
        return row.key == self.key and same and not row.failed

    @property
    def options(self) -> list[str]:
        """The options of `kanpinn solve`."""
        if self.mode == HAND:
            return [f"--seed={self.seed}"]
        wanted = [f"run.tolerance={self.tolerance}", f"run.budget_seconds={self.budget_seconds}"]
        pairs = [*(f"{section}=" for section in UNSAID), *wanted]
        return [f"--seed={self.seed}", *(f"--set={pair}" for pair in pairs)]


def solve(task: Task, threads: int | None) -> Row:
    """Run `kanpinn solve` and return its row; a failure is a row without errors."""
    row = _solved(task, threads)
    return replace(
        row,
        tolerance=task.tolerance,
        budget_seconds=task.budget_seconds,
        code=package_digest(),
        settings=settings(task.problem),
    )


def _solved(task: Task, threads: int | None) -> Row:
    command = ["solve", str(PROBLEMS / f"{task.problem}.toml"), *task.options]
    try:
        with recorded(command, threads, deadline=DEADLINE) as (told, folder):
            if task.picture is not None:
                keep(folder, task.picture)
            return _row(task, told)
    except NoRecord as error:
        return Row(*task.key, f"failed: {error}")


def _row(task: Task, run: dict[str, Any]) -> Row:
    errors, reference = run["errors"] or {}, run.get("reference") or {}
    estimate = run.get("estimate") or {}
    error, parts = _measured_errors(run, TARGETS.get(task.problem, Target()))
    ends = ("value", "low", "high", "exact")
    unknowns = {n: [one[e] for e in ends] for n, one in (run.get("estimated") or {}).items()}
    return Row(
        *task.key,
        run["status"],
        error,
        errors.get("h1_relative"),
        json.dumps(parts),
        json.dumps(unknowns),
        run["parameters"],
        run["seconds"]["total"],
        run["threads"],
        reference.get("source", ""),
        reference.get("error"),
        estimate.get("l2_relative"),
        estimate.get("h1_relative"),
        estimate.get("contraction"),
        commit=run["git"] or "",
    )


def _measured_errors(run: dict[str, Any], target: Target) -> tuple[float | None, dict[str, float]]:
    """Return the error that counts, and those of fields or eigenvalues."""
    if (modes := run.get("eigenvalues")) is not None:
        parts = {f"eigenvalue {i + 1}": mode["error"] for i, mode in enumerate(modes)}
        parts = {name: error for name, error in parts.items() if error is not None}
        counted = list(parts.values())[: target.eigenvalues]
        full = len(counted) >= (target.eigenvalues or 1)
        return (max(counted) if full else None), parts
    errors = run["errors"] or {}
    parts = {name: one["l2_relative"] for name, one in errors.get("fields", {}).items()}
    return errors.get("l2_relative"), parts


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
        known = {row.key: row for row in read_rows(self.path, Row)}
        _drop_old(problems, known)
        threads = 1 if self.workers > 1 else None
        running: dict[Future[Row], Task] = {}
        with ThreadPoolExecutor(self.workers) as pool:

            def begin(tasks: Sequence[Task]) -> None:
                for task in self._left(tasks, known):
                    running[pool.submit(solve, task, threads)] = task

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
        if problem not in self.automatic or is_eigen(problem):
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
        left = [
            task
            for task in tasks
            if self.again or (row := known.get(task.key)) is None or not task.is_done_by(row)
        ]
        for task in left:
            known.pop(task.key, None)
        if len(left) < len(tasks):
            print(f"{len(tasks) - len(left)} of {len(tasks)} runs are done already", flush=True)
        return left

    def _keep(self, row: Row, known: dict[Key, Row]) -> None:
        known[row.key] = row
        write_rows(self.path, Row, known.values())
        said = row.status
        if row.error is not None and row.seconds is not None:
            said = f"{row.error:.1e} in {seconds_text(row.seconds)}"
        print(f"{row.problem} seed {row.seed}, {row.mode}: {said}", flush=True)


def _drop_old(problems: Sequence[str], known: dict[Key, Row]) -> None:
    """Drop rows of these problems with other code or settings, so that no median mixes them."""
    for key, row in list(known.items()):
        if row.problem in problems:
            current = (package_digest(), settings(row.problem))
            if current != (row.code, row.settings):
                del known[key]
