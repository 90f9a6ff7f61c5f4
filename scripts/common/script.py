"""What every script shares: options, verdicts, figures, commands, and the files of problems/."""

import argparse
import csv
import hashlib
import io
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import astuple, fields
from pathlib import Path
from statistics import median
from typing import Any, TypedDict, TypeVar

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kanpinn._support.files import write_text
from kanpinn.plotting.style import STYLE, save
from kanpinn.runs.config import Config, SolveJob
from kanpinn.runs.library import files_of
from kanpinn.runs.results.record import write_record

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = REPOSITORY / "scripts" / "pages"


def environment(threads: int | None) -> dict[str, str]:
    """Return the environment variables for this repository's kanpinn on CPUs.

    threads: None leaves the number of threads as it is.
    """
    made = {**os.environ, "MPLBACKEND": "Agg", "CUDA_VISIBLE_DEVICES": ""}
    inherited = [p for p in (os.environ.get("PYTHONPATH"),) if p]
    made["PYTHONPATH"] = os.pathsep.join([str(REPOSITORY), *inherited])
    if threads is not None:
        for name in ("OMP", "MKL", "OPENBLAS"):
            made[f"{name}_NUM_THREADS"] = str(threads)
    return made


def options(
    name: str, doc: str | None, given: Sequence[str] | None = None, **further: dict[str, Any]
) -> argparse.Namespace:
    """Return --output, whose folder is made, --smoke, further options, `name`, and `error`.

    Args:
        name: the name of the script, and of its folder in results/; a smoke run has its own.
        doc: the description.
        given: the arguments; by default those of the command line.
        further: the settings of each further option for `add_argument`; with nargs "*", of a
            positional argument.
    """
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, help=f"results/{name}")
    parser.add_argument("--smoke", action="store_true", help="run all of the code at tiny sizes")
    for option, settings in further.items():
        flag = f"--{option.replace('_', '-')}"
        parser.add_argument(option if settings.get("nargs") == "*" else flag, **settings)
    chosen = parser.parse_args(given, argparse.Namespace(name=name))
    chosen.output = chosen.output or Path("results") / (name + "_smoke" * chosen.smoke)
    chosen.output.mkdir(parents=True, exist_ok=True)
    chosen.error = parser.error
    return chosen


class Verdict(TypedDict):
    """A measured value, its target as text, and whether it meets it; None: not judged."""

    value: Any
    target: str
    met: bool | None


def verdict(value: Any, target: str, met: bool | None = None) -> Verdict:
    return Verdict(value=value, target=target, met=met)


def write_verdicts(path: Path, figures: Mapping[str, Verdict], smoke: bool = False) -> None:
    """Write {name: {value, target, met}}; numbers that JSON lacks become null.

    smoke: whether nothing is judged, because the values are those of a smoke run.

    Raises:
        ValueError: for a figure without these three keys, or whose target is no text.
    """
    for name, figure in figures.items():
        if set(figure) != {"value", "target", "met"} or not isinstance(figure["target"], str):
            raise ValueError(f"{name}: expected value, target (a text) and met, got {figure}")
    path.parent.mkdir(parents=True, exist_ok=True)
    judged = {name: {**figure, "met": None} for name, figure in figures.items()}
    write_record(path, judged if smoke else figures)


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def page(name: str, **parts: object) -> str:
    """Return scripts/pages/`name`.md with its parts filled in."""
    return (PAGES / f"{name}.md").read_text(encoding="utf-8").format(**parts)


