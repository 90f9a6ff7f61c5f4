"""The functions of space in which a window is solved, at the places of a quadrature rule."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor

from kanpinn.geometry import Points
from kanpinn.jets import Jet


@dataclass(frozen=True, eq=False)
class TrialSpace(ABC):
    """n functions of space ψ_i for each of m fields: u_f = g_f + Σ_i y_if ψ_if.

    Integrals over space are sums over quadrature places.

    Args:
        places: the places, as points in space and time with some time.
        weights: of the quadrature rule in space, (E, q) for E elements with q places each.
        like: a jet at the places, for its channels.
        size: the number of functions n.
    """

    places: Points
    weights: Tensor
    like: Jet
    size: int

    @property
    def shape(self) -> tuple[int, int]:
        """The numbers of elements and of places in each of them."""
        elements, q = self.weights.shape
        return elements, q

    @abstractmethod
    def jet(self, y: Tensor) -> Jet:
        """The jets of Σ_i y_i ψ_i at the places.

        Args:
            y: the coefficients of b combinations, (b, n, m).

        Returns:
            A jet with b·m components: all fields of one combination after the other.
        """

    @abstractmethod
    def values(self, y: Tensor) -> Tensor:
        """The values alone of `jet`, (places, b·m)."""

    @abstractmethod
    def coefficients(self, y: Tensor) -> Tensor:
        """The coefficients of the output layer, (…, coefficients, m), from the y, (…, n, m)."""
