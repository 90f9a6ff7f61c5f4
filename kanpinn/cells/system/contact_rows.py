"""The rows that couple cells of two regions at an interface."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from kanpinn.cells.geometry.contacts import CoupledContacts
from kanpinn.cells.polynomials import LocalPolynomials
from kanpinn.cells.system.coupling import Coupling


@dataclass(frozen=True, eq=False)
class ContactRows:
    """The rows that couple cells at arcs of an interface: forms of their jets minus traces.

    The forms are values and normal derivatives of fields, which have the same trace on both sides,
    and fluxes, whose trace is that of the outside. So the flux inside has the other sign.

    Args:
        coupled: the arcs, and the fluxes there.
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
        """The rows of arcs with the weights of a coupling."""
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

    @cached_property
    def trace(self) -> LocalPolynomials:
        """The traces' polynomials.

        Their degree is somewhat higher than that of the cells: on an arc that is bent these are no
        polynomials of the arc's parameter.
        """
        more = 2
        return LocalPolynomials(self.coupled.polynomials.degree + more, 1)

    @property
    def size(self) -> int:
        """The number of unknowns of an arc's traces."""
        return self.trace.size * self.signs.shape[1]

    @cached_property
    def _onto(self) -> Tensor:
        """The integrals of functions times the traces' polynomials, by the rule, (traces, q)."""
        contacts = self.coupled.contacts
        return (self.trace.values(contacts.nodes[:, None]) * contacts.weights[:, None]).T

    def rows(self, side: int, place: int) -> tuple[Tensor, Tensor]:
        """The rows of the cell on one side of an arc.

        Args:
            side: INSIDE or OUTSIDE.
            place: the number of the arc.

        Returns:
            (rows, L m), and the diagonal (rows,) of the traces' matrix.
        """
        weights = self.scaled(side, place)
        functions = self.coupled.functions(side, place)
        found = torch.einsum("iq,qfpm,qpl->film", self._onto, self.forms[side, place], functions)
        diagonal = (weights * self.signs[side]).repeat_interleave(self.trace.size)
        return (found * weights[:, None, None, None]).flatten(2).flatten(0, 1), diagonal

    def rights(self, side: int, place: int, fluxes: Tensor) -> Tensor:
        """The right-hand sides of the rows, (rows, n): half of the fluxes' on each side.

        fluxes: right-hand sides at the points of the arc, (q, equations, n).
        """
        weights, equations = self.scaled(side, place), fluxes.shape[1]
        found = fluxes.new_zeros(len(weights), self.trace.size, fluxes.shape[2])
        if equations:
            found[-equations:] = torch.einsum("iq,qen->ein", self._onto, fluxes) / 2
        return (found * weights[:, None, None]).flatten(0, 1)

    def scaled(self, side: int, place: int) -> Tensor:
        """The weights times the root of the arc's length, by that of [-1, 1], (forms,)."""
        length = self.coupled.contacts.lengths[place]
        return self.weights[side, place] * (length / 2).sqrt()


@dataclass(frozen=True, eq=False)
class PlacedContact:
    """One of the two cells that meet at an arc.

    Args:
        rows: the rows of several arcs.
        side: INSIDE or OUTSIDE.
        place: the number of the arc among these.
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
    """For each cell the arcs at which it meets cells of other regions.

    Args:
        rows: those of all arcs.
        cells: the number of cells.
        traces: the number of traces on faces, after which those on arcs are numbered.
    """
    found: list[list[PlacedContact]] = [[] for _ in range(cells)]
    for one in rows:
        for place, both in enumerate(zip(*one.coupled.cells, strict=True)):
            for side, cell in enumerate(both):
                found[cell].append(PlacedContact(one, side, place, traces))
            traces += 1
    return found