def write_csv(path: Path, head: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a table as a CSV file."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([head, *rows])
    write_text(path, text.getvalue())


def spread(values: Sequence[float], middle: str = ".1e", ends: str = ".0e") -> str:
    """Return the median (least - greatest) as text, a single number by itself, "" for none."""
    if len(values) < 2:
        return "".join(format(value, middle) for value in values)
    return f"{median(values):{middle}} ({min(values):{ends}} - {max(values):{ends}})"


def legend(
    figure: Figure, columns: int = 4, axes: Axes | None = None, entries: Sequence[Any] = ()
) -> None:
    """Draw the legend of some axes, of handles and labels, or of all axes, below a figure."""
    entries = axes.get_legend_handles_labels() if axes else entries
    look: dict[str, Any] = {"fontsize": STYLE.small, "frameon": False}
    figure.legend(*entries, loc="outside lower center", ncols=columns, **look)


def draw_ranges(
    ax: Axes, x: Iterable[float], each: Sequence[Sequence[float]], label: str, **style: Any
) -> None:
    """Draw medians of some values at each x, with bars from the least to the greatest."""
    middle = [median(values) for values in each]
    reach = [(m - min(e), max(e) - m) for m, e in zip(middle, each, strict=True)]
    limits = list(zip(*reach, strict=True)) if any(map(any, reach)) else None
    usual = {"markersize": 4, "linewidth": 1.1, "elinewidth": 0.8, "capsize": 2}
    ax.errorbar([*x], middle, yerr=limits, label=label, **usual | style)


def save_figure(figure: Figure, stem: Path, smoke: bool) -> None:
    """Write a figure as PNG and PDF; in a smoke run as a small PNG without a layout of its own.

    A layout that keeps labels apart draws a figure twice.
    """
    if smoke:
        figure.set_layout_engine("none")
        figure.set_dpi(30)
    for suffix in (".png",) if smoke else (".png", ".pdf"):
        save(figure, stem.with_name(stem.name + suffix))


def publish(
    chosen: argparse.Namespace,
    text: str,
    verdicts: Mapping[str, Verdict],
    figures: Mapping[str, Figure] | None = None,
    page: str | None = None,
) -> None:
    """Write and print a script's page, and write its figures and verdicts to --output.

    Args:
        chosen: what `options` has returned; in a smoke run nothing is judged.
        text: the page in Markdown.
        verdicts: written to a file with the name of the script.
        figures: by the names of their files.
        page: the name of the page's file, by default that of the script.
    """
    write_text(chosen.output / f"{page or chosen.name}.md", text)
    for stem, figure in (figures or {}).items():
        save_figure(figure, chosen.output / stem, chosen.smoke)
    write_verdicts(chosen.output / f"{chosen.name}.json", verdicts, chosen.smoke)
    sys.stdout.write(text)


T = TypeVar("T")


def write_rows(path: Path, kind: type, rows: Iterable[Any]) -> None:
    """Write instances of a dataclass as a CSV file, whole or not at all."""
    write_csv(path, [one.name for one in fields(kind)], (astuple(row) for row in rows))


def read_rows(path: Path, kind: type[T]) -> list[T]:
    """Return the instances in such a file, none if there is no file; "" in a number is None."""
    if not path.is_file():
        return []
    types = {one.name: one.type for one in fields(kind)}  # type: ignore[arg-type]

    def parsed(name: str, text: str) -> Any:
        if types[name] is str:
            return text
        number = int if types[name] in (int, int | None) else float
        return None if text == "" else number(text)

    with path.open(newline="", encoding="utf-8") as stream:
        return [kind(**{n: parsed(n, row[n]) for n in types}) for row in csv.DictReader(stream)]


class NoRecord(Exception):
    """A run that ended without run.json; the text says why."""


@contextmanager
def recorded(
    command: Sequence[str],
    threads: int | None = 1,
    root: Path = REPOSITORY,
    deadline: float | None = None,
) -> Iterator[tuple[dict[str, Any], Path]]:
    """Run a command of kanpinn in a process of its own; yield its run.json and its run folder.

    Args:
        command: such as ["solve", "problems/heat.toml"].
        threads: as in `environment`.
        root: the checkout whose kanpinn is run, in this folder.
        deadline: seconds after which the process is ended.

    Raises:
        NoRecord: with the last line that the command has printed.
    """
    with tempfile.TemporaryDirectory() as output:
        try:
            done = subprocess.run(
                [
                    sys.executable,
                    "-m",
                    "kanpinn",
                    *command,
                    "--json",
                    "--quiet",
                    "--output",
                    output,
                ],
                capture_output=True,
                cwd=root,
                env=environment(threads) | {"PYTHONPATH": str(root)},
                stdin=subprocess.DEVNULL,
                text=True,
                timeout=deadline,
            )
        except subprocess.TimeoutExpired:
            raise NoRecord(f"not done within {deadline:g} s") from None
        if not done.stdout.strip():  # else the status says what has failed
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise NoRecord(f"exit code {done.returncode}: {last}")
        (record,) = Path(output).glob("*/*/run.json")
        yield json.loads(done.stdout), record.parent


PROBLEMS = REPOSITORY / "problems"
sys.path.append(str(PROBLEMS))  # scripts import the classes of problem files


def digests(name: str) -> dict[str, str]:
    """Return the SHA-256 digests of a problem file and of all files that it needs, by name."""
    paths = [PROBLEMS / f"{name}.toml", *files_of(name)]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(paths)}


def solve_job(name: str, overrides: Sequence[str] = ()) -> SolveJob:
    """Return the solve of problems/`name`.toml, with "section.key=value" overrides.

    Raises:
        TypeError: for a file of a fit, of an eigenvalue problem or without a network.
    """
    job = Config.read(PROBLEMS / f"{name}.toml", list(overrides)).build()
    if not isinstance(job, SolveJob):
        raise TypeError(f"problems/{name}.toml describes no solve but a {type(job).__name__}")
    return job
