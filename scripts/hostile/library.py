"""Estimates of the errors of the library's problems, beside the true errors."""

import argparse
import json
from pathlib import Path
from typing import Any

from common.problem_files import PROBLEMS
from common.verdicts import Figure

from hostile import commands

LONGEST = 600  # seconds that a solve with its estimate may take
ROUNDING = 3e-14  # relative; an error below it counts as this
REFERENCES = 1e-7  # relative; the error that a reference of finite elements itself has


def figures(options: argparse.Namespace, failures: list[str]) -> dict[str, Figure]:
    """Solve problem files and estimate their errors; those without a true error are left out."""
    ratios: list[float] = []
    unknown, lines = 0, []
    folder = options.output / "library"
    for path in sorted(PROBLEMS.glob("*.toml"))[: options.files]:
        done = commands.run(
            ["solve", str(path), "--set", "run.estimate=true", "--json", "--quiet"]
            + ["--output", str(folder / path.stem), "--overwrite"],
            LONGEST,
        )
        record = _record(done.said)
        true = _error(record, "errors")
        if true is None:
            lines.append(f"| {path.stem} | | | | {done.said.strip().splitlines()[-1:]} |")
            continue
        estimated = _error(record.get("estimate") or {}, "errors")
        if estimated is None:
            unknown += 1
            ratio = None
        else:
            ratio = max(true, ROUNDING) / max(estimated, ROUNDING)
            ratios.append(ratio)
            if not 1 / 3 <= ratio <= 3:
                failures.append(f"{path.name}: true error {true:.1e}, estimated {estimated:.1e}")
        lines.append(f"| {path.stem} | {true:.1e} | {estimated} | {ratio} | {record['status']} |")
    head = "| file | true | estimated | ratio | said |\n|---|---|---|---|---|\n"
    text = "# Relative L2 errors\n\n" + head + "\n".join(lines) + "\n"
    (options.output / "library.md").write_text(text, "utf-8")
    outside = sum(not 1 / 3 <= ratio <= 3 for ratio in ratios)
    count = len(ratios) + unknown
    return {
        "library: estimates that differ by more than a factor 3": {
            "value": f"{outside} of {len(ratios)}",
            "target": "0",
            "met": outside == 0,
        },
        "library: unknown errors": {
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
    errors = record.get(key) or {}
    return errors.get("l2_relative")


__all__ = ["Path", "figures"]
