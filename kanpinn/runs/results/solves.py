"""What a run folder holds of a solve: errors, fields on a grid, figures."""

import dataclasses
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import h5py

from kanpinn.accuracy.norms import Errors
from kanpinn.runs.config import SolveJob
from kanpinn.runs.results.contents import Contents, attempt, numbers
from kanpinn.runs.results.hdf5 import write_fields, write_result
from kanpinn.runs.results.vtkhdf import write_vtkhdf
from kanpinn.solvers.grid_fields import GridFields, on_grid
from kanpinn.solvers.solution import Estimate, Solution


class SolveContents(Contents[SolveJob, Solution]):
    """Errors, what they are against and how well they are known; /fields, fields.vtkhdf."""

    def record(self, result: Solution) -> dict[str, Any]:
        """reference says what errors are against where there is no exact solution, with its own
        relative L2 error; estimate what is known of them without either. estimated has the unknown
        numbers with the ends of their 95% intervals, null where these are infinite, what a further
        step would change them by and whether, that being little, the search has arrived; spreads
        the half-widths of the unknown fields' intervals; noise what is known of that of the data.
        The total of the seconds leaves out the estimate, and also the making of the reference.
        """
        return {
            "errors": _errors_record(result.errors),
            "reference": _reference_record(result),
            "estimate": _estimate_record(result.estimate),
            "estimated": {name: asdict(one) for name, one in result.estimated.items()},
            "spreads": {name: asdict(one) for name, one in result.spreads.items()},
            "noise": _noise_record(result),
            "auto": list(result.log),
            "seconds": {
                "total": result.seconds,
                "optimizers": list(result.optimizer_seconds),
                "reference": result.reference_seconds,
            },
        }

    def write(
        self, result: Solution, settings: Mapping[str, Any], folder: Path, figures: bool
    ) -> None:
        fields = attempt("the fields", lambda: _grid(result))

        def more(file: h5py.File) -> None:
            file.attrs["problem"] = type(result.problem).__name__
            if fields is not None:
                write_fields(file.create_group("fields"), fields)

        write_result(result, settings, folder / "result.h5", more)
        if fields is not None and len(fields.axes) == result.problem.domain.dim:
            write_vtkhdf(fields, folder / "fields.vtkhdf")
        if figures:
            attempt("the figures", lambda: self.draw(result, folder / "figures", fields))

    def draw(self, result: Solution, folder: Path, fields: GridFields | None = None) -> list[Path]:
        from kanpinn.plotting import draw_figures  # Matplotlib, which a study's workers never need

        return draw_figures(result, folder, fields)

    def restore(self, job: SolveJob, state: Mapping[str, Any], measured: bool) -> Solution:
        return job.solve(checkpoint=state, errors=measured)

    def saved(self, record: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "errors": _errors(record["errors"]),
            "estimate": _estimate(record["estimate"]),
            "log": tuple(record.get("auto", ())),
            "reference_seconds": record["seconds"]["reference"],
        }


def _grid(solution: Solution) -> GridFields | None:
    return on_grid(solution) if solution.problem.domain.dim <= 3 else None


def _errors_record(errors: Errors | None) -> dict[str, Any] | None:
    if errors is None:
        return None
    plain = dataclasses.asdict(errors)
    for field in plain["fields"].values():
        del field["fields"]
    return plain


def _estimate_record(estimate: Estimate | None) -> dict[str, Any] | None:
    if estimate is None:
        return None
    errors = _errors_record(estimate.errors)
    return {**(errors or {}), "contraction": estimate.contraction, "seconds": estimate.seconds}


def _noise_record(result: Solution) -> dict[str, Any] | None:
    return asdict(result.covariance.noise) if result.problem.unknowns else None


def _reference_record(solution: Solution) -> dict[str, Any] | None:
    known = solution.reference
    if known is None or solution.errors is None:
        return None
    return {"source": known.source, "error": known.error}


def _estimate(saved: Mapping[str, Any] | None) -> Estimate | None:
    if saved is None:
        return None
    rest = {k: v for k, v in saved.items() if k not in ("contraction", "seconds")}
    errors = _errors(rest)
    assert errors is not None
    return Estimate(errors, saved["contraction"], saved["seconds"])


def _errors(saved: Mapping[str, Any] | None) -> Errors | None:
    if saved is None:
        return None
    fields = {name: _one(one) for name, one in saved["fields"].items()}
    return dataclasses.replace(_one(saved), fields=fields)


def _one(saved: Mapping[str, Any]) -> Errors:
    values = numbers({name: value for name, value in saved.items() if name != "fields"})
    return Errors(**values, fields={})
