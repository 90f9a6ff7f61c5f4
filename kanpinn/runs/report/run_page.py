"""The report of a run: an HTML page of its numbers, figures, settings and environment."""

import base64
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py

from kanpinn._support.errors import expecting
from kanpinn._support.files import write_text
from kanpinn.runs.report import document
from kanpinn.runs.report.document import REPORT, Image, Section, rendered
from kanpinn.runs.results.folder import CONTENTS
from kanpinn.runs.results.record import PARTIAL, RECORD, read_record, run_folder
from kanpinn.runs.study.table import kind_of
from kanpinn.solvers.summary import ShownTable, remarks, tables


def value_text(value: Any) -> str:
    """Return a value of run.json as text: whole numbers in full, "–" for NaN and no number."""
    if value is None or isinstance(value, str | dict | list):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    number = float(value)
    if math.isnan(number):
        return "–"
    if math.isfinite(number) and number == int(number) and abs(number) < 1e15:
        return f"{int(number)}"
    return f"{number:.3e}" if abs(number) < 1e-2 or abs(number) >= 1e5 else f"{number:.6g}"


def _result(record: Mapping[str, Any]) -> Any:
    """Return a finished run's result as its record has it, without the run's code; else None."""
    if "success" not in record:
        return None
    contents = CONTENTS[kind_of(record)]
    known = contents.saved(record) | contents.shown(record)
    return SimpleNamespace(status=str(record["status"]), **known)


def _facts(record: Mapping[str, Any], result: Any) -> Iterator[tuple[str, str]]:
    """Yield names and values of what a reader wants to know first."""
    yield "status", str(record.get("status", "–"))
    yield from () if result is None else remarks(result)
    seconds = (record.get("seconds") or {}).get("total")
    yield "seconds, without imports and figures", value_text(seconds)
    yield "unknowns (trainable numbers)", value_text(record.get("parameters"))
    if points := record.get("points"):
        yield "points", ", ".join(f"{count} {name}" for name, count in points.items())
    yield "steps", value_text(record.get("steps"))


FIGURES = {  # captions by the beginnings of the files' names, in the order of the page
    "solution": "The solution{of}, and its error where the exact solution or a reference is known",
    "agreement": "Fitted values and their errors against the data",
    "confusion": "Confusion matrix: true classes against fitted ones",
    "mode": "Eigenfunctions",
    "snapshots": "The solution at several moments",
    "components": "The components of the solution over time",
    "phases": "The solution in the phase plane",
    "streamlines": "Streamlines of the flow",
    "unknowns": "The unknown numbers over the steps",
    "interval": "The confidence interval of the unknown field{of}",
    "residuals": "The residuals of the equations",
    "cells": "The cells and the solution in them",
    "steps": "The windows of the march in time",
    "drifts": "The drift of invariants over time",
    "history": "Loss and errors over the steps",
    "edges": "The functions on the edges of the network",
    "network": "The network with the functions on its edges",
}

FOREMOST = ("loss", "l2_relative", "h1_relative", "seconds")  # columns of the history, if known


def write_run_report(run: Path, output: Path | None = None) -> Path:
    """Write a run's report, and return its path.

    It is made from run.json, result.h5 and the pictures in figures/: no code of the run is run.

    Args:
        run: the run folder, with or without ".partial", or a file in it.
        output: the file to write, by default report.html in the run folder.

    Raises:
        InputError: if there is no run folder, or its run.json is no JSON object.
    """
    folder = run_folder(run)
    path = folder / REPORT if output is None else output
    write_text(path, run_html(folder))
    return path


def run_html(folder: Path) -> str:
    """Return the report of a run folder as HTML."""
    record = read_record(folder)
    with expecting(folder / RECORD):
        version = (record.get("versions") or {}).get("kanpinn")
        sections = list(_sections(folder, record))
        title = f"Run {record.get('name', folder.parent.name)}"
        what = document.subject(record.get("config") or {})
        state = f"{what}: {record.get('status', 'without a status')}."
        return rendered(title, state, sections, version, RECORD)


