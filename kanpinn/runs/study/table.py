"""A study and its table: study.json, study.csv and study.h5, one row for each run."""

import csv
import io
import json
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy

from kanpinn._support.errors import InputError
from kanpinn._support.files import write_text
from kanpinn.runs.results.hdf5 import new_file
from kanpinn.runs.results.record import dump, read_record

FORMAT = 1  # of study.json: another one is refused
RECORD, CSV, HDF5 = "study.json", "study.csv", "study.h5"
RUNS = "runs"  # the folder that holds those of the runs
Row = dict[str, Any]

PARTS, SCORES = ("test", "validation", "train"), ("rmse", "cross_entropy", "accuracy")
ERRORS = {  # by the kind of the files: what is drawn and compared, the first one foremost
    "problem": ("l2_relative", "h1_relative"),
    "eigen": ("eigenvalue_relative", "residual"),
    "fit": tuple(f"{part}_{score}" for score in SCORES[:2] for part in PARTS[:2]),
}
MORE = {
    "problem": ("l2_squared", "h1_squared"),
    "eigen": ("found", "unresolved"),
    "fit": (*(f"train_{score}" for score in SCORES[:2]), *(f"{part}_accuracy" for part in PARTS)),
}
RESULTS = {
    kind: ("status", *errors, "parameters", "seconds", *MORE[kind], "steps", "points", "run")
    for kind, errors in ERRORS.items()
}
WAITING = "waiting"
FAILED = "failed"  # so begins the status of a run that has no result


@dataclass(frozen=True, eq=False)
class Study:
    """A study in its folder: the varied keys, and a row for each run in the order of the plan.

    A row has the varied keys, then status ("converged", "stopped: …", "failed: …", "waiting"),
    l2_relative, h1_relative, parameters, seconds, l2_squared, h1_squared, steps, points and run,
    the name of its folder in runs/; None for what is not known. An unknown number k of an inverse
    problem adds k, k_low and k_high, its 95% interval. Of eigenvalue problems (kind
    "eigen") there are the largest eigenvalue_relative and residual, of fits (kind "fit") test_rmse,
    validation_accuracy and the like in place of the errors.
    """

    path: Path
    name: str
    varied: tuple[str, ...]
    rows: tuple[Row, ...]
    version: str | None = None
    kind: str = "problem"

    @staticmethod
    def read(path: str | os.PathLike[str]) -> "Study":
        """The study in a folder, as it was last written.

        Raises:
            InputError: where there is none, or one of another format.
        """
        folder = study_folder(path)
        record = read_record(folder, RECORD)
        if record.get("format") != FORMAT:
            raise InputError(
                f"{folder / RECORD} has format {record.get('format')!r}: this version of kanpinn "
                f"reads and writes format {FORMAT}, and leaves the folder as it is"
            )
        try:
            varied, rows = tuple(record["varied"]), tuple(record["rows"])
            kind = record.get("kind", "problem")
            return Study(folder, record["name"], varied, rows, record["version"], kind)
        except (KeyError, TypeError) as error:
            raise InputError(f"{folder / RECORD} is no record of a study: {error}") from error

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of all columns."""
        known = (*self.varied, *RESULTS[self.kind])
        return (*known, *further(self.rows, known))

    @property
    def errors(self) -> tuple[str, ...]:
        """The columns of errors, the foremost one first."""
        return ERRORS[self.kind]

    def column(self, name: str) -> list[Any]:
        """One column.

        Raises:
            InputError: where there is no such column.
        """
        if name not in self.columns:
            raise InputError(f"{name!r} is no column of the study: {', '.join(self.columns)}")
        return [row.get(name) for row in self.rows]

    def run(self, row: Row) -> Path:
        """The folder of a row's run.

        Raises:
            InputError: where it has none.
        """
        if not row["run"]:
            raise InputError(f"a run that is {row['status']} has no folder")
        return self.path / RUNS / row["run"]

    def config(self, row: Row) -> dict[str, Any]:
        """The sections of a row's configuration."""
        return read_record(self.run(row))["config"]

    def to_dict(self) -> dict[str, Any]:
        """The record in study.json."""
        return {
            "format": FORMAT,
            "name": self.name,
            "version": self.version,
            "kind": self.kind,
            "varied": list(self.varied),
            "rows": list(self.rows),
        }

    def write(self) -> None:
        """study.json, study.csv and study.h5, each there whole or as it was before."""
        write_text(self.path / CSV, self.csv())
        self._write_hdf5()
        write_text(self.path / RECORD, dump(self.to_dict()))

    def csv(self) -> str:
        """The table as text: lists and tables as JSON, nothing for what is not known."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        columns = self.columns
        writer.writerow(columns)
        writer.writerows([_cell(row.get(name)) for name in columns] for row in self.rows)
        return text.getvalue()

    def _write_hdf5(self) -> None:
        """A dataset for each column: numbers as float64 (NaN: not known), the rest as text."""
        with new_file(self.path / HDF5) as file:
            file.attrs["name"] = self.name
            file.attrs["format"] = FORMAT
            file.attrs["columns"] = self.columns
            file.attrs["varied"] = self.varied
            for name in self.columns:
                file[name.replace("/", "-")] = _array(self.column(name))


def study_folder(path: str | os.PathLike[str]) -> Path:
    """The folder of a study, by its name or by a file in it.

    Raises:
        InputError: where there is none.
    """
    given = Path(path).absolute()
    for folder in (given, given.parent):
        if (folder / RECORD).is_file():
            return folder
    raise InputError(f"{path} is no study: there is no {RECORD} in it")


def _cell(value: Any) -> str:
    """A value as text: lists and tables as JSON, nothing for None."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _array(values: Sequence[Any]) -> numpy.ndarray:
    """A column as an array: numbers as they are, NaN for None; anything else as text."""
    if {type(value) for value in values} <= {type(None), int, float}:
        return numpy.array([numpy.nan if v is None else v for v in values], dtype=numpy.float64)
    return numpy.array([_cell(v) for v in values], dtype=h5py.string_dtype())


