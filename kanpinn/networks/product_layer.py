"""A layer of multiplication nodes: products of splines of each input."""

import math
from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any, cast

import torch
from torch import Tensor, nn

from kanpinn.jets import Coordinates, Jet, stack
from kanpinn.networks.basis import BSplines
from kanpinn.networks.layer import Layer


class ProductLayer(Layer):
    """y_o = Σ_i c_io Π_d B_(i_d)(h_d), sums of products of splines of each of n_in inputs.

    It is a KAN whose edges are single B-splines that meet in multiplication nodes.

    Args:
        bases: the splines of each input.
        n_out: the number of outputs.

    coefficients: (1, size, n_out), where `size` is the number of products; the last input's splines
    follow one another. sizes: the numbers of splines of the inputs.

    Reference: Liu et al., KAN 2.0: Kolmogorov–Arnold networks meet science (2024), section 2, for
    multiplication nodes.
    """

    def __init__(self, bases: Sequence[BSplines], n_out: int) -> None:
        super().__init__()
        self._bases = nn.ModuleList(bases)
        like = bases[0].breaks
        self.coefficients = nn.Parameter(like.new_zeros(1, math.prod(self.sizes), n_out))

    @property
    def bases(self) -> Sequence[BSplines]:
        return cast(Sequence[BSplines], self._bases)

    @property
    def basis(self) -> BSplines:
        """The splines of the first input."""
        return self.bases[0]

    @property
    def sizes(self) -> tuple[int, ...]:
        return tuple(one.size for one in self.bases)

    def reset(self, bases: Sequence[BSplines]) -> None:
        """Set the outputs to zero, on other splines of the same inputs."""
        n_out = self.coefficients.shape[2]
        self._bases = nn.ModuleList(bases)
        zeros = self.basis.breaks.new_zeros(1, math.prod(self.sizes), n_out)
        self.coefficients = nn.Parameter(zeros)

    def reset_outputs(self, count: int) -> None:
        """Set the outputs to zero; `count` is their new number."""
        zeros = self.coefficients.new_zeros(1, math.prod(self.sizes), count)
        self.coefficients = nn.Parameter(zeros)

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *args: Any) -> None:
        # A saved layer may have other knots than this one was created with.
        saved = state_dict[prefix + "coefficients"]
        trained = self.coefficients.requires_grad
        self.coefficients = nn.Parameter(torch.empty_like(saved), requires_grad=trained)
        super()._load_from_state_dict(state_dict, prefix, *args)

    def evaluate(self, h: Jet | Coordinates) -> Jet:
        most = 2**22  # numbers at once: 32 MiB in float64
        local = math.prod(one.degree + 1 for one in self.bases)
        count = max(1, most // (local * max(8, self.coefficients.shape[2])))
        dense = h.dense()
        starts = range(0, len(dense.value), count)
        blocks = [dense.rows(slice(i, i + count)) for i in starts] if len(starts) > 1 else [dense]
        found = []
        for block in blocks:
            index, functions = self._products(block, living=True)
            near = self.coefficients[0][index]  # (n, local, n_out)
            found.append(functions.unstacked(torch.bmm(functions.stacked(), near)))
        return found[0] if len(found) == 1 else stack(found)

    def product(self, h: Jet | Coordinates, coefficients: Tensor) -> tuple[Tensor, Tensor]:
        _, functions = self._products(h.dense(), living=False)
        known = functions.stacked()
        return known, known @ coefficients[0]

    @torch.no_grad()
    def jacobian(self, known: Tensor, delta: Tensor, out: Tensor) -> None:
        n_out = self.coefficients.shape[2]
        out.view(-1, n_out, len(known)).copy_(torch.einsum("nps,npo->son", known, delta))

    def _products(self, h: Jet, living: bool) -> tuple[Tensor, Jet]:
        """The jets of the products at n points, of all or of those that do not vanish there.

        Returns:
            Their indices, (n, local), and their jets with `local` components.
        """
        order = h.channels.derivative_order
        index = torch.zeros_like(h.value[:, :1], dtype=torch.long)
        jets = []
        for number, basis in enumerate(self.bases):
            one = h[number]
            if living:
                near, values = basis.living(one.value, order)
                near = near[:, 0]
            else:
                values = basis.values(one.value, order)
                near = torch.arange(basis.size, device=index.device).expand(len(index), -1)
            repeated = one.map(lambda t, m=near.shape[1]: t.expand(*t.shape[:-1], m))  # type: ignore[misc]
            jets.append(repeated.chain([t[:, 0] for t in values.unbind(1)]))
            index = (index[:, :, None] * basis.size + near[:, None]).flatten(1)
        return index, reduce(_outer, jets)


def _outer(a: Jet, b: Jet) -> Jet:
    """The products of all components of a with all components of b; b varies fastest."""
    m, n = a.value.shape[-1], b.value.shape[-1]
    left = a.map(lambda t: t.repeat_interleave(n, dim=-1))
    right = b.map(lambda t: t.repeat(*[1] * (t.ndim - 1), m))
    product: Jet = left * right
    return product
