"""Writing and reading of those parts of a run folder's files that differ between solves, eigenvalue
problems and fits.
"""

import dataclasses
import logging
import math
import types
import typing
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Generic, TypeVar

import h5py
import torch
from torch import Tensor

from kanpinn.accuracy.confidence import Dependence, Estimated, HalfWidths, Noise
from kanpinn.accuracy.errors import Bound, Errors, Estimate
from kanpinn.runs.config import Result
from kanpinn.runs.results.hdf5 import new_file, write_run, write_scaled, write_vtkhdf
from kanpinn.solvers.eigen import Eigensolution
from kanpinn.solvers.fit import Fitted, Scores
from kanpinn.solvers.grid_fields import GridFields, modes_on_grid, on_grid
from kanpinn.solvers.solution import Solution
from kanpinn.solvers.verification import Verification

R = TypeVar("R", bound=Result)

log = logging.getLogger(__name__)


class Contents(ABC, Generic[R]):
    """Writes and reads the files of one kind of run: of solves, eigenvalue problems or fits.

    checkpoint.pt and the entries that run.json has for every kind of run are left to `RunFolder`.

    Attributes:
        group: the group of result.h5 that holds the fields on a grid.
    """

    group = "fields"

    @abstractmethod
    def record(self, result: R) -> dict[str, Any]:
        """Return the entries of run.json whose keys or form are particular to this kind of run."""

    def grid(self, result: R) -> GridFields | None:
        """Return the fields on a regular grid; None if there are none to draw.

        There are none for a fit, for a solve in more than three dimensions, and without modes.
        """
        return None

    @abstractmethod
    def describe_in(self, file: h5py.File, result: R) -> None:
        """Write the attributes and datasets of result.h5 that only this kind of run has."""

    @abstractmethod
    def arrays(self, result: R) -> dict[str, Any]:
        """Return all arrays of an NPZ file by name, for `to_npz`.

        A solve or an eigenvalue problem has the coordinates of the grid, the fields on the grid
        and, if any, the eigenvalues. A fit has the rows of its data and the fitted values.
        """

    @abstractmethod
    def saved(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """Return the attributes of a result that are stored in run.json, by name.

        Args:
            record: the contents of run.json.
        """

    def shown(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """Return the further values of run.json that the printed summary of a run shows, by name.

        Args:
            record: the contents of run.json.
        """
        return {}

    def write(self, result: R, settings: Mapping[str, Any], folder: Path, figures: bool) -> None:
        """Write result.h5 and, if they can be made, fields.vtkhdf and the figures.

        In result.h5 the axes of the grid are the HDF5 dimension scales of every field.

        Args:
            result: the result of the run.
            settings: the sections of the configuration.
            folder: the run folder.
            figures: whether figures are drawn.
        """
        fields = None
        try:
            fields = self.grid(result)
        except Exception:  # the computed result must be saved even if its fields fail
            log.warning("the fields on a grid could not be made", exc_info=True)
        with new_file(folder / "result.h5") as file:
            write_run(file, result, settings)
            self.describe_in(file, result)
            if fields is not None:
                group = file.create_group(self.group)
                write_scaled(group, fields.axes, fields.arrays, compression="gzip")
        if fields is not None and not fields.fixed:  # all coordinates vary
            write_vtkhdf(fields, folder / "fields.vtkhdf")
        if figures:  # last: a process that is killed while it draws has saved its result
            try:
                # only here: workers of a study never need Matplotlib
                from kanpinn.plotting import draw_figures

                draw_figures(result, folder / "figures", fields)
            except Exception:  # the run must be finished even if a picture fails
                log.warning("the figures could not be made", exc_info=True)


def typed(hint: Any, saved: Any, absent: float = math.nan) -> Any:
    """Convert a value of run.json to a type, such as a dataclass or dict[str, float].

    Args:
        hint: the type.
        saved: the value. For other types than float, null becomes None.
        absent: the float that replaces null, since JSON has neither NaN nor infinity.
    """
    if typing.get_origin(hint) is types.UnionType:  # T | None
        if saved is None:
            return None
        (hint,) = (one for one in typing.get_args(hint) if one is not types.NoneType)
    kind: Any = typing.get_origin(hint) or hint
    if kind is float:
        return absent if saved is None else float(saved)
    if saved is None:
        return None
    if dataclasses.is_dataclass(kind):
        hints, make = typing.get_type_hints(kind), typing.cast(Any, kind)
        return make(**{name: typed(hints[name], one, absent) for name, one in saved.items()})
    if kind is dict:
        inner = typing.get_args(hint)[1]
        return {key: typed(inner, one, absent) for key, one in saved.items()}
    if kind is tuple:
        inner = (*typing.get_args(hint), Any)[0]
        return tuple(typed(inner, one, absent) for one in saved)
    return kind(saved) if kind in (bool, int) else saved


ESTIMATE = ("contraction", "seconds", "reason")  # entries of an estimate besides its errors


class SolveContents(Contents[Solution]):
    """Writes errors and their estimate to run.json, fields to result.h5 (/fields) and VTK."""

    def record(self, result: Solution) -> dict[str, Any]:
        """Return the entries of run.json for a solve.

        - errors: the norms of the error against the exact solution or the reference solution; None
          if the problem has neither.
        - reference: the source of the reference solution and its own relative L2 error.
        - estimate: the norms of the error, estimated without an exact or reference solution. If a
          norm is not known, it is null, and the entry "reason" says why. The entry "bound" has
          guaranteed bounds of the norms, null if unknown or infinite, or the reason why there are
          no bounds.
        - estimated_error: the relative L2 error as estimated by `estimate` or, without it, by the
          solve itself, as in cells and marches in time; null if unknown.
        - verification: the loss at points that the solve has not used, and the loss at its points.
        - estimated: each unknown scalar parameter with its 95% confidence bounds (null if
          infinite), the change that one more step would make (`step`), whether this change is small
          (`arrived`), whether the network's own error is known (`resolved`), and the names of the
          other parameters from which the data do not tell it apart (`confounded`).
        - dependences: pairs of unknown parameters that the data hardly tell apart.
        - spreads: the half-widths of the confidence bounds of each unknown field over the domain.
        - noise: the estimated noise of the data, None without unknowns.
        - invariants: for each invariant its value at the initial time, its drift, and the drift
          relative to the integral of the density's absolute value.
        - quantities: the numbers that the problem computes from its solution, by name; null if the
          problem's function fails.
        - auto: the log of the trial solves of `TrialSearch`, empty if no trials were made.
        - seconds: the times of the whole solve ("total"), of each optimizer, and of the reference;
          "total" excludes the estimate and the computation of the reference.
        """
        errors: Any = None if result.errors is None else asdict(result.errors)
        estimate: Any = None if result.estimate is None else asdict(result.estimate)
        if estimate is not None:
            unknown: Any = dict.fromkeys(norm.name for norm in dataclasses.fields(Errors))
            estimate = (estimate.pop("errors") or unknown | {"fields": {}}) | estimate
        for norms in filter(None, (errors, estimate)):
            for field in norms["fields"].values():
                del field["fields"]  # a single field has no fields of its own
        against = result.reference if errors is not None else None
        inverse: dict[str, Any] = {"estimated": {}, "dependences": [], "spreads": {}, "noise": None}
        if result.problem.unknowns:
            pairs = result.covariance.dependences() if result.estimated else ()
            inverse = {name: {k: asdict(one) for k, one in getattr(result, name).items()}
                       for name in ("estimated", "spreads")}  # fmt: skip
            inverse["dependences"] = [asdict(one) for one in pairs]
            inverse["noise"] = asdict(result.covariance.noise)
        quantities = None
        try:
            quantities = dict(result.quantities)
        except Exception:  # the computed result must be saved even if the problem's function fails
            log.warning("the quantities of the solution could not be computed", exc_info=True)
        invariants = {} if result.problem.invariants is None else result.invariants
        drifts = ("drift", "relative_drift")
        return {
            "errors": errors,
            "reference": against and {"source": against.source, "error": against.error},
            "estimate": estimate,
            "estimated_error": result.estimated_error,
            "verification": result.verification and asdict(result.verification),
            **inverse,
            "invariants": {
                name: {"first": float(kept.values[0])} | {key: getattr(kept, key) for key in drifts}
                for name, kept in invariants.items()
            },
            "quantities": quantities,
            "auto": list(result.log),
            "seconds": {
                "total": result.seconds,
                "optimizers": list(result.optimizer_seconds),
                "reference": result.reference_seconds,
            },
        }

    def grid(self, result: Solution) -> GridFields | None:
        return on_grid(result) if result.problem.domain.dim <= 3 else None

    def describe_in(self, file: h5py.File, result: Solution) -> None:
        """Write the name of the problem and, in the group /invariants, each invariant over time.

        The HDF5 dimension scale of the invariants is the time, under the name of its coordinate.
        """
        file.attrs["problem"] = type(result.problem).__name__
        if result.problem.invariants is None:
            return
        values = {name: invariant.values for name, invariant in result.invariants.items()}
        times = next(invariant.times for invariant in result.invariants.values())
        group, time = file.create_group("invariants"), result.problem.domain.names[-1]
        write_scaled(group, {time: times}, values)

    def arrays(self, result: Solution) -> dict[str, Any]:
        fields = on_grid(result)
        return {**fields.axes, **fields.fixed, **fields.arrays}

    def saved(self, record: Mapping[str, Any]) -> dict[str, Any]:
        estimate, known = None, record["estimate"]
        if known is not None:
            rest = {key: known.get(key, "") for key in ESTIMATE}
            norms = {key: one for key, one in known.items() if key not in (*rest, "bound")}
            errors = None if rest["reason"] else typed(Errors, norms)
            estimate = Estimate(errors, **rest, bound=typed(Bound, known.get("bound")))
        return {
            "errors": typed(Errors, record["errors"]),
            "estimate": estimate,
            "verification": typed(Verification, record.get("verification")),
            "log": tuple(record.get("auto", ())),
            "reference_seconds": record["seconds"]["reference"],
        }

    def shown(self, record: Mapping[str, Any]) -> dict[str, Any]:
        noise, reference = typed(Noise, record.get("noise")), record.get("reference")
        pairs = [typed(Dependence, one) for one in record.get("dependences", ())]
        drifts = (record.get("invariants") or {}).items()
        estimated, spreads = (record.get(name) or {} for name in ("estimated", "spreads"))
        return {
            "reference": reference and SimpleNamespace(**reference),
            "estimated_error": record.get("estimated_error"),
            "problem": SimpleNamespace(unknowns=noise is not None),
            "estimated": {n: typed(Estimated, x, math.inf) for n, x in estimated.items()},
            "spreads": {n: typed(HalfWidths, x, math.inf) for n, x in spreads.items()},
            "covariance": SimpleNamespace(noise=noise, dependences=lambda: pairs),
            "invariants": {name: SimpleNamespace(**one) for name, one in drifts},
            "quantities": record.get("quantities") or {},
        }


LISTS = {  # attributes of an Eigensolution by their keys in the entries of "eigenvalues"
    "residual": "residual_norms",
    "bound": "bounds",
    "estimate": "estimates",
    "error": "errors",
}


class EigenContents(Contents[Eigensolution]):
    """Writes eigenvalues, bounds and errors to run.json, modes to result.h5 (/modes) and VTK."""

    group = "modes"

    def record(self, result: Eigensolution) -> dict[str, Any]:
        """Return the entries of run.json that only eigenvalue problems have.

        - eigenvalues: for each mode the real part, the imaginary part, the multiplicity and the
          residual; also the bound, the estimate, the exact eigenvalue (exact_real, exact_imaginary)
          and the relative error, each None if unknown;
        - unbounded: why the errors have no bound; None if there are bounds;
        - unresolved: the number of modes that were left out.
        """
        worst = None if result.errors is None else float(result.errors.max())
        entries = []
        for index in range(result.count):
            value = complex(result.values[index])
            entry: dict[str, Any] = {"real": value.real, "imaginary": value.imag}
            entry["multiplicity"] = result.multiplicities[index]
            for key, name in LISTS.items():
                known = getattr(result, name)
                entry[key] = None if known is None else float(known[index])
            exact = None if result.exact is None else complex(result.exact[index])
            entry["exact_real"] = None if exact is None else exact.real
            entry["exact_imaginary"] = None if exact is None else exact.imag
            entries.append(entry)
        return {
            "errors": None if worst is None else {"eigenvalue_relative": worst},
            "eigenvalues": entries,
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
        fields, own = modes_on_grid(result), {"eigenvalues": result.values.cpu().numpy()}
        return {**fields.axes, **fields.fixed, **fields.arrays, **own}

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

    def shown(self, record: Mapping[str, Any]) -> dict[str, Any]:
        return {"multiplicities": [one["multiplicity"] for one in record["eigenvalues"]]}


def _column(entries: list[dict[str, Any]], key: str) -> Tensor | None:
    """Return the values of a key in n entries, (n,), NaN for None; None if all values are None."""
    values = [entry[key] for entry in entries]
    if values and all(value is None for value in values):
        return None
    numbers = [math.nan if value is None else value for value in values]
    return torch.tensor(numbers, dtype=torch.float64)


def _numbers(entries: list[dict[str, Any]], real: str, imaginary: str) -> Tensor | None:
    """Return the numbers with given real and imaginary parts, (n,).

    Args:
        entries: the n entries of the record.
        real, imaginary: the keys of the two parts.

    Returns:
        The numbers, real if all imaginary parts are 0; None if all entries have None for one of the
        parts.
    """
    first, second = (_column(entries, key) for key in (real, imaginary))
    if first is None or second is None:
        return None
    return torch.complex(first, second) if bool(second.any()) else first


class FitContents(Contents[Fitted]):
    """Writes scores to run.json, and the scaling of outputs to /network of result.h5."""

    def record(self, result: Fitted) -> dict[str, Any]:
        """Return the entries of run.json for a fit.

        - errors: the scores of each part of the data;
        - data: the names of inputs, targets and classes, and the number of rows of each part.
        """
        train = result.data.train
        return {
            "errors": {part: asdict(scores) for part, scores in result.scores.items()},
            "data": {
                "inputs": list(train.names),
                "targets": list(train.outputs),
                "classes": list(train.classes),
                "rows": {part: len(table) for part, table in result.data.parts.items()},
            },
        }

    def describe_in(self, file: h5py.File, result: Fitted) -> None:
        """Write the names of inputs, outputs and classes, and the outputs' mean and deviation."""
        train, output = result.data.train, result.surrogate.output
        file.attrs["inputs"] = list(train.names)
        file.attrs["outputs"] = list(train.outputs)
        file.attrs["classes"] = list(train.classes)
        if output is not None:  # None for classes, whose logits are not scaled
            for name in ("mean", "deviation"):
                file["network"].attrs[name] = getattr(output, name).cpu().numpy()

    def arrays(self, result: Fitted) -> dict[str, Any]:
        arrays: dict[str, Any] = {}
        for part, table in result.data.parts.items():
            arrays[f"{part}_inputs"] = table.inputs.numpy()
            arrays[f"{part}_targets"] = table.targets.numpy()
            outputs = torch.cat([result(rows) for rows in table.inputs.split(2**13)])
            arrays[f"{part}_outputs"] = outputs.cpu().numpy()
        return arrays

    def saved(self, record: Mapping[str, Any]) -> dict[str, Any]:
        return {"scores": {part: typed(Scores, one) for part, one in record["errors"].items()}}
