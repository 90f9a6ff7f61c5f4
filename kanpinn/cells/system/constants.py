"""Constants of fields that equation and conditions leave open: their means are zero, or given.

With fluxes on all walls, or for the pressure of a flow, adding a constant to a field changes no
residual.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.cells.cells import Cells
from kanpinn.cells.system.cell_fields import CellField
from kanpinn.cells.system.cell_system import CellSystem
from kanpinn.loss.residuals import Residuals
from kanpinn.loss.terms import ResidualTerm, Term
from kanpinn.networks.surrogate import Surrogate


def is_mean(term: Term) -> bool:
    """Whether a term prescribes one number, such as an integral over the domain."""
    return isinstance(term, ResidualTerm) and term.rows == 1 and term.sites > 1


def mean_terms(residuals: Residuals) -> list[ResidualTerm]:
    """The terms of a loss that prescribe one number each."""
    return [term for term in residuals.terms if isinstance(term, ResidualTerm) and is_mean(term)]


@torch.no_grad()
def set_constants(
    system: CellSystem,
    surrogate: Surrogate,
    means: Sequence[ResidualTerm],
    numbers: Sequence[Tensor],
) -> None:
    """Add constants to the fields that are determined up to them, in place.

    Args:
        system: the least-squares problem.
        surrogate: its network has the solution.
        means: the terms that prescribe one number each. A field that is in none of them gets
            the mean zero.
        numbers: the coefficients of the functions that cells share.

    Raises:
        InputError: for a term that depends on no such field.
    """
    network = surrogate.network
    assert isinstance(network, Cells)
    left = list(means)
    for field in system.free_fields:
        residuals = [[float(_residual(t, surrogate, [field], c)) for c in (0.0, 1.0)] for t in left]
        seen = [i for i, (before, after) in enumerate(residuals) if before != after]
        if seen:
            before, after = residuals[seen[0]]
            _add(network, field, before / (before - after))
            del left[seen[0]]
        else:
            present = network.layer.coefficients.double().cpu()
            found = system.norms.without_means(CellField(present, numbers), [field])
            network.layer.coefficients.copy_(found.coefficients)
    if left:
        raise InputError(
            f"the term {left[0].name} cannot be imposed on cells: its field is determined without "
            "it, the constant included"
        )


def _add(network: Cells, field: int, constant: float) -> None:
    """Add a constant to a field; the first polynomial of each cell is a constant."""
    network.layer.coefficients[:, 0, field] += constant * 2 ** (network.polynomials.dim / 2)


def refuse_free_data(
    system: CellSystem, surrogate: Surrogate, data: Sequence[ResidualTerm]
) -> None:
    """Refuse data of a field that is determined only up to a constant.

    Raises:
        InputError: for such data.
    """
    for term in data if system.free_fields else ():
        before, after = (_residual(term, surrogate, system.free_fields, c) for c in (0.0, 1.0))
        if not torch.equal(before, after):
            raise InputError(
                f"the data of the term {term.name} are of a field that equation and conditions on "
                "the boundary determine only up to a constant: cells take data of other fields"
            )


def _residual(
    term: ResidualTerm, surrogate: Surrogate, fields: Sequence[int], constant: float
) -> Tensor:
    """The residual of a term where a constant is added to some fields."""
    jet = surrogate.jet(term.points, term.channels)
    value = jet.value.clone()
    value[:, list(fields)] += constant
    return term.equation(term.points, jet.with_parts([value, *jet.parts()[1:]]))
