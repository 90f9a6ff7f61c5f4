"""The gallery: every problem of problems/ solved once, with the pictures that the site shows.

What: runs each file, or those named, as `kanpinn solve problems/NAME.toml` (`kanpinn fit` for a
fit) in a process of its own with one thread, one after the other, the shortest first. An entry has
what the run says of itself (errors, estimate, unknowns, seconds, status, versions), digests of the
problem's files, and its pictures: up to three of the figures that the run has drawn, made smaller,
and a thumbnail. The seconds are those of a clock: they are comparable only where `load`, the number
of busy processes at the start, is small; `cpu_seconds` are those of the processor for the whole
command, with imports, estimate and figures.

An entry that was made from the same files is not made again, unless --again is given: the call can
be stopped at any time and goes on when it is made again.

How long: an hour of one core, of which cylinder_shedding takes seven minutes; --smoke: ten
seconds, for one small problem.

Writes to --output: NAME/record.json and NAME/*.png for each problem, and gallery.json. The site's
pages are made from results/reference/gallery: docs/_extensions/gallery.py.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from common import options, verdicts
from galleries import entries

from kanpinn.runs.library import LibraryFile, library

NAME = Path(__file__).stem
SMOKE = ("drum",)
MEGABYTES = 6.0  # of all entries, at most


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    there = {one.name: one for one in sorted(library(), key=duration)}
    parser = options.parser(NAME, __doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="problem files (all)")
    parser.add_argument("--again", action="store_true", help="solve anew what is there")
    chosen = options.finish(NAME, parser.parse_args(given))
    if unknown := [name for name in chosen.names if name not in there]:
        parser.error(f"problems/ has no {', '.join(unknown)}")
    wanted = SMOKE if chosen.smoke else chosen.names or there
    chosen.problems = [one for name, one in there.items() if name in wanted]
    return chosen


def duration(one: LibraryFile) -> float:
    """Return the seconds that the file tells; a file that tells none comes last."""
    return float("inf") if one.seconds is None else one.seconds


def make(chosen: argparse.Namespace) -> list[str]:
    """Make the entries that are not there, and return the names of runs that left no record."""
    failed = []
    for one in chosen.problems:
        folder = chosen.output / one.name
        if not chosen.again and entries.is_current(folder, one.name):
            print(f"{one.name}: done already", flush=True)
            continue
        try:
            print(f"{one.name}: {entries.make(one, folder)}", flush=True)
        except entries.NoRecord as error:
            print(f"error: {one.name}: {error}", file=sys.stderr, flush=True)
            failed.append(one.name)
    return failed


def figures(output: Path, failed: Sequence[str]) -> dict[str, verdicts.Figure]:
    """Return how many entries there are, which of them have not converged, and their size."""
    records = {path.parent.name: entries.read(path) for path in output.glob("*/record.json")}
    stopped = sorted(name for name, record in records.items() if not record["success"])
    size = sum(path.stat().st_size for path in output.glob("*/*.*")) / 2**20
    return {
        "entries": {"value": len(records), "target": "told", "met": None},
        "not converged": {"value": stopped, "target": "none", "met": not stopped},
        "without a record": {"value": list(failed), "target": "none", "met": not failed},
        "size of all entries, MB": {
            "value": size,
            "target": f"<= {MEGABYTES:g}",
            "met": size <= MEGABYTES,
        },
    }


def main(given: Sequence[str] | None = None) -> int:
    chosen = arguments(given)
    for _ in range(2 if chosen.smoke else 1):  # the second time all entries are there
        failed = make(chosen)
    verdicts.write(chosen.output / f"{NAME}.json", figures(chosen.output, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
