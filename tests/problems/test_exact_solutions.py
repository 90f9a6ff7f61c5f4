"""The exact solutions of the library solve their problems, which is checked with torch.func."""

import math

import library
import pytest
import reference
import torch
from torch.func import jacrev, vmap

import kanpinn as kp
from kanpinn.geometry import Points
from kanpinn.geometry.sampling import sample
from kanpinn.jets import Channels, Jet

F = torch.float64
FRONT = [(0.7 * math.cos(a) - 0.05, 0.7 * math.sin(a) - 0.05) for a in (0.2, 0.45, 0.7, 0.95, 1.2)]
# File, class, and parameters; then where the solution varies most, if this is in few places.
PROBLEMS = {
    "poisson2d": ("Poisson2D", {}),
    "two_peaks": ("TwoPeaks", {}, [(0.25, 0.3), (0.7, 0.62)]),
    "circular_front": ("CircularFront", {}, FRONT),
    "helmholtz40": ("WavePacket", {}, [(0.5, 0.5)]),
    "helmholtz": ("Helmholtz", {}),
    "heat": ("Heat", {}),
    "wave": ("Wave", {}),
    "advection": ("Advection", {}),
    "heat4d": ("Heat4D", {}),
    "klein_gordon": ("KleinGordon", {}),
    "klein_gordon:plane": ("KleinGordonPlane", {}),
    "sine_gordon": ("SineGordon", {}),
    "kdv": ("KdV", {}),
    "parametric_poisson": ("ParametricPoisson", {}),
    "poisson2d_neumann": ("Poisson2DNeumann", {}),
    "poisson2d_robin": ("Poisson2DRobin", {}),
    "poisson2d_periodic": ("Poisson2DPeriodic", {}),
    "stokes": ("Stokes", {}),
    "stokes:thin": ("Stokes", {"viscosity": 0.01}),
    "disk_hole": ("DiskHole", {}),
    "plate_hole": ("PlateHole", {}),
    "holes": ("Holes", {}),
    "kovasznay": ("Kovasznay", {"reynolds": 20}),
    "kovasznay:fast": ("Kovasznay", {"reynolds": 40}),
    "ethier_steinman": ("EthierSteinman", {"a": 0.8, "d": 1.3}),
    "burgers2d": ("Burgers2D", {}),
    "fichera": ("Fichera", {"power": 0.25}),
    "fichera:root": ("Fichera", {"power": 0.5}),
    "poisson5d": ("Poisson5D", {}),
    "poisson10d": ("Poisson10D", {}),
    "poisson100d": ("Poisson100D", {}),
    "poisson10d_coupled": ("Poisson10DCoupled", {}),
} | {
    f"reentrant_corner:{angle}": ("ReentrantCorner", {"angle": float(angle)})
    for angle in (190, 225, 270, 300, 330)
}  # fmt: skip


def waves(p: Points) -> torch.Tensor:
    return (torch.sin(math.pi * p.x) * torch.sin(4 * math.pi * p.y))[:, 0]


def bump(p: Points) -> torch.Tensor:
    """u³ + u_tt - u_xx of Wang, Teng and Perdikaris's solution, written out."""
    u = p.x * torch.cos(5 * math.pi * p.t) + (p.x * p.t) ** 3
    waves = 25 * math.pi**2 * p.x * torch.cos(5 * math.pi * p.t)
    return (6 * p.x**3 * p.t - waves - 6 * p.x * p.t**3 + u**3)[:, 0]


def plane(p: Points) -> torch.Tensor:
    u = (p.x + p.y) * torch.cos(p.t) + p.x * p.y * torch.sin(p.t)
    return (u**2 - u)[:, 0]


