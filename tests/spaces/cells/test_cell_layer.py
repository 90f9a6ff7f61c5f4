"""The layer of all cells: its derivatives by the coefficients."""

import torch

import kanpinn as kp
from kanpinn.jets import Channels, Coordinates
from kanpinn.networks.layer import Tape

F = torch.float64


def test_the_jacobian_is_that_of_the_coefficients():
    network = kp.Cells([2, 2], 3, 2)
    tree, _ = network.tree.split(
        torch.tensor([[True, True], [False, False], [True, False], [False, True]])
    )
    random = torch.randn(len(tree), 10, 2, dtype=F, generator=torch.Generator().manual_seed(0))
    network.layer.reset(tree, tree.boxes, random)
    x = 2 * torch.rand(30, 2, dtype=F, generator=torch.Generator().manual_seed(1)) - 1
    coordinates = Coordinates(Channels(("x", "y"), second="laplacian"), x, torch.ones(2, dtype=F))

    def residual(tape):
        jet = network.jet(coordinates, tape)
        return jet.value[:, 0] * jet.gradient[:, 1, 1] + jet.second[:, 0, 0]

    tape = Tape([network.layer])
    found = tape.jacobian(residual(tape))
    step = torch.randn_like(random)
    network.layer.reset(tree, tree.boxes, random + 1e-6 * step)
    ahead = residual(None)
    network.layer.reset(tree, tree.boxes, random - 1e-6 * step)
    slope = (ahead - residual(None)) / 2e-6
    assert torch.allclose(found @ step.flatten(), slope, rtol=1e-6, atol=1e-6)
