"""The columns of a study's table after those of the varied keys."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

PARTS, SCORES = ("test", "validation", "train"), ("rmse", "cross_entropy", "accuracy")
ERRORS = {  # by the kind of the files: what is drawn and compared, the first one foremost
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
FAILED = "failed"  # so begins the status of a run that has no result


def has_failed(row: Mapping[str, Any]) -> bool:
    """Whether a run has failed."""
    return str(row["status"]).startswith(FAILED)


def empty(status: str = WAITING, run: str = "", kind: str = "problem") -> dict[str, Any]:
    """The columns of a run of which there is only the status."""
    return dict.fromkeys(RESULTS[kind]) | {"status": status, "run": run}


def kind_of(record: Mapping[str, Any]) -> str:
    """Whose run.json it is: "problem", "eigen" or "fit"."""
    if "eigenvalues" in record:
        return "eigen"
    return "fit" if "data" in record else "problem"


def columns_of(record: Mapping[str, Any], run: str) -> dict[str, Any]:
    """The columns of a finished run, from its run.json."""
    kind = kind_of(record)
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
    """Columns k, k_low and k_high of an unknown number k, the ends None where they are infinite."""
    found: dict[str, Any] = {}
    for name, entry in entries.items():
        ends = {"": entry["value"], "_low": entry["low"], "_high": entry["high"]}
        ends = {name + end: value for end, value in ends.items()}
        prefix = "unknown_" if any(column in taken for column in ends) else ""
        found |= {prefix + column: value for column, value in ends.items()}
    return found


def further(rows: Sequence[Mapping[str, Any]], known: Collection[str]) -> tuple[str, ...]:
    """The columns that only some rows have: a run that has failed has estimated nothing."""
    names = dict.fromkeys(name for row in rows for name in row)
    return tuple(name for name in names if name not in known)
