"""Rules against integrals in closed form."""

import math

import pytest
import torch
import trimesh

import kanpinn as kp
from kanpinn._support.errors import InputError
from kanpinn.geometry import Ball, Box
from kanpinn.geometry.quadrature import domain_rule
from kanpinn.geometry.rules import gauss_legendre


def integral(box: Box, function, **options) -> float:
    return sum((w @ function(p)).item() for p, w in domain_rule(box, **options))


@pytest.mark.parametrize("n", [1, 2, 5, 12, 200])
def test_gauss_rule_is_exact_to_degree_2n_minus_1_and_no_further(n):
    nodes, weights = gauss_legendre(n)

    def legendre(degree: int) -> float:
        """The rule's integral over [-1, 1] of P_degree², 2 / (2 degree + 1) if it were exact."""
        values = torch.special.legendre_polynomial_p(2 * nodes - 1, degree)
        return 2 * (weights @ values**2).item()

    assert legendre(n - 1) == pytest.approx(2 / (2 * n - 1), rel=1e-12)
    assert abs(legendre(n)) < 1e-20
    for degree in range(min(2 * n, 24)):
        assert (weights @ nodes**degree).item() == pytest.approx(1 / (degree + 1), rel=1e-13)


@pytest.mark.parametrize("n", [1001, 10**6])
def test_long_gauss_rules_are_exact_too(n):
    nodes, weights = gauss_legendre(n)
    assert 0 < nodes.min() and bool((nodes.diff() > 0).all()) and weights.min() > 0
    for degree in (0, 1, 2, 1000, 2000):
        assert (weights @ nodes**degree).item() == pytest.approx(1 / (degree + 1), rel=1e-12)


def test_gauss_nodes_are_inside_and_symmetric():
    nodes, weights = gauss_legendre(9)
    assert 0 < nodes.min() and nodes.max() < 1 and weights.min() > 0
    torch.testing.assert_close(nodes + nodes.flip(0), torch.ones_like(nodes), rtol=0, atol=1e-15)
    torch.testing.assert_close(weights, weights.flip(0), rtol=1e-14, atol=0)


def test_writing_into_a_rule_leaves_the_next_one_alone():
    nodes, _ = gauss_legendre(4)
    nodes.zero_()
    assert gauss_legendre(4)[0].min() > 0


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_product_rule_integrates_analytic_functions_to_rounding(dim):
    box = Box(**{f"x{i}": (0, math.pi) for i in range(dim)})
    value = integral(box, lambda p: p.coords.sin().prod(dim=1), nodes=16)
    assert value == pytest.approx(2**dim, rel=1e-13)


@pytest.mark.parametrize("dim", [2, 4])
def test_chunks_are_bounded_and_change_nothing(dim):
    box = Box(**{f"x{i}": (0, 1) for i in range(dim)})
    small = list(domain_rule(box, 10, draws=128, chunk=30))
    (whole,) = domain_rule(box, 10, draws=128)
    assert max(len(points) for points, _ in small) == 30
    assert torch.equal(torch.cat([points.coords for points, _ in small]), whole[0].coords)
    assert torch.equal(torch.cat([weights for _, weights in small]), whole[1])


@pytest.mark.parametrize("dim", [4, 10])
def test_sobol_rule_integrates_in_many_dimensions(dim):
    box = Box(**{f"x{i}": (-1, 2) for i in range(dim)})
    assert integral(box, lambda p: torch.ones_like(p.x0[:, 0])) == pytest.approx(3.0**dim)
    mean = integral(box, lambda p: (p.coords**2).sum(dim=1)) / box.measure
    assert mean == pytest.approx(dim, rel=1e-4)


def test_sobol_rule_converges_faster_than_chance():
    """Errors of the mean of Π 2 x_i over 8 scramblings fall by far more than Monte Carlo's 8."""
    box = Box(**{f"x{i}": (0, 1) for i in range(4)})

    def rms(draws: int) -> float:
        errors = [
            integral(box, lambda p: (2 * p.coords).prod(dim=1), draws=draws, seed=seed) - 1
            for seed in range(8)
        ]
        return math.hypot(*errors) / math.sqrt(8)

    assert rms(2**14) < rms(2**8) / 64


