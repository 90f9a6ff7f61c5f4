"""Every script in full, and how far its figures have drifted from the committed ones.

What: runs each script of scripts/ in a process of its own, with one thread, and compares the
figures of its verdicts, `<script>.json`, with those of the file of that name in results/reference:
whether a verdict has changed, and by how much the numbers differ. A number has drifted where it
differs by more than --tolerance of the larger one, and by more than 1e-12; times and rates are
compared by their verdicts alone.

How: a script that has succeeded is not run again by the same sources of kanpinn, and most scripts
go on from their own pieces: a call that was stopped goes on when it is made again. Scripts that
want data or a network (knots.py, benchmark_peers.py) fail without them, and the page says so.

How long: some ten hours of one core, of which --workers N take a share each; --only NAME ... runs
some of the scripts; --smoke: seconds, on two tiny scripts beside this one.

Writes to --output (results/all_figures): drift.md, drift.json (a row for each figure),
all_figures.json, and a folder for each script with what it wrote and its log. The exit code is 1 if
a script failed.
"""

import argparse
import json
import math
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from common import script
from common.pieces import Pieces, Row
from common.script import environment

from kanpinn._support.files import write_text

NAME = Path(__file__).stem
SCRIPTS = Path(__file__).resolve().parent
REFERENCE = SCRIPTS.parent / "results" / "reference"
TINY = SCRIPTS / "all_figures_smoke"
OPTIONS = {"scoreboard": ("--auto",)}  # with which the committed figures were made
ROUNDING = 1e-12  # absolute: smaller differences are none
TIMES = ("second", "time", "speed", "rate of", "efficiency", "overhead", "rounds", "kill")


@dataclass(frozen=True)
class Drift:
    """A figure now and in the reference.

    kind: "verdict" where `met` has changed, "drifted" where only numbers differ, "same", "new" or
    "gone". change: the largest relative difference of two numbers; None where there are no numbers
    to compare, infinite where the values differ in something else.
    """

    script: str
    figure: str
    kind: str
    change: float | None
    before: Any
    now: Any


class Failed(Exception):
    """Raised with the reason why a script has no figures."""


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    names = [path.stem for path in sorted(SCRIPTS.glob("*.py")) if path.stem != NAME]
    chosen = script.options(
        NAME,
        __doc__,
        given,
        only=dict(nargs="+", choices=names, default=names, metavar="NAME"),
        workers=dict(type=int, default=1, help="scripts at a time (1)"),
        tolerance=dict(type=float, default=0.1, help="of numbers (0.1)"),
    )
    if chosen.workers < 1 or not 0 <= chosen.tolerance:
        chosen.error("--workers: expected 1 or more; --tolerance: expected 0 or more")
    chosen.folder, chosen.reference = (TINY, TINY / "reference") if chosen.smoke else (
        SCRIPTS,
        REFERENCE,
    )  # fmt: skip
    if chosen.smoke:
        chosen.only = [path.stem for path in sorted(TINY.glob("*.py"))]
    return chosen


def main(given: Sequence[str] | None = None) -> int:
    chosen = arguments(given)
    output = chosen.output.absolute()
    pieces = Pieces.under(output, again=chosen.smoke)
    drifts: list[Drift] = []
    failures: dict[str, str] = {}
    with ThreadPoolExecutor(chosen.workers) as pool:
        running = {
            name: pool.submit(measured, chosen.folder / f"{name}.py", output, pieces)
            for name in chosen.only
        }
        for name, future in running.items():
            try:
                now, seconds = future.result()
            except Failed as error:
                failures[name] = str(error)
                print(f"{name} failed: {error}", flush=True)
                continue
            found = compared(name, reference_of(name, chosen.reference), now, chosen.tolerance)
            drifts += found
            print(f"{name}: {counted(found)} ({seconds:.0f} s)", flush=True)
    publish(drifts, failures, output)
    return 1 if failures else 0


def measured(script: Path, output: Path, pieces: Pieces) -> tuple[dict[str, Any], float]:
    """Return the figures of one script and its seconds, of an earlier call if that succeeded.

    Raises:
        Failed: with the last line that the script has printed.
    """
    (row,) = pieces.rows({"script": script.stem}, lambda: [_run(script, output / script.stem)])
    return row["figures"], row["seconds"]


def _run(script: Path, folder: Path) -> Row:
    command = [sys.executable, str(script), "--output", str(folder), *OPTIONS.get(script.stem, ())]
    folder.mkdir(parents=True, exist_ok=True)
    log, begun = folder / "log.txt", time.perf_counter()
    with log.open("w", encoding="utf-8") as stream:
        done = subprocess.run(
            command,
            stdout=stream,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            cwd=SCRIPTS.parent,
            env=environment(threads=1),
        )
    path = folder / f"{script.stem}.json"
    if done.returncode or not path.is_file():
        lines = log.read_text(encoding="utf-8").strip().splitlines() or ["no message"]
        raise Failed(f"exit code {done.returncode}: {lines[-1]} (see {log})")
    figures = json.loads(path.read_text(encoding="utf-8"))
    return {"figures": figures, "seconds": time.perf_counter() - begun}


