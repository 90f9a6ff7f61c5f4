"""The contents of a solve's run folder: errors, fields on a grid, figures."""

import dataclasses
import logging
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import h5py

from kanpinn.accuracy.bounds import Bound
from kanpinn.accuracy.errors import Errors
from kanpinn.accuracy.estimate import Estimate
from kanpinn.runs.config import SolveJob
from kanpinn.runs.results.contents import Contents, as_arrays, with_nan
from kanpinn.solvers.grid_fields import on_grid
from kanpinn.solvers.regular_grid import GridFields
from kanpinn.solvers.solution import Solution
from kanpinn.solvers.verification import Verification

log = logging.getLogger(__name__)

ESTIMATE = ("contraction", "seconds", "reason")  # entries of an estimate besides its errors


class SolveContents(Contents[SolveJob, Solution]):
    """Errors with their reference and estimate in run.json; fields in /fields and fields.vtkhdf."""

    def record(self, result: Solution) -> dict[str, Any]:
        """Return the entries of run.json for a solve.

        errors: against the exact solution or the reference; None without either.
        reference: the source of the reference solution and its own relative L2 error.
        estimate: the errors estimated without an exact solution or a reference; null with the
        reason where they are not known. Its "bound" has guaranteed bounds, null where they are
        not known or infinite, or the reason why there are none.
        verification: the loss at fresh points beside that at the solve's own.
        estimated: each unknown number with its 95% confidence bounds (null if infinite), the change
        that one more step would make to it (`step`), whether this is small (`arrived`), whether the
        network's own error is known (`resolved`), and other numbers from which the data do not tell
        it (`confounded`).
        dependences: pairs of unknown numbers that the data hardly tell apart.
        spreads: the half-widths of the confidence bounds of each unknown field over the domain.
        noise: the estimated noise of the data, None without unknowns.
        invariants: for each invariant its value at the first moment, its drift, and the drift
        relative to the integral of the density's absolute value.
        quantities: the numbers that the problem computes from its solution, by name; null if the
        problem's function fails.
        auto: the log of trials, empty if none were made.
        seconds: the total excludes the estimate and the computation of the reference.
        """
        errors: dict[str, Any] | None = None
        estimate: dict[str, Any] | None = None
        if result.errors is not None:
            errors = asdict(result.errors)
        if result.estimate is not None:
            names = [one.name for one in dataclasses.fields(Errors)]
            unknown: dict[str, Any] = {**dict.fromkeys(names), "fields": {}}
            known = result.estimate.errors
            rest = {key: getattr(result.estimate, key) for key in ESTIMATE}
            estimate = {**(unknown if known is None else asdict(known)), **rest}
            estimate["bound"] = result.estimate.bound and asdict(result.estimate.bound)
        for norms in filter(None, (errors, estimate)):
            for field in norms["fields"].values():
                del field["fields"]  # a single field has none
        against = result.reference if errors is not None else None
        inverse: dict[str, Any] = {"estimated": {}, "dependences": [], "spreads": {}, "noise": None}
        if result.problem.unknowns:
            inverse = _of_unknowns(result)
        return {
            "errors": errors,
            "reference": against and {"source": against.source, "error": against.error},
            "estimate": estimate,
            "verification": result.verification and asdict(result.verification),
            **inverse,
            "invariants": {} if result.problem.invariants is None else _drifts(result),
            "quantities": _quantities(result),
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
        """Write the name of the problem, and in /invariants their values over time.

        The scale of the group is the time, under the name of its coordinate.
        """
        file.attrs["problem"] = type(result.problem).__name__
        if result.problem.invariants is None:
            return
        time = result.problem.domain.names[-1]
        group = file.create_group("invariants")
        for name, one in result.invariants.items():
            if time not in group:
                group[time] = one.times
                group[time].make_scale(time)
            group[name] = one.values
            group[name].dims[0].label = time
            group[name].dims[0].attach_scale(group[time])

    def arrays(self, result: Solution) -> dict[str, Any]:
        return dict(as_arrays(on_grid(result)))

    def draw(self, result: Solution, folder: Path, fields: GridFields | None = None) -> list[Path]:
        from kanpinn.plotting import draw_figures  # Matplotlib, which a study's workers never need

        return draw_figures(result, folder, fields)

    def restore(self, job: SolveJob, state: Mapping[str, Any], measured: bool) -> Solution:
        return job.run(checkpoint=state, assessed=measured)

    def saved(self, record: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "errors": _errors(record["errors"]),
            "estimate": _estimate(record["estimate"]),
            "verification": _verification(record.get("verification")),
            "log": tuple(record.get("auto", ())),
            "reference_seconds": record["seconds"]["reference"],
        }


def _of_unknowns(result: Solution) -> dict[str, Any]:
    """Return the entries of run.json on unknown numbers and fields, which `record` describes."""
    pairs = result.covariance.dependences() if result.estimated else ()
    return {
        "estimated": {name: asdict(one) for name, one in result.estimated.items()},
        "dependences": [asdict(one) for one in pairs],
        "spreads": {name: asdict(one) for name, one in result.spreads.items()},
        "noise": asdict(result.covariance.noise),
    }


def _quantities(result: Solution) -> dict[str, float] | None:
    """Return the entry of run.json on quantities, which `record` describes."""
    try:
        return dict(result.quantities)
    except Exception:  # the computed result must be saved even if the problem's function fails
        log.warning("the quantities of the solution could not be computed", exc_info=True)
        return None


def _drifts(result: Solution) -> dict[str, dict[str, float]]:
    """Return the entry of run.json on invariants, which `record` describes."""
    names = ("drift", "relative_drift")
    return {
        key: {"first": float(one.values[0]), **{name: getattr(one, name) for name in names}}
        for key, one in result.invariants.items()
    }


def _estimate(saved: Mapping[str, Any] | None) -> Estimate | None:
    if saved is None:
        return None
    rest = {key: saved.get(key, "") for key in ESTIMATE}
    norms = {key: value for key, value in saved.items() if key not in (*rest, "bound")}
    errors = None if rest["reason"] else _errors(norms)
    return Estimate(errors, **rest, bound=_bound(saved.get("bound")))


def _bound(saved: Mapping[str, Any] | None) -> Bound | None:
    if saved is None:
        return None
    kept = ("theorem", "constants", "reason")
    norms: dict[str, Any] = with_nan({key: saved[key] for key in saved if key not in kept})
    words = {"theorem": saved["theorem"], "reason": saved["reason"]}
    return Bound(**norms, **words, constants=with_nan(saved["constants"]))


def _verification(saved: Mapping[str, Any] | None) -> Verification | None:
    if saved is None:
        return None
    numbers: dict[str, Any] = with_nan({key: saved[key] for key in saved if key != "where"})
    whole: dict[str, Any] = {name: bool(saved[name]) for name in ("on_boundary", "reacts")}
    whole["points"] = int(saved["points"])
    return Verification(**numbers | whole, where=with_nan(saved["where"]))


def _errors(saved: Mapping[str, Any] | None) -> Errors | None:
    if saved is None:
        return None
    fields = {name: _one(one) for name, one in saved["fields"].items()}
    return dataclasses.replace(_one(saved), fields=fields)


def _one(saved: Mapping[str, Any]) -> Errors:
    values = with_nan({name: value for name, value in saved.items() if name != "fields"})
    return Errors(**values, fields={})