# The equations as their documentation has them: on value (n,), gradient (n, d), Hessian (n, d, d)
# and the third derivative along the first coordinate (n,).
EQUATIONS = {
    "helmholtz": lambda p, u, g, h, _: (
        h[:, 0, 0] + h[:, 1, 1] + u - (1 - 17 * math.pi**2) * waves(p)
    ),
    "heat": lambda p, u, g, h, _: g[:, 1] - 0.1 * h[:, 0, 0],
    "wave": lambda p, u, g, h, _: h[:, 1, 1] - 4 * h[:, 0, 0],
    "advection": lambda p, u, g, h, _: g[:, 1] + 30 * g[:, 0],
    "heat4d": lambda p, u, g, h, _: g[:, 4] - h.diagonal(dim1=1, dim2=2)[:, :4].sum(dim=1) / 4,
    "klein_gordon": lambda p, u, g, h, _: h[:, 1, 1] - h[:, 0, 0] + u**3 - bump(p),
    "klein_gordon:plane": lambda p, u, g, h, _: (
        h[:, 2, 2] - h[:, 0, 0] - h[:, 1, 1] + u**2 - plane(p)
    ),
    "sine_gordon": lambda p, u, g, h, _: h[:, 1, 1] - h[:, 0, 0] + torch.sin(u),
    "kdv": lambda p, u, g, h, third: g[:, 1] + 6 * u * g[:, 0] + third,
    "parametric_poisson": lambda p, u, g, h, _: h[:, 0, 0] + h[:, 1, 1] - p.kappa[:, 0] ** 2 * u,
}
# The pieces of the boundary where nothing is prescribed.
FREE = {
    **{n: {"t_max"} for n in ("heat", "wave", "advection", "kdv", "sine_gordon", "klein_gordon")},
    "klein_gordon:plane": {"t_max"},
    "heat4d": {"final"},
    "burgers2d": {"t_max"},
    "ethier_steinman": {"t_max"},
    "parametric_poisson": {"kappa_min", "kappa_max"},
}


@pytest.fixture(params=PROBLEMS)
def name(request) -> str:
    return request.param


def made(name: str) -> kp.Problem:
    cls, settings, *_ = PROBLEMS[name]
    return library.class_of(name.partition(":")[0], cls)(**settings)


def exact_jet(problem: kp.Problem, p: Points) -> Jet:
    """The exact solution's jet by torch.func, with lines along the first coordinate."""

    def exact(x):
        found = problem.exact(Points(x[None], p.names))
        return torch.cat(found, dim=1)[0] if isinstance(found, tuple) else found[0]

    jet = reference.jet_of_point(exact, p.coords, p.names)
    if len(problem.fields) > 1 or len(p.names) > 4:
        return jet
    first = (1.0, *[0.0] * (len(p.names) - 1))
    channels = Channels(p.names, gradient=True, second="hessian", directions=(first,), order=3)
    lines = reference.along(exact, p.coords, first, 3)[:, None]
    return Jet(channels, jet.value, jet.gradient, jet.second, lines)


