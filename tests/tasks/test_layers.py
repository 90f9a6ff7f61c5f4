"""Boundary layers: cells at walls are small from the beginning where a flow leaves one."""

import pytest
import torch
from cases import OnWalls, error_of, solved_in_cells

import kanpinn as kp


class Layer(OnWalls):
    """-ε Δu + u_x = f with an outflow layer of the width ε = 0.002 at x = 1."""

    domain = kp.Box(x=(0, 1), y=(0, 1))
    width = 0.002

    def exact(self, p):
        return (1 - torch.exp((p.x - 1) / self.width)) * torch.sin(p.y)

    def residual(self, p, u):
        return -self.width * kp.laplacian(u) + kp.partial(u, "x") - self.source(p)


def test_cells_are_small_from_the_beginning_where_a_flow_leaves_a_layer():
    solution = solved_in_cells(Layer(), 12, 4)
    tree = solution.network.tree
    levels = tree.level[tree.low[:, 0] + tree.widths[:, 0] > 1 - 1e-9]
    assert levels[:, 0].min() == 6 and error_of(solution) < 1e-8  # k ε / 4 = 0.006
    assert tree.level[:, 1].max() == 0 and len(tree) == 4 * (4 + 6)


class OpenLayer(Layer):
    """The same equation with the flux at x = 1, which leaves no layer."""

    def conditions(self):
        walls = self.domain.boundary
        return [
            kp.Dirichlet(walls["x_min", "y_min", "y_max"], self.exact),
            kp.Neumann(walls["x_max"], 0.0),
        ]

    def exact(self, p):
        return (1 - p.x) ** 2 * torch.sin(p.y)


def test_cells_at_a_wall_with_a_flux_are_not_halved():
    solution = solved_in_cells(OpenLayer(), 8, 4)
    assert solution.network.count == 16 and error_of(solution) < 1e-9


class AlongDirections(Layer):
    """The equation with a flow along x or y, by derivatives along multiples of both axes."""

    def __init__(self, axis, length):
        self.axis, self.directions = axis, [(length, 0.0), (0.0, length)]

    def exact(self, p):
        along, across = (p.x, p.y) if self.axis == 0 else (p.y, p.x)
        return (1 - torch.exp((along - 1) / self.width)) * torch.sin(across)

    def residual(self, p, u):
        length = sum(self.directions[0])
        second = sum(kp.directional(u, one, 2) for one in self.directions) / length**2
        flow = kp.directional(u, self.directions[self.axis]) / length
        return -self.width * second + flow - self.source(p)


@pytest.mark.parametrize(("axis", "length"), [(0, -1.0), (1, 3.0)])
def test_layers_are_found_for_derivatives_along_any_directions(axis, length):
    solution = solved_in_cells(AlongDirections(axis, length), 8, 4)
    tree = solution.network.tree
    ends = tree.low + tree.widths > 1 - 1e-9
    assert tree.level[ends[:, axis], axis].min() == 6 and tree.level[:, 1 - axis].max() == 0
    assert error_of(solution) < 1e-6
