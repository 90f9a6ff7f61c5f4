"""Deep KANs: signals stay in the grids, forwards and backwards, at the start and in training."""

import math

import pytest
import reference
import torch
from cases import Square, terms_at

import kanpinn as kp
from kanpinn.geometry import Points
from kanpinn.jets import Channels
from kanpinn.loss.residuals import Residuals
from kanpinn.networks import Surrogate

BOX = Square.domain
DEEP = [2, 8, 8, 8, 8, 1]
TOLERANCE = 1e-12
OPTIMIZERS = {
    "adam": kp.Adam(steps=15, lr=1e-2),
    "lbfgs": kp.LBFGS(steps=4, iterations=5),
    "ss_broyden": kp.SSBroyden(steps=25),
    "levenberg_marquardt": kp.LevenbergMarquardt(steps=3),
}


def everywhere(ticks: int = 13) -> Points:
    """A grid that holds the corners."""
    unit = torch.linspace(0, 1, ticks, dtype=torch.float64)
    return BOX.from_unit(torch.cartesian_prod(unit, unit))


def activations(surrogate: Surrogate, points: Points) -> list[torch.Tensor]:
    """The inputs (n, n_in) of every layer."""
    h, seen = surrogate.coordinates(points, Channels(BOX.names)), []
    for layer in surrogate.network.layers:
        seen.append(h.value.detach())
        h = layer(h)
    return seen


def inside(surrogate: Surrogate, points: Points) -> torch.Tensor:
    """Which points (n,) have all their activations in the grids."""
    ins = [
        ((layer.basis.breaks[:, 0] <= h) & (h <= layer.basis.breaks[:, -1])).all(dim=1)
        for layer, h in zip(
            surrogate.network.layers[1:], activations(surrogate, points)[1:], strict=True
        )
    ]
    return torch.stack(ins).all(dim=0)


def signals(network: kp.KAN, points: Points) -> torch.Tensor:
    """log of the mean variance of ξ and of the mean square of ∂u/∂ξ, (2, hidden layers).

    ξ runs over [-1, 1] on the grid of each unit.
    """
    surrogate = Surrogate(network, BOX)
    surrogate.prepare(points)
    h = surrogate.coordinates(points, Channels(BOX.names)).value
    hidden = []
    for layer in network.layers[:-1]:
        h = layer.edges(h)[:, 0].sum(dim=1)
        hidden.append(h)
    u = network.layers[-1].edges(h)[:, 0].sum()
    logs = []
    for layer, h, g in zip(network.layers[1:], hidden, torch.autograd.grad(u, hidden), strict=True):
        half = (layer.basis.breaks[:, -1] - layer.basis.breaks[:, 0]) / 2
        sizes = (h / half).var(dim=0).mean(), (g * half).square().mean()
        logs.append(torch.stack(sizes).detach().log())
    return torch.stack(logs, dim=1)


def test_signals_keep_their_size_through_four_hidden_layers():
    """Of 16 networks the geometric mean; what is left of growth is that of correlated units."""
    networks = [kp.KAN(DEEP, degree=4, grid=2, seed=seed) for seed in range(16)]
    forwards, backwards = torch.stack([signals(n, everywhere()) for n in networks]).mean(dim=0)
    assert float(forwards.max() - forwards.min()) < math.log(1.5)
    assert float(backwards.diff().abs().max()) < math.log(2)
    assert float(backwards.max() - backwards.min()) < math.log(4)


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_all_activations_are_in_the_grids_before_and_after_training(optimizer):
    network = kp.KAN([2, 5, 5, 1], degree=4, grid=2, seed=1)
    surrogate = Surrogate(network, BOX)
    interior, boundary = BOX.quadrature(10)[0], BOX.boundary.quadrature(10)[0]
    points = Points(torch.cat([interior.coords, boundary.coords]), BOX.names)
    surrogate.prepare(points)
    assert bool(inside(surrogate, points).all())
    terms = terms_at(Square(), surrogate, interior, [boundary], {"interior": 1.0, "boundary": 1.0})
    residuals = Residuals(surrogate, terms)
    before, grids = residuals.loss(), [layer.basis.breaks.clone() for layer in network.layers[1:]]
    stage = optimizer.start(residuals, 0)
    for _ in range(optimizer.steps):
        stage.step()
    assert residuals.loss() < 0.9 * before
    assert any(
        not torch.equal(a, b.basis.breaks) for a, b in zip(grids, network.layers[1:], strict=True)
    )
    assert bool(inside(surrogate, points).all())


def test_grids_that_follow_leave_what_was_in_them_as_it_was():
    network = kp.KAN([2, 6, 6, 1], degree=5, grid=[2, 3, 4], seed=2)
    surrogate, points = Surrogate(network, BOX), everywhere()
    hessian = Channels(BOX.names, second="hessian")
    surrogate.prepare(everywhere(4))
    start = surrogate(points)
    surrogate.follow(everywhere(4))
    assert torch.equal(surrogate(points), start)  # nothing to follow
    with torch.no_grad():
        for layer in network.layers[:-1]:
            layer.coefficients.mul_(1.1)
    stayed, before = inside(surrogate, points), surrogate.jet(points, hessian)
    assert 0.1 < float(stayed.double().mean()) < 0.9
    surrogate.follow(points)
    assert bool(inside(surrogate, points).all())
    after = surrogate.jet(points, hessian)
    for a, b in zip(after.parts(), before.parts(), strict=True):
        assert reference.distance(a[stayed], b[stayed]) < TOLERANCE