def test_it_solves_its_equation(name, generator):
    problem = made(name)
    p = sample(problem.domain, 100 if problem.domain.dim < 6 else 5, "uniform", generator)
    if places := PROBLEMS[name][2:]:
        centres = torch.tensor(places[0], dtype=F).repeat(120 // len(places[0]), 1)
        around = 0.03 * torch.randn(len(centres), 2, generator=generator, dtype=F)
        p = Points(torch.cat([p.coords, (centres + around).clamp(0, 1)]), p.names)
    u = exact_jet(problem, p)
    size = float(u.second.abs().max())
    assert not places or size > 300
    fields = [u[i] for i in range(len(problem.fields))]
    found = problem.residual(p, *fields)
    rest = torch.cat(found, dim=1) if isinstance(found, tuple) else found
    assert rest.abs().max() < 1e-12 * max(size, 100)
    assert u.value.abs().max() > 0.1  # zero would have none either
    if name in EQUATIONS:
        d = problem.domain.dim
        hessian, third = u.second[..., 0].unflatten(1, (d, d)), torch.zeros(len(p), dtype=F)
        if u.lines is not None:
            third = u.lines[:, 0, 2, 0]
        written = EQUATIONS[name](p, u.value[:, 0], u.gradient[..., 0], hessian, third)
        assert written.abs().max() < 1e-10 and u.value.abs().max() > 0.5


def test_it_meets_every_condition(name):
    problem = made(name)
    assert library.largest_defect(problem, exact_jet) < 1e-10
    held = set()
    for condition in problem.conditions():
        if isinstance(condition, kp.Periodic):
            held |= {f"{condition.coordinate}_{end}" for end in ("min", "max")}
        elif not isinstance(condition, kp.Integral):
            held |= set(getattr(condition, "boundary", getattr(condition, "on", None)).names)
    assert set(problem.domain.boundary.names) - held == FREE.get(name, set())


# --- The clamped plate's load, the pressure of Stokes flow, and Kirsch's stresses


ZERO = 1e-11  # solutions, sources and data have sizes up to a few hundred


def exact_at_point(problem):
    """The exact solution as a function of one point, (d,) → (m,)."""

    def function(x):
        found = problem.exact(Points(x[None], problem.domain.names))
        return torch.cat(found, dim=1)[0] if isinstance(found, tuple) else found[0]

    return function


def test_the_clamped_plate_carries_its_load():
    problem = library.class_of("biharmonic", "Biharmonic")()
    p, _ = problem.domain.quadrature(7)
    deflection = lambda x: exact_at_point(problem)(x)[0]  # noqa: E731
    laplacian = lambda x: jacrev(jacrev(deflection))(x).trace()  # noqa: E731
    load = vmap(lambda x: jacrev(jacrev(laplacian))(x).trace())(p.coords)
    assert reference.distance(problem.source(p)[:, 0], load) < 1e-12


def test_the_pressure_of_stokes_flow_has_the_mean_zero():
    problem = library.class_of("stokes", "Stokes")(viscosity=0.01)
    p, weights = problem.domain.quadrature(16)
    assert abs(weights @ problem.exact(p)[2][:, 0]) < 1e-14


YOUNG, POISSON, TENSION = 210.0, 0.25, 3.0


def kirsch_stress(problem):
    """σ (d, d) as a function of one point, from the displacements by Hooke's law."""

    def stress(x):
        slope = jacrev(exact_at_point(problem))(x)
        strain = (slope + slope.T) / 2
        spread = POISSON * strain.trace() * torch.eye(2, dtype=x.dtype)
        return YOUNG / (1 - POISSON**2) * ((1 - POISSON) * strain + spread)

    return stress


@pytest.fixture
def steel():
    kind = library.class_of("plate_hole", "PlateHole")
    return kind(youngs_modulus=YOUNG, poisson_ratio=POISSON, tension=TENSION)


def test_kirsch_is_in_balance_and_leaves_the_hole_free(steel):
    p, _ = steel.domain.quadrature(7)
    force = vmap(lambda x: jacrev(kirsch_stress(steel))(x).diagonal(dim1=1, dim2=2).sum(1))
    assert force(p.coords).abs().max() < ZERO * TENSION
    rim, _ = steel.domain.boundary["hole"].quadrature(12)
    traction = (vmap(kirsch_stress(steel))(rim.coords) @ rim.normals[:, :, None])[:, :, 0]
    assert traction.abs().max() < ZERO * TENSION


def test_kirsch_has_three_times_the_tension_at_the_hole(steel):
    ends = torch.tensor([[0.0, 1.0], [1.0, 0.0], [1e6, 1e6]], dtype=torch.float64)
    top, side, far = vmap(kirsch_stress(steel))(ends) / TENSION
    assert top[0, 0].item() == pytest.approx(3, abs=1e-12)
    assert side[1, 1].item() == pytest.approx(-1, abs=1e-12)
    assert reference.distance(far, torch.diag(far.new_tensor([1.0, 0.0]))) < 1e-9


def test_plate_stress_is_that_of_the_displacements(steel):
    p, _ = steel.domain.boundary.quadrature(9)
    found = torch.cat(steel.plate_stress(p), dim=1) * YOUNG
    stress = vmap(kirsch_stress(steel))(p.coords)
    expected = torch.stack([stress[:, 0, 0], stress[:, 1, 1], stress[:, 0, 1]], dim=1)
    assert reference.distance(found, expected) < 1e-12
