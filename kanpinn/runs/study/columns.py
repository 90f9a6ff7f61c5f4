"""The columns of a study's table: their names, and the values of a run from its run.json."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

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


def _kind_of(record: Mapping[str, Any]) -> str:
    """Return the kind of run that a run.json is of: "problem", "eigen" or "fit"."""
    if "eigenvalues" in record:
        return "eigen"
    return "fit" if "data" in record else "problem"


def columns_of(record: Mapping[str, Any], run: str) -> dict[str, Any]:
    """Return the columns of a finished run from its run.json; `run` is its folder's name."""
    kind = _kind_of(record)
    known = {
        "status": record["status"],
        "parameters": record["parameters"],
        "seconds": record["seconds"]["total"],
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
        errors = {
            f"{part}_{score}": scores[score] for part, scores in errors.items() for score in SCORES
        }
    found = {name: known.get(name, errors.get(name)) for name in RESULTS[kind]}
    return found | _estimated(record.get("estimated") or {}, RESULTS[kind])


def _estimated(entries: Mapping[str, Mapping[str, Any]], taken: Collection[str]) -> dict[str, Any]:
    """Return the columns k, k_low and k_high of each unknown number k; an infinite end is None.

    The names get the prefix "unknown_" if one of them is already that of another column (`taken`).
    """
    found: dict[str, Any] = {}
    for name, entry in entries.items():
        ends = {"": entry["value"], "_low": entry["low"], "_high": entry["high"]}
        ends = {name + end: value for end, value in ends.items()}
        prefix = "unknown_" if any(column in taken for column in ends) else ""
        found |= {prefix + column: value for column, value in ends.items()}
    return found


def further(rows: Sequence[Mapping[str, Any]], known: Collection[str]) -> tuple[str, ...]:
    """Return the columns of the rows beyond the known ones; failed runs may lack these."""
    names = dict.fromkeys(name for row in rows for name in row)
    return tuple(name for name in names if name not in known)
