"""The numbers of a run's report: the main ones, and tables of errors, eigenvalues and scores."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from kanpinn.runs.report.document import ReportTable

NORMS = ("l2", "l2_relative", "l2_squared", "h1", "h1_relative", "h1_squared")
NORM_HEADS = ("L²", "relative L²", "L² squared", "H¹", "relative H¹", "H¹ squared")
SCORES = {"rmse": "RMSE", "max_error": "largest error", "r2": "R²", "accuracy": "accuracy",
          "cross_entropy": "cross entropy"}  # fmt: skip
MODE = {"real": "eigenvalue", "imaginary": "imaginary part", "multiplicity": "multiplicity",
        "residual": "residual", "bound": "bound", "estimate": "estimate",
        "error": "relative error"}  # fmt: skip


def value_text(value: Any) -> str:
    """Return a value of run.json as text: whole numbers in full, "–" for NaN and no number."""
    if value is None or isinstance(value, str | dict | list):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    number = float(value)
    if math.isnan(number):
        return "–"
    if math.isfinite(number) and number == int(number) and abs(number) < 1e15:
        return f"{int(number)}"
    return f"{number:.3e}" if abs(number) < 1e-2 or abs(number) >= 1e5 else f"{number:.6g}"


def headline(record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield names and values of what a reader wants to know first.

    Args:
        record: the contents of run.json.
    """
    yield "status", str(record.get("status", "–"))
    yield from _errors(record)
    yield from _estimate(_table(record, "estimate"))
    for name, one in _table(record, "estimated").items():
        low, high = value_text(one.get("low")), value_text(one.get("high"))
        yield f"{name}, with its 95% interval", f"{value_text(one.get('value'))} ({low} … {high})"
    for name, value in _table(record, "quantities").items():
        yield name, f"{value:.10g}" if isinstance(value, float | int) else "–"
    seconds = _table(record, "seconds").get("total")
    yield "seconds, without imports and figures", value_text(seconds)
    yield "unknowns (trainable numbers)", value_text(record.get("parameters"))
    points = _table(record, "points")
    if points:
        yield "points", ", ".join(f"{count} {name}" for name, count in points.items())
    yield "steps", value_text(record.get("steps"))


def _errors(record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    errors = _table(record, "errors")
    reference = _table(record, "reference")
    against = f" against {reference['source']}" if reference.get("source") else ""
    for key, name in (("l2_relative", "L²"), ("h1_relative", "H¹")):
        if errors.get(key) is not None:
            yield f"relative {name} error{against}", value_text(errors[key])
    if reference.get("error") is not None:
        yield "relative L² error of the reference itself", value_text(reference["error"])
    if errors.get("eigenvalue_relative") is not None:
        yield "largest relative error of eigenvalues", value_text(errors["eigenvalue_relative"])
    for part, scores in errors.items():
        for key, name in SCORES.items():
            if isinstance(scores, dict) and scores.get(key) is not None and part != "fields":
                yield f"{name}, {part} rows", value_text(scores[key])


def _estimate(estimate: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key, name in (("l2_relative", "L²"), ("h1_relative", "H¹")):
        if estimate.get(key) is not None:
            yield f"estimated relative {name} error", value_text(estimate[key])
    if estimate.get("reason"):
        yield "estimate of the error", str(estimate["reason"])
    bound = _table(estimate, "bound")
    for key, name in (("l2_relative", "L²"), ("energy_relative", "energy")):
        if bound.get(key) is not None:
            yield f"guaranteed bound of the relative {name} error", value_text(bound[key])


def value_tables(record: Mapping[str, Any]) -> Iterator[ReportTable]:
    """Yield tables of the errors of each field, of the eigenvalues, and of the drifts.

    Args:
        record: the contents of run.json.
    """
    rows = []
    for key, words in (("errors", "error"), ("estimate", "estimated error")):
        errors = _table(record, key)
        whole = {
            words: errors,
            **{f"{words} of {n}": e for n, e in _table(errors, "fields").items()},
        }
        for name, one in whole.items():
            if one.get("l2") is not None:
                rows.append([name, *(value_text(one.get(norm)) for norm in NORMS)])
    if rows:
        yield ReportTable(["", *NORM_HEADS], rows, "Errors: means over the domain")
    if entries := record.get("eigenvalues"):
        known = [k for k in MODE if any(one.get(k) is not None for one in entries)]
        modes = [
            [str(i), *(_eigen_text(k, one.get(k)) for k in known)]
            for i, one in enumerate(entries, 1)
        ]
        yield ReportTable(["mode", *(MODE[k] for k in known)], modes, "Eigenvalues")
    if drifts := _table(record, "invariants"):
        cells = [[name, *(value_text(v) for v in one.values())] for name, one in drifts.items()]
        heads = [key.replace("_", " ") for key in next(iter(drifts.values()))]
        yield ReportTable(["invariant", *heads], cells, "Invariants over time")


def _eigen_text(key: str, value: Any) -> str:
    exact = key in ("real", "imaginary") and value is not None
    return f"{value:.12g}" if exact else value_text(value)


def _table(record: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Return a table of a record, empty where there is none."""
    value = record.get(key)
    return value if isinstance(value, dict) else {}
