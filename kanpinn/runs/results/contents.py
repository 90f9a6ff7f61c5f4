"""What a run folder holds: written and read for a result of any kind, with what each kind adds."""

import logging
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, TypeVar

import h5py
import numpy

from kanpinn.runs.config import Job, Result
from kanpinn.runs.results.hdf5 import result_file, write_fields, write_vtkhdf
from kanpinn.solvers.grid_fields import GridFields

R = TypeVar("R", bound=Result)
J = TypeVar("J", bound=Job)

log = logging.getLogger(__name__)


class Contents(ABC, Generic[J, R]):
    """The files of one kind of run, besides checkpoint.pt and the common entries of run.json.

    group: the group of result.h5 that has the fields on a grid.
    """

    group = "fields"

    @abstractmethod
    def record(self, result: R) -> dict[str, Any]:
        """Entries of run.json that this kind adds to the common ones, or has in their place."""

    @abstractmethod
    def grid(self, result: R) -> GridFields | None:
        """What can be sampled on a regular grid, sampled; None where there is nothing."""

    @abstractmethod
    def describe_in(self, file: h5py.File, result: R) -> None:
        """Write attributes and datasets of result.h5 that only this kind has."""

    @abstractmethod
    def arrays(self, result: R) -> dict[str, Any]:
        """The arrays of an NPZ file, by name."""

    @abstractmethod
    def draw(self, result: R, folder: Path, fields: GridFields | None = None) -> list[Path]:
        """Draw the figures into a folder, which is made; returns their files.

        fields: what `grid` returns, where that is known already.
        """

    @abstractmethod
    def restore(self, job: J, state: Mapping[str, Any], measured: bool) -> R:
        """The result at a state after which no step is left; measured: compute its errors."""

    @abstractmethod
    def saved(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """Attributes of the result as run.json has them, besides those that all results have."""

    def write(self, result: R, settings: Mapping[str, Any], folder: Path, figures: bool) -> None:
        """Write result.h5 and, where they can be made, fields.vtkhdf and figures."""
        fields = None
        with attempted("the fields on a grid"):
            fields = self.grid(result)
        with result_file(result, settings, folder / "result.h5") as file:
            self.describe_in(file, result)
            if fields is not None:
                write_fields(file.create_group(self.group), fields)
        if fields is not None and not fields.fixed:  # all coordinates vary
            write_vtkhdf(fields, folder / "fields.vtkhdf")
        if figures:
            with attempted("the figures"):
                self.draw(result, folder / "figures", fields)


@contextmanager
def attempted(what: str) -> Iterator[None]:
    """A block that may fail: its exception becomes a warning that `what` could not be made."""
    try:
        yield
    except Exception:  # whatever a picture fails with, the numbers that were computed are kept
        log.warning("%s could not be made", what, exc_info=True)


def with_nan(saved: Mapping[str, float | None]) -> dict[str, float]:
    """Numbers of run.json with NaN for null: JSON has no NaN."""
    return {name: math.nan if value is None else value for name, value in saved.items()}


def as_arrays(fields: GridFields) -> dict[str, numpy.ndarray | float]:
    """Coordinates, held coordinates and values of fields on a grid, by name."""
    return {**fields.axes, **fields.fixed, **fields.arrays}
