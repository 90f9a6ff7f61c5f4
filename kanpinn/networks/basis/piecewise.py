"""Piecewise polynomials of one variable, evaluated with derivatives for many inputs at once.

Pieces are numbered from left to right; the first and the last lie outside the breaks. A table
(n_in, pieces, degree + 1, m) holds m functions of each input as coefficients of powers of
x - centre. An evaluation gathers the coefficients of the piece that contains x and runs Horner's
rule, so that work and memory do not depend on the number of pieces.
"""

import itertools
import math
from typing import Any

import torch
from torch import Tensor


def centres(breaks: Tensor) -> Tensor:
    """The centre of each piece, (n_in, pieces): its midpoint; outside the grid the end break."""
    middle = (breaks[:, 1:] + breaks[:, :-1]) / 2
    return torch.cat([breaks[:, :1], middle, breaks[:, -1:]], dim=1)


def locate(x: Tensor, breaks: Tensor) -> Tensor:
    """The index of the piece that contains each argument, (..., n_in).

    A break belongs to the piece on its right, the last break to the last piece inside.
    """
    left = breaks[:, :-1]
    # For few breaks and many arguments, comparing with each break is faster (measured).
    if left.shape[1] > 16 or x.numel() <= 1000:
        by_input = x.movedim(-1, 0).flatten(1).contiguous()
        found = torch.searchsorted(left.contiguous(), by_input, right=True)
        count = found.view(x.shape[-1], *x.shape[:-1]).movedim(0, -1)
    else:
        count = torch.zeros_like(x, dtype=torch.uint8)  # batched where x is, under torch.vmap
        for column in left.unbind(1):
            count += x >= column
    return count.long() + (x > breaks[:, -1])


def values(x: Tensor, table: Tensor, breaks: Tensor, order: int = 0) -> Tensor:
    """The values and derivatives f_im^(r)(x_i) for r = 0 … order.

    Args:
        x: the arguments, (..., n_in).
        table: the coefficients, (n_in, pieces, degree + 1, m).
        breaks: (n_in, pieces - 1).
        order: the highest derivative.

    Returns:
        (order + 1, m, ..., n_in), differentiable any number of times in x and the table.
    """
    recorded = torch.is_grad_enabled() and (x.requires_grad or table.requires_grad)
    if recorded or torch._C._are_functorch_transforms_active():
        return _Values.apply(x, table, breaks, order)[0]
    return _Values.forward(x, table, breaks, order)[0]  # for few points a third faster (measured)


class _Values(torch.autograd.Function):
    """`values` with its own backward pass: the derivative of the r-th derivative is the next."""

    @staticmethod
    def forward(x: Tensor, table: Tensor, breaks: Tensor, order: int) -> tuple[Tensor, ...]:
        piece = locate(x, breaks)
        extra = int(x.requires_grad)  # the backward pass needs one derivative more
        position = _position(piece, table.shape)
        by_power = table.permute(2, 3, 0, 1).flatten(1).unbind(0)
        near = [t.index_select(0, position.flatten()).view(position.shape) for t in by_power]
        found = _horner(offset(x, breaks, piece), near, order + extra)
        return found[: order + 1], found[1:], piece

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        x, table, breaks, ctx.order = inputs
        ctx.save_for_backward(x, table, breaks, *output[1:])
        ctx.mark_non_differentiable(*output[1:])

    @staticmethod
    def backward(ctx: Any, grad: Tensor, *_: Any) -> Any:
        x, table, breaks, slopes, piece = ctx.saved_tensors
        to_x = to_table = None
        if ctx.needs_input_grad[0]:
            # With gradients enabled, a derivative of this derivative may follow.
            if torch.is_grad_enabled() or len(slopes) <= ctx.order:
                slopes = values(x, table, breaks, ctx.order + 1)[1:]
            to_x = (grad * slopes).sum(dim=(0, 1))
        if ctx.needs_input_grad[1]:
            weighted = moments(offset(x, breaks, piece), grad, table.shape[2])
            to_table = _scatter(weighted, piece, table.shape)
        return to_x, to_table, None, None

    @staticmethod
    def vmap(info: Any, in_dims: Any, *inputs: Any) -> Any:
        """Turn the batch into more points or, if the tables are batched too, into more inputs."""
        x, table, breaks, order = inputs
        if in_dims[1] is None and in_dims[2] is None:
            return _Values.apply(x.movedim(in_dims[0], 0), table, breaks, order), (2, 2, 0)
        x, table, breaks = (
            t.expand(info.batch_size, *t.shape) if dim is None else t.movedim(dim, 0)
            for t, dim in zip((x, table, breaks), in_dims[:3], strict=True)
        )
        wide = x.movedim(0, -2).flatten(-2)
        outputs = _Values.apply(wide, table.flatten(0, 1), breaks.flatten(0, 1), order)
        split = (info.batch_size, x.shape[-1])
        return tuple(t.unflatten(-1, split) for t in outputs), (-2, -2, -2)


