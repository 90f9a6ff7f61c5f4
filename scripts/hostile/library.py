"""Estimates of the errors of the library's problems, beside the true errors."""

import argparse
import json
import tempfile
from typing import Any

from common.problem_files import PROBLEMS
from common.verdicts import Figure

from hostile import commands

QUIET = ("--json", "--quiet")
LONGEST = 600  # seconds that a solve with its estimate may take
ROUNDING = 3e-14  # relative; an error below it counts as this


def figures(options: argparse.Namespace, failures: list[str]) -> dict[str, Figure]:
    """Solve problem files and estimate their errors; those without a true error are left out."""
    ratios: list[float] = []
    unknown, lines = 0, []
    paths = sorted(PROBLEMS.glob("*.toml"), key=lambda path: (path.stem != "poisson2d", path.stem))
    for path in paths[: options.files]:
        with tempfile.TemporaryDirectory() as folder:
            done = commands.run(
                ["solve", str(path), "--set=run.estimate=true", *QUIET, f"--output={folder}"],
                LONGEST,
            )
        record = _record(done.said)
        true, estimated = _error(record, "errors"), _error(record, "estimate")
        ratio = None
        if true is not None and estimated is not None:
            ratio = max(true, ROUNDING) / max(estimated, ROUNDING)
            ratios.append(ratio)
            if not 1 / 3 <= ratio <= 3:
                failures.append(f"{path.name}: true error {true:.1e}, estimated {estimated:.1e}")
        unknown += true is not None and estimated is None
        said = record.get("status", done.said.strip().rpartition("\n")[2])
        columns = (path.stem, *(_number(one) for one in (true, estimated, ratio)), said)
        lines.append("| " + " | ".join(columns) + " |\n")
    head = "| file | true | estimated | ratio | said |\n|---|---|---|---|---|\n"
    (options.output / "library.md").write_text("# Relative L2 errors\n\n" + head + "".join(lines))
    outside = sum(not 1 / 3 <= ratio <= 3 for ratio in ratios)
    count = len(ratios) + unknown
    return {
        "library: estimates that differ by more than a factor 3": {
            "value": f"{outside} of {len(ratios)}",
            "target": "0",
            "met": outside == 0,
        },
        "library: errors that are not known": {
            "value": f"{unknown} of {count}",
            "target": "at most 5 %",
            "met": unknown <= 0.05 * count,
        },
    }


def _record(said: str) -> dict[str, Any]:
    """Return the JSON object in the output of a command; empty where there is none."""
    start = said.find("{")
    try:
        return dict(json.loads(said[start : said.rfind("}") + 1])) if start >= 0 else {}
    except json.JSONDecodeError:
        return {}


def _error(record: dict[str, Any], key: str) -> float | None:
    found = (record.get(key) or {}).get("l2_relative")
    return None if found is None else float(found)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2g}"
