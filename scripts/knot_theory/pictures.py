"""Figures: what the signature depends on, and its hidden unit against the slope."""

from collections.abc import Sequence

import torch
from knot_theory.judging import ALL, attributed
from knot_theory.knots import TRANSLATIONS, slope_of
from knot_theory.signature import RANDOM, Result, hidden_edges
from matplotlib.figure import Figure

from kanpinn.plotting.style import BLUE, ORANGE, SMALL, new_figure, tidy

KINDS = {"edge": ("size of edge", BLUE), "shuffling": ("accuracy lost when shuffled", ORANGE)}


def draw_attribution(results: Sequence[Result]) -> Figure:
    """Bars of both shares for each invariant."""
    figure = new_figure(5.5, 4.0)
    ax = tidy(figure.add_subplot())
    names = list(attributed(results, "shuffling"))[::-1]
    for i, (kind, (words, colour)) in enumerate(KINDS.items()):
        shares = attributed(results, kind)
        heights = [at + 0.2 - 0.4 * i for at in range(len(names))]
        ax.barh(heights, [shares[name] for name in names], 0.38, color=colour, label=words)
    ax.set_yticks(range(len(names)), [name.replace("_", " ") for name in names])
    ax.set_xlabel("share of the signature", fontsize=SMALL)
    ax.legend(fontsize=SMALL, frameon=False)
    return figure


def draw_hidden(results: Sequence[Result]) -> Figure:
    """The hidden unit of one network against the slope, coloured by the signature."""
    one = next(r for r in results if (r.network, r.split) == (ALL, RANDOM))
    assert one.fitted is not None and one.fitted.data.test is not None
    test = one.fitted.data.test
    hidden = hidden_edges(one.fitted, test.inputs).sum(dim=1)
    slope = slope_of(*(test.column(name) for name in TRANSLATIONS))
    signatures = torch.tensor([float(c) for c in test.classes])[test.targets]
    figure = new_figure(5.0, 3.4)
    ax = tidy(figure.add_subplot())
    dots = ax.scatter(slope, hidden, c=signatures, s=4, cmap="coolwarm", rasterized=True)
    ax.set_xlabel("slope Re(λ/μ)", fontsize=SMALL)
    ax.set_ylabel("hidden unit", fontsize=SMALL)
    figure.colorbar(dots, ax=ax, label="signature")
    return figure
