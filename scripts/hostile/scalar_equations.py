"""Random equations for one field, well posed or with a fault."""

import torch
from torch import Tensor

import kanpinn as kp
from hostile.drawing import Draw, Drawn, Known, evolving, on_walls, plane, space, walls_of
from kanpinn.jets import biharmonic


def elliptic(draw: Draw, fault: str) -> kp.Problem:
    domain = space(draw)
    known, names = Known(draw, domain), domain.names
    stretch, velocity, sign = draw.uniform(0.2, 5, 3), draw.uniform(-3, 3, 3), draw.choice([-1, 1])
    mixed, reaction = draw.uniform(-0.2, 0.2), draw.choice([0, draw.uniform(0, 5)])

    def residual(p: kp.Points, u: kp.Jet) -> Tensor:
        found = reaction * u.value + 2 * mixed * kp.partial(u, *names[:2])
        for name, a, v in zip(names, stretch, velocity, strict=False):
            found = found - a * kp.partial(u, name, name) + v * kp.partial(u, name)
        return sign * found

    conditions = on_walls(draw, domain, known, int(fault == "a side"))
    if fault == "two values":
        wall, gap = domain.boundary[walls_of(domain)[0]], float(draw.uniform(0.1, 1))
        conditions += [kp.Dirichlet(wall, known), kp.Dirichlet(wall, lambda p: known(p) + gap)]
    return Drawn(domain, residual, *conditions, exact=known)


def plate(draw: Draw, fault: str) -> kp.Problem:
    domain = plane(draw)
    known, conditions = Known(draw, domain), []
    left = draw.integers(len(walls_of(domain)))
    for index, name in enumerate(walls_of(domain)):
        wall = domain.boundary[name]
        both = [kp.Dirichlet(wall, known), kp.Neumann(wall, known.slope)]
        conditions += both[: 1 + (not (fault and index == left))]
    return Drawn(domain, lambda p, u: biharmonic(u), *conditions, exact=known)


def heat(draw: Draw, fault: str) -> kp.Problem:
    domain = evolving(draw)
    known, a = Known(draw, domain), 10 ** draw.uniform(-3, 1)
    names = domain.names[:-1]

    def residual(p: kp.Points, u: kp.Jet) -> Tensor:
        return kp.partial(u, "t") - a * sum(kp.partial(u, n, n) for n in names)

    begun = [] if fault == "the initial value" else [kp.Initial(domain, known)]
    walls = on_walls(draw, domain, known, int(fault == "a side"))
    return Drawn(domain, residual, *begun, *walls, exact=known)


def wave(draw: Draw, fault: str) -> kp.Problem:
    domain = evolving(draw)
    known, c, m = Known(draw, domain), draw.uniform(0.3, 5), draw.choice([0.0, 3.0])
    names = domain.names[:-1]

    def residual(p: kp.Points, u: kp.Jet) -> Tensor:
        bend = sum(kp.partial(u, n, n) for n in names)
        return kp.partial(u, "t", "t") - c**2 * bend + m * u.value

    rate = None if fault == "the rate" else known.rate
    begun = [] if fault == "the initial value" else [kp.Initial(domain, known, rate)]
    walls = on_walls(draw, domain, known, int(fault == "a side"))
    return Drawn(domain, residual, *begun, *walls, exact=known)


def transport(draw: Draw, fault: str) -> kp.Problem:
    d = int(draw.integers(1, 3))
    axes = {name: (0, float(draw.uniform(0.5, 3))) for name in "xy"[:d]}
    domain = kp.Box(**axes, t=(0, float(draw.uniform(0.3, 2))))
    known, v = Known(draw, domain), draw.uniform(0.3, 3, d) * draw.choice([-1, 1], d)

    def residual(p: kp.Points, u: kp.Jet) -> Tensor:
        return kp.partial(u, "t") + sum(w * kp.partial(u, n) for w, n in zip(v, axes, strict=True))

    inflow = [f"{n}_{'min' if w > 0 else 'max'}" for w, n in zip(v, axes, strict=True)]
    inflow = inflow[1:] if fault == "an inflow" else inflow
    begun = [] if fault == "the initial value" else [kp.Initial(domain, known)]
    walls = [kp.Dirichlet(domain.boundary[name], known) for name in inflow]
    return Drawn(domain, residual, *begun, *walls, exact=known)


