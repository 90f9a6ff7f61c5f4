"""The figures, the table and the verdicts."""

import statistics
from collections.abc import Sequence

import numpy
import torch
from anderson_localization.chains import MODELS, Model
from anderson_localization.study import Result
from common import verdicts
from matplotlib.figure import Figure

PAPER = {"gaam": ("99.2 %", "99.0 %"), "maam": ("98.6 %", "97.1 %")}  # theory, KAN's formula
GOALS = {"gaam": 0.985, "maam": 0.97}


def of(results: Sequence[Result], name: str) -> list[Result]:
    """The results of one model."""
    return [result for result in results if result.model.name == name]


def page(results: Sequence[Result]) -> str:
    """The table, in Markdown, and every formula."""
    lines = [
        "# Anderson localization: edges of mobility learned from eigenstates",
        "",
        "Accuracy on states of chains that were not trained with: median (least … greatest) over "
        "the seeds. Formula: read off without guidance. The paper's chains are other ones.",
        "",
        "| model | exact edge | theory | KAN | its formula | edge found | paper: theory, KAN |",
        "|---|---|---|---|---|---|---|",
    ]
    for model in MODELS:
        if found := of(results, model.name):
            lines.append(_row(model, found))
    lines += ["", "| model | seed | inputs kept | width | edge: 0 = |", "|---|---|---|---|---|"]
    lines += [
        f"| {r.model.title} | {r.seed} | {', '.join(r.inputs)} | {list(r.width)} | `{_short(r)}` |"
        for r in results
    ]
    return "\n".join(lines) + "\n"


def _row(model: Model, found: Sequence[Result]) -> str:
    exact = [r.exact for r in found if r.exact is not None]
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


def _short(result: Result) -> str:
    return "–" if result.formula is None else str(result.formula.evalf(4)).replace("|", "¦")


def judge(results: Sequence[Result]) -> dict[str, verdicts.Figure]:
    """The figures beside what they should be; the worst seed counts."""
    judged: dict[str, verdicts.Figure] = {}
    for name, goal in GOALS.items():
        found = [r.automatic for r in of(results, name) if r.automatic is not None]
        judged[f"{name} accuracy of the automatic formula"] = {
            "value": sorted(found),
            "target": f">= {goal} with every seed",
            "met": bool(found) and min(found) >= goal,
        }
    exact = {name: [r.exact for r in of(results, name)] for name in ("mosaic2", "gaam")}
    judged["exact edge recovered"] = {
        "value": {name: f"{sum(map(bool, e))} of {len(e)}" for name, e in exact.items()},
        "target": "with every seed for Mosaic κ = 2 or for GAAM",
        "met": any(bool(e) and all(e) for e in exact.values()),
    }
    for model in MODELS:
        for what in ("theory", "network"):
            judged[f"{model.name} accuracy: {what}"] = {
                "value": sorted(getattr(r, what) for r in of(results, model.name)),
                "target": "beside the formula's",
                "met": None,
            }
    return judged


def draw_edges(results: Sequence[Result]) -> Figure:
    """D over (E, λ), with the exact edge and the learned one; other parameters in their middle."""
    figure = Figure(figsize=(11, 8.5), layout="constrained")
    figure.suptitle("states by fractal dimension; edges: exact (black), the KAN's (red, dashed)")
    for axes, model in zip(figure.subplots(2, 2).flat, MODELS, strict=True):
        result = of(results, model.name)[0]
        x = result.sample.inputs
        middle = [_middle(limits) for limits in model.ranges[1:]]
        rows = _slice(result, middle)
        dots = axes.scatter(
            *(x[rows, 0], x[rows, 1]), c=result.sample.dimension[rows], s=3, vmin=0, vmax=1
        )
        _contours(axes, result, middle)
        fixed = "".join(f", {n} ≈ {m:g}" for n, m in zip(model.inputs[2:], middle, strict=False))
        axes.set(title=f"{model.title}: {model.edge}{fixed}", xlabel="E", ylabel="λ")
        figure.colorbar(dots, ax=axes, label="D")
    return figure


def _middle(limits: tuple[float, float]) -> float:
    low, high = limits
    return low + 0.75 * (high - low)  # α = 0 would be the one chain without an edge


def _slice(result: Result, middle: Sequence[float]) -> numpy.ndarray:
    x, rows = result.sample.inputs, numpy.ones(len(result.sample.inputs), dtype=bool)
    for i, (value, (low, high)) in enumerate(
        zip(middle, result.model.ranges[1:], strict=True), start=2
    ):
        rows &= numpy.abs(x[:, i] - value) < 0.1 * (high - low)
    return rows


def _contours(axes: object, result: Result, middle: Sequence[float]) -> None:
    x = result.sample.inputs[_slice(result, middle)]
    low, high = x[:, :2].min(axis=0), x[:, :2].max(axis=0)
    grids = numpy.meshgrid(*(numpy.linspace(a, b, 201) for a, b in zip(low, high, strict=True)))
    theory = result.model.margin(*grids, *middle)
    rest = [numpy.full_like(grids[0], value) for value in middle]
    rest += [numpy.full_like(grids[0], numpy.pi)] * result.model.phased
    flat = torch.from_numpy(numpy.stack([g.ravel() for g in (*grids, *rest)], axis=1))
    learned = result.graph(flat)[:, 0].reshape(grids[0].shape).numpy()
    axes.contour(*grids, theory, levels=[0.0], colors="black")  # type: ignore[attr-defined]
    axes.contour(*grids, learned, levels=[0.0], colors="red", linestyles="--")  # type: ignore[attr-defined]


def draw_accuracies(results: Sequence[Result]) -> Figure:
    """Bars of accuracy, medians over the seeds."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    kinds = ("theory", "network", "automatic")
    for k, (kind, label) in enumerate(zip(kinds, ("theory", "KAN", "its formula"), strict=True)):
        for i, model in enumerate(MODELS):
            values = [getattr(r, kind) for r in of(results, model.name)]
            if None not in values:
                height = 100 * statistics.median(values)
                axes.bar(
                    i + 0.27 * (k - 1), height, 0.25, color=f"C{k}", label=label if i == 0 else None
                )
    axes.set_xticks(range(len(MODELS)), [model.title for model in MODELS])
    axes.set(ylabel="accuracy in per cent", ylim=(90, 100.3))
    axes.legend(loc="lower right")
    return figure
