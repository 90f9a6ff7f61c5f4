"""Random systems of equations, well posed or with a fault."""

from torch import Tensor

import kanpinn as kp
from hostile.drawing import Draw, Drawn, Known, beside, evolving, on_walls, plane, walls_of


def schroedinger(draw: Draw, fault: str) -> kp.Problem:
    domain = kp.Box(x=(0, float(draw.uniform(1, 6))), t=(0, float(draw.uniform(0.3, 2))))
    one, two = Known(draw, domain), Known(draw, domain)

    def residual(p: kp.Points, u: kp.Jet, v: kp.Jet) -> tuple[Tensor, ...]:
        return (
            kp.partial(u, "t") + kp.partial(v, "x", "x") / 2,
            kp.partial(v, "t") - kp.partial(u, "x", "x") / 2,
        )

    ends = "x_max" if fault == "a field at a side" else ("x_min", "x_max")
    conditions = [
        kp.Dirichlet(domain.boundary["x_min", "x_max"], one, field="u"),
        kp.Dirichlet(domain.boundary[ends], two, field="v"),
        kp.Initial(domain, one, field="u"),
        kp.Initial(domain, two, field="v"),
    ]
    kept = conditions[:-1] if fault == "a field's initial value" else conditions
    return Drawn(domain, residual, *kept, fields=("u", "v"), exact=beside(one, two))


def stokes(draw: Draw, fault: str) -> kp.Problem:
    length, nu = float(draw.uniform(0.5, 4)), 10 ** draw.uniform(-2, 1)
    domain = kp.Box(x=(0, length), y=(0, 1))
    around = domain.boundary["y_min", "y_max"]
    inlet, outlet = domain.boundary["x_min"], domain.boundary["x_max"]

    def residual(p: kp.Points, u: kp.Jet, v: kp.Jet, q: kp.Jet) -> tuple[Tensor, ...]:
        return (
            kp.partial(q, "x") - nu * kp.laplacian(u),
            kp.partial(q, "y") - nu * kp.laplacian(v),
            kp.div(u, v),
        )

    def stress(p: kp.Points, u: kp.Jet, v: kp.Jet, q: kp.Jet) -> tuple[Tensor, ...]:
        return nu * kp.partial(u, "x") - q.value, nu * kp.partial(v, "x")

    out: list[kp.Condition] = [kp.Constraint(outlet, stress)]
    if draw.random() < 0.5:
        out = [kp.Dirichlet(outlet, 0.0, field="q"), kp.Dirichlet(outlet, 0.0, field="v")]
    match fault:
        case "the outlet":
            out = [kp.Integral(domain, 0.0, field="q")]
        case "a condition at the outlet":
            out = [kp.Dirichlet(outlet, 0.0, field="q")]
    wall = domain.boundary["y_min"] if fault == "a field at a side" else around
    return Drawn(
        domain,
        residual,
        kp.Dirichlet(around, 0.0, field="u"),
        kp.Dirichlet(wall, 0.0, field="v"),
        kp.Dirichlet(inlet, lambda p: p.y * (1 - p.y), field="u"),
        kp.Dirichlet(inlet, 0.0, field="v"),
        *out,
        fields=("u", "v", "q"),
    )


def elastic(draw: Draw, fault: str) -> kp.Problem:
    domain, first = plane(draw), float(draw.uniform(0.3, 3))
    walls = walls_of(domain)

    def residual(p: kp.Points, u: kp.Jet, v: kp.Jet) -> tuple[Tensor, ...]:
        return (
            kp.laplacian(u) + first * (kp.partial(u, "x", "x") + kp.partial(v, "x", "y")),
            kp.laplacian(v) + first * (kp.partial(u, "x", "y") + kp.partial(v, "y", "y")),
        )

    both = [kp.Dirichlet(domain.boundary[name], 0.0) for name in walls]
    if fault:
        both[-1] = kp.Dirichlet(domain.boundary[walls[-1]], 0.0, field="u")
    return Drawn(domain, residual, *both, fields=("u", "v"))


def kinetics(draw: Draw, fault: str) -> kp.Problem:
    m = int(draw.integers(2, 5))
    domain, a = kp.Box(t=(0, float(draw.uniform(0.5, 3)))), draw.uniform(-1, 1, (m, m))
    fields = tuple("uvwz"[:m])

    def residual(p: kp.Points, *u: kp.Jet) -> tuple[Tensor, ...]:
        return tuple(
            kp.partial(one, "t") - sum(b * other.value for b, other in zip(row, u, strict=True))
            for one, row in zip(u, a, strict=True)
        )

    begun = [kp.Initial(domain, float(draw.uniform(0, 2)), field=name) for name in fields]
    return Drawn(domain, residual, *begun[bool(fault) :], fields=fields)


def reaction(draw: Draw, fault: str) -> kp.Problem:
    domain = evolving(draw)
    one, two = Known(draw, domain), Known(draw, domain)
    names, a = domain.names[:-1], draw.uniform(0.05, 2, 2)

    def residual(p: kp.Points, u: kp.Jet, v: kp.Jet) -> tuple[Tensor, ...]:
        bend = [sum(kp.partial(w, n, n) for n in names) for w in (u, v)]
        return (
            kp.partial(u, "t") - a[0] * bend[0] - u.value + u.value**2 * v.value,
            kp.partial(v, "t") - a[1] * bend[1] - u.value**2 * v.value,
        )

    begun = [kp.Initial(domain, one, field="u"), kp.Initial(domain, two, field="v")]
    kept = begun[:1] if fault == "a field's initial value" else begun
    walls = on_walls(draw, domain, one, 0, field="u")
    walls += on_walls(draw, domain, two, int(fault == "a field at a side"), field="v")
    return Drawn(domain, residual, *kept, *walls, fields=("u", "v"), exact=beside(one, two))
