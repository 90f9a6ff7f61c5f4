"""The rows that a covariance is computed from: enough of them, in double precision."""

import copy
from collections.abc import Sequence
from dataclasses import replace

import torch

from kanpinn.geometry import Domain, Points
from kanpinn.geometry.sampling import sample
from kanpinn.loss.residuals import Residuals
from kanpinn.loss.terms import ResidualTerm
from kanpinn.networks.layer import Layer
from kanpinn.networks.network import Network


def chosen_layers(network: Network, output_only: bool) -> list[Layer]:
    """Return the layers whose coefficients are solved for."""
    return network.output_layers if output_only else network.all_layers


def sufficient(residuals: Residuals, output_only: bool) -> Residuals:
    """Return the residuals, or a copy in double precision with enough rows.

    In single precision, rounding hides directions on which no row depends. With fewer than about
    two rows per coefficient, the network is undetermined between the collocation points. It could
    then follow the noise of the data, which would not determine the unknowns, even though the
    optimizer did not overfit. In this case the equation gets new collocation points. Where the
    fields follow from the numbers, whose sensitivities the network has, the rows are those of the
    data alone: the equation is satisfied whatever the numbers are.
    """
    surrogate, terms = residuals.surrogate, list(residuals.terms)
    if surrogate.network.sensitivities is not None:
        terms = [term for term in terms if term.measured]
    if (like := surrogate.low).dtype != torch.float64:
        surrogate = copy.deepcopy(surrogate).to(torch.float64)
        terms = [replace(b, points=b.points.to(torch.float64, like.device)) for b in terms]
    few = _few(Residuals(surrogate, terms), chosen_layers(surrogate.network, output_only))
    first, domain = terms[0], surrogate.domain
    if few and type(first) is ResidualTerm and not first.measured and isinstance(domain, Domain):
        terms[0] = replace(first, points=_fresh(domain, few).to(torch.float64, like.device))
    return residuals if terms == list(residuals.terms) else Residuals(surrogate, terms)


def _few(residuals: Residuals, layers: Sequence[Layer]) -> int:
    """Return the number of points that the equation needs if there are too few rows; else 0."""
    enough = 2 * sum(layer.coefficients.numel() for layer in layers)
    rows = sum(term.rows * term.equations(residuals.surrogate) for term in residuals.terms)
    return 0 if rows >= enough else enough


def _fresh(domain: Domain, count: int) -> Points:
    return sample(domain, count, "gauss" if domain.dim <= 3 else "sobol")
