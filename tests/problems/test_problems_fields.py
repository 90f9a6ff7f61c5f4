"""The clamped plate's load, the pressure of Stokes flow, and Kirsch's stresses."""

import library
import pytest
import reference
import torch
from torch.func import jacrev, vmap

from kanpinn.geometry import Points

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