def offset(x: Tensor, breaks: Tensor, piece: Tensor) -> Tensor:
    """x - centre, (..., n_in), where the centre is that of the piece that contains x."""
    return x - centres(breaks)[torch.arange(len(breaks), device=x.device), piece]


def _position(piece: Tensor, shape: torch.Size) -> Tensor:
    """The index of function m of each argument's piece in a power's flat table, (m, ..., n_in)."""
    n_in, pieces, _, m = shape
    position = piece + torch.arange(0, n_in * pieces, pieces, device=piece.device)
    if m == 1:
        return position[None]
    function = torch.arange(0, m * n_in * pieces, n_in * pieces, device=piece.device)
    return function.view(-1, *(1,) * piece.ndim) + position


def _scatter(moments: list[Tensor], piece: Tensor, shape: torch.Size) -> Tensor:
    """A table of the moments of each power, summed over the arguments in the same piece."""
    position = _position(piece, shape).flatten()
    zero = moments[0].new_zeros(shape[0] * shape[1] * shape[3])
    sums = [zero.scatter_add(0, position, moment.flatten()) for moment in moments]
    return torch.stack(sums).view(shape[2], shape[3], *shape[:2]).permute(2, 3, 0, 1)


def _horner(s: Tensor, coefficients: list[Tensor], order: int) -> Tensor:
    """The value and derivatives of Σ_p a_p s^p, by repeated synthetic division."""
    degree = len(coefficients) - 1
    values = s.new_empty(order + 1, *coefficients[0].shape)
    values[degree + 1 :] = 0
    rows = values.unbind(0)
    rows[0].copy_(coefficients[degree])
    for done, a in enumerate(reversed(coefficients[:-1])):
        if done < order:
            rows[done + 1].copy_(rows[done])
        for r in range(min(done, order), 0, -1):
            torch.addcmul(rows[r - 1], rows[r], s, out=rows[r])
        torch.addcmul(a, rows[0], s, out=rows[0])
    for r in range(2, order + 1):
        rows[r].mul_(math.factorial(r))
    return values


def moments(s: Tensor, grad: Tensor, powers: int) -> list[Tensor]:
    """Σ_r grad_r (s^p)^(r) for p = 0 … powers - 1: the transpose of Horner's rule.

    The weighted sum Σ_r grad_r f^(r) of f = Σ_p a_p s^p is the sum of the moments times a_p.

    Args:
        s: x - centre, of any shape.
        grad: the weights, (order + 1, ...), each of the shape of s.
        powers: the number of powers, degree + 1.

    For w_r = r! grad_r the rule (s f)^(r) = s f^(r) + r f^(r-1) gives w_r ← s w_r + w_{r+1}, and
    w_0 is the sum.
    """
    weights = [math.factorial(r) * g if r > 1 else g for r, g in enumerate(grad.unbind(0))]
    found = [weights[0]]
    for left in range(powers - 1, 0, -1):
        last = [weights[-1] * s] if len(weights) <= left else []
        pairs = itertools.pairwise(weights)
        weights = [torch.addcmul(higher, w, s) for w, higher in pairs] + last
        found.append(weights[0])
    return found
