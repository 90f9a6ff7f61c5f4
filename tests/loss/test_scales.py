"""Scales of fields and equations: other units change nothing but the scales themselves."""

import pytest
import torch

import kanpinn as kp
from kanpinn.loss.scales import scales_of
from kanpinn.pde.boundary_value_problem import stated


class Channel(kp.Problem):
    """Steady flow between two plates, with pressure; lengths, speeds and viscosity in any units."""

    fields = ("u", "v", "q")

    def __init__(self, length=1.0, speed=1.0, factor=1.0):
        self.length, self.speed, self.factor = length, speed, factor
        self.viscosity = 0.1 * length * speed
        self.domain = kp.Box(x=(0, 3 * length), y=(0, length))

    def residual(self, p, u, v, q):
        move = lambda f: u.value * kp.partial(f, "x") + v.value * kp.partial(f, "y")  # noqa: E731
        return (
            self.factor * (move(u) + kp.partial(q, "x") - self.viscosity * kp.laplacian(u)),
            move(v) + kp.partial(q, "y") - self.viscosity * kp.laplacian(v),
            kp.div(u, v),
        )

    def conditions(self):
        walls = self.domain.boundary
        return [
            kp.Dirichlet(walls["x_min", "y_min", "y_max"], lambda p: self.exact(p)[0], field="u"),
            kp.Dirichlet(walls, 0.0, field="v"),
            kp.Dirichlet(walls["x_max"], 0.0, field="q"),
        ]

    def exact(self, p):
        y = p.y / self.length
        drop = 8 * self.viscosity * self.speed / self.length**2
        return 4 * self.speed * y * (1 - y), 0 * p.x, drop * (3 * self.length - p.x)


def test_other_units_change_the_scales_by_their_factors():
    one = scales_of(stated(Channel()))
    length, speed, factor = 1e-2, 1e3, 1e-5
    other = scales_of(stated(Channel(length, speed, factor)))
    sizes = torch.tensor([speed, speed, speed**2], dtype=torch.float64)
    force = speed**2 / length
    rows = torch.tensor([factor * force, force, speed / length], dtype=torch.float64)
    assert torch.allclose(other.fields, one.fields * sizes, rtol=1e-6)
    assert torch.allclose(other.equations * rows, one.equations, rtol=1e-6)
    for mine, its, size in zip(one.conditions, other.conditions, sizes, strict=True):
        assert torch.allclose(its * size, mine, rtol=1e-6)


def test_scaled_fields_and_residuals_have_sizes_of_about_one():
    length, speed = 1e3, 1e-4
    problem = stated(Channel(length, speed))
    scales = scales_of(problem)
    points = kp.Points(
        torch.rand(50, 2, dtype=torch.float64) * problem.domain.bounds[1], ("x", "y")
    )
    u, _, q = problem.exact(points)
    for field, size in ((u, scales.fields[0]), (q, scales.fields[2])):
        assert 0.1 < float(field.square().mean().sqrt() / size) < 10


def test_decoupled_fields_have_the_sizes_of_their_own_data():
    class Two(kp.Problem):
        domain, fields = kp.Box(x=(0, 1)), ("u", "v")

        def residual(self, p, u, v):
            return kp.laplacian(u), kp.laplacian(v)

        def conditions(self):
            ends = self.domain.boundary
            return [kp.Dirichlet(ends, 1e6, field="u"), kp.Dirichlet(ends, 1e-3, field="v")]

    assert scales_of(stated(Two())).fields.tolist() == pytest.approx([1e6, 1e-3])


def solved(problem):
    network = kp.KAN([2, 24, 3], 9, [4, 4], seed=0)
    points = kp.Collocation(500, 200)
    return kp.solve(
        problem, network, points=points, boundary="penalty", loss=kp.Loss(balance="sizes")
    )


def test_a_loss_with_scales_has_the_same_minimum_in_other_units():
    one, other = solved(Channel()), solved(Channel(0.01, 20.0, 1e4))
    for name in Channel.fields:
        mine, its = (s.errors.fields[name].l2 for s in (one, other))
        size = {"u": 20.0, "v": 20.0, "q": 400.0}[name]
        assert its / size == pytest.approx(mine, rel=0.5, abs=1e-13)
    assert other.loss_terms["interior"] == pytest.approx(one.loss_terms["interior"], rel=0.5)


def test_scales_need_equations_and_no_unknowns():
    class Energetic(Channel):
        def energy(self, p, u, v, q):
            return u.value**2

    with pytest.raises(kp.InputError, match='balance must not be "sizes" for an energy'):
        kp.solve(
            Energetic(),
            kp.KAN([2, 4, 3], 5, 3),
            loss=kp.Loss(form="energy", loss=kp.Loss(balance="sizes")),
        )


class Product(kp.Problem):
    """-u'' + c = f, -v'' - c + u v = g, c = (u - v) / 5; u oscillates, and f is large beside it."""

    domain = kp.Box(x=(-1, 1))
    fields = ("u", "v")

    def residual(self, p, u, v):
        f, g = self.source(p).split(1, dim=1)
        c = (u.value - v.value) / 5
        return -kp.laplacian(u) + c - f, -kp.laplacian(v) - c + u.value * v.value - g

    def exact(self, p):
        return torch.sin(32 * p.x), torch.sin(4 * p.x)

    def conditions(self):
        return [kp.Dirichlet(self.domain.boundary, self.exact)]


def test_data_that_oscillate_do_not_make_nonlinear_terms_outweigh_the_others():
    first, second = scales_of(stated(Product(), kp.Problem)).equations.tolist()
    assert 1 / 20 < first / second < 20
    solution = kp.solve(Product(), budget=20, tolerance=1e-6)
    assert solution.success and solution.errors.l2_relative < 1e-6
