"""The autograd residual module: problem + surrogate + points → weighted residual blocks → loss."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from kanpinn.blocks import Block
from kanpinn.distributed import share, summed
from kanpinn.geometry import Points
from kanpinn.linalg import Triangle, fold
from kanpinn.networks.network import Layer, Tape, get_coefficients
from kanpinn.networks.surrogate import Surrogate

MIN_ROWS, MAX_ROWS = 256, 4096
MAX_ENTRIES = 2**23  # of one chunk's Jacobian
FAST_ROWS, FAST_ENTRIES = 1024, 2**20  # small chunks use memory again that is still mapped


class Residuals:
    """The weighted residual blocks of a problem for one surrogate.

    The loss is Σ_blocks weight · mean_p ‖r_p‖², the poster's α·loss_i + loss_b, or has an energy's
    mean for the first of them (`EnergyBlock`). Everything runs over chunks of points, so memory is
    bounded by the chunk. Of several ranks each goes over its share of every block's points
    (`block.points` are all of them); loss and gradient are of all.
    """

    def __init__(self, surrogate: Surrogate, blocks: Sequence[Block]) -> None:
        self.surrogate, self.blocks = surrogate, tuple(blocks)
        self._chunks: WeakKeyDictionary[Block, tuple[slice, int, list[Points]]] = (
            WeakKeyDictionary()
        )

    def chunks(self, block: Block) -> list[Points]:
        """This rank's points in pieces, always the same objects: values can be kept for them."""
        own = share(block.rows)
        rows = _chunk_size(
            own.stop - own.start, self.surrogate.network.parameter_count * block.sites
        )
        # By size too: after a refinement sums must not depend on what the network was before.
        if (known := self._chunks.get(block)) is None or known[:2] != (own, rows):
            starts = range(own.start, own.stop, rows)
            known = own, rows, [block.at(slice(i, min(i + rows, own.stop))) for i in starts]
            self._chunks[block] = known
        return known[2]

    @property
    def points(self) -> Points:
        """This rank's points of all blocks together."""
        coords = torch.cat([b.at(share(b.rows)).coords for b in self.blocks])
        return Points(coords, self.surrogate.domain.names)

    def subset(self, count: int, seed: int) -> "Residuals":
        """The same loss estimated on about `count` points, a random choice from each block."""
        generator = torch.Generator().manual_seed(seed)
        part = min(1.0, count / sum(block.rows for block in self.blocks))
        blocks = []
        for block in self.blocks:
            rows = torch.randperm(block.rows, generator=generator)
            rows = rows[: math.ceil(part * len(rows))].to(block.points.coords.device)
            sites = torch.arange(block.sites, device=rows.device)
            chosen = (rows[:, None] * block.sites + sites).flatten()
            blocks.append(replace(block, points=block.points[chosen]))
        return Residuals(self.surrogate, blocks)

    @torch.no_grad()
    def terms(self) -> dict[str, float]:
        """Each block's mean squared residual, without its weight."""

        def local() -> list[Tensor]:
            squares = [self._squares(block) for block in self.blocks]
            return [torch.tensor(squares, dtype=torch.float64)]

        (sums,) = summed(local, [torch.zeros(len(self.blocks), dtype=torch.float64)])
        return {b.name: s / b.rows for b, s in zip(self.blocks, sums.tolist(), strict=True)}

    def _squares(self, block: Block) -> float:
        return float(sum(block.total(self.surrogate, p) for p in self.chunks(block)))

    def loss(self) -> float:
        """Σ weight · mean squared residual, at the present coefficients."""
        terms = self.terms()
        return sum(block.weight * terms[block.name] for block in self.blocks)

    def backward(self) -> float:
        """The loss; its gradient becomes the parameters' `grad`."""
        parameters = [p for p in self.surrogate.parameters() if p.requires_grad]
        like = parameters[0].new_zeros((), dtype=torch.float64)

        def local() -> list[Tensor]:
            for p in parameters:
                p.grad = None
            loss = torch.full_like(like, self._backward())
            return [loss, *(torch.zeros_like(p) if p.grad is None else p.grad for p in parameters)]

        loss, *gradients = summed(local, [like, *parameters])
        for p, gradient in zip(parameters, gradients, strict=True):
            p.grad = gradient
        return float(loss)

    def _backward(self) -> float:
        total = 0.0
        for block in self.blocks:
            for points in self.chunks(block):
                loss = block.weight / block.rows * block.total(self.surrogate, points)
                loss.backward()
                total += float(loss.detach())
        return total

    @property
    def are_squares(self) -> bool:
        """Whether the loss is a sum of squares, without an energy."""
        return all(block.squares for block in self.blocks)

    def model(self, layers: Sequence[Layer]) -> Triangle:
        """‖R d + z‖² + constant, the loss for a change d of the coefficients to second order."""
        triangle = fold(self.rows(layers))
        if self.are_squares:
            return triangle
        if all(block.has_slope for block in self.blocks):
            return replace(triangle, constant=self.loss() - triangle.loss())
        loss = self.backward()
        gradients = [layer.coefficients.grad for layer in layers]
        assert all(gradient is not None for gradient in gradients)
        return triangle.towards(torch.cat([g.flatten() for g in gradients if g is not None]), loss)

    def rows(self, layers: Sequence[Layer]) -> Iterator[tuple[Tensor, Tensor]]:
        """Chunks (J, r) of weighted rows with Σ r² = loss, J = ∂r/∂coefficients of the layers.

        Of an energy J is a root of half its Hessian, and r is of no use.

        Of several ranks each gets its own rows; a rank without points gets a chunk of none.
        """
        if not any(self.chunks(block) for block in self.blocks):
            coefficients = get_coefficients(layers)
            yield coefficients.new_zeros(0, len(coefficients)), coefficients.new_zeros(0)
        for block in self.blocks:
            scale = math.sqrt(block.weight / block.rows)
            for points in self.chunks(block):
                tape = Tape(layers)
                with torch.enable_grad(), frozen(self.surrogate):
                    residual = block.linearised(self.surrogate, points, tape)
                for e in range(residual.shape[1]):
                    retain = e + 1 < residual.shape[1]
                    jacobian = tape.jacobian(residual[:, e], scale, retain, block.sites)
                    yield jacobian, scale * residual[:, e].detach()


def _chunk_size(points: int, parameters: int) -> int:
    most = min(MAX_ROWS, max(FAST_ROWS, FAST_ENTRIES // parameters), MAX_ENTRIES // parameters)
    chunks = math.ceil(points / max(MIN_ROWS, most))
    return max(1, math.ceil(points / max(1, chunks)))


class frozen:
    """Parameters take no gradient inside: the tape needs ∂r/∂(products) only."""

    def __init__(self, module: torch.nn.Module) -> None:
        self._parameters = [p for p in module.parameters() if p.requires_grad]

    def __enter__(self) -> None:
        for p in self._parameters:
            p.requires_grad_(False)

    def __exit__(self, *_: object) -> None:
        for p in self._parameters:
            p.requires_grad_(True)
