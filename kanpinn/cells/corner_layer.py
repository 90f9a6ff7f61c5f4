"""The layer of a network in cells with the singular functions of corners."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from kanpinn.cells.corner_functions import CLOSEST, CornerFunctions, Power
from kanpinn.cells.tree import Tree
from kanpinn.jets import Coordinates, Jet


class CornerLayer(nn.Module):
    """Σ_j c_j s_j(x) with the singular functions s_j of corners, each in the cells around one.

    Args:
        corners: of each corner its coordinates ξ, the direction φ and the radius R of its
            functions, see `CornerFunctions`, (C, 4).
        boxes: the number of a corner, and a box of cells around it: its lower and its upper corner,
            (B, 5).
        powers: the number of a corner, and a, n and l of a `Power`, (P, 4).
        fields: the number m of fields.

    coefficients: those of the two functions of each power, (2 P, m).
    """

    corners: Tensor
    boxes: Tensor
    powers: Tensor

    def __init__(self, corners: Tensor, boxes: Tensor, powers: Tensor, fields: int) -> None:
        super().__init__()
        self.register_buffer("corners", corners)
        self.register_buffer("boxes", boxes)
        self.register_buffer("powers", powers)
        self.coefficients = nn.Parameter(corners.new_zeros(2 * len(powers), fields))

    def same(self, other: "CornerLayer | None") -> bool:
        """Whether another layer has the same functions."""
        names = ("corners", "boxes", "powers")
        return other is not None and all(
            torch.equal(getattr(self, name), getattr(other, name)) for name in names
        )

    @property
    def numbers(self) -> list[Tensor]:
        """The coefficients of the functions of each corner, (count m,) each, on the CPU."""
        both = self.coefficients.detach().double().cpu()
        owner = self.powers[:, 0].cpu().repeat_interleave(2)
        return [both[owner == corner].flatten() for corner in range(len(self.corners))]

    @torch.no_grad()
    def assign(self, numbers: Sequence[Tensor]) -> None:
        """Take other coefficients, see `numbers`."""
        fields = self.coefficients.shape[1]
        self.coefficients.copy_(torch.cat([one.view(-1, fields) for one in numbers]))

    def jet(self, coordinates: Coordinates, tree: Tree) -> Jet:
        """The jet of the sum at points; tree: the cells."""
        at, channels = coordinates.value, coordinates.channels
        found: Tensor | None = None
        place = at.detach().cpu()
        cells = tree.locate(place, torch.zeros(len(place), dtype=torch.long))
        for number, (x, y, direction, radius) in enumerate(self.corners.tolist()):
            boxes = self.boxes[self.boxes[:, 0] == number, 1:].cpu().view(-1, 2, 2)
            some = tree.inside(boxes)[cells].nonzero()[:, 0].to(at.device)
            powers = self.powers[:, 0] == number
            functions = CornerFunctions(direction, radius, powers_of(self.powers[powers, 1:]))
            offsets = (at[some] - at.new_tensor((x, y))) / coordinates.scale
            # At the corner itself derivatives are infinite: those close to it are given.
            inward = offsets.new_tensor((math.cos(direction), math.sin(direction)))
            least = 2 * CLOSEST * radius
            offsets = torch.where(offsets.norm(dim=1)[:, None] < least, least * inward, offsets)
            jets = functions.stacked(offsets, channels)
            values = jets.to(at) @ self.coefficients[powers.repeat_interleave(2)]
            if found is None:
                found = values.new_zeros(len(at), *values.shape[1:])
            found = found.index_add(0, some, values)
        assert found is not None
        return coordinates.dense().unstacked(found)

    def _load_from_state_dict(self, state: Mapping[str, Any], prefix: str, *args: Any) -> None:
        for name in ("corners", "boxes", "powers"):
            setattr(self, name, torch.empty_like(state[prefix + name]))
        self.coefficients = nn.Parameter(torch.empty_like(state[f"{prefix}coefficients"]))
        super()._load_from_state_dict(state, prefix, *args)


def powers_of(rows: Tensor) -> tuple[Power, ...]:
    """Powers by their numbers a, n and l, (P, 3)."""
    return tuple(Power(a, int(n), int(log)) for a, n, log in rows.tolist())
