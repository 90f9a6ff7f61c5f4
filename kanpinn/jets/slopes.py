"""The derivatives of functions of a jet by its parts."""

from collections.abc import Callable

import torch
from torch import Tensor

from kanpinn.jets.jet import Jet


def slopes_by_parts(function: Callable[[Jet], Tensor], jet: Jet) -> tuple[Tensor, list[Jet]]:
    """The values of a function of a jet, and their derivatives by the parts of the jet.

    Args:
        function: gives k values at each of n points, or of n/s groups of s points.
        jet: where it is linearised.

    Returns:
        The values, (n, k) or (n/s, k), and for each of the k functions a jet whose parts are its
        derivatives by those of the given one, point by point.
    """
    parts = [part.detach().requires_grad_() for part in jet.parts()]
    with torch.enable_grad():
        values = function(jet.with_parts(parts))
        if values.requires_grad:
            slopes = [
                torch.autograd.grad(one.sum(), parts, retain_graph=True, materialize_grads=True)
                for one in values.unbind(dim=1)
            ]
        else:  # the function does not depend on the jet
            slopes = [tuple(map(torch.zeros_like, parts))] * values.shape[1]
    return values.detach(), [jet.with_parts(one) for one in slopes]
