"""The autograd residual module: problem + surrogate + points → weighted residual blocks → loss."""

import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from kanpinn.distributed import share, summed
from kanpinn.errors import InputError
from kanpinn.geometry import Points
from kanpinn.jet import Channels, Jet
from kanpinn.networks.network import Layer, Tape, get_coefficients
from kanpinn.networks.surrogate import Surrogate
from kanpinn.problem import Problem, find_channels, with_source

PROBE_POINTS = 5  # neither d nor d + 1 for the usual d: a wrong broadcast shows in the shape
MIN_ROWS, MAX_ROWS = 256, 4096
MAX_ENTRIES = 2**23  # of one chunk's Jacobian
FAST_ROWS, FAST_ENTRIES = 1024, 2**20  # small chunks use memory again that is still mapped


@dataclass(frozen=True, eq=False)
class Block:
    """One term of the loss, weight · mean over its rows of the squared residual.

    equation(points, jet) gives (rows, equations); `channels` are the derivatives that it uses. A
    row belongs to `sites` points, which follow each other.
    """

    name: str
    points: Points
    weight: float
    equation: Callable[[Points, Jet], Tensor]
    channels: Channels
    sites: int = 1

    @property
    def rows(self) -> int:
        """Of its residual."""
        return len(self.points) // self.sites

    def at(self, rows: slice) -> Points:
        """The points of some rows."""
        return self.points[rows.start * self.sites : rows.stop * self.sites]

    def residual(self, surrogate: Surrogate, points: Points, tape: Tape | None = None) -> Tensor:
        """The equations' residuals at points, (rows, equations), without the weight."""
        return self.equation(points, surrogate.jet(points, self.channels, tape))


class Residuals:
    """The weighted residual blocks of a problem for one surrogate.

    The loss is Σ_blocks weight · mean_p ‖r_p‖², the poster's α·loss_i + loss_b. Everything runs
    over chunks of points, so memory is bounded by the chunk. Of several ranks each goes over its
    share of every block's points (`block.points` are all of them); loss and gradient are of all.
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
        return float(
            sum(block.residual(self.surrogate, p).square().sum() for p in self.chunks(block))
        )

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
                squares = block.residual(self.surrogate, points).square().sum()
                loss = block.weight / block.rows * squares
                loss.backward()
                total += float(loss.detach())
        return total

    def rows(self, layers: Sequence[Layer]) -> Iterator[tuple[Tensor, Tensor]]:
        """Chunks (J, r) of weighted rows with Σ r² = loss, J = ∂r/∂coefficients of the layers.

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
                    residual = block.residual(self.surrogate, points, tape)
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


def build_blocks(
    problem: Problem,
    surrogate: Surrogate,
    interior: Points,
    boundary: Sequence[Points],
    weights: Mapping[str, float],
) -> list[Block]:
    """The interior block, and one for each condition that has points.

    boundary: the points of each of `problem.conditions()`, empty where the surrogate takes the data
    exactly. weights: "interior" and "boundary".

    Raises:
        InputError: where a residual has the wrong shape, or a derivative the splines do not have.
    """
    if type(problem).source is Problem.source:
        problem = with_source(problem, _remembered(problem.source))
    blocks = [
        _block(
            "interior", problem.equation, interior, 1, weights["interior"], surrogate, "residual"
        )
    ]
    conditions = problem.conditions()
    kept = [i for i, points in enumerate(boundary) if len(points)]
    surface = sum(len(boundary[i]) for i in kept if conditions[i].surface)
    for i in kept:
        condition, points = conditions[i], boundary[i]
        name = "boundary" if len(kept) == 1 else f"boundary[{i}]"
        # Together those on the boundary are one mean over it; any other stands for itself.
        part = len(points) / surface if condition.surface else 1.0
        weight = weights["boundary"] * condition.weight * part
        equation, what = problem.condition_equation(i), f"conditions()[{i}]"
        blocks.append(_block(name, equation, points, condition.sites, weight, surrogate, what))
    return blocks


def _block(
    name: str,
    equation: Callable[[Points, Jet], Tensor],
    points: Points,
    sites: int,
    weight: float,
    surrogate: Surrogate,
    what: str,
) -> Block:
    rows = torch.arange(PROBE_POINTS) % (len(points) // sites)
    probe = points[(rows[:, None] * sites + torch.arange(sites)).flatten()]
    with torch.no_grad():
        channels = find_channels(lambda c: equation(probe, surrogate.jet(probe, c)), points.names)
        _check_columns(lambda p: equation(p, surrogate.jet(p, channels)), probe, sites, what)
    _check_smoothness(surrogate, channels, what)
    return Block(name, points, weight, equation, channels, sites)


def _check_columns(
    residual: Callable[[Points], Tensor], probe: Points, sites: int, what: str
) -> None:
    """Refuse (n, n): what (n, 1) gives with (n,), and no number of equations."""
    shapes = [tuple(residual(p).shape) for p in (probe, probe[:-sites])]
    if shapes[0][1] != shapes[1][1]:
        n = len(probe) // sites
        raise InputError(
            f"{what} must have shape (n, 1), one column for each equation, got {shapes[0]} with "
            f"n = {n} points: operands of shape (n, 1) and (n,) broadcast to (n, n)"
        )


def _check_smoothness(surrogate: Surrogate, channels: Channels, what: str) -> None:
    degree, order = surrogate.network.max_order, channels.derivative_order
    if degree is None or degree > order:
        return
    if degree < order:
        raise InputError(
            f"network.degree = {degree} is below the order {order} of {what}: "
            "its derivative vanishes"
        )
    warnings.warn(
        f"network.degree = {degree} equals the order of {what}: the residual is only piecewise "
        f"constant in the splines; a degree of {order + 1} or more is advised",
        stacklevel=2,
    )


def _remembered(function: Callable[[Points], Tensor]) -> Callable[[Points], Tensor]:
    """The function's values kept for as long as the points they belong to."""
    known: WeakKeyDictionary[Points, Tensor] = WeakKeyDictionary()

    def remembering(p: Points) -> Tensor:
        if p not in known:
            known[p] = function(p)
        return known[p]

    return remembering
