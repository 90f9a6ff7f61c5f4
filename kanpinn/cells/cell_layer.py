"""The layer of a network in cells: polynomials in each box of a tree."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from kanpinn.cells.polynomials import LocalPolynomials
from kanpinn.cells.regions import PlaneRegions, Regions
from kanpinn.cells.tree import Tree
from kanpinn.jets import Channels, Coordinates, Jet
from kanpinn.jets.parts import derivatives_of_parts
from kanpinn.networks.layer import Layer


class CellLayer(Layer):
    """y_o = Σ_l c_klo p_l(ξ), polynomials of a box's own coordinates ξ for each box k of a tree.

    The coordinates ξ are in [-1, 1]^d in the box's frame: the box itself, or a smaller one. A box
    that interfaces divide has polynomials for each region.

    Args:
        tree: the boxes.
        polynomials: the polynomials of each.
        n_out: the number of outputs.

    coefficients: (N, L, n_out), of L orthonormal polynomials in each of N boxes. frames: the lower
    and upper corners of the frames, (N, 2, d). sides: of the regions, see `Regions`.
    """

    level: Tensor
    place: Tensor
    region: Tensor
    frames: Tensor
    sides: Tensor

    def __init__(self, tree: Tree, polynomials: LocalPolynomials, n_out: int) -> None:
        super().__init__()
        self.roots, self.around, self.polynomials = tree.roots, tree.around, polynomials
        self.register_buffer("level", tree.level)
        self.register_buffer("place", tree.place)
        self.register_buffer("region", tree.region)
        self.register_buffer("frames", tree.boxes)
        self.register_buffer("sides", PlaneRegions.whole().sides)
        zeros = torch.zeros(len(tree), polynomials.size, n_out, dtype=torch.float64)
        self.coefficients = nn.Parameter(zeros)
        self._tree: Tree | None = tree

    @property
    def tree(self) -> Tree:
        """The boxes, on the CPU."""
        if self._tree is None:
            parts = (self.level.cpu(), self.place.cpu(), self.region.cpu())
            self._tree = Tree(self.roots, *parts, self.around)
        return self._tree

    @property
    def regions(self) -> Regions:
        """The regions of the domain, on the CPU."""
        return Regions.restored(self.sides.cpu(), len(self.roots))

    def divide(self, regions: Regions) -> None:
        """Take other regions of the domain, and begin with cells for all of them."""
        sides = regions.sides.to(self.sides)
        if not torch.equal(sides, self.sides):
            self.sides, tree = sides, self.tree.divided(regions.count)
            like = self.coefficients
            self.reset(tree, tree.boxes, like.new_zeros(len(tree), *like.shape[1:]))

    def go_around(self, axes: frozenset[int]) -> None:
        """Make both ends of some coordinates neighbours, and no other ends."""
        self.around, self._tree = axes, None

    @torch.no_grad()
    def reset(self, tree: Tree, frames: Tensor, coefficients: Tensor) -> None:
        """Take another tree, with the frames of its boxes and coefficients (N, L, n_out)."""
        like = self.coefficients
        self.frames = frames.to(like)
        self._tree, self.around = tree, tree.around
        self.level, self.place, self.region = (
            part.to(like.device) for part in (tree.level, tree.place, tree.region)
        )
        self.coefficients = nn.Parameter(coefficients.to(like))

    def with_functions(
        self, polynomials: LocalPolynomials, tree: Tree, frames: Tensor, coefficients: Tensor
    ) -> "CellLayer":
        """A layer of other functions in the same regions of the domain.

        Args:
            polynomials: the functions of each cell.
            tree: the cells.
            frames: the lower and upper corners of their frames, (N, 2, d).
            coefficients: of n_out functions, (N, L, n_out).
        """
        made = CellLayer(tree, polynomials, coefficients.shape[2]).to(self.coefficients)
        made.sides = self.sides
        made.reset(tree, frames, coefficients)
        return made

    def _load_from_state_dict(self, state: Mapping[str, Any], prefix: str, *args: Any) -> None:
        # A saved network may have another tree than this one was created with.
        for name in ("level", "place", "region", "frames", "sides"):
            setattr(self, name, torch.empty_like(state[prefix + name]))
        saved = state[prefix + "coefficients"]
        self.coefficients = nn.Parameter(torch.empty_like(saved))
        self._tree = None
        super()._load_from_state_dict(state, prefix, *args)

    @property
    def numbers_at_point(self) -> int:
        """One for each edge of the KAN in a single cell."""
        return self.polynomials.size * self.coefficients.shape[2]

    def evaluate(self, h: Jet | Coordinates) -> Jet:
        most = 2**22  # numbers at once: 32 MiB in float64
        fields, side = self.coefficients.shape[2], self.polynomials.degree + 1
        count = max(1, most // (2 * fields * side ** len(self.roots)))
        number, own, scale = self._own(h)
        order = number.argsort()
        starts = range(0, max(1, len(order)), count)
        chunks = [order[i : i + count] for i in starts]
        found = [self._values(h.channels, number[i], own[i], scale[i]) for i in chunks]
        return h.dense().unstacked(torch.cat(found)[order.argsort()])

    def _values(self, channels: Channels, number: Tensor, own: Tensor, scale: Tensor) -> Tensor:
        """The stacked jets of the fields at some points, (n, parts, m).

        The arguments are what `_own` returns, by ascending numbers of cells. Cells with similar
        numbers of points, up to the same power of two, are evaluated together.
        """
        cells, counts = number.unique_consecutive(return_counts=True)
        starts, powers = counts.cumsum(0) - counts, (2 * counts - 1).log2().floor()
        fields, count = self.coefficients.shape[2], len(derivatives_of_parts(channels))
        found = own.new_empty(len(number), count, fields)
        for power in powers.unique():
            some = powers == power
            each = torch.arange(2 ** int(power), device=number.device)
            places = starts[some, None] + each.minimum(counts[some, None] - 1)
            of_cells = scale[starts[some]], self.coefficients[cells[some]]
            found[places] = self.polynomials.evaluated(channels, own[places], *of_cells)
        return found

    def product(self, h: Jet | Coordinates, coefficients: Tensor) -> tuple[Tensor, Tensor]:
        number, own, scale = self._own(h)
        stacked = self.polynomials.stacked(h.channels, own, scale)
        column = number.to(stacked)[:, None, None].expand(-1, stacked.shape[1], 1)
        return torch.cat([stacked, column], dim=2), torch.bmm(stacked, coefficients[number])

    def combine(self, product: Tensor, h: Jet | Coordinates) -> Jet:
        return h.dense().unstacked(product)

    @torch.no_grad()
    def jacobian(self, known: Tensor, delta: Tensor, out: Tensor) -> None:
        number = known[:, 0, -1].long()
        rows = torch.einsum("nps,npo->son", known[..., :-1], delta)
        shaped = out.view(*self.coefficients.shape, len(number))
        shaped[number, :, :, torch.arange(len(number))] = rows.permute(2, 0, 1)

    def _own(self, h: Jet | Coordinates) -> tuple[Tensor, Tensor, Tensor]:
        """The cells of points, the points in the cells' own coordinates, and their scales.

        Returns:
            The number of the cell of each point, (n,); its coordinates in the cell, in [-1, 1],
            (n, d); and the derivatives of these by the physical coordinates, (n, d).
        """
        assert isinstance(h, Coordinates)  # this layer is the first one
        x = h.value.detach().cpu()
        number = self.tree.locate(x, self.regions.of_points(x)).to(h.value.device)
        low, high = self.frames[number].unbind(1)
        factor = 2 / (high - low)
        return number, (h.value - low) * factor - 1, factor * h.scale
