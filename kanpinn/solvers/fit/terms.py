"""The loss terms of a fit: squared residuals of standardised targets, or cross entropy."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from kanpinn.data import Table
from kanpinn.geometry import Points
from kanpinn.jets import Channels, Jet
from kanpinn.loss.terms import ResidualTerm, Term
from kanpinn.networks.layer import Tape
from kanpinn.networks.surrogate import Surrogate


@dataclass(frozen=True, eq=False)
class CrossEntropy(Term):
    """weight · mean over rows of -log p(class), p the softmax of the network's outputs.

    With one output y there are two classes, with logits 0 and y. `points.data` (n, 1) holds the
    class indices. The Gauss–Newton Hessian Jᵀ(diag p - ppᵀ)J has the root √p ∘ (J - pᵀJ). With the
    residual r = (p - e)/√p, e the unit vector of the class, the least-squares rows have the exact
    gradient Jᵀ(p - e). In the roots, p is replaced by (p + mixed · e) / (1 + mixed), since
    otherwise a row whose class has a probability near zero would dominate all others.

    Reference: Schraudolph, Fast curvature matrix-vector products (2002).
    """

    mixed: float = field(default=1e-2, kw_only=True)

    def total(self, surrogate: Surrogate, points: Points) -> Tensor:
        logits = full_logits(surrogate.jet(points, self.channels).value)
        return torch.nn.functional.cross_entropy(logits, labels_of(points), reduction="sum")

    def linearised(self, surrogate: Surrogate, points: Points, tape: Tape) -> Tensor:
        logits = full_logits(surrogate.jet(points, self.channels, tape).value)
        p = logits.detach().softmax(dim=1)
        e = torch.nn.functional.one_hot(labels_of(points), p.shape[1])
        q = ((p + self.mixed * e) / (1 + self.mixed)).clamp_min(torch.finfo(p.dtype).tiny)
        moves = logits - (q * logits).sum(dim=1, keepdim=True)
        return ((p - e) / q + moves - moves.detach()) * (q / 2).sqrt()


def full_logits(outputs: Tensor) -> Tensor:
    """Return the logits of all classes, (n, classes): for one output y the logits 0 and y."""
    if outputs.shape[1] > 1:
        return outputs
    return torch.cat([torch.zeros_like(outputs), outputs], dim=1)


def labels_of(points: Points) -> Tensor:
    """Return the class indices of the rows, (n,)."""
    assert points.data is not None
    return points.data[:, 0].long()


def points_of(table: Table, surrogate: Surrogate) -> Points:
    """Return a table's inputs as points, with the targets as `data`, in the network's dtype."""
    targets = table.targets[:, None] if table.classes else table.targets
    like = surrogate.low
    points = Points(table.inputs, table.names, data=targets.to(torch.float64))
    return points.to(like.dtype, like.device)


def loss_term(table: Table, points: Points, deviation: Tensor | None) -> Term:
    """Return the loss term for points of a table.

    Args:
        table: gives the names of the inputs.
        points: rows of the table, with the targets as `data`.
        deviation: the standard deviation of the targets, (m,); None for classes.
    """
    channels = Channels(table.names)
    if deviation is None:
        return CrossEntropy("data", points, 1.0, channels)

    def residual(p: Points, u: Jet) -> Tensor:
        assert p.data is not None
        return (u.value - p.data) / deviation

    return ResidualTerm("data", points, 1.0, channels, residual)
