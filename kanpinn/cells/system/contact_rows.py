"""The rows that couple cells of two regions at an interface."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kanpinn.cells.geometry.contacts import CoupledContacts
from kanpinn.cells.system.coupling import Coupling


@dataclass(frozen=True, eq=False)
class ContactRows:
    """The rows that couple cells at parts of an interface: forms of their jets minus traces.

    The forms are values and normal derivatives of fields, which have the same trace on both sides,
    and fluxes, whose trace is that of the outside. So the flux inside has the other sign.

    Args:
        coupled: the parts, and the fluxes there.
        forms: the factors of the parts of jets in each form, (2, c, q, forms, parts, m).
        weights: the square roots of the weights, (2, c, forms).
        signs: those of the traces, (2, forms).
    """

    coupled: CoupledContacts
    forms: Tensor
    weights: Tensor
    signs: Tensor

    @classmethod
    def of(cls, coupled: CoupledContacts, coupling: Coupling) -> "ContactRows":
        """The rows with the weights of a coupling."""
        contacts, orders = coupled.contacts, list(enumerate(coupling.orders))
        with_flux = (coupled.sizes[..., 1:, :] > 0).flatten(0, -2).any(dim=0).tolist()
        continuous = [f for f, order in orders if order > 0]
        smooth = [f for f, order in orders if order > 1 and not with_flux[f]]
        like = coupled.slopes[..., :0, :, :]
        values, normals = (
            like.new_zeros(*like.shape[:3], len(fields), *like.shape[4:])
            for fields in (continuous, smooth)
        )
        values[..., range(len(continuous)), 0, continuous] = 1.0
        dim, across = coupled.polynomials.dim, contacts.points.normals
        assert across is not None
        across = across.view(*like.shape[1:3], dim)
        for number, field in enumerate(smooth):
            normals[..., number, 1 : 1 + dim, field] = across
        cells = [side.cells for side in contacts.sides]
        widths = [coupled.geometry.across(one, contacts.normals) for one in cells]
        least = torch.minimum(*widths)
        jumps = torch.stack([coupling.weights(one, contacts.normals, least) for one in cells])
        both = zip(coupled.sizes, jumps, strict=True)
        fluxes = torch.stack([coupling.of_condition(*one) for one in both])
        ones = [1.0] * (len(continuous) + len(smooth))
        signs = [[*ones, *[way] * coupled.right.shape[2]] for way in (-1.0, 1.0)]
        return cls(
            coupled,
            torch.cat([values, normals, coupled.slopes], dim=3),
            torch.cat([jumps[:, :, 0, continuous], jumps[:, :, 1, smooth], fluxes], dim=2),
            jumps.new_tensor(signs),
        )

    @property
    def size(self) -> int:
        """The number of unknowns of the traces on one part."""
        return self.coupled.contacts.traces.size * self.signs.shape[1]

    def coarse(self, low: int) -> Tensor:
        """Which of these unknowns have a degree of at most `low`, a mask (size,)."""
        traces = self.coupled.contacts.traces
        own = torch.arange(traces.size) < traces.count(min(low, traces.degree))
        return own.repeat(self.signs.shape[1])

    def traces(self, coefficients: Tensor) -> Tensor:
        """The traces with which the rows of a function are least, (c, size).

        coefficients: of the function, (N, L, m).
        """
        onto, right = self.coupled.contacts.onto, self.coupled.right
        jets = self.coupled.jets(coefficients)
        found = torch.einsum("cqi,scqfpm,cqspm->scfi", onto, self.forms, jets)
        if right.shape[2]:
            found[:, :, -right.shape[2] :] -= torch.einsum("cqi,cqe->cei", onto, right) / 2
        squares = self.weights.square()
        shares = squares / squares.sum(dim=0) * self.signs[:, None]
        return (found * shares[..., None]).sum(dim=0).flatten(1)

    def rows(self, side: int, place: int) -> tuple[Tensor, Tensor]:
        """The rows of the cell on one side of a part.

        Args:
            side: INSIDE or OUTSIDE.
            place: the number of the part.

        Returns:
            (rows, L m), and the diagonal (rows,) of the traces' matrix.
        """
        weights, onto = self.weights[side, place], self.coupled.contacts.onto[place]
        functions = self.coupled.functions(side, place)
        found = torch.einsum("qi,qfpm,qpl->film", onto, self.forms[side, place], functions)
        diagonal = (weights * self.signs[side]).repeat_interleave(onto.shape[1])
        return (found * weights[:, None, None, None]).flatten(2).flatten(0, 1), diagonal

    def rights(self, side: int, place: int, fluxes: Tensor) -> Tensor:
        """The right-hand sides of the rows, (rows, n): half of the fluxes' on each side.

        fluxes: right-hand sides at the points of the part, (q, equations, n).
        """
        weights, equations = self.weights[side, place], fluxes.shape[1]
        onto = self.coupled.contacts.onto[place]
        found = fluxes.new_zeros(len(weights), onto.shape[1], fluxes.shape[2])
        if equations:
            found[-equations:] = torch.einsum("qi,qen->ein", onto, fluxes) / 2
        return (found * weights[:, None, None]).flatten(0, 1)


@dataclass(frozen=True, eq=False)
class PlacedContact:
    """One of the two cells that meet at a part of an interface.

    Args:
        rows: the rows of several parts.
        side: INSIDE or OUTSIDE.
        place: the number of the part among these.
        number: that of its traces among all traces.
    """

    rows: ContactRows
    side: int
    place: int
    number: int

    def of_cell(self) -> tuple[Tensor, Tensor]:
        """The rows of the cell, (r, L m), and the diagonal of the traces' matrix, (r,)."""
        return self.rows.rows(self.side, self.place)

    def weighed(self, fluxes: Tensor) -> Tensor:
        """The right-hand sides of the rows, (r, n); fluxes: at the points, (q, equations, n)."""
        return self.rows.rights(self.side, self.place, fluxes)


def placed(rows: Sequence[ContactRows], cells: int, traces: int) -> list[list[PlacedContact]]:
    """For each cell the parts of interfaces at which it meets cells of other regions.

    Args:
        rows: those of all parts.
        cells: the number of cells.
        traces: the number of traces on faces, after which those on interfaces are numbered.
    """
    found: list[list[PlacedContact]] = [[] for _ in range(cells)]
    for one in rows:
        for place, both in enumerate(zip(*one.coupled.cells, strict=True)):
            for side, cell in enumerate(both):
                found[cell].append(PlacedContact(one, side, place, traces))
            traces += 1
    return found
