"""Known functions in the output space and in the input: corners, stretched coordinates."""

import math

import pytest
import torch
from cases import Manufactured, Stated

import kanpinn as kp
from kanpinn.geometry import Points
from kanpinn.jets import Channels, jet_of

L_SHAPE = kp.LShape()
WEDGE = kp.Sector((0.2, -0.1), 1.0, 0.3, 0.3 + 1.25 * math.pi)
CORNERS = {
    "inward": kp.Corner(L_SHAPE, (0, 0), 2),
    "outward": kp.Corner(L_SHAPE, (-1, 1), 2),
    "turned": kp.Corner(WEDGE, (0.2, -0.1), 3),
}


@pytest.mark.parametrize("corner", CORNERS.values(), ids=CORNERS)
def test_corner_functions_are_harmonic_and_vanish_on_the_sides(corner, generator):
    inside = corner.domain.place(50, lambda n, d: torch.rand(n, d, generator=generator).double())
    jet = jet_of(
        lambda x: corner(Points(x, inside.names)),
        inside.coords,
        Channels(("x", "y"), second="laplacian"),
    )
    assert jet.second.abs().max() < 1e-9 * jet.gradient.abs().max().clamp_min(1)
    for curve in corner.domain.curves:
        touches = min(math.dist(curve.start, corner.at), math.dist(curve.stop, corner.at)) < 1e-12
        values = corner(curve.quadrature(9)[0])
        if touches and corner is not CORNERS["outward"]:
            assert values.abs().max() < 1e-12


def test_powers_of_a_corner():
    corner = CORNERS["inward"]
    assert corner.angle == pytest.approx(1.5 * math.pi)
    diagonal = torch.tensor([[-0.5, -0.5], [-0.25, -0.25]], dtype=torch.float64)
    first = corner(Points(diagonal, ("x", "y")))[:, 0]
    assert float(first[0] / first[1]) == pytest.approx(2 ** (2 / 3))
    # The middle of the corner is where sin(2θ/3) = 1.
    assert float(first[0]) == pytest.approx(0.5 ** (1 / 3))


def test_corner_functions_have_values_at_the_corner():
    for corner in CORNERS.values():
        at = torch.tensor([corner.at], dtype=torch.float64)
        assert corner(Points(at, ("x", "y"))).abs().max() < 1e-9


def test_only_corners_have_corner_functions():
    with pytest.raises(kp.InputError, match=r"at = \(0.5, 0.5\) is no corner of LShape\(\)"):
        kp.Corner(L_SHAPE, (0.5, 0.5))


def rough(*functions):
    """Δu = f with u = 3 r^(2/3) sin(2θ/3) + sin x cos y, and functions that are known."""
    singular = kp.Corner(L_SHAPE, (0, 0), 1)
    exact = lambda p: 3 * singular(p) + torch.sin(p.x) * torch.cos(p.y)  # noqa: E731
    residual = lambda p, u: kp.laplacian(u) + 2 * torch.sin(p.x) * torch.cos(p.y)  # noqa: E731
    given = [kp.Dirichlet(L_SHAPE.boundary, exact)]
    return Stated(L_SHAPE, residual, given, exact=exact, enrichment=lambda: [*functions])


def test_a_singular_function_takes_the_rough_part():
    points = kp.Collocation(1200, 240)
    made = [kp.KAN([2, 40, 1], degree=9, grid=[2, 6]) for _ in range(2)]
    rich, plain = (
        kp.solve(rough(*functions), network, points=points, boundary="penalty")
        for functions, network in zip(([CORNERS["inward"]], []), made, strict=True)
    )
    assert rich.errors.h1_relative < 1e-7 < 1e-2 < plain.errors.h1_relative
    coefficients = rich.network.enrichment.coefficients.flatten()
    assert (coefficients - torch.tensor([3.0, 0.0], dtype=torch.float64)).abs().max() < 1e-6


def test_exact_data_do_not_go_with_known_functions():
    with pytest.raises(kp.InputError, match=r"known functions of Stated.enrichment\(\)"):
        kp.solve(rough(CORNERS["inward"]), kp.KAN([2, 3, 1], degree=5, grid=2), boundary="exact")


def test_a_known_function_of_the_wrong_shape_is_refused():
    with pytest.raises(
        kp.InputError, match=r"a function of enrichment\(\) must have shape \(n, q\)"
    ):
        kp.solve(rough(lambda p: p.x[:, 0]), kp.KAN([2, 3, 1], degree=5, grid=2))


def test_stretched_coordinates_are_smooth_and_fill_the_square():
    stretch = kp.Stretch(L_SHAPE, (0, 0), 0.01)
    corner = torch.tensor([[0.0, 0.0], [-1.0, -1.0], [1e-3, 0.0], [0.1, 0.0]], dtype=torch.float64)
    images = stretch(Points(corner, ("x", "y")))
    assert images[0].abs().max() == 0 and float(images[1].norm()) == pytest.approx(1)
    # Next to the point lengths grow by 1 / (size asinh(reach / size)).
    scale = 1 / (0.01 * math.asinh(2**0.5 / 0.01))
    assert float(images[2, 0]) == pytest.approx(1e-3 * scale, rel=1e-2)
    channels = Channels(("x", "y"), second="hessian")
    jet = jet_of(lambda x: stretch(Points(x, ("x", "y"))), corner[:1], channels)
    assert torch.isfinite(jet.second).all()
    assert float(jet.gradient[0, 0, 0]) == pytest.approx(scale, rel=1e-4)


def test_graded_cells_make_up_the_domain():
    cells = kp.graded(L_SHAPE, (0, 0), levels=4, ratio=0.4)
    assert len(cells) == 5
    assert sum(cell.measure for cell in cells) == pytest.approx(3, rel=1e-12)
    assert cells[-1].measure == pytest.approx(3 * 0.4**8)
    with pytest.raises(kp.InputError, match="ratio must be between 0 and 1, got 2"):
        kp.graded(L_SHAPE, (0, 0), 3, 2)


def test_a_network_may_see_other_inputs_than_the_coordinates():
    # u'' - u = f, periodic by its inputs alone
    problem = Manufactured(
        kp.Box(x=(0, 2)),
        lambda p, u: kp.laplacian(u) - u.value,
        "exp(sin(pi * x))",
        periodic=("x",),
        inputs=lambda: lambda p: torch.cat([(math.pi * p.x).cos(), (math.pi * p.x).sin()], dim=1),
    )
    network = kp.KAN([2, 24, 1], degree=9, grid=[1, 3])
    assert kp.solve(problem, network, points=kp.Collocation(200, 2)).errors.h1_relative < 1e-9
    with pytest.raises(kp.InputError, match=r"network\.width must start with 2 inputs"):
        kp.solve(problem, kp.KAN([1, 4, 1], degree=5, grid=2))
