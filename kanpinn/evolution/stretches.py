"""Stretches for the coordinates of a KAN, made from the solution so far."""

from collections.abc import Sequence

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.evolution.equidistribution import SPOTS, equidistributed, monitor
from kanpinn.geometry import Box, Points
from kanpinn.jets import Channels
from kanpinn.networks.kan import KAN
from kanpinn.networks.stretching import interpolate, set_stretch
from kanpinn.networks.surrogate import Surrogate

OTHERS = 64  # places in the other coordinates, over which a monitor's maximum is taken
FEW_TIMES = 5

Stretches = list[tuple[Tensor, Tensor]]  # for each coordinate ξ and s(ξ), both from -1 to 1


def check_stretchable(surrogate: Surrogate) -> None:
    """Refuse what no layer can stretch.

    Raises:
        InputError: unless the domain is a box and the network sees its coordinates.
    """
    if not isinstance(surrogate.domain, Box) or surrogate.inputs is not None:
        what = "inputs of its own" if surrogate.inputs is not None else repr(surrogate.domain)
        raise InputError(
            "coordinates are stretched on boxes only, where the network sees them as they are: "
            f"here it has {what}; set stretch = false"
        )


def no_stretch(dim: int) -> Stretches:
    """ξ itself."""
    line = torch.linspace(-1, 1, SPOTS, dtype=torch.float64)
    return [(line, line.clone()) for _ in range(dim)]


def apply(stretches: Stretches, network: KAN) -> None:
    """Put stretches into a network's first layer."""
    for axis, (xi, s) in enumerate(stretches[: len(network.layers[0].coefficients)]):
        set_stretch(network.layers[0], axis, xi, s)


def unstretched(stretches: Stretches, s: Tensor) -> Tensor:
    """The scaled coordinates ξ that belong to s, (n, d)."""
    columns = [
        interpolate(column.contiguous(), to.to(s).contiguous(), xi.to(s))
        for column, (xi, to) in zip(s.unbind(dim=1), stretches, strict=True)
    ]
    return torch.stack(columns, dim=1)


def widths(stretches: Stretches, xi: Tensor) -> Tensor:
    """Π dξ_i / ds_i at scaled coordinates, (n, 1): what a point at even s stands for."""
    total = torch.ones_like(xi[:, :1])
    for column, (at, s) in zip(xi.unbind(dim=1), stretches, strict=True):
        middle = (at[1:] + at[:-1]) / 2
        width = at.diff() / s.diff()
        total = total * interpolate(column.contiguous(), middle.to(xi), width.to(xi))[:, None]
    return total.clamp_min(0)


@torch.no_grad()
def stretches_for(
    surrogate: Surrogate, axes: Sequence[int], times: Sequence[float] | None, old: Stretches
) -> Stretches:
    """Stretches of some coordinates, made from the surrogate; the others stay as they are.

    times: scaled ones, of the last coordinate, at which it is looked at; None for no time. The
    monitor is looked at where `old` puts many points.
    """
    made = list(old)
    for axis in axes:
        xi = unstretched(old, _even(len(old)))[:, axis].contiguous()
        xi[0], xi[-1] = -1, 1
        others = _others(len(old), axis, times)
        found = monitor(lambda rows, a=axis: _second(surrogate, rows, a), xi, others)  # type: ignore[misc]
        found[0], found[-1] = found[1], found[-2]
        made[axis] = (xi, equidistributed(xi, found))
    return made


def _even(dim: int) -> Tensor:
    return torch.linspace(-1, 1, SPOTS, dtype=torch.float64)[:, None].expand(-1, dim)


def _others(dim: int, axis: int, times: Sequence[float] | None) -> Tensor:
    """Places in all coordinates but one: the given times by quasi-random ones in the rest."""
    rest = dim - 1 - (times is not None)
    engine = torch.quasirandom.SobolEngine(rest, scramble=True, seed=0) if rest else None
    count = OTHERS if rest else 1
    space = (
        torch.zeros(1, 0, dtype=torch.float64)
        if engine is None
        else 2 * engine.draw(count, dtype=torch.float64) - 1
    )
    if times is None:
        return space
    moments = torch.tensor(times, dtype=torch.float64)
    return torch.cat(
        [space.repeat_interleave(len(moments), 0), moments.repeat(count)[:, None]], dim=1
    )


def _second(surrogate: Surrogate, rows: Tensor, axis: int) -> Tensor:
    """∂²u by one scaled coordinate, (n, m), the rows having that one first."""
    xi = torch.cat([rows[:, 1 : axis + 1], rows[:, :1], rows[:, axis + 1 :]], dim=1)
    low, high = (corner.to(xi) for corner in surrogate.domain.bounds)
    points = Points(low + (xi + 1) / 2 * (high - low), surrogate.domain.names)
    jet = surrogate.evaluate(points, Channels(points.names, second="diagonal"))
    assert jet.second is not None
    return jet.second[:, axis] * ((high - low)[axis] / 2) ** 2