def test_even_points_of_a_ball_in_time_are_used_above_three_dimensions():
    """∫ x² over a ball of radius 1 times an interval of length 2: 2 · 4π/15, no point rejected."""
    domain = Ball((0, 0, 0), 1).over(t=(0, 2))
    (points, weights), *rest = domain_rule(domain, draws=2**12)
    assert not rest and len(points) == 2**12
    assert weights.sum().item() == pytest.approx(domain.measure, rel=1e-12)
    assert (weights @ points.x**2).item() == pytest.approx(8 * math.pi / 15, rel=1e-3)


def test_sobol_rule_follows_its_seed():
    box = Box(**{f"x{i}": (0, 1) for i in range(5)})
    first, again, other = (next(domain_rule(box, draws=64, seed=s))[0].coords for s in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("dim", [2, 5])
def test_bad_sizes_are_refused_at_once(dim):
    box = Box(**{f"x{i}": (0, 1) for i in range(dim)})
    for name in ("chunk", "draws"):
        with pytest.raises(InputError, match=f"{name} must be an integer of at least 1, got 0"):
            domain_rule(box, **{name: 0})


# --- Rules on the parts of surfaces in boxes: many boxes at once, areas, and sums over all boxes


MESH = trimesh.creation.icosphere(2)
CUBE = kp.Box(x=(-1, 1), y=(-1, 1), z=(-1, 1))
SOLIDS = {
    "ball": kp.Ball((0, 0.1, 0), 0.9),
    "cube": kp.Box(x=(-1, 0.9), y=(-0.8, 1), z=(-0.7, 0.3)),
    "triangles": kp.Surface(MESH.vertices, MESH.faces),
    "bitten ball": kp.Ball((0, 0, 0), 1) - kp.Ball((1, 0.2, 0), 0.6, name="bite"),
    "cube without a ball": CUBE - kp.Ball((0, 0, 1), 0.6),
}


def _grid(count):
    """The boxes of a grid on a cube around the solids, (count³, 2, 3)."""
    width = 2.2 / count
    corners = torch.cartesian_prod(*[torch.arange(count, dtype=torch.float64)] * 3) * width - 1.1
    return torch.stack([corners, corners + width], dim=1)


@pytest.mark.parametrize("name", SOLIDS)
def test_rules_of_many_boxes_are_those_of_each(name):
    boxes = torch.cat([_grid(3), torch.tensor([[[-0.3, -0.3, 0.5], [0.1, 0.2, 0.95]]])])
    for piece in SOLIDS[name].boundary.pieces:
        every = piece.in_boxes(boxes, 5)
        assert bool((every.box.diff() >= 0).all())
        for number in (0, 5, 13, 22, 26, 27):
            box = boxes[number]
            alone, own = piece.in_boxes(box[None], 5), every.some(every.box == number)
            assert torch.equal(own.points.coords, alone.points.coords)
            assert torch.equal(own.normals, alone.normals)
            assert torch.equal(own.weights, alone.weights)
            coords = alone.points.coords
            assert bool(((coords >= box[0]) & (coords <= box[1])).all())


@pytest.mark.parametrize("name", SOLIDS)
def test_weights_in_all_boxes_add_up_to_the_area(name):
    for piece in SOLIDS[name].boundary.pieces:
        weights = piece.in_boxes(_grid(4), 8).weights
        assert bool((weights > 0).all())
        assert float(weights.sum()) == pytest.approx(
            piece.measure, rel=0.05
        )  # a wall that ends in a box has few points there


def test_padded_rules_keep_the_sums_over_each_box():
    rules = SOLIDS["ball"].boundary.pieces[0].in_boxes(_grid(3), 6)
    moments = torch.zeros(27, dtype=torch.float64)
    moments.index_add_(0, rules.box, rules.weights * rules.points.coords[:, 0])
    found, last = torch.zeros_like(moments), 0
    for boxes, points, weights in rules.padded(4):
        assert len(boxes) <= 4 and weights.shape[1] >= last
        last = weights.shape[1]
        found[boxes] = (weights * points.coords[:, 0].view(weights.shape)).sum(dim=1)
    assert found == pytest.approx(moments, abs=1e-15)


def test_a_piece_in_higher_dimensions_is_not_divided():
    (sphere,) = kp.Ball((0, 0, 0, 0), 1).boundary.pieces
    with pytest.raises(kp.InputError, match="cannot be divided by boxes"):
        sphere.in_boxes(torch.zeros(1, 2, 4, dtype=torch.float64), 3)
