"""The rows that a covariance is made of: in double precision, and enough of them."""

import copy
from collections.abc import Sequence
from dataclasses import replace

import torch

from kanpinn.geometry import Domain, Points
from kanpinn.geometry.sampling import sample
from kanpinn.loss.residuals import Residuals
from kanpinn.loss.terms import ResidualTerm, Term
from kanpinn.networks.network import Layer, Network

ENOUGH = 2  # rows for each coefficient: with fewer a network is free between the points
DOUBLE = torch.float64


def chosen_layers(network: Network, output_only: bool) -> list[Layer]:
    """The layers whose coefficients vary."""
    return network.output_layers if output_only else network.all_layers


def settled(residuals: Residuals, output_only: bool) -> Residuals:
    """The same residuals, or a copy of them, whose rows tell how the coefficients may vary.

    It is in double precision: what no row sees and what rounding hides look the same in single.
    Where rows are few, the equation has others at points of its own: with less than about two for
    each coefficient the network may do as it likes between the points, follow the noise there, and
    the data say nothing of an unknown. That they would not, the search alone has seen to.
    """
    surrogate, terms = residuals.surrogate, list(residuals.terms)
    if (like := surrogate.low).dtype != DOUBLE:
        surrogate = copy.deepcopy(surrogate).to(DOUBLE)
        terms = [replace(b, points=b.points.to(DOUBLE, like.device)) for b in terms]
    few = _few(residuals, chosen_layers(surrogate.network, output_only))
    first, domain = terms[0], surrogate.domain
    if few and type(first) is ResidualTerm and not first.measured and isinstance(domain, Domain):
        terms[0] = replace(first, points=_fresh(domain, few).to(DOUBLE, like.device))
    return residuals if terms == list(residuals.terms) else Residuals(surrogate, terms)


def _few(residuals: Residuals, layers: Sequence[Layer]) -> int:
    """How many rows the equation should have where there are too few in all; else 0."""
    enough = ENOUGH * sum(layer.coefficients.numel() for layer in layers)
    rows = sum(term.rows * columns(residuals, term) for term in residuals.terms)
    return 0 if rows >= enough else enough


@torch.no_grad()
def columns(residuals: Residuals, term: Term) -> int:
    """The number of equations in a term."""
    if not isinstance(term, ResidualTerm):
        return 1
    return term.residual(residuals.surrogate, term.at(slice(0, 1))).shape[1]


def _fresh(domain: Domain, count: int) -> Points:
    return sample(domain, count, "gauss" if domain.dim <= 3 else "sobol")
