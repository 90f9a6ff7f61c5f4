"""DeepXDE (torch backend): MLP 3x50, tanh, Adam and then L-BFGS, float64, penalty loss."""

import os

os.environ["DDE_BACKEND"] = "pytorch"  # read once, while deepxde is imported

import deepxde as dde
import torch
from peers.measuring import (
    INTERIOR_WEIGHT,
    Timeline,
    boundary_grid,
    gauss_grid,
    options,
    source,
    torch_field,
)

ADAM_SHARE = 0.2
"""Share of the budget given to Adam, 5000 steps at most; L-BFGS has the rest."""


class Measure(dde.callbacks.Callback):
    """Measures errors when due and ends a training stage at its share of the budget."""

    def __init__(self, timeline: Timeline, network, until: float):
        super().__init__()
        self.timeline, self.field, self.until = timeline, torch_field(network), until

    def on_epoch_end(self):
        self.timeline.record_if_due(self.field)
        self.model.stop_training = self.timeline.seconds >= self.until


def residual(points, u):
    hessian = [dde.grad.hessian(u, points, i=axis, j=axis) for axis in range(2)]
    return hessian[0] + hessian[1] - source(points[:, :1], points[:, 1:], xp=torch)


def poisson_data() -> dde.data.PDE:
    """The problem on the same Gauss-Legendre points as the other peers'."""
    square = dde.geometry.Rectangle([-1, -1], [1, 1])
    boundary = dde.icbc.PointSetBC(boundary_grid(41), 0.0)
    return dde.data.PDE(square, residual, boundary, num_domain=0, anchors=gauss_grid(41)[0])


def run(budget: float, seed: int, threads: int) -> None:
    torch.set_num_threads(threads)
    dde.config.set_default_float("float64")
    dde.config.set_random_seed(seed)
    timeline = Timeline("DeepXDE MLP 3x50, Adam + L-BFGS", "deepxde", budget)
    network = dde.nn.FNN([2] + [50] * 3 + [1], "tanh", "Glorot uniform")
    timeline.parameters = sum(p.numel() for p in network.parameters())
    model = dde.Model(poisson_data(), network)
    weights = [INTERIOR_WEIGHT, 1.0]
    model.compile("adam", lr=1e-3, loss_weights=weights)
    adam = Measure(timeline, network, ADAM_SHARE * budget)
    model.train(iterations=5000, callbacks=[adam], display_every=10**9, verbose=0)
    dde.optimizers.set_LBFGS_options(maxiter=10**7, ftol=0, gtol=0)
    # Small steps of L-BFGS between two looks at the clock (its default is 1000 iterations).
    dde.optimizers.config.LBFGS_options.update(iter_per_step=100, fun_per_step=125)
    model.compile("L-BFGS", loss_weights=weights)
    model.train(callbacks=[Measure(timeline, network, budget)], display_every=10**9, verbose=0)
    timeline.finish(torch_field(network))


if __name__ == "__main__":
    given = options()
    run(given.budget, given.seed, given.threads)