def dispersive(draw: Draw, fault: str) -> kp.Problem:
    domain = kp.Box(x=(0, float(draw.uniform(0.5, 3))), t=(0, float(draw.uniform(0.3, 2))))
    known, c = Known(draw, domain), draw.uniform(0.1, 2) * draw.choice([-1, 1])

    def residual(p: kp.Points, u: kp.Jet) -> Tensor:
        return kp.partial(u, "t") + kp.partial(u, "x") + c * kp.partial(u, "x", "x", "x")

    ends = kp.Dirichlet(domain.boundary["x_min", "x_max"], known)
    # u_t + u_xxx = 0 takes one condition at the left end and two at the right one.
    twice = kp.Neumann(domain.boundary["x_max" if c > 0 else "x_min"], known.slope)
    more = [] if fault else [twice]
    return Drawn(domain, residual, kp.Initial(domain, known), ends, *more, exact=known)


def ordinary(draw: Draw, fault: str) -> kp.Problem:
    order = int(draw.integers(1, 5))
    domain = kp.Box(x=(0, float(draw.uniform(0.5, 5))))
    known, a = Known(draw, domain), draw.uniform(-1, 1, order)

    def residual(p: kp.Points, u: kp.Jet) -> Tensor:
        low = [u.value, *(kp.partial(u, *("x",) * r) for r in range(1, order))]
        return kp.partial(u, *("x",) * order) + sum(b * t for b, t in zip(a, low, strict=True))

    conditions: list[kp.Condition] = [kp.Dirichlet(domain.boundary["x_min"], known)]
    conditions += [kp.Neumann(domain.boundary["x_min"], known.slope)] if order > 2 else []
    conditions += [kp.Dirichlet(domain.boundary["x_max"], known)] if order > 1 else []
    conditions += [kp.Neumann(domain.boundary["x_max"], known.slope)] if order > 3 else []
    draw.shuffle(conditions)
    return Drawn(domain, residual, *conditions[bool(fault) :], exact=known)


def waves(draw: Draw, fault: str) -> kp.Problem:
    """Helmholtz' equation, whose wave number is 2 % from a resonance of the box, or at one."""
    a, b = draw.uniform(0.5, 2, 2)
    domain = kp.Box(x=(0, float(a)), y=(0, float(b)))
    known, sizes = Known(draw, domain), torch.tensor([a, b], dtype=torch.float64)
    squares = sorted(
        float(((torch.pi * torch.tensor([m, n], dtype=torch.float64) / sizes) ** 2).sum())
        for m in range(1, 9)
        for n in range(1, 9)
    )
    number = int(draw.integers(0, 6))
    square = squares[number] if fault else (squares[number] + squares[number + 1]) / 2
    near = min(abs(square / one - 1) for one in squares)
    square *= 1.0 if fault or near > 0.02 else (0.96 * squares[0] / square)

    def residual(p: kp.Points, u: kp.Jet) -> Tensor:
        return -kp.laplacian(u) - square * u.value

    return Drawn(domain, residual, kp.Dirichlet(domain.boundary, known), exact=known)


def fluxes(draw: Draw, fault: str) -> kp.Problem:
    domain = space(draw)
    known, sign = Known(draw, domain), draw.choice([-1, 1])
    more = float(10 ** draw.uniform(-1.5, 1)) if fault else 0.0
    steep = draw.uniform(-0.5, 0.5)

    def residual(p: kp.Points, u: kp.Jet) -> Tensor:
        a = torch.exp(steep * p.x)
        return sign * a * (kp.laplacian(u) + steep * kp.partial(u, "x"))

    flux = kp.Neumann(domain.boundary, lambda p: known.slope(p) + more)
    return Drawn(domain, residual, flux, kp.Integral(domain, 1.0), exact=known)
