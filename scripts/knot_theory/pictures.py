"""Figures: what the signature depends on, the network, and its hidden unit."""

from collections.abc import Sequence

import torch
from knot_theory.attribution import hidden_edges
from knot_theory.judging import PERCEPTRON, SPARSE, attributed
from knot_theory.knots import TRANSLATIONS, slope_of
from knot_theory.signature import Result
from matplotlib.figure import Figure

import kanpinn as kp
from kanpinn.interpret import draw_network
from kanpinn.plotting.style import BLUE, GREEN, ORANGE, STYLE, new_figure, tidy

BARS = {
    (PERCEPTRON, "gradient"): ("MLP, gradient", BLUE),
    (SPARSE[-1], "shuffling"): ("sparse KAN, shuffling", ORANGE),
    (SPARSE[-1], "edge"): ("sparse KAN, size of edge", GREEN),
}


def draw_attribution(results: Sequence[Result]) -> Figure:
    """Draw three measures' shares for each invariant as bars."""
    figure = new_figure(5.5, 5.0)
    ax = tidy(figure.add_subplot())
    names = list(attributed(results, PERCEPTRON, "gradient"))[::-1]
    for i, ((network, measure), (words, colour)) in enumerate(BARS.items()):
        shares = attributed(results, network, measure)
        heights = [at + 0.27 * (1 - i) for at in range(len(names))]
        ax.barh(heights, [shares[name] for name in names], 0.25, color=colour, label=words)
    ax.set_yticks(range(len(names)), [name.replace("_", " ") for name in names])
    ax.set_xlabel("share of the signature, median over seeds", fontsize=STYLE.small)
    ax.legend(fontsize=STYLE.small, frameon=False)
    return figure


def draw_edges(one: kp.Fitted) -> Figure:
    """Draw the network with the curve of every edge."""
    inputs = [name.replace("_", " ") for name in one.data.train.names]
    return draw_network(one, inputs=inputs)


def draw_hidden(one: kp.Fitted) -> Figure:
    """Draw the hidden unit of a network against the slope, coloured by the signature."""
    assert one.data.test is not None
    test = one.data.test
    hidden = hidden_edges(one, test.inputs).sum(dim=1)
    slope = slope_of(*(test.column(name) for name in TRANSLATIONS))
    signatures = torch.tensor([float(c) for c in test.classes])[test.targets]
    figure = new_figure(5.0, 3.4)
    ax = tidy(figure.add_subplot())
    dots = ax.scatter(slope, hidden, c=signatures, s=4, cmap="coolwarm", rasterized=True)
    ax.set_xlabel("slope Re(λ/μ)", fontsize=STYLE.small)
    ax.set_ylabel("hidden unit", fontsize=STYLE.small)
    figure.colorbar(dots, ax=ax).set_label("signature", fontsize=STYLE.small)
    return figure
