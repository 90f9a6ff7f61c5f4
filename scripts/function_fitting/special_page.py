"""The fits of the special functions as a page and verdicts."""

from collections.abc import Sequence

import numpy
from common.verdicts import Figure as Verdict
from function_fitting import paper
from function_fitting.functions import CHEBYSHEV, UNIFORM
from function_fitting.rows import Row, markdown, spread, values
from function_fitting.special import FUNCTIONS

MINUTE = 60.0
HEAD = """# Special functions

Test RMSE on 4000 uniform points, medians over seeds (least - greatest); 1000 points to train with,
drawn with the density of Chebyshev's nodes in the first table, uniformly in the second. The paper's
ranges are not known, so its columns tell the size of an error that was reached, not the same task:
the MLPs on the same points are the yardstick. Wide networks are random features and one
least-squares solve: [2,64,1] and [2,560,1] have as many parameters. Uniform points leave gaps along
the boundary, where high degrees oscillate and splines go on as tangents: tanh features suffer less.
"""


def page(rows: Sequence[Row]) -> str:
    """The page in Markdown."""
    parts = [HEAD]
    for density in (CHEBYSHEV, UNIFORM):
        parts += [f"## Points: {density}", "", *_table(rows, density), ""]
    parts += ["## Ranges", "", *_ranges(rows), ""]
    return "\n".join(parts)


def _table(rows: Sequence[Row], density: str) -> list[str]:
    methods = methods_in([row for row in rows if row["density"] == density])
    sizes = [
        f"{m} ({int(max(values(rows, 'parameters', method=m)))} parameters, "
        f"{numpy.median(values(rows, 'seconds', method=m, density=density)):.1f} s)"
        for m in methods
    ]
    lines = []
    for name in functions_in(rows):
        best = paper.SPECIAL[name]
        cells = [
            spread(values(rows, "test_rmse", function=name, method=m, density=density))
            for m in methods
        ]
        lines.append([name, f"{best.kan:.1e}", f"{best.mlp:.1e}", *cells])
    return markdown(["function", "paper KAN", "paper MLP", *sizes], lines)


def _ranges(rows: Sequence[Row]) -> list[str]:
    lines = []
    for name in functions_in(rows):
        f = FUNCTIONS[name]
        box = [f"[{low:.4g}, {high:.4g}]" for low, high in zip(f.low, f.high, strict=True)]
        lines.append([name, f.formula, *box])
    return markdown(["function", "formula", "first variable", "second"], lines)


def judge(rows: Sequence[Row]) -> dict[str, Verdict]:
    """Each function's best KAN, by the median, beside the paper's KAN."""
    figures: dict[str, Verdict] = {}
    for density in (CHEBYSHEV, UNIFORM):
        won = 0
        for name in functions_in(rows):
            value, method = _best(rows, name, density)
            target = paper.SPECIAL[name].kan
            won += value <= target
            if density == CHEBYSHEV:
                text = f"<= {target:.3g}, the paper's KAN; here {method}"
                figures[name] = {"value": value, "target": text, "met": value <= target}
        count = len(functions_in(rows))
        judged = density == CHEBYSHEV
        figures[f"below the paper's KAN, {density} points"] = {
            "value": won,
            "target": f"all {count}" if judged else f"of {count}, for comparison",
            "met": won == count if judged else None,
        }
    longest = max(values(rows, "seconds"))
    figures["longest fit, seconds"] = {
        "value": longest,
        "target": f"<= {MINUTE:g} of one processor",
        "met": longest <= MINUTE,
    }
    return figures


def _best(rows: Sequence[Row], name: str, density: str) -> tuple[float, str]:
    """The least median test RMSE of a KAN, and which KAN has it."""
    found = []
    for method in methods_in([row for row in rows if row["density"] == density]):
        errors = values(rows, "test_rmse", function=name, method=method, density=density)
        if method.startswith("KAN"):
            found.append((float(numpy.median(errors)), method))
    return min(found)


def functions_in(rows: Sequence[Row]) -> list[str]:
    """Their names, in order."""
    return list(dict.fromkeys(row["function"] for row in rows))


def methods_in(rows: Sequence[Row]) -> list[str]:
    """Their names, in order."""
    return list(dict.fromkeys(row["method"] for row in rows))
