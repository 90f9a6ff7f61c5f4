"""Figures of the mobility edges over the states, and of the accuracies."""

import statistics
from collections.abc import Sequence
from typing import Any

import numpy
import torch
from anderson_localization.chains import MODELS, Array
from anderson_localization.study import Result
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.spatial import cKDTree

from kanpinn.plotting.style import BLACK, MARKERS, PALETTE, STYLE, VERMILLION, new_figure, tidy

NEAR = 0.03  # of the panel's sides: farther from all states the KAN knows of no edge
SLICE = 0.1  # of a range: states that are shown for one value of the other parameter
LETTERS = {"alpha": "α", "p": "p"}


def draw_edges(results: Sequence[Result]) -> Figure:
    """Draw D over (E, λ) with the exact edge and, where there are states, the learned one."""
    figure = new_figure(8.0, 6.6)
    for ax, model in zip(figure.subplots(2, 2).flat, MODELS, strict=True):
        result = next(r for r in results if r.model.name == model.name)
        other = [_value(limits) for limits in model.ranges[1:]]
        rows = _slice(result, other)
        x, dimension = result.sample.inputs[rows, :2], result.sample.dimension[rows]
        dots = ax.scatter(*x.T, c=dimension, s=2, lw=0, vmin=0, vmax=1, rasterized=True)
        _edges(ax, result, x, other)
        fixed = [f"{LETTERS[n]} ≈ {v:g}" for n, v in zip(model.inputs[2:], other, strict=False)]
        ax.set_title(", ".join([f"{model.title}: {model.edge}", *fixed]), fontsize=9)
        ax.set_xlabel("E", fontsize=STYLE.small)
        ax.set_ylabel("λ", fontsize=STYLE.small)
        tidy(ax)
    bar = figure.colorbar(dots, ax=figure.axes, shrink=0.6, aspect=30)
    bar.set_label("fractal dimension D", fontsize=STYLE.small)
    bar.ax.tick_params(labelsize=STYLE.small)
    figure.axes[0].plot([], [], label="exact edge", color=BLACK, lw=1.0)
    label = "the KAN's edge, where there are states"
    figure.axes[0].plot([], [], label=label, color=VERMILLION, lw=2.0)
    figure.legend(loc="outside lower center", ncols=2, fontsize=STYLE.small, frameon=False)
    return figure


def _value(limits: tuple[float, float]) -> float:
    low, high = limits
    return low + 0.75 * (high - low)  # α = 0 would be the one chain without an edge


def _slice(result: Result, other: Sequence[float]) -> Array:
    x, rows = result.sample.inputs, numpy.ones(len(result.sample.inputs), dtype=bool)
    for i, (value, (low, high)) in enumerate(
        zip(other, result.model.ranges[1:], strict=True), start=2
    ):
        rows &= numpy.abs(x[:, i] - value) < SLICE * (high - low)
    return rows


def _edges(ax: Axes, result: Result, states: Array, other: Sequence[float]) -> None:
    low, high = states.min(axis=0), states.max(axis=0)
    grids = numpy.meshgrid(*(numpy.linspace(a, b, 301) for a, b in zip(low, high, strict=True)))
    rest = [numpy.full_like(grids[0], value) for value in other]
    theory = result.model.margin(*grids, *rest)
    rest += [numpy.full_like(grids[0], numpy.pi)] * result.model.phased
    flat = numpy.stack([g.ravel() for g in (*grids, *rest)], axis=1)
    learned = result.graph(torch.from_numpy(flat))[:, 0].reshape(grids[0].shape).numpy()
    scale = high - low
    apart, _ = cKDTree(states / scale).query(flat[:, :2] / scale)
    known = numpy.ma.masked_where(apart.reshape(learned.shape) > NEAR, learned)
    ax.contour(*grids, known, levels=[0.0], colors=VERMILLION, linewidths=2.0)
    ax.contour(*grids, theory, levels=[0.0], colors=BLACK, linewidths=1.0)


def draw_accuracies(results: Sequence[Result]) -> Figure:
    """Draw the accuracies, medians and ranges over the seeds."""
    figure = new_figure(6.0, 3.2)
    ax = figure.subplots()
    kinds = {"theory": "exact edge", "network": "KAN", "automatic": "the KAN's formula"}
    for k, (kind, label) in enumerate(kinds.items()):
        shown = {
            i: [100 * getattr(r, kind) for r in results if r.model.name == model.name]
            for i, model in enumerate(MODELS)
            if any(r.model.name == model.name and getattr(r, kind) is not None for r in results)
        }
        middle = [statistics.median(values) for values in shown.values()]
        reach = [
            [m - min(values) for m, values in zip(middle, shown.values(), strict=True)],
            [max(values) - m for m, values in zip(middle, shown.values(), strict=True)],
        ]
        at = [i + 0.2 * (k - 1) for i in shown]
        style: dict[str, Any] = {"color": PALETTE[k], "marker": MARKERS[k], "linestyle": "none"}
        ax.errorbar(at, middle, reach, markersize=5, lw=1.1, capsize=3, label=label, **style)
    ax.set_xticks(range(len(MODELS)), [model.title for model in MODELS])
    ax.set_ylabel("accuracy in per cent", fontsize=STYLE.small)
    ax.grid(axis="y", lw=0.4)
    tidy(ax)
    figure.legend(loc="outside lower center", ncols=3, fontsize=STYLE.small, frameon=False)
    return figure
