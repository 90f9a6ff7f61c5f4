"""The page with its tables, and the verdicts."""

import statistics
from collections.abc import Sequence

from anderson_localization.chains import MODELS, Model
from anderson_localization.study import Result
from common import verdicts

PAPER = {"gaam": ("99.2 %", "99.0 %"), "maam": ("98.6 %", "97.1 %")}  # theory, KAN's formula
GOALS = {"gaam": 0.985, "maam": 0.97}


def of(results: Sequence[Result], name: str) -> list[Result]:
    """Return the results of one model."""
    return [result for result in results if result.model.name == name]


def page(results: Sequence[Result]) -> str:
    """Return the page in Markdown: the table, and every formula."""
    lines = [
        "# Anderson localization: edges of mobility learned from eigenstates",
        "",
        "Accuracy on states of chains that were not trained with: median (least … greatest) over "
        "the seeds. Formula: read off without guidance. The paper's chains are other ones.",
        "",
        "Localized: D below the threshold at which short and long rings have as many states below, "
        "so that it is the edge's own D. What is left of the finite size is in the fitted "
        "coefficients, before they are rounded.",
        "",
        "| model | exact edge | theory | KAN | its formula | edge found | paper: theory, KAN |",
        "|---|---|---|---|---|---|---|",
    ]
    for model in MODELS:
        if found := of(results, model.name):
            lines.append(_row(model, found))
    lines += [
        "",
        "| model | seed | D below | inputs kept | width | fitted edge: 0 = | rounded |",
        "|---|---|---|---|---|---|---|",
        *(_formula(result) for result in results),
    ]
    return "\n".join(lines) + "\n"


def _row(model: Model, found: Sequence[Result]) -> str:
    exact = [r.formula.exact for r in found if r.formula]
    cells = [
        model.title,
        model.edge.replace("|", "\\|"),
        _range([r.theory for r in found]),
        _range([r.network for r in found]),
        _range([r.automatic for r in found if r.automatic is not None]),
        f"{sum(exact)} of {len(exact)}" if exact else "–",
        ", ".join(PAPER.get(model.name, ("–",))),
    ]
    return f"| {' | '.join(cells)} |"


def _range(values: Sequence[float]) -> str:
    if not values:
        return "–"
    low, high = 100 * min(values), 100 * max(values)
    return f"{100 * statistics.median(values):.2f} % ({low:.2f} … {high:.2f})"


def _formula(result: Result) -> str:
    formula = result.formula
    cells = [
        *(result.model.title, str(result.seed), f"{result.sample.threshold:.3f}"),
        *(", ".join(result.inputs), str(list(result.width))),
        f"`{formula.fitted.evalf(4)}`" if formula else "–",
        f"`{formula.expression}`" if formula and formula.expression != formula.fitted else "–",
    ]
    return f"| {' | '.join(cells)} |"


def judge(results: Sequence[Result]) -> dict[str, verdicts.Figure]:
    """Return the measured values beside their targets; the worst seed decides."""
    judged: dict[str, verdicts.Figure] = {}
    for name, goal in GOALS.items():
        found = [r.automatic for r in of(results, name) if r.automatic is not None]
        judged[f"{name} accuracy of the automatic formula"] = {
            "value": sorted(found),
            "target": f">= {goal} with every seed",
            "met": bool(found) and min(found) >= goal,
        }
    exact = {
        name: [r.formula is not None and r.formula.exact for r in of(results, name)]
        for name in ("mosaic2", "gaam")
    }
    judged["exact edge recovered"] = {
        "value": {name: f"{sum(e)} of {len(e)}" for name, e in exact.items()},
        "target": "with every seed for Mosaic κ = 2 or for GAAM",
        "met": any(e and all(e) for e in exact.values()),
    }
    for model in MODELS:
        for what in ("theory", "network"):
            judged[f"{model.name} accuracy: {what}"] = {
                "value": sorted(getattr(r, what) for r in of(results, model.name)),
                "target": "beside the formula's",
                "met": None,
            }
    return judged
