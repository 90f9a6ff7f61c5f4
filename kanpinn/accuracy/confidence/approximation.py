"""The error of unknowns that is due to the network, which only approximates the fields."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from kanpinn.linalg.triangle import TriangularFactor, column_scale
from kanpinn.loss.residuals import Residuals


@dataclass(frozen=True)
class Approximation:
    """The change of the unknowns by one Gauss–Newton step in a richer network, at other points.

    If the step leaves the part ρ of the equation's residual, the error is about change / (1 - ρ).
    Noise in the data leaves a residual in every network, in the equation, too, since a finite
    weight lets the fields follow the noise. Its expected mean square is left out of ρ. The error of
    the network is visible beside the noise if the richer network lowers the loss by more than its
    additional freedom to follow the noise explains. Then the change is a measure of the error if
    ρ ≤ 0.7.

    Args:
        change: of the coefficients of unknown numbers and fields, (p,).
        contraction: ρ, the ratio of the equation's root mean square residuals without the noise's
            part.
        visible: whether the richer network fits better than noise explains.

    Reference: Bank and Smith, A posteriori error estimates based on hierarchical bases (1993).
    """

    change: Tensor
    contraction: float
    visible: bool

    @property
    def factor(self) -> float:
        """The error relative to the change; infinite where the change is no measure of it."""
        largest = 0.7  # with more of the residual left, the change says little of the error
        if self.visible and not self.contraction <= largest:
            return math.inf
        return 1 / (1 - min(self.contraction, largest))


@torch.enable_grad()
def approximation(richer: Residuals, unknown: Tensor, freedom: float) -> Approximation:
    """Return the change of the unknowns by a Gauss–Newton step in a richer network.

    Args:
        richer: the loss of the solution in the richer network, at other points; the output layers
            of the solution's own network are the last ones.
        unknown: a mask (p,) of the coefficients of these output layers that belong to unknowns.
        freedom: the effective number of coefficients that the data determine in the solution's own
            network.

    Raises:
        LinAlgError: if the residual or a derivative is not finite.
    """
    layers = richer.surrogate.network.output_layers
    count = sum(layer.coefficients.numel() for layer in layers)
    last = torch.cat([unknown.new_zeros(count - len(unknown)), unknown])
    # The unknowns are the last columns: then the dependence among the others does not matter.
    order = torch.cat([(~last).nonzero()[:, 0], last.nonzero()[:, 0]])
    terms = [[t for t in richer.terms if t.measured == measured] for measured in (False, True)]
    equation, data = (_ordered(Residuals(richer.surrogate, t).model(layers), order) for t in terms)
    rows = torch.cat([equation.factor, data.factor])
    scale = column_scale(rows[:, :-1])
    # Tiny multiples of the coefficients, as further rows, make the factor regular.
    held = 1e-12 * torch.eye(count + 1).to(rows)[:-1]
    scaled = rows / torch.cat([scale, scale.new_ones(1)])
    factor = torch.linalg.qr(torch.cat([scaled, held]), mode="r").R
    matrix, target = factor[:count, :count], factor[:count, count:]
    change = -torch.linalg.solve_triangular(matrix, target, upper=True)[:, 0] / scale
    seen = torch.linalg.solve_triangular(matrix, data.matrix / scale, upper=True, left=False)
    followed = float(seen.square().sum())
    more = max(followed - freedom, 1e-6)
    rest = sum(t.rows * t.equations(richer.surrogate) for t in terms[1]) - freedom - more
    before, after = equation.loss() + data.loss(), equation.loss(change) + data.loss(change)
    variance = after / rest if rest >= 1 else 0.0
    # Noise alone lowers the loss by about `more` variances, and seldom by this many.
    visible = before - after > (more + 3 * math.sqrt(2 * more) + 0.25) * variance
    # With the projection H onto the columns, noise e in the data leaves -H e in the equation.
    noise = (followed - float((seen.T @ seen).square().sum())) * variance
    ratio = contraction(equation.loss(), equation.loss(change), noise)
    return Approximation(change[count - int(unknown.sum()) :], ratio, bool(visible))


def contraction(before: float, after: float, noise: float) -> float:
    """Return the ratio of two root mean square residuals without the part of both due to noise."""
    after, lowered = max(after - noise, 0.0), before - after
    if after + lowered <= 0:
        return math.inf if after else 0.0
    return math.sqrt(after / (after + lowered))


def _ordered(model: TriangularFactor, order: Tensor) -> TriangularFactor:
    """Return a factor with its columns in another order, before the one of the residual."""
    return TriangularFactor(torch.cat([model.factor[:, order], model.factor[:, -1:]], dim=1))
