"""Known functions with their derivatives, and enrichment: known functions with coefficients."""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from kanpinn._support.errors import InputError
from kanpinn.geometry import Points
from kanpinn.jets import Channels, Coordinates, Jet, jet_of
from kanpinn.networks.layer import Layer, Tape

Function = Callable[[Points], Tensor]  # n points → (n, q)


class Known:
    """Known functions of points, and their jets by nested automatic differentiation.

    The jets at a `Batch` of points are computed once, as an optimizer uses them in every step.

    Args:
        functions: each maps n points to (n, q), for its own q.
        what: the name of the functions in error messages.
    """

    def __init__(self, functions: tuple[Function, ...], what: str) -> None:
        self.functions, self.what = functions, what

    def values(self, p: Points) -> Tensor:
        """The values of all functions at n points, (n, q) with the sum q of their numbers.

        Raises:
            InputError: if a function gives another shape.
        """
        found = [function(p) for function in self.functions]
        for values in found:
            if not isinstance(values, Tensor) or values.ndim != 2 or len(values) != len(p):
                got = tuple(values.shape) if isinstance(values, Tensor) else type(values).__name__
                raise InputError(
                    f"{self.what} must have shape (n, q) with n = {len(p)} points here, got {got}"
                )
        return torch.cat(found, dim=1)

    def jet(self, points: Points, channels: Channels) -> Jet:
        """The jet of all functions at points, with the derivatives that `channels` names."""
        return points.once(
            (self, channels),
            lambda: jet_of(lambda x: self.values(Points(x, points.names)), points.coords, channels),
        )


class Enrichment(Layer):
    """Σ_j c_j s_j(x) with known functions s_j, added to the network's output.

    It is linear in its coefficients, which start at zero and are solved for together with those of
    the output layer.

    Args:
        functions: the functions s_j, of points: all give (n, q), scalar functions with a
            coefficient for each of m fields, (q, m) in all; or all give (n, q, m), functions of all
            fields with one coefficient each, (q, 1).
        probe: some points, with the dtype and device of the network.
        fields: the number m of outputs.

    joint: whether the functions are functions of all fields.

    Raises:
        InputError: if the functions are of both kinds, or one gives another shape.

    Reference: Strang and Fix, An analysis of the finite element method (1973), chapter 8.
    """

    def __init__(self, functions: Sequence[Function], probe: Points, fields: int) -> None:
        super().__init__()
        kinds = {getattr(function(probe), "ndim", 2) == 3 for function in functions}
        if len(kinds) > 1:
            raise InputError("enrichment() must give functions (n, q) or (n, q, m), not both kinds")
        self.joint = True in kinds
        if self.joint:
            functions = [partial(_flat, f, fields) for f in functions]
        self.known = Known(tuple(functions), "a function of enrichment()")
        count, columns = self.known.values(probe).shape[1], fields
        if self.joint:
            count, columns = count // fields, 1
        self.coefficients = nn.Parameter(probe.coords.new_zeros(count, columns))

    def at(self, points: Points, channels: Channels, tape: Tape | None = None) -> Jet:
        """The jet of the sum at points.

        Args:
            points: n points.
            channels: the derivatives that the jet carries.
            tape: records the layers whose Jacobian is wanted.
        """
        return self(self.known.jet(points, channels), tape)

    def product(self, h: Jet | Coordinates, coefficients: Tensor) -> tuple[Tensor, Tensor]:
        rows = h.dense().stacked()
        if not self.joint:
            return rows, rows @ coefficients
        rows = rows.unflatten(2, (len(coefficients), -1))
        return rows, torch.einsum("ncqm,q->ncm", rows, coefficients[:, 0])

    @torch.no_grad()
    def jacobian(self, known: Tensor, delta: Tensor, out: Tensor) -> None:
        sums = "ncqm,ncm->qn" if self.joint else "ncq,ncm->qmn"
        out.view(*self.coefficients.shape, -1).copy_(
            torch.einsum(sums, known, delta).view(*self.coefficients.shape, -1)
        )


def _flat(function: Function, fields: int, p: Points) -> Tensor:
    values = function(p)
    if values.ndim != 3 or values.shape[2] != fields:
        raise InputError(
            f"a function of enrichment() must have shape (n, q, {fields}) for as many fields, got "
            f"{tuple(values.shape)}"
        )
    return values.flatten(1)
