"""Smooth functions that vanish on a boundary, as products of formulas.

Reference: Rvachev and Sheiko, R-functions in boundary value problems in mechanics (1995);
Sukumar and Srivastava, Exact imposition of boundary conditions with distance functions (2022).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from kanpinn._support.shapes import Column, Coords
from kanpinn.geometry.planar.forms import All, Form, Some

ZERO = 1e-9  # a value so small, relative to the largest, is 0


@dataclass(frozen=True)
class Product:
    """scale · Π factor / size."""

    factors: tuple[Form, ...]
    sizes: tuple[float, ...]
    scale: float

    @property
    def smooth(self) -> bool:
        """Whether it has derivatives of all orders everywhere."""
        return all(factor.leaf for factor in self.factors)

    def __call__(self, coords: Coords) -> Column:
        total = torch.full_like(coords[:, :1], self.scale)
        for factor, size in zip(self.factors, self.sizes, strict=True):
            total = total * (factor.value(coords) / size)
        return total


def factors(form: Form) -> list[Form]:
    """Leaves and unions whose intersection it is; each leaf comes once, and in no union either.

    A product with one twice would vanish too fast at the boundary.
    """
    flat = _flat(form)
    leaves: list[Form] = []
    for factor in flat:
        if factor.leaf and not any(factor.same(other) for other in leaves):
            leaves.append(factor)
    left = [factor.given(leaves) for factor in flat if not factor.leaf]
    unions = [factor for factor in left if factor is not None]
    if all(isinstance(factor, Some) for factor in unions):
        return [*leaves, *unions]
    return factors(All((*leaves, *unions)))


def _flat(form: Form) -> list[Form]:
    parts = form.parts if isinstance(form, All) else ()
    return [factor for part in parts for factor in _flat(part)] if parts else [form]


def fitted(form: Form, inside: Tensor, rim: Tensor) -> Product | None:
    """The product for a domain with these points in it and on its boundary.

    The factors' sizes are their largest values and the largest slope on the boundary is 1. None
    unless all factors are > 0 at all points inside, and just one is 0 at each boundary point.
    """
    parts = factors(form)
    values = torch.cat([part.value(torch.cat([inside, rim])) for part in parts], dim=1)
    sizes = values.max(dim=0).values
    within, around = (values / sizes).split([len(inside), len(rim)])
    nearest = around.abs().min(dim=1)
    # Next to the boundary one factor is the distance from it.
    others = around.scatter(1, nearest.indices[:, None], 1.0)
    if not (within.min() > 0 and nearest.values.max() < ZERO < others.min()):
        return None
    slopes = others.prod(dim=1) / sizes[nearest.indices]
    return Product(tuple(parts), tuple(sizes.tolist()), 1 / float(slopes.max()))
