"""The sensitivities of fields that follow from numbers, as a layer of a network."""

import torch
from torch import Tensor, nn

from kanpinn.jets import Coordinates, Jet
from kanpinn.networks.layer import Layer


class Sensitivities(Layer):
    """Σ_k a_k ∂u/∂q_k, added to the fields u of a network that solves its equation for numbers q.

    The numbers are free initial values, if there are any, and the coefficients c of the unknown
    numbers (see `Unknown`). The changes a, the coefficients (K,), are zero: the layer contributes
    nothing but its Jacobian, by which covariances are computed.

    Args:
        errors: the errors of the numbers that are due to the network, (K,).

    Reference: Bard, Nonlinear parameter estimation (1974), chapter 8, for models that are
    differential equations.
    """

    errors: Tensor

    def __init__(self, errors: Tensor) -> None:
        super().__init__()
        self.coefficients = nn.Parameter(torch.zeros_like(errors), requires_grad=False)
        self.register_buffer("errors", errors)

    def product(self, h: Jet | Coordinates, coefficients: Tensor) -> tuple[Tensor, Tensor]:
        """The weighted sum of the sensitivities, from their jet with K·m components."""
        rows = h.dense().stacked().unflatten(2, (len(coefficients), -1))
        return rows, torch.einsum("nckm,k->ncm", rows, coefficients)

    def combine(self, product: Tensor, h: Jet | Coordinates) -> Jet:
        return h.dense().unstacked(product)

    @torch.no_grad()
    def jacobian(self, known: Tensor, delta: Tensor, out: Tensor) -> None:
        out.copy_(torch.einsum("nckm,ncm->kn", known, delta))
