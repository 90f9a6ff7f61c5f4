"""Initial values that no condition prescribes: numbers that are determined by data."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kanpinn.evolution.terms.evolution_terms import initial_values, linear_in_state, with_normals
from kanpinn.geometry import Points
from kanpinn.jets import Channels, Jet
from kanpinn.loss.terms import ResidualTerm


@dataclass(frozen=True, eq=False)
class FreeStart:
    """Values, and rates for second order, at the first moment: base + Σ_k y_k directions_k.

    It is for equations in time alone, whose state there is one vector.

    Args:
        base: (order, m).
        directions: orthonormal, (order, m, K).
        shift: the y, (K,), which are changed in place.
    """

    base: Tensor
    directions: Tensor
    shift: Tensor

    @staticmethod
    def of(
        terms: Sequence[ResidualTerm],
        data: Sequence[ResidualTerm],
        first: Points,
        fields: int,
        order: int,
    ) -> "FreeStart":
        """The start for conditions at the first moment; data there, or soon after, give the base.

        Args:
            terms: the conditions.
            data: the terms of the data.
            first: the first moment, one point.
            fields: the number of fields m.
            order: the order of the equation in time.
        """
        size = order * fields
        base, null = first.coords.new_zeros(size), torch.eye(size).to(first.coords)
        if terms:
            base = initial_values(terms, first, fields)[:order].flatten()
            rows = torch.cat(
                [linear_in_state(one, with_normals(first), fields)[0][0] for one in terms]
            )
            _, s, vh = torch.linalg.svd(rows[:, :size])
            null = vh[int((s > 1e-10 * s[0]).sum()) :].T
        if null.shape[1] and (early := [_earliest(one) for one in data if one.sites == 1]):
            both = [linear_in_state(one, one.points, fields) for one in early]
            matrix = torch.cat([a[0, :, :size] for a, _ in both])
            right = torch.cat([b[0] for _, b in both]) + matrix @ base
            base = base - null @ (torch.linalg.pinv(matrix @ null) @ right)
        shape = order, fields
        shift = base.new_zeros(null.shape[1])
        return FreeStart(base.view(shape), null.unflatten(0, shape), shift)

    def term(self, first: Points) -> ResidualTerm:
        """The condition that the state at the first moment, one point, is this one."""

        def equation(p: Points, u: Jet) -> Tensor:
            state = self.base + self.directions @ self.shift
            fields = state.shape[1]  # unknown numbers may follow them
            found = [u.value[:, :fields] - state[0]]
            if len(state) == 2:
                assert u.gradient is not None
                found.append(u.gradient[:, -1, :fields] - state[1])
            return torch.cat(found, dim=1)

        channels = Channels(first.names, gradient=len(self.base) == 2)
        return ResidualTerm("initial", first, 1.0, channels, equation)


def _earliest(term: ResidualTerm) -> ResidualTerm:
    """The term with the first of its rows in time."""
    return term.chosen(term.points.coords[:, -1].argmin()[None])
