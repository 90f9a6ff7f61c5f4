"""`Study`, the table of the runs of a study (study.json, study.csv, study.h5); the dimensions in
which a study varies, and the summary of a study.
"""

import csv
import io
import json
import math
import os
from collections.abc import Container, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import h5py

from kanpinn._support.errors import CONVERGED, OVERFITTED, UNUSABLE, InputError
from kanpinn._support.files import write_text
from kanpinn._support.shown import Shown
from kanpinn.runs.results.hdf5 import new_file
from kanpinn.runs.results.record import read_record, write_record
from kanpinn.solvers.summary import ABSENT, ShownTable

PARTS, SCORES = ("test", "validation", "train"), ("rmse", "cross_entropy", "accuracy")
ERRORS = {  # by the kind of file: the columns that are drawn and compared, the main one first
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


def empty(status: str = WAITING, run: str = "", kind: str = "problem") -> dict[str, Any]:
    """Return the columns of a run without a result: all None except `status` and `run`."""
    return dict.fromkeys(RESULTS[kind]) | {"status": status, "run": run}


def kind_of(record: Mapping[str, Any]) -> str:
    """Return the kind of a run from the contents of its run.json: "problem", "eigen" or "fit"."""
    if "eigenvalues" in record:
        return "eigen"
    return "fit" if "data" in record else "problem"


def columns_of(record: Mapping[str, Any], run: str) -> dict[str, Any]:
    """Return the columns of a finished run in the table of its study.

    Args:
        record: the contents of the run's run.json.
        run: the name of the run's folder.
    """
    kind = kind_of(record)
    known = {
        "status": record["status"],
        "parameters": record["parameters"],
        "seconds": record["seconds"].get("total"),
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
        parts = errors.items()
        errors = {f"{part}_{name}": scores[name] for part, scores in parts for name in SCORES}
    columns = {name: known.get(name, errors.get(name)) for name in RESULTS[kind]}
    # An unknown parameter k adds k, k_low and k_high or, if a column has such a name, unknown_k, ….
    for name, entry in (record.get("estimated") or {}).items():
        ends = {name: "value", f"{name}_low": "low", f"{name}_high": "high"}
        prefix = "unknown_" if {*ends} & {*RESULTS[kind]} else ""
        columns |= {prefix + column: entry[key] for column, key in ends.items()}
    return columns


FORMAT = 1  # of study.json; files of another format are refused
RECORD, CSV, HDF5 = "study.json", "study.csv", "study.h5"
RUNS = "runs"  # the subfolder that holds the run folders
Row = dict[str, Any]


@dataclass(frozen=True, eq=False, repr=False)
class Study(Shown):
    """A study in its folder: the varied keys, and a row for each run in the order of the plan.

    Notebooks show a study as tables with a picture.

    A row has the varied keys, then status (the status of the solution, or "waiting"), l2_relative,
    h1_relative, parameters, seconds, l2_squared, h1_squared, steps, points and run, the name of the
    run's folder in runs/. Values that are not known are None. An unknown scalar parameter k of an
    inverse problem adds k, k_low and k_high: the estimate and its 95% confidence bounds.

    In place of the errors, a row of an eigenvalue problem (kind "eigen") has the largest
    eigenvalue_relative and residual over its modes, and a row of a fit (kind "fit") has scores such
    as test_rmse and validation_accuracy.

    Args:
        path: the folder of the study.
        name: the name of the study.
        varied: the varied keys, such as "network.grid".
        rows: for each run a dict from the names of the columns to the values.
        version: the version of kanpinn that made the study; None if it is not known.
        kind: the kind of all runs: "problem", "eigen" or "fit".

    Example:
        >>> from pathlib import Path
        >>> import kanpinn as kp
        >>> keys = ("network.grid", "l2_relative")
        >>> rows = tuple(dict(zip(keys, one)) for one in ((4, 1e-3), (8, 1e-5)))
        >>> study = kp.Study(Path("results/orders-1a2b3c4d"), "orders", ("network.grid",), rows)
        >>> [row["l2_relative"] for row in study.rows]
        [0.001, 1e-05]
    """

    shown_by = "kanpinn.runs.report.pages"

    path: Path
    name: str
    varied: tuple[str, ...]
    rows: tuple[Row, ...]
    version: str | None = None
    kind: str = "problem"

    def __repr__(self) -> str:
        return f"<Study {self.name} of {len(self.rows)} runs in {self.path}>"

    def __str__(self) -> str:
        return str(settings_table(self, lines=24))

    @staticmethod
    def read(path: str | os.PathLike[str]) -> "Study":
        """Read the study in a folder.

        Args:
            path: the study's folder, or a file in it.

        Raises:
            InputError: if there is no study, or its study.json has another format.
        """
        given = Path(path).absolute()
        places = [one for one in (given, given.parent) if (one / RECORD).is_file()]
        if not places:
            raise InputError(f"{path} is not a study: it has no {RECORD}")
        folder = places[0]
        record = read_record(folder, RECORD)
        if record.get("format") != FORMAT:
            reason = (
                f"this kanpinn reads and writes format {FORMAT}, and leaves the folder as it is"
            )
            raise InputError(f"{folder / RECORD} has format {record.get('format')!r}: {reason}")
        try:
            varied, rows = tuple(record["varied"]), tuple(record["rows"])
            kind = record.get("kind", "problem")
            return Study(folder, record["name"], varied, rows, record["version"], kind)
        except (KeyError, TypeError) as error:
            raise InputError(f"{folder / RECORD} is not the record of a study: {error}") from error

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of all columns."""
        known = dict.fromkeys((*self.varied, *RESULTS[self.kind]))
        return tuple(known | dict.fromkeys(name for row in self.rows for name in row))

    @property
    def errors(self) -> tuple[str, ...]:
        """The names of the columns of errors, the main error first."""
        return ERRORS[self.kind]

    def column(self, name: str) -> list[Any]:
        """Return a column: its value in each row, None if it is not known.

        Raises:
            InputError: if there is no such column.
        """
        if name not in self.columns:
            expected = f"expected one of {', '.join(self.columns)}"
            raise InputError(f"{name!r} is not a column of the study: {expected}")
        return [row.get(name) for row in self.rows]

    def plot(self, over: str | None = None, error: str | None = None, ax: Any = None) -> Any:
        """Draw the errors of all runs: medians over seeds with their ranges, and fitted orders.

        Args:
            over: the quantity on the horizontal axis: a varied key by its short name, such as
                "grid", or "parameters", "points" or "seconds". By default the axis of the first
                figure in the report; if no size varies, the figure has a row for each setting.
            error: the column of the errors; by default the first column of `errors` with a value.
            ax: axes of Matplotlib to draw in; by default the axes of a new figure of pyplot, which
                notebooks show.

        Returns:
            The `matplotlib.axes.Axes`.

        Raises:
            InputError: if no run has an error yet, or for an unknown quantity or column.
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

    def write(self) -> None:
        """Write study.json, study.csv and study.h5, each of them atomically."""
        write_text(self.path / CSV, self.csv())
        with new_file(self.path / HDF5) as file:
            file.attrs["name"] = self.name
            file.attrs["format"] = FORMAT
            file.attrs["columns"] = self.columns
            file.attrs["varied"] = self.varied
            for name in self.columns:  # numbers as float64 (NaN for None), the rest as text
                values = self.column(name)
                if {type(value) for value in values} <= {type(None), int, float}:
                    data = {"data": [math.nan if v is None else v for v in values], "dtype": "f8"}
                else:
                    data = {"data": [_cell(v) for v in values], "dtype": h5py.string_dtype()}
                file.create_dataset(name.replace("/", "-"), **data)
        known = {"format": FORMAT, "name": self.name, "version": self.version, "kind": self.kind}
        lists = {"varied": list(self.varied), "rows": list(self.rows)}
        write_record(self.path / RECORD, known | lists)

    def csv(self) -> str:
        """Return the table as CSV: lists and tables as JSON, an empty cell for None."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        columns = self.columns
        writer.writerow(columns)
        writer.writerows([_cell(row.get(name)) for name in columns] for row in self.rows)
        return text.getvalue()


def _cell(value: Any) -> str:
    """Return a value as text: lists and tables as JSON, an empty text for None."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def has_failed(row: Mapping[str, Any]) -> bool:
    """Return True if the run of a row has no usable result: it has failed or is overfitted."""
    return str(row["status"]).startswith(UNUSABLE)


SEED = "seed"
PLACE = "·"  # stands in labels for the list component that varies


@dataclass(frozen=True, eq=False)
class Dimension:
    """A quantity that varies between the rows of a study, such as network.degree.

    A varied key is one dimension. The values of a key may be lists of numbers, such as network.grid
    = [4, 8]. Then the dimension is the last component of the lists that varies, together with the
    components that it determines. Components that vary independently of it make a second dimension
    of the same key, with labels such as "grid [4, ·]".

    Args:
        key: the varied key.
        labels: a label for each row.
        whole: for each row the key's whole value, as text.
        numbers: for each row the number that varies; None if the values are not numeric.
        places: the indices of the list components that vary together with this number.
        form: the list as text, with "·" in place of these components, such as "[4, ·]".
    """

    key: str
    labels: tuple[str, ...]
    whole: tuple[str, ...]
    numbers: tuple[float, ...] | None = None
    places: frozenset[int] = frozenset()
    form: str = PLACE

    @property
    def name(self) -> str:
        """The last part of the key."""
        return self.key.rpartition(".")[2]

    @property
    def fitted(self) -> bool:
        """True if an order of convergence is fitted over this dimension.

        The dimension must be a size of the network or a number of points: its numbers are integers
        of at least 1, and it is not a degree.
        """
        if self.numbers is None or self.name == "degree":
            return False
        ours = "." not in self.key or self.key.startswith(("network.", "points."))
        return ours and all(n >= 1 and n == int(n) for n in self.numbers)

    @property
    def logarithmic(self) -> bool:
        """True if the axis is logarithmic in plots: the numbers are positive and no degrees."""
        return self.numbers is not None and min(self.numbers) > 0 and self.name != "degree"

    def follows(self, other: "Dimension") -> bool:
        """Return whether the labels of this dimension are determined by those of another one."""
        return determined(self.labels, other.labels)


def dimensions(study: Study) -> list[Dimension]:
    """Return the dimensions of a study in the order of its keys, without seeds and constants."""
    keys = [key for key in study.varied if not is_seed(key)]
    names = [key.rpartition(".")[2] for key in keys]
    found: list[Dimension] = []
    for key, name in zip(keys, names, strict=True):
        title, values = name if names.count(name) == 1 else key, study.column(key)
        tables = any(True for _ in _tables(values))
        whole = tuple(text if tables else f"{title} {text}" for text in names_of(values))
        sizes = sizes_of(values)
        if sizes is None:
            found.append(Dimension(key, whole, whole))
            continue
        numbers, forms = tuple(size.number for size in sizes), [size.rest for size in sizes]
        places = frozenset[int]().union(*(size.places for size in sizes))
        if len(set(forms)) == 1:
            found.append(Dimension(key, whole, whole, numbers, places, forms[0]))
            continue
        labels = tuple(f"{title} {number:.12g}" for number in numbers)
        found.append(Dimension(key, labels, whole, numbers, places))
        found.append(Dimension(key, tuple(f"{title} {form}" for form in forms), whole))
    return [dimension for dimension in found if len(set(dimension.labels)) > 1]


def is_seed(key: str) -> bool:
    """Return True if a key is a seed: runs that differ in seeds only are replicates."""
    return key.rpartition(".")[2] == SEED


class Size(NamedTuple):
    """The number that varies in a value of a key: the value itself or a component of a list.

    Args:
        number: the value or the component.
        rest: the list with "·" for the component, and for other components that it determines.
        places: the indices of the components that are "·" in `rest`.
    """

    number: float
    rest: str
    places: frozenset[int]


def sizes_of(values: Sequence[Any]) -> list[Size] | None:
    """Return the varying number of each value of a key; None if a value has no number.

    A value has to be a number or a list of numbers. The size of [4, 8] has the number 8 and the
    rest "[4, ·]", or "[·, ·]" if the last component determines the first.
    """
    lists = [tuple(v if isinstance(v, list) else [v]) for v in values]
    if not lists or not all(one and {*map(type, one)} <= {int, float} for one in lists):
        return None
    place = {n: _place([one for one in lists if len(one) == n]) for n in set(map(len, lists))}
    sizes = []
    for one, value in zip(lists, values, strict=True):
        size, tied = place[len(one)]
        rest = ", ".join(PLACE if i in tied else f"{v:g}" for i, v in enumerate(one))
        sizes.append(Size(float(one[size]), f"[{rest}]" if isinstance(value, list) else rest, tied))
    return sizes


def _place(lists: Sequence[tuple[float, ...]]) -> tuple[int, frozenset[int]]:
    """Return which component of lists of numbers counts as the size, such as a width of a network.

    Args:
        lists: the lists, all of the same length, such as the values of network.width.

    Returns:
        The index of the last component that varies, which is the size; if none varies, the index of
        the largest component. Then the indices of the size and of all components that it
        determines.
    """
    columns = list(zip(*lists, strict=True))
    varying = [i for i, column in enumerate(columns) if len(set(column)) > 1]
    # If nothing varies, the largest component is the size, such as 10 in the width [2, 10, 1].
    size = varying[-1] if varying else max(range(len(columns)), key=lambda i: (columns[i][0], i))
    return size, frozenset({size} | {i for i in varying if determined(columns[i], columns[size])})


def determined(values: Sequence[Hashable], by: Sequence[Hashable]) -> bool:
    """Return whether `values` are a function of `by`: equal wherever `by` has equal items.

    Args:
        values: the items.
        by: other items, one for each of `values`.
    """
    return len(set(zip(by, values, strict=True))) == len(set(by))


def names_of(values: Sequence[Any]) -> list[str]:
    """Return a short name for each value of a key; different values have different names.

    Entries that are equal in all tables of a type are left out, if the names still differ.
    """
    items: dict[str, list[set[str]]] = {}  # the entries of the tables of each type
    for table in _tables(values):
        kind = str(table.get("type", ""))
        own = {f"{kind}.{k}={full(v)}" for k, v in table.items() if k != "type"}
        items.setdefault(kind, []).append(own)
    common = set[str]().union(*(set.intersection(*own) for own in items.values()))
    for left_out in (common, ()):
        cut = [_cut(full(value, left_out)) for value in values]
        if determined([_json(value) for value in values], cut):
            return cut
    distinct = list(dict.fromkeys(map(_json, values)))
    return [f"{one} #{distinct.index(_json(v)) + 1}" for one, v in zip(cut, values, strict=True)]


def full(value: Any, but: Container[str] = ()) -> str:
    """Return the text of a value of a varied key, without some entries of its tables.

    Args:
        value: the value.
        but: entries of tables that are left out, each as "type.key=value", such as "adam.steps=50".
    """
    match value:
        case Mapping():
            kind = str(value.get("type", ""))
            items = {key: full(v, but) for key, v in value.items() if key != "type"}
            told = [f"{k}={v}" for k, v in items.items() if f"{kind}.{k}={v}" not in but]
            return f"{kind} ({', '.join(told)})" if told or not kind else kind
        case list() | tuple():
            parts = [full(one, but) for one in value]
            stages = parts and all(isinstance(one, Mapping) for one in value)
            return " + ".join(parts) if stages else f"[{', '.join(parts)}]"
        case None:
            return "none"
        case str():
            return value
        case float():
            return f"{value:.6g}"
    return json.dumps(value, ensure_ascii=False)


def _tables(value: Any) -> Iterator[Mapping[str, Any]]:
    """Yield the tables in a value: the value itself if it is a table, or those in a list."""
    match value:
        case Mapping():
            yield value
        case list() | tuple():
            for item in value:
                yield from _tables(item)


def _cut(text: str) -> str:
    """Return a text on one line, cut to 40 characters."""
    text = " ".join(text.split())
    longest = 40  # characters of a label
    return text if len(text) <= longest else f"{text[: longest - 1].rstrip()}…"


def _json(value: Any) -> str:
    """Return a value as JSON text with sorted keys; equal values have equal texts."""
    return json.dumps(value, sort_keys=True, default=str)


SIZES = {"parameters": "{:.0f}", "seconds": "{:.2f}"}
TITLES = {"l2_relative": "rel. L2", "h1_relative": "rel. H1"}


def title_of(column: str) -> str:
    """Return the title of a column of the table, as plain text."""
    return TITLES.get(column, column.replace("_", " "))


def settings_table(study: Study, ranges: bool = False, lines: int = 1000) -> ShownTable:
    """Return a table with a row for each setting: medians over its runs, and notes as the caption.

    Seeds and keys with a single value have no column.

    Args:
        study: the study.
        ranges: whether each median is followed by the range over the runs.
        lines: the largest number of settings; the settings with the lowest errors are shown.
    """
    labels = {key: names_of(study.column(key)) for key in study.varied if not is_seed(key)}
    labels = {key: names for key, names in labels.items() if len(set(names)) > 1}
    settings: dict[tuple[str, ...], list[Row]] = {}
    for index, row in enumerate(study.rows):
        settings.setdefault(tuple(names[index] for names in labels.values()), []).append(row)
    notes = []
    if (count := len(settings)) > lines:
        error = _foremost(study)
        medians = {one: _known_values(runs, error) or [math.inf] for one, runs in settings.items()}
        best = sorted(settings, key=lambda one: median(medians[one]))
        settings = {one: settings[one] for one in best[:lines]}
        notes.append(f"the best {lines} of {count} settings")
    if any(len(runs) > 1 for runs in settings.values()):
        notes.append("medians over runs that differ in the seed")
    forms = dict.fromkeys(study.errors, "{:.2e}")
    if study.kind == "fit":
        forms |= {"test_accuracy": "{:.2%}", "validation_accuracy": "{:.2%}"}
    forms |= SIZES
    last = [key.rpartition(".")[2] for key in labels]
    head = [n if last.count(n) == 1 else k for k, n in zip(labels, last, strict=True)]
    head += ["runs", "converged", "failed"]
    head += [text for one in forms for text in (title_of(one), "range")[: 1 + ranges]]
    rows = []
    for setting, runs in settings.items():
        lost, good = sum(map(has_failed, runs)), _converged(runs)
        told = "" if good + lost == len(runs) else str(good)  # the column may be left out
        cells = [*setting, str(len(runs)), told, str(lost or "")]
        for column, form in forms.items():
            values = _known_values(runs, column)
            cells.append(form.format(median(values)) if values else ABSENT)
            if ranges:
                several = f"{form} … {form}".format(min(values), max(values)) if values else ABSENT
                cells.append(several)
        rows.append(cells)
    columns = [c for c in zip(head, *rows, strict=True) if not {*c[1:]} <= {"", ABSENT}]
    head, *rows = map(list, zip(*columns, strict=True))
    return ShownTable(head, rows, "; ".join(notes))


def _converged(runs: Sequence[Row]) -> int:
    """Return the number of runs that converged."""
    return sum(run["status"].startswith(CONVERGED) for run in runs)


def _known_values(runs: Iterable[Row], column: str) -> list[Any]:
    """Return the values of a column in the runs that have not failed, without missing values."""
    return [run[column] for run in runs if not has_failed(run) and run[column] is not None]


def _foremost(study: Study) -> str:
    """Return the first column of errors with a value, or the first column if none has a value."""
    return next((e for e in study.errors if any(_known_values(study.rows, e))), study.errors[0])


def summary_of(study: Study) -> dict[str, Any]:
    """Return the summary of a study as a dict: name, folder, counts of runs, best and failed runs.

    Overfitted runs count as failed.
    """
    lost = [row for row in study.rows if has_failed(row)]
    error = _foremost(study)
    known = [r for r in study.rows if not has_failed(r) and r[error] is not None]
    return {
        "name": study.name,
        "folder": str(study.path),
        "runs": len(study.rows),
        "converged": _converged(study.rows),
        "failed": len(lost),
        "best": min(known, key=lambda row: row[error], default=None),
        "failures": lost,
    }


def failures(study: Study) -> dict[str, list[str]]:
    """Return the failed runs by message; each run is a text with its values of the varied keys."""
    found: dict[str, list[str]] = {}
    for row in filter(has_failed, study.rows):
        values = (f"{key.rpartition('.')[2]} {full(row[key])}" for key in telling(study))
        found.setdefault(row["status"].partition(": ")[2], []).append(", ".join(values))
    return found


def telling(study: Study) -> list[str]:
    """Return those varied keys of a study that have more than one value."""
    return [key for key in study.varied if len({*map(full, study.column(key))}) > 1]


def failure_lines(study: Study, most: int = 5) -> str:
    """Return a text with the number of failed runs, and each message with its first run.

    Overfitted runs count as failed.

    Args:
        most: the largest number of messages that are shown.
    """
    lost = [row for row in study.rows if has_failed(row)]
    also = any(row["status"].startswith(OVERFITTED) for row in lost)
    verb = "have failed or are overfitted" if also else "have failed"
    lines = [f"{len(lost)} of {len(study.rows)} runs {verb}"]
    found = list(failures(study).items())
    lines += [f"{message} ({runs[0]})" for message, runs in found[:most]]
    if len(found) > most:
        lines.append(f"and {len(found) - most} other messages, which are in study.csv")
    return "\n".join(lines)
