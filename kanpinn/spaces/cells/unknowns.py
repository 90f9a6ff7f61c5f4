"""Unknown numbers and coefficient fields in equation and conditions of a problem in cells."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kanpinn.geometry import Points
from kanpinn.jets import Jet, join
from kanpinn.loss.parameters import Parameters
from kanpinn.loss.residuals import frozen
from kanpinn.networks.layer import Layer, Tape
from kanpinn.networks.surrogate import Surrogate
from kanpinn.spaces.cells.cells import Cells, require_cells


@dataclass(frozen=True, eq=False)
class Unknowns:
    """The coefficients of the network of coefficient fields, followed by the unknown numbers.

    surrogate: its network is in cells.
    """

    surrogate: Surrogate

    @property
    def network(self) -> Cells:
        """The network in cells."""
        return require_cells(self.surrogate.network)

    @property
    def layers(self) -> list[Layer]:
        """The layers whose coefficients are searched for."""
        coefficient, constants = self.network.coefficient, self.network.constants
        found = [] if coefficient is None else list(coefficient.output_layers)
        return found if constants is None else [*found, constants]

    @property
    def parameters(self) -> Parameters:
        """The unknowns as a vector."""
        coefficient = self.network.coefficient
        layers = [] if coefficient is None else coefficient.output_layers
        return Parameters([layer.coefficients for layer in layers], self.network.constants)

    def beside(self, p: Points, u: Jet, tape: Tape | None = None) -> Jet:
        """The jet of the fields in cells, followed by those of coefficient fields and numbers.

        Args:
            p: n points.
            u: the jet of the fields in cells there.
            tape: records the layers whose Jacobian is wanted.
        """
        surrogate, channels, found = self.surrogate, u.channels, [u]
        if (network := self.network.coefficient) is not None:
            inputs = p.once((surrogate, channels), lambda: surrogate.coordinates(p, channels))
            c = network.jet(inputs, tape)
            kinds = surrogate.coefficients[u.value.shape[1] :]
            found += [c[i] if one is None else one.of(c[i]) for i, one in enumerate(kinds)]
        if (constants := self.network.constants) is not None:
            numbers = constants(u, tape)
            found += [numbers[i] for i in range(len(constants.unknowns))]
        return join([one for part in found for one in part.components()])


@dataclass(frozen=True, eq=False)
class WithUnknowns:
    """An equation of fields in cells with the present values of the unknowns.

    Args:
        equation: takes the jets of all fields, followed by those of the numbers.
        unknowns: the unknowns.
    """

    equation: Callable[[Points, Jet], Tensor]
    unknowns: Unknowns

    def __call__(self, p: Points, u: Jet) -> Tensor:
        with torch.no_grad():
            others = self.unknowns.beside(p, u.map(Tensor.detach)).components()
        own = u.components()
        return self.equation(p, join([*own, *others[len(own) :]]))

    def rates(self, p: Points, u: Jet) -> Tensor:
        """The derivatives of the residuals by the K unknowns, (rows, equations, K)."""
        tape = Tape(self.unknowns.layers)
        with torch.enable_grad(), frozen(self.unknowns.surrogate):
            residual = self.equation(p, self.unknowns.beside(p, u, tape))
        rows, equations = residual.shape
        if not residual.requires_grad:
            return residual.new_zeros(rows, equations, len(self.unknowns.parameters.values))
        sites = len(p) // rows
        columns: Sequence[Tensor] = [
            tape.jacobian(residual[:, e], retain=e + 1 < equations, sites=sites)
            for e in range(equations)
        ]
        return torch.stack(list(columns), dim=1)
