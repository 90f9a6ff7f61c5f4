"""The contents of an eigenvalue problem's run folder: eigenvalues, modes on a grid, figures."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import torch
from torch import Tensor

from kanpinn.runs.config import EigenJob
from kanpinn.runs.results.contents import Contents, as_arrays
from kanpinn.solvers.eigen import Eigensolution
from kanpinn.solvers.grid_fields import modes_on_grid
from kanpinn.solvers.regular_grid import GridFields

LISTS = {  # attributes of an Eigensolution by their keys in the entries of "eigenvalues"
    "residual": "residual_norms",
    "bound": "bounds",
    "estimate": "estimates",
    "error": "errors",
}


class EigenContents(Contents[EigenJob, Eigensolution]):
    """Eigenvalues with their bounds and errors in run.json; modes in /modes and fields.vtkhdf."""

    group = "modes"

    def record(self, result: Eigensolution) -> dict[str, Any]:
        """Return the entries of run.json for the eigenvalues.

        eigenvalues: for each mode real and imaginary part, multiplicity and residual, and, if known
        (otherwise None), bound, estimate, exact value (exact_real, exact_imaginary) and relative
        error. unbounded: why there is no bound, None if there is one. unresolved: how many modes
        were left out.
        """
        worst = None if result.errors is None else float(result.errors.max())
        return {
            "errors": None if worst is None else {"eigenvalue_relative": worst},
            "eigenvalues": [_entry(result, index) for index in range(result.count)],
            "self_adjoint": result.self_adjoint,
            "unbounded": result.unbounded or None,
            "unresolved": result.unresolved,
        }

    def grid(self, result: Eigensolution) -> GridFields | None:
        few = result.count and result.problem.domain.dim <= 3
        return modes_on_grid(result) if few else None

    def describe_in(self, file: h5py.File, result: Eigensolution) -> None:
        file.attrs["problem"] = type(result.problem).__name__
        file["eigenvalues"] = result.values.cpu().numpy()

    def arrays(self, result: Eigensolution) -> dict[str, Any]:
        own = {"eigenvalues": result.values.cpu().numpy()}
        return {**as_arrays(modes_on_grid(result)), **own}

    def draw(
        self, result: Eigensolution, folder: Path, fields: GridFields | None = None
    ) -> list[Path]:
        from kanpinn.plotting import draw_modes  # Matplotlib, which a study's workers never need

        return draw_modes(result, folder, fields)

    def restore(self, job: EigenJob, state: Mapping[str, Any], measured: bool) -> Eigensolution:
        return job.run(checkpoint=state)

    def saved(self, record: Mapping[str, Any]) -> dict[str, Any]:
        entries = record["eigenvalues"]
        lists = {name: _column(entries, key) for key, name in LISTS.items()}
        return lists | {
            "values": _numbers(entries, "real", "imaginary"),
            "exact": _numbers(entries, "exact_real", "exact_imaginary"),
            "unbounded": record["unbounded"] or "",
            "self_adjoint": record["self_adjoint"],
            "unresolved": record["unresolved"],
        }


def _entry(result: Eigensolution, index: int) -> dict[str, Any]:
    value = complex(result.values[index])
    exact = None if result.exact is None else complex(result.exact[index])
    lists = {key: getattr(result, name) for key, name in LISTS.items()}
    return {
        "real": value.real,
        "imaginary": value.imag,
        "multiplicity": result.multiplicities[index],
        **{key: None if found is None else float(found[index]) for key, found in lists.items()},
        "exact_real": None if exact is None else exact.real,
        "exact_imaginary": None if exact is None else exact.imag,
    }


def _column(entries: list[dict[str, Any]], key: str) -> Tensor | None:
    values = [entry[key] for entry in entries]
    if values and all(value is None for value in values):
        return None
    numbers = [math.nan if value is None else value for value in values]
    return torch.tensor(numbers, dtype=torch.float64)


def _numbers(entries: list[dict[str, Any]], real: str, imaginary: str) -> Tensor | None:
    first, second = (_column(entries, key) for key in (real, imaginary))
    if first is None or second is None:
        return None
    return torch.complex(first, second) if bool(second.any()) else first
