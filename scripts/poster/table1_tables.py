"""Errors and orders of Table 1 as CSV and HDF5."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy
from poster.table1_orders import Series

from kanpinn._support.files import replacing, write_text

KEYS = ("study", "setting", "degree", "norm")
ERRORS = (*KEYS, "grid", "error")
ORDERS = (*KEYS, "theory", "order", "margin", "first_grid", "last_grid", "errors")


def write_tables(series: Sequence[Series], folder: Path) -> None:
    """Write table1_errors.csv, table1_orders.csv, and both as groups of table1.h5."""
    tables = {"errors": (ERRORS, _errors(series)), "orders": (ORDERS, _orders(series))}
    for name, (head, rows) in tables.items():
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([head, *rows])
        write_text(folder / f"table1_{name}.csv", text.getvalue())
    with replacing(folder / "table1.h5") as temporary, h5py.File(temporary, "w") as file:
        for name, (head, rows) in tables.items():
            group = file.create_group(name)
            group.attrs["columns"] = head
            for column, values in zip(head, zip(*rows, strict=True), strict=True):
                group[column] = _array(values)


def _errors(series: Sequence[Series]) -> list[tuple[Any, ...]]:
    return [
        (*_keys(s), grid, error)
        for s in series
        for grid, error in zip(s.grids, s.errors, strict=True)
    ]


def _orders(series: Sequence[Series]) -> list[tuple[Any, ...]]:
    return [
        (*_keys(s), s.theory, s.fit.order, s.fit.margin, *s.fitted, s.fit.count)
        for s in series
        if s.fit is not None and s.fitted is not None
    ]


def _keys(s: Series) -> tuple[Any, ...]:
    return tuple(getattr(s, key) for key in KEYS)


def _array(values: Sequence[Any]) -> numpy.ndarray:
    """Return numbers as float64 (NaN: none), everything else as text."""
    if any(isinstance(value, str) for value in values):
        return numpy.array(values, dtype=h5py.string_dtype())
    return numpy.array([numpy.nan if v is None else v for v in values], dtype=numpy.float64)