def _sections(folder: Path, record: Mapping[str, Any]) -> Iterator[Section]:
    result = _result(record)
    rows = list(_facts(record, result))
    yield Section("results", "Results", [ShownTable(["quantity", "value"], rows, "Main numbers")])
    if result is not None and (found := list(tables(result))):
        yield Section("tables", "Errors and values", found)
    images = list(_images(folder))
    remedy = "This folder has no figures: kanpinn plot draws those of a finished run."
    yield Section("figures", "Figures", images=images, texts=() if images else (remedy,))
    if (history := _history(folder / "result.h5")) is not None:
        yield Section("history", "History", [history])
    settings = record.get("config") or {}
    listing = [("The settings, as a problem file:", document.problem_toml(settings))]
    yield Section("configuration", "Configuration", listings=listing)
    facts = ShownTable(["name", "value"], document.environment([record]), "Software and hardware")
    yield Section("environment", "Environment", [facts])
    yield Section("repeat", "How to run it again", listings=list(_repeat(folder, record)))


def _images(folder: Path) -> Iterator[Image]:
    """Yield the pictures of the folder in the order of FIGURES, others after them by name."""
    paths = [*folder.glob("figures/*.png"), *folder.glob("network.png")]
    for path in sorted(paths, key=lambda path: (_rank(path.stem), path.stem)):
        # A foreign folder may have links to other files, whose contents are not to be passed on.
        data = b"" if path.is_symlink() else path.read_bytes()
        if not data.startswith(b"\x89PNG"):
            continue
        caption = _caption(path.stem)
        code = base64.b64encode(data).decode("ascii")
        yield Image(f"data:image/png;base64,{code}", f"{caption}.", f"{caption} ({path.name}).")


def _rank(stem: str) -> int:
    """Return the index in FIGURES of a picture; that after its end for others."""
    found = (i for i, begin in enumerate(FIGURES) if stem.startswith(begin))
    return next(found, len(FIGURES))


def _caption(stem: str) -> str:
    """Return the caption of FIGURES, with the field that the name ends with, or else the name."""
    rank, field = _rank(stem), stem.partition("_")[2]
    if rank == len(FIGURES):
        return stem.replace("_", " ")
    return list(FIGURES.values())[rank].format(of=f" {field}" if field else "")


def _history(path: Path, rows: int = 12, columns: int = 8) -> ShownTable | None:
    """Return a table of steps that are evenly spread over the run, None if there are none."""
    try:
        with h5py.File(path) as file:
            group = file["history"]
            values = {name: group[name][()] for name in group if group[name].ndim == 1}
    except (OSError, KeyError):
        return None
    step = values.pop("step", None)
    if step is None or not len(step):
        return None
    first = [name for name in FOREMOST if name in values]
    names = [*first, *(name for name in values if name not in first)][:columns]
    last = len(step) - 1
    chosen = sorted({round(i * last / (rows - 1)) for i in range(rows)})
    cells = [[f"{step[i]:g}", *(value_text(values[n][i]) for n in names)] for i in chosen]
    caption = f"{len(chosen)} of {len(step)} recorded steps; all are in result.h5"
    return ShownTable(["step", *(name.replace("_", " ") for name in names)], cells, caption)


def _repeat(folder: Path, record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield paragraphs, each with a command, that repeat, continue or load the run."""
    settings = record.get("config") or {}
    command = "fit" if "data" in settings else "solve"
    classes = re.findall(r'"([\w.-]+\.py):', str(settings).replace("'", '"'))
    beside = f", beside {' and '.join(dict.fromkeys(classes))} of the run folder" if classes else ""
    yield (
        f"Save the configuration above as problem.toml{beside}, and run:",
        f"kanpinn {command} problem.toml",
    )
    name = folder.name
    if name.endswith(PARTIAL) or str(record.get("status", "")).startswith("stopped"):
        yield "The run can go on from its checkpoint:", f"kanpinn {command} --resume {name}"
    yield (
        "The result in Python, which runs the class files in the folder:",
        f'import kanpinn as kp\n\nresult = kp.load("{name}")',
    )
