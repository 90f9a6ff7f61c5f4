"""`Contents`, the interface by which each kind of run writes and reads its part of a run folder."""

import logging
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

import h5py
import numpy

from kanpinn.runs.config import Job, Result
from kanpinn.runs.results.hdf5 import new_file, write_run, write_vtkhdf
from kanpinn.solvers.regular_grid import GridFields

R = TypeVar("R", bound=Result)
J = TypeVar("J", bound=Job)

log = logging.getLogger(__name__)


class Contents(ABC, Generic[J, R]):
    """Writes and reads the files of one kind of run, except checkpoint.pt and the common entries.

    The common entries are those that run.json has for every kind.

    group: the group of result.h5 that holds the fields on a grid.
    """

    group = "fields"

    @abstractmethod
    def record(self, result: R) -> dict[str, Any]:
        """Return the entries of run.json that this kind adds to the common ones or replaces."""

    @abstractmethod
    def grid(self, result: R) -> GridFields | None:
        """Return the fields sampled on a regular grid, None if the result has no such fields."""

    @abstractmethod
    def describe_in(self, file: h5py.File, result: R) -> None:
        """Write the attributes and datasets of result.h5 that only this kind has."""

    @abstractmethod
    def arrays(self, result: R) -> dict[str, Any]:
        """Return the arrays of an NPZ file by name."""

    @abstractmethod
    def draw(self, result: R, folder: Path, fields: GridFields | None = None) -> list[Path]:
        """Draw the figures into a folder, created if need be, and return the paths of their files.

        fields: the result of `grid` if it has been computed already.
        """

    @abstractmethod
    def restore(self, job: J, state: Mapping[str, Any], measured: bool) -> R:
        """Return the result at a state with no step left to take.

        measured: whether the errors are computed, rather than read from run.json by `saved`.
        """

    @abstractmethod
    def saved(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """Return the attributes of the result that run.json has for this kind only."""

    def write(self, result: R, settings: Mapping[str, Any], folder: Path, figures: bool) -> None:
        """Write result.h5 and, if they can be made, fields.vtkhdf and the figures.

        In result.h5 the axes of the fields are the HDF5 dimension scales of every array.
        """
        fields = None
        try:
            fields = self.grid(result)
        except Exception:  # the computed result must be saved even if it fails elsewhere
            log.warning("the fields on a grid could not be made", exc_info=True)
        with new_file(folder / "result.h5") as file:
            write_run(file, result, settings)
            self.describe_in(file, result)
            if fields is not None:
                group = file.create_group(self.group)
                for name, axis in fields.axes.items():
                    group[name] = axis
                    group[name].make_scale(name)
                for name, values in fields.arrays.items():
                    data = group.create_dataset(name, data=values, compression="gzip")
                    for i, coordinate in enumerate(fields.axes):
                        data.dims[i].label = coordinate
                        data.dims[i].attach_scale(group[coordinate])
        if fields is not None and not fields.fixed:  # all coordinates vary
            write_vtkhdf(fields, folder / "fields.vtkhdf")
        if figures:  # last, so that a process that ends while it draws has saved its result
            try:
                self.draw(result, folder / "figures", fields)
            except Exception:  # the run must be finished even if a picture fails
                log.warning("the figures could not be made", exc_info=True)


def with_nan(saved: Mapping[str, float | None]) -> dict[str, float]:
    """Return numbers of run.json with NaN for null, since JSON has no NaN."""
    return {name: math.nan if value is None else float(value) for name, value in saved.items()}


def as_arrays(fields: GridFields) -> dict[str, numpy.ndarray | float]:
    """Return axes, fixed coordinates and values of fields on a grid by name."""
    return {**fields.axes, **fields.fixed, **fields.arrays}
