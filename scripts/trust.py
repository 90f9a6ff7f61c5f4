"""Whether what kanpinn says of its solutions can be trusted: estimates, bounds, statuses.

What: `adversarial`: named and random problems whose exact solutions are known, and whose errors are
hard to estimate, are solved with given networks and by `kp.auto`. An estimate fails if it is below
a third of the true error, or if a solution is said to be within a tolerance that it is not.
`ill_posed`: well-posed problems of many kinds are drawn, and each again with a fault, such as a
side without a condition: a solve must refuse or warn of the faulty ones, and of no others.
`library`: estimates of the errors of problems/ beside the true errors.
`units`: the library's problems with coordinates, fields and equations multiplied by random powers
of ten, from 1e-4 to 1e4: the errors of `kanpinn.auto` must be the same to a factor of 2.
`bounds`: random coercive problems, solved well and badly, get guaranteed bounds (`kp.error_bound`),
which are compared with the true errors: they must hold.

How: a section that has been measured by the same sources of kanpinn, with the same options, is not
measured again. trust_files.py does the same for what kanpinn says of files.

How long: some three hours on one core; --only SECTION ... measures some of the sections; --smoke:
three quarters of a minute.

Writes to --output: trust.json, failures.md, and tables of the solves.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from common.script import PROBLEMS, Verdict, verdict
from hostile import ill_posed, sections, units
from hostile.adversarial import figures as adversarial
from hostile.bounds import figures as bounded
from hostile.sections import Section, measure

QUIET = ("--json", "--quiet")
LONGEST = 600  # seconds that a solve with its estimate may take
ROUNDING = 3e-14  # relative; an error below it counts as this


def figures(options: argparse.Namespace, failures: list[str]) -> dict[str, Verdict]:
    """Solve problem files and estimate their errors; those without a true error are left out."""
    ratios: list[float] = []
    unknown, lines = 0, []
    paths = sorted(PROBLEMS.glob("*.toml"), key=lambda path: (path.stem != "poisson2d", path.stem))
    for path in paths[: options.files]:
        with tempfile.TemporaryDirectory() as folder:
            done = sections.run(
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
        "library: estimates that differ by more than a factor 3": verdict(
            f"{outside} of {len(ratios)}", "0", outside == 0
        ),
        "library: errors that are not known": verdict(
            f"{unknown} of {count}", "at most 5 %", unknown <= 0.05 * count
        ),
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


SECTIONS = {
    "adversarial": Section(
        adversarial,
        {
            "draws": (60, 1, "random problems"),
            "searches": (80, 1, "problems that `kp.auto` solves"),
            "budget": (20, 2, "seconds of each search"),
        },
    ),
    "ill_posed": Section(
        ill_posed.figures, {"problems": (112, 14, "well-posed problems, and as many ill-posed")}
    ),
    "library": Section(figures, {"files": (99, 1, "problem files, poisson2d first")}),
    "units": Section(units.figures, {"units": (2, 1, "drawn for each problem of the library")}),
    "bounds": Section(bounded, {"bounded": (150, 2, "random problems with bounds")}),
}

if __name__ == "__main__":
    measure(Path(__file__).stem, __doc__, SECTIONS)
