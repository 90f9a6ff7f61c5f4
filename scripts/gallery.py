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
import datetime
import json
import os
import resource
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
from common import planes, script
from common.script import NoRecord, digests, recorded, verdict
from PIL import Image, ImageOps

from kanpinn.runs.library import LibraryFile, library
from kanpinn.runs.results.record import write_record

# The figures of a run, most telling first; a star stands for the names of fields.
ORDER = (
    "solution",
    "solution_*",
    "modes",
    "agreement",
    "confusion",
    "streamlines",
    "snapshots",
    "phases",
    "components",
    "unknowns",
    "interval_*",
    "cells",
    "edges",
)
PICTURES = 3  # that an entry keeps at most
WIDTH, COLOURS = 660, 64  # pixels, and entries of the palette
THUMB = "thumb.png"
THUMB_SIZE = 240  # pixels along each side
SMALL = ("phases", "agreement", "confusion")  # figures that can be read as a thumbnail


def keep(run: Path, folder: Path) -> list[str]:
    """Write the pictures of a run to a folder, and return the names of those besides the thumbnail.

    The thumbnail is the field in a plane, else one of the pictures (a path over the time, a fit).
    """
    chosen = _chosen(run / "figures")
    for path in chosen:
        with Image.open(path) as image:
            _write(image, WIDTH, folder / path.name)
    plane = planes.of_run(run)
    if plane is not None:
        planes.draw_plain(plane, folder / THUMB, THUMB_SIZE)
    elif chosen:
        best = next((path for path in chosen if path.stem in SMALL), chosen[0])
        with Image.open(best) as image:
            ImageOps.pad(image.convert("RGB"), (THUMB_SIZE, THUMB_SIZE), color="white").save(
                folder / THUMB
            )
    if chosen or plane is not None:
        with Image.open(folder / THUMB) as image:
            _write(image, THUMB_SIZE, folder / THUMB)
    return [path.name for path in chosen]


def _chosen(figures: Path) -> Sequence[Path]:
    """Return the figures to keep."""
    found: list[Path] = []
    for pattern in ORDER:
        found += sorted(figures.glob(f"{pattern}.png"))[:1]
    return found[:PICTURES]


def _write(image: Image.Image, width: int, path: Path) -> None:
    """Write an image of at most that width with a palette of its own."""
    image = image.convert("RGB")
    if image.width > width:
        height = round(image.height * width / image.width)
        image = image.resize((width, height), Image.Resampling.LANCZOS)
    small = image.quantize(COLOURS, kmeans=4, dither=Image.Dither.NONE)
    small.save(path, optimize=True)


RECORD = "record.json"
KEPT = (  # entries of run.json
    "status",
    "success",
    "errors",
    "eigenvalues",
    "data",
    "reference",
    "estimate",
    "estimated",
    "quantities",
    "parameters",
    "steps",
    "seconds",
    "threads",
    "versions",
    "git",
    "platform",
)


def read(path: Path) -> dict[str, Any]:
    """Return an entry's record."""
    return json.loads(path.read_text(encoding="utf-8"))


def is_current(folder: Path, name: str) -> bool:
    """Return whether the entry was made from the files of the problem as they are now."""
    path = folder / RECORD
    return path.is_file() and read(path)["files"] == digests(name)


def make_entry(one: LibraryFile, folder: Path) -> str:
    """Run a problem file, write its entry to a folder, and return the status of the run."""
    command = [one.command, f"problems/{one.name}.toml"]
    load, before = os.getloadavg()[0], _processor_seconds()
    with recorded(command) as (told, run):
        spent = _processor_seconds() - before
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        record = {
            "name": one.name,
            "command": " ".join(["kanpinn", *command]),
            "made": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "load": round(load, 2),
            "cpu_seconds": round(spent, 2),
            "files": digests(one.name),
            **{key: told[key] for key in KEPT if key in told},
            **_grid(run / "result.h5"),
            "pictures": keep(run, folder),
        }
    write_record(folder / RECORD, record)
    return f"{record['status']}, {spent:.0f} s of the processor"


def _grid(path: Path) -> dict[str, list[str]]:
    """Return the names of the axes and of the arrays that a run has written on a grid."""
    with h5py.File(path) as file:
        group = file.get("fields", file.get("modes"))
        if group is None:
            return {"axes": [], "arrays": []}
        named = [(name, [dim.label for dim in data.dims]) for name, data in group.items()]
        arrays = [name for name, axes in named if all(axes)]
        return {"axes": max((axes for _, axes in named), key=len), "arrays": arrays}


def _processor_seconds() -> float:
    """Return the processor time of all processes that were started here and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


NAME = Path(__file__).stem
SMOKE = ("drum",)
MEGABYTES = 6.0  # of all entries, at most


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    there = {one.name: one for one in sorted(library(), key=duration)}
    names = dict(nargs="*", metavar="NAME", help="problem files (all)")
    again = dict(action="store_true", help="solve anew what is there")
    chosen = script.options(NAME, __doc__, given, names=names, again=again)
    if unknown := [name for name in chosen.names if name not in there]:
        chosen.error(f"problems/ has no {', '.join(unknown)}")
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
        if not chosen.again and is_current(folder, one.name):
            print(f"{one.name}: done already", flush=True)
            continue
        try:
            print(f"{one.name}: {make_entry(one, folder)}", flush=True)
        except NoRecord as error:
            print(f"error: {one.name}: {error}", file=sys.stderr, flush=True)
            failed.append(one.name)
    return failed


def figures(output: Path, failed: Sequence[str]) -> dict[str, script.Verdict]:
    """Return how many entries there are, which of them have not converged, and their size."""
    records = {path.parent.name: read(path) for path in output.glob("*/record.json")}
    stopped = sorted(name for name, record in records.items() if not record["success"])
    size = sum(path.stat().st_size for path in output.glob("*/*.*")) / 2**20
    return {
        "entries": verdict(len(records), "told"),
        "not converged": verdict(stopped, "none", not stopped),
        "without a record": verdict(list(failed), "none", not failed),
        "size of all entries, MB": verdict(size, f"<= {MEGABYTES:g}", size <= MEGABYTES),
    }


def main(given: Sequence[str] | None = None) -> int:
    chosen = arguments(given)
    for _ in range(2 if chosen.smoke else 1):  # the second time all entries are there
        failed = make(chosen)
    script.write_verdicts(chosen.output / f"{NAME}.json", figures(chosen.output, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