def has_failed(row: Mapping[str, Any]) -> bool:
    """Whether a run has failed."""
    return str(row["status"]).startswith(FAILED)


def empty(status: str = WAITING, run: str = "", kind: str = "problem") -> dict[str, Any]:
    """The columns of a run without a result: all None except `status` and `run`."""
    return dict.fromkeys(RESULTS[kind]) | {"status": status, "run": run}


def kind_of(record: Mapping[str, Any]) -> str:
    """Whose run.json it is: "problem", "eigen" or "fit"."""
    if "eigenvalues" in record:
        return "eigen"
    return "fit" if "data" in record else "problem"


def columns_of(record: Mapping[str, Any], run: str) -> dict[str, Any]:
    """The columns of a finished run, from its run.json."""
    kind = kind_of(record)
    known = {
        "status": record["status"],
        "parameters": record["parameters"],
        "seconds": record["seconds"]["total"],
        "steps": record["steps"],
        "points": sum(record["points"].values()),
        "run": run,
    }
    errors = record["errors"] or {}
    if kind == "eigen":
        entries = record["eigenvalues"]
        known |= {"found": len(entries), "unresolved": record["unresolved"]}
        known["residual"] = max((entry["residual"] for entry in entries), default=None)
    if kind == "fit":
        known["points"] = record["data"]["rows"]["train"]
        errors = {
            f"{part}_{score}": scores[score] for part, scores in errors.items() for score in SCORES
        }
    found = {name: known.get(name, errors.get(name)) for name in RESULTS[kind]}
    return found | _estimated(record.get("estimated") or {}, RESULTS[kind])


def _estimated(entries: Mapping[str, Mapping[str, Any]], taken: Collection[str]) -> dict[str, Any]:
    """Columns k, k_low and k_high of an unknown number k, the ends None where they are infinite."""
    found: dict[str, Any] = {}
    for name, entry in entries.items():
        ends = {"": entry["value"], "_low": entry["low"], "_high": entry["high"]}
        ends = {name + end: value for end, value in ends.items()}
        prefix = "unknown_" if any(column in taken for column in ends) else ""
        found |= {prefix + column: value for column, value in ends.items()}
    return found


def further(rows: Sequence[Mapping[str, Any]], known: Collection[str]) -> tuple[str, ...]:
    """The columns that only some rows have: a run that has failed has estimated nothing."""
    names = dict.fromkeys(name for row in rows for name in row)
    return tuple(name for name in names if name not in known)
