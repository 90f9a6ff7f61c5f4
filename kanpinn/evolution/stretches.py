"""Stretched coordinates, in which a solution varies evenly: equidistribution of a monitor."""

from collections.abc import Sequence

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.geometry import Box, Points
from kanpinn.jets import Channels
from kanpinn.networks.kan import KAN
from kanpinn.networks.stretching import interpolate, set_stretch
from kanpinn.networks.surrogate import Surrogate

Stretches = list[tuple[Tensor, Tensor]]  # for each coordinate ξ and s(ξ), both from -1 to 1


def check_stretchable(surrogate: Surrogate) -> None:
    """Refuse coordinates that no layer can stretch.

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
    """Return s(ξ) = ξ for so many coordinates."""
    return [(_line(), _line()) for _ in range(dim)]


def _line() -> Tensor:
    """The points at which stretches and monitors are known; linear interpolation does between."""
    return torch.linspace(-1, 1, 1001, dtype=torch.float64)


def apply(stretches: Stretches, network: KAN) -> None:
    """Put stretches into a network's first layer."""
    for axis, (xi, s) in enumerate(stretches[: len(network.layers[0].coefficients)]):
        set_stretch(network.layers[0], axis, xi, s)


def unstretched(stretches: Stretches, s: Tensor) -> Tensor:
    """Return the scaled coordinates ξ that belong to s, both (n, d)."""
    columns = [
        interpolate(column.contiguous(), to.to(s).contiguous(), xi.to(s))
        for column, (xi, to) in zip(s.unbind(dim=1), stretches, strict=True)
    ]
    return torch.stack(columns, dim=1)


def widths(stretches: Stretches, xi: Tensor) -> Tensor:
    """Return Π dξ_i / ds_i at scaled coordinates ξ (n, d), (n, 1): weights of even points in s."""
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
    """Make stretches of some coordinates from the surrogate; the others stay as they are.

    The monitor of a coordinate x is max |∂²u/∂x²|^½ over the other coordinates.

    Args:
        axes: the numbers of these coordinates.
        times: scaled times, of the last coordinate, at which the surrogate is evaluated; None for a
            problem without time.
        old: the stretches so far; the monitor is evaluated at points that are even in their s.
    """
    made = list(old)
    for axis in axes:
        xi = unstretched(old, _line()[:, None].expand(-1, len(old)))[:, axis].contiguous()
        xi[0], xi[-1] = -1, 1
        others = _others(len(old), axis, times)
        rows = torch.cat(
            [xi.repeat_interleave(len(others))[:, None], others.repeat(len(xi), 1)], dim=1
        )
        monitor = _second(surrogate, rows, axis).abs().sqrt().amax(dim=1)
        monitor = monitor.view(len(xi), -1).amax(dim=1)
        monitor[0], monitor[-1] = monitor[1], monitor[-2]
        made[axis] = (xi, equidistributed(xi, monitor))
    return made


def _others(dim: int, axis: int, times: Sequence[float] | None) -> Tensor:
    """Return points in all coordinates but one: 64 quasi-random places, each at all the times."""
    rest = dim - 1 - (times is not None)
    if rest:
        engine = torch.quasirandom.SobolEngine(rest, scramble=True, seed=0)
        space = 2 * engine.draw(64, dtype=torch.float64) - 1
    else:
        space = torch.zeros(1, 0, dtype=torch.float64)
    if times is None:
        return space
    moments = torch.tensor(times, dtype=torch.float64)
    return torch.cat(
        [space.repeat_interleave(len(moments), 0), moments.repeat(len(space))[:, None]], dim=1
    )


def _second(surrogate: Surrogate, rows: Tensor, axis: int) -> Tensor:
    """Return ∂²u by one scaled coordinate, (n, m), the rows (n, d) having that one first."""
    xi = torch.cat([rows[:, 1 : axis + 1], rows[:, :1], rows[:, axis + 1 :]], dim=1)
    low, high = (corner.to(xi) for corner in surrogate.domain.bounds)
    points = Points(low + (xi + 1) / 2 * (high - low), surrogate.domain.names)
    jet = surrogate.evaluate(points, Channels(points.names, second="diagonal"))
    assert jet.second is not None
    return jet.second[:, axis] * ((high - low)[axis] / 2) ** 2


def equidistributed(xi: Tensor, monitor: Tensor, floor: float = 0.5, blur: float = 0.1) -> Tensor:
    """Return s(ξ) from -1 to 1 with ds/dξ ∝ monitor + floor · mean, its logarithm smoothed in s.

    Args:
        xi: increasing from -1 to 1, (n,).
        monitor: its values (≥ 0) there, (n,).
        floor: the part of the monitor's mean that is added to it, so that every place gets points;
            at least 0, more makes the stretch weaker.
        blur: the width in s over which the slope may change; above 0, well below 2.

    Returns:
        s at ξ, (n,); ξ itself if the monitor is zero or not finite.

    Reference: de Boor, Good approximation by splines with variable knots (1974); Huang and Russell,
    Adaptive moving mesh methods (2011), chapter 2.
    """
    mean = torch.trapezoid(monitor, xi) / 2
    if not (torch.isfinite(monitor).all() and mean > 0):
        return xi.clone()
    density = monitor + floor * mean
    s = _running(xi, density)
    even = torch.linspace(-1, 1, 2 * len(xi) - 1, dtype=xi.dtype)
    smooth = _blurred(interpolate(even, s, density.log()), blur / float(even[1] - even[0]))
    return _running(xi, interpolate(s, even, smooth).exp())


def _running(xi: Tensor, density: Tensor) -> Tensor:
    """Return the integral of a density from the first point on, scaled to run from -1 to 1."""
    total = torch.cat([xi.new_zeros(1), torch.cumulative_trapezoid(density, xi)])
    return 2 * total / total[-1] - 1


def _blurred(values: Tensor, width: float) -> Tensor:
    """Return the values smoothed by Gaussians of the width and half of it, in intervals."""
    from scipy.ndimage import gaussian_filter1d

    for w in (width, width / 2):
        values = torch.from_numpy(gaussian_filter1d(values.numpy(), w, mode="nearest"))
    return values
