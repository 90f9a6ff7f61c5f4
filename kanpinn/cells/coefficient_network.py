"""Networks of coefficient fields beside cells: their start, and the functions in their sums."""

from collections.abc import Sequence

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.jets import Coordinates, Jet, join
from kanpinn.networks.layer import get_coefficients, set_coefficients
from kanpinn.networks.network import Network


@torch.no_grad()
def functions_of(network: Network, coordinates: Jet | Coordinates) -> Jet:
    """The jets of the functions that belong to the coefficients of a network's output layers.

    Args:
        network: the network, with q outputs that are linear in n coefficients.
        coordinates: the jet of its inputs.

    Returns:
        The jet of n q components: all outputs for the first coefficient, the second, ….
    """
    layers = network.output_layers
    present = get_coefficients(layers)
    found = []
    for unit in torch.eye(len(present)).to(present):
        set_coefficients(layers, unit)
        found.append(network.jet(coordinates))
    set_coefficients(layers, present)
    return join(found)


def beside_functions(
    directions: Jet, network: Network, coordinates: Jet | Coordinates, count: int
) -> Jet:
    """The derivatives of fields in cells, with those of coefficient fields beside them.

    Args:
        directions: the derivatives of m fields by K numbers, K m components, all fields of one
            number after the other.
        network: that of q coefficient fields, whose coefficients are the first of the numbers.
        coordinates: the jet of its inputs.
        count: the number of numbers K.

    Returns:
        The jet of K (m + q) components in the same order.
    """
    own = functions_of(network, coordinates)
    outputs = network.width[-1]

    def joined(one: Tensor, other: Tensor) -> Tensor:
        by_number = other.unflatten(-1, (-1, outputs))
        zeros = by_number.new_zeros(*by_number.shape[:-2], count - by_number.shape[-2], outputs)
        every = torch.cat([by_number, zeros], dim=-2)
        return torch.cat([one.unflatten(-1, (count, -1)), every], dim=-1).flatten(-2)

    both = zip(directions.parts(), own.parts(), strict=True)
    return directions.with_parts([joined(one, other) for one, other in both])


def begun_outputs(coefficient: Network, width: Sequence[int]) -> int:
    """The number of coefficient fields of a network; its output layer becomes zero.

    Raises:
        InputError: for a network of another kind, with other inputs, or too many outputs.
    """
    if not isinstance(coefficient, Network) or coefficient.solved_by:
        got = type(coefficient).__name__ if isinstance(coefficient, Network) else repr(coefficient)
        raise InputError(f"coefficient must be a network such as KAN([{width[0]}, 1]), got {got}")
    inputs, *_, outputs = coefficient.width
    if inputs != width[0] or outputs >= width[-1]:
        raise InputError(
            f"coefficient must have {width[0]} inputs and fewer than the {width[-1]} outputs of "
            f"the Cells, got the width {list(coefficient.width)}"
        )
    layers = coefficient.output_layers
    set_coefficients(layers, torch.zeros_like(get_coefficients(layers)))
    return outputs