def reference_of(name: str, folder: Path) -> dict[str, Any] | None:
    """Return the committed figures of a script, None if there are none."""
    found = sorted(folder.rglob(f"{name}.json"))
    return json.loads(found[0].read_text(encoding="utf-8")) if found else None


def compared(
    name: str, before: Mapping[str, Any] | None, now: Mapping[str, Any], tolerance: float
) -> list[Drift]:
    """Compare each figure of a script with the committed one; without those, all are new."""
    before = before or {}
    found = []
    for figure in dict.fromkeys([*before, *now]):
        old, new = before.get(figure), now.get(figure)
        values = (old and old["value"], new and new["value"])
        if old is None or new is None:
            kind, change = ("gone" if new is None else "new"), None
        else:
            change = largest_change(*values)
            kind = "verdict" if old["met"] != new["met"] else "same"
            moved = change is not None and change > tolerance and not is_time(figure)
            kind = "drifted" if kind == "same" and moved else kind
        found.append(Drift(name, figure, kind, change, *values))
    return found


def is_time(figure: str) -> bool:
    """Return whether a figure is a time: other machines have others."""
    return any(word in figure.lower() for word in TIMES)


def largest_change(before: Any, now: Any) -> float | None:
    """Return the largest relative difference of two values' numbers, None if they have none."""
    pairs = [(dict(leaves(before)).get(key), value) for key, value in leaves(now)]
    if [key for key, _ in leaves(before)] != [key for key, _ in leaves(now)]:
        return math.inf
    changes = [_change(old, new) for old, new in pairs]
    known = [change for change in changes if change is not None]
    return max(known, default=None)


def _change(old: Any, new: Any) -> float | None:
    numbers = [x for x in (old, new) if isinstance(x, int | float) and not isinstance(x, bool)]
    if len(numbers) < 2:
        return None if old == new else math.inf
    difference = abs(old - new)
    return 0.0 if difference <= ROUNDING else difference / max(abs(old), abs(new))


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield numbers, texts and truth values within lists and mappings, each with its place."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from leaves(item, f"{path}/{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from leaves(item, f"{path}/{index}")
    else:
        yield path, value


def counted(found: Sequence[Drift]) -> str:
    """Return how many figures there are of each kind, as text."""
    kinds = ("verdict", "drifted", "same", "new", "gone")
    counts = {kind: sum(drift.kind == kind for drift in found) for kind in kinds}
    counts["verdict changed"] = counts.pop("verdict")
    return ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)


def publish(drifts: Sequence[Drift], failures: Mapping[str, str], output: Path) -> None:
    """Write the page, all rows, and a verdict for each script."""
    write_text(output / "drift.md", page(drifts, failures))
    text = json.dumps([asdict(drift) for drift in drifts], indent=1, ensure_ascii=False)
    write_text(output / "drift.json", text + "\n")
    figures: dict[str, script.Verdict] = {}
    for name in dict.fromkeys([*(drift.script for drift in drifts), *failures]):
        found = [drift for drift in drifts if drift.script == name]
        drifted = any(drift.kind in ("verdict", "drifted", "gone") for drift in found)
        figures[name] = script.verdict(
            failures.get(name) or counted(found),
            "no verdict changes, no figure drifts",
            not drifted and name not in failures,
        )
    script.write_verdicts(output / f"{NAME}.json", figures)


def page(drifts: Sequence[Drift], failures: Mapping[str, str]) -> str:
    """Return the changes, the gravest first, as Markdown."""
    lines = ["# Figures beside the committed ones", ""]
    lines += [f"- {name} failed: {why}" for name, why in failures.items()]
    for name in dict.fromkeys(drift.script for drift in drifts):
        lines.append(f"- {name}: {counted([d for d in drifts if d.script == name])}")
    titles = {
        "verdict": "Verdicts that have changed",
        "drifted": "Numbers that have drifted",
        "gone": "Figures that are no longer there",
        "new": "Figures without a committed one",
    }
    for kind, title in titles.items():
        rows = [drift for drift in drifts if drift.kind == kind]
        if not rows:
            continue
        rows.sort(key=lambda drift: -(drift.change or 0.0))
        lines += ["", f"## {title}", "", "| script | figure | committed | now | change |"]
        lines += ["|---|---|---|---|---|", *map(_line, rows)]
    return "\n".join(lines) + "\n"


def _line(drift: Drift) -> str:
    change = "" if drift.change is None else f"{drift.change:.2g}"
    figure = drift.figure.replace("|", "\\|")
    cells = [drift.script, figure, _short(drift.before), _short(drift.now), change]
    return f"| {' | '.join(cells)} |"


def _short(value: Any) -> str:
    """Return a value in 60 characters, numbers with three digits."""
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, list):
        return ", ".join(map(_short, value))[:60]
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_short(item)}" for key, item in value.items())[:60]
    return "–" if value is None else str(value)[:60]


if __name__ == "__main__":
    sys.exit(main())
