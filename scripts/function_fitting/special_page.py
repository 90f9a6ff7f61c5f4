"""The fits of the special functions as a page and verdicts."""

from collections.abc import Sequence

import numpy
from common.pieces import Row
from common.verdicts import Figure as Verdict
from function_fitting import paper
from function_fitting.rows import markdown, spread, values
from function_fitting.special import FUNCTIONS
from function_fitting.special_runs import FEATURES, METHODS, VALIDATION, WIDE

MINUTE = 60.0
HEAD = f"""# Special functions

Test RMSE on 4000 uniform points, medians over seeds (least - greatest). The paper's ranges and
numbers of points are not known, so its columns tell the size of an error that was reached, not the
same task: the MLPs on the same points are the yardstick. Wide networks are random inner functions
and one least-squares solve; the small KAN and the other MLPs (two hidden layers) are trained. Each
method has the settings below, the same for all functions; a {VALIDATION:.0%} share of the points
chooses among them, and the choice of a solve is solved once more with all points. Uniform points
leave gaps along the boundary, where a fit extrapolates: more of them, or the density of Chebyshev's
nodes, close these. Seconds: of one processor, all trials of a fit together.
"""


def page(rows: Sequence[Row]) -> str:
    """Return the page in Markdown."""
    parts = [HEAD]
    for sample in samples_in(rows):
        parts += [f"## Points: {sample}", "", *_table(rows, sample), ""]
    parts += ["## Settings", "", *_settings(rows), "", "## Ranges", "", *_ranges(rows), ""]
    return "\n".join(parts)


def _table(rows: Sequence[Row], sample: str) -> list[str]:
    methods = methods_in([row for row in rows if row["points"] == sample])
    seconds = [numpy.median(values(rows, "seconds", method=m, points=sample)) for m in methods]
    head = [f"{m} ({s:.1f} s)" for m, s in zip(methods, seconds, strict=True)]
    lines = []
    for name in functions_in(rows):
        best = paper.SPECIAL[name]
        cells = [
            spread(values(rows, "test_rmse", function=name, method=m, points=sample))
            for m in methods
        ]
        lines.append([name, f"{best.kan:.1e}", f"{best.mlp:.1e}", *cells])
    return markdown(["function", "paper KAN", "paper MLP", *head], lines)


def _settings(rows: Sequence[Row]) -> list[str]:
    """Return how often validation has chosen each setting, and its number of parameters."""
    lines = []
    for method in METHODS:
        own = [row for row in rows if row["method"] == method.name]
        for setting in map(str, method.settings if own else ()):
            sizes = values(own, "parameters", setting=setting)
            lines.append(
                [
                    method.name,
                    setting,
                    str(sizes[0]) if sizes else "",
                    f"{len(sizes)} of {len(own)}",
                ]
            )
    return markdown(["method", "setting", "parameters", "chosen"], lines)


def _ranges(rows: Sequence[Row]) -> list[str]:
    lines = []
    for name in functions_in(rows):
        f = FUNCTIONS[name]
        box = [f"[{low:.4g}, {high:.4g}]" for low, high in zip(f.low, f.high, strict=True)]
        lines.append([name, f.formula, *box])
    return markdown(["function", "formula", "first variable", "second"], lines)


def judge(rows: Sequence[Row]) -> dict[str, Verdict]:
    """Return the wide KAN's median beside the paper's KAN, and the seconds, with their targets.

    There is one value for each sample of points.
    """
    figures: dict[str, Verdict] = {}
    names, samples = functions_in(rows), samples_in(rows)
    for name in names:
        value, target = _median(rows, name, WIDE, samples[0]), paper.SPECIAL[name].kan
        text = f"<= {target:.3g}, the paper's KAN; {samples[0]} points"
        figures[name] = {"value": value, "target": text, "met": value <= target}
    for sample in samples:
        won = sum(_median(rows, n, WIDE, sample) <= paper.SPECIAL[n].kan for n in names)
        figures[f"below the paper's KAN, {sample} points"] = _count(won, len(names))
        here = methods_in([row for row in rows if row["points"] == sample])
        mlps = [m for m in here if "MLP" in m and m != FEATURES]
        if mlps:
            best = {n: min(_median(rows, n, m, sample) for m in mlps) for n in names}
            won = sum(_median(rows, n, WIDE, sample) < best[n] for n in names)
            figures[f"below the best trained MLP, {sample} points"] = _count(won, len(names))
    longest = max(values(rows, "seconds"))
    figures["longest fit, seconds"] = {
        "value": longest,
        "target": f"<= {MINUTE:g} of one processor",
        "met": longest <= MINUTE,
    }
    return figures


def _count(won: int, count: int) -> Verdict:
    return {"value": won, "target": f"all {count}", "met": won == count}


def _median(rows: Sequence[Row], name: str, method: str, sample: str) -> float:
    errors = values(rows, "test_rmse", function=name, method=method, points=sample)
    return float(numpy.median(errors))


def functions_in(rows: Sequence[Row]) -> list[str]:
    """Return the names of the functions, in order."""
    return list(dict.fromkeys(row["function"] for row in rows))


def methods_in(rows: Sequence[Row]) -> list[str]:
    """Return the names of the methods, in order."""
    return list(dict.fromkeys(row["method"] for row in rows))


def samples_in(rows: Sequence[Row]) -> list[str]:
    """Return the names of the samples of points, in order."""
    return list(dict.fromkeys(row["points"] for row in rows))
