"""A study and its table: study.json, study.csv and study.h5, one row for each run."""

import csv
import io
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy

from kanpinn._support.errors import InputError
from kanpinn._support.files import write_text
from kanpinn._support.shown import Shown
from kanpinn._support.status import UNUSABLE
from kanpinn.runs.results.hdf5 import new_file
from kanpinn.runs.results.record import read_record, write_record
from kanpinn.runs.study.columns import ERRORS, RESULTS, further

FORMAT = 1  # of study.json; files of another format are refused
RECORD, CSV, HDF5 = "study.json", "study.csv", "study.h5"
RUNS = "runs"  # the subfolder that holds the run folders
Row = dict[str, Any]


@dataclass(frozen=True, eq=False, repr=False)
class Study(Shown):
    """A study in its folder: the varied keys, and a row for each run in the order of the plan.

    Notebooks show it as tables with a picture.

    A row has the varied keys, then status (that of the solution, or "waiting"), l2_relative,
    h1_relative, parameters, seconds, l2_squared, h1_squared, steps, points and run, the name of its
    folder in runs/. Values that are not known are None. An unknown number k of an
    inverse problem adds k, k_low and k_high: the estimate and its 95% confidence bounds.

    In place of the errors, a row of an eigenvalue problem (kind "eigen") has the largest
    eigenvalue_relative and residual over its modes, and a row of a fit (kind "fit") has scores such
    as test_rmse and validation_accuracy.

    Example:
        >>> from pathlib import Path
        >>> import kanpinn as kp
        >>> keys = ("network.grid", "l2_relative")
        >>> rows = tuple(dict(zip(keys, one)) for one in ((4, 1e-3), (8, 1e-5)))
        >>> study = kp.Study(Path("results/orders-1a2b3c4d"), "orders", ("network.grid",), rows)
        >>> [row["l2_relative"] for row in study.rows]
        [0.001, 1e-05]
    """

    shown_by = "kanpinn.runs.report.notebook"

    path: Path
    name: str
    varied: tuple[str, ...]
    rows: tuple[Row, ...]
    version: str | None = None
    kind: str = "problem"

    def __repr__(self) -> str:
        return f"<Study {self.name} of {len(self.rows)} runs in {self.path}>"

    @staticmethod
    def read(path: str | os.PathLike[str]) -> "Study":
        """Read the study in a folder, as it was last written.

        Args:
            path: the study's folder, or a file in it.

        Raises:
            InputError: if there is no study, or its record has another format.
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
            raise InputError(f"{folder / RECORD} is not the record of a study: {error}") from error

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of all columns."""
        known = (*self.varied, *RESULTS[self.kind])
        return (*known, *further(self.rows, known))

    @property
    def errors(self) -> tuple[str, ...]:
        """The names of the columns of errors, the main one first."""
        return ERRORS[self.kind]

    def column(self, name: str) -> list[Any]:
        """Return one column: a value for each row, None where it is not known.

        Raises:
            InputError: if there is no such column.
        """
        if name not in self.columns:
            raise InputError(
                f"{name!r} is not a column of the study: expected one of {', '.join(self.columns)}"
            )
        return [row.get(name) for row in self.rows]

    def plot(self, over: str | None = None, error: str | None = None, ax: Any = None) -> Any:
        """Draw the errors of all runs: medians over seeds with their ranges, and fitted orders.

        Args:
            over: what the horizontal axis shows, as in the report's figures: a varied key by its
                short name, such as "grid", or "parameters", "points" or "seconds". By default the
                first of the report's figures, which without a varied size has a row for each
                setting.
            error: the column of the errors; by default the first one of `errors` that runs have.
            ax: axes of Matplotlib to draw in; by default those of a new figure of pyplot, which
                notebooks show.

        Returns:
            The `matplotlib.axes.Axes`.

        Raises:
            InputError: if no run has an error yet, or for a name that is not known.
        """
        return self._view().plot(self, over, error, ax)

    def run(self, row: Row) -> Path:
        """Return the folder of a row's run.

        Raises:
            InputError: if the run has no folder.
        """
        if not row["run"]:
            raise InputError(f"a run that is {row['status']} has no folder")
        return self.path / RUNS / row["run"]

    def config(self, row: Row) -> dict[str, Any]:
        """Return the sections of the configuration of a row's run."""
        return read_record(self.run(row))["config"]

    def to_dict(self) -> dict[str, Any]:
        """Return the record that study.json holds."""
        return {
            "format": FORMAT,
            "name": self.name,
            "version": self.version,
            "kind": self.kind,
            "varied": list(self.varied),
            "rows": list(self.rows),
        }

    def write(self) -> None:
        """Write study.json, study.csv and study.h5, each of them atomically."""
        write_text(self.path / CSV, self.csv())
        self._write_hdf5()
        write_record(self.path / RECORD, self.to_dict())

    def csv(self) -> str:
        """Return the table as CSV: lists and tables as JSON, an empty cell for None."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        columns = self.columns
        writer.writerow(columns)
        writer.writerows([_cell(row.get(name)) for name in columns] for row in self.rows)
        return text.getvalue()

    def _write_hdf5(self) -> None:
        """Write a dataset for each column: numbers as float64 (NaN for None), the rest as text."""
        with new_file(self.path / HDF5) as file:
            file.attrs["name"] = self.name
            file.attrs["format"] = FORMAT
            file.attrs["columns"] = self.columns
            file.attrs["varied"] = self.varied
            for name in self.columns:
                file[name.replace("/", "-")] = _array(self.column(name))


def study_folder(path: str | os.PathLike[str]) -> Path:
    """Return the absolute folder of a study from its path or that of a file in it.

    Raises:
        InputError: if neither the path nor its parent is the folder of a study.
    """
    given = Path(path).absolute()
    for folder in (given, given.parent):
        if (folder / RECORD).is_file():
            return folder
    raise InputError(f"{path} is not a study: it has no {RECORD}")


def _cell(value: Any) -> str:
    """Return a value as text: lists and tables as JSON, an empty text for None."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _array(values: Sequence[Any]) -> numpy.ndarray:
    """Return a column as an array: float64 with NaN for None if all are numbers, else text."""
    if {type(value) for value in values} <= {type(None), int, float}:
        return numpy.array([numpy.nan if v is None else v for v in values], dtype=numpy.float64)
    return numpy.array([_cell(v) for v in values], dtype=h5py.string_dtype())


def has_failed(row: Mapping[str, Any]) -> bool:
    """Return True if the run of a row has no usable result: it has failed, or is overfitted."""
    return str(row["status"]).startswith(UNUSABLE)
