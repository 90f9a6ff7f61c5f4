"""The columns of a study's table after those of the varied keys."""

from collections.abc import Mapping
from typing import Any

ERRORS = ("l2_relative", "h1_relative")
RESULTS = (
    "status",
    *ERRORS,
    "parameters",
    "seconds",
    "l2_squared",
    "h1_squared",
    "steps",
    "points",
    "run",
)
WAITING = "waiting"
FAILED = "failed"  # so begins the status of a run that has no result


def has_failed(row: Mapping[str, Any]) -> bool:
    """Whether a run has failed."""
    return str(row["status"]).startswith(FAILED)


def empty(status: str = WAITING, run: str = "") -> dict[str, Any]:
    """The columns of a run of which there is only the status."""
    return dict.fromkeys(RESULTS) | {"status": status, "run": run}


def columns_of(record: Mapping[str, Any], run: str) -> dict[str, Any]:
    """The columns of a finished run, from its run.json."""
    errors = record["errors"] or {}
    return {
        "status": record["status"],
        "l2_relative": errors.get("l2_relative"),
        "h1_relative": errors.get("h1_relative"),
        "parameters": record["parameters"],
        "seconds": record["seconds"]["total"],
        "l2_squared": errors.get("l2_squared"),
        "h1_squared": errors.get("h1_squared"),
        "steps": record["steps"],
        "points": sum(record["points"].values()),
        "run": run,
    }
