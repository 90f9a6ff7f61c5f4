"""PINA: KAN [2,10,1], cubic, 10 intervals on [-2,2], Adam and then L-BFGS, float64, penalty loss.

The grid is wider than the domain: PINA's splines are zero outside their grid, and on [-1,1] the
hidden activations leave it (its error is then about twenty times larger).
"""

import logging
from typing import ClassVar

import lightning.pytorch as lightning
import torch
from peers.measuring import INTERIOR_WEIGHT, Timeline, collocation, options, source, torch_field
from pina import Condition, LabelTensor, Trainer
from pina.equation import Equation
from pina.model import KolmogorovArnoldNetwork
from pina.operator import laplacian
from pina.optim import TorchOptimizer
from pina.problem import BaseProblem
from pina.solver import PhysicsInformedSingleModelSolver
from pina.weighting import ScalarWeighting

ADAM_SHARE = 0.2
"""Share of the budget given to Adam, 5000 steps at most; L-BFGS has the rest."""


class Measure(lightning.Callback):
    """Measures errors when due and ends a training stage at its share of the budget."""

    def __init__(self, timeline: Timeline, field, until: float):
        self.timeline, self.field, self.until = timeline, field, until

    def on_train_batch_end(self, trainer, *_):
        self.timeline.record_if_due(self.field)
        trainer.should_stop = self.timeline.seconds >= self.until


def residual(points, u):
    x, y = points.extract(["x"]), points.extract(["y"])
    f = source(x.as_subclass(torch.Tensor), y.as_subclass(torch.Tensor), xp=torch)
    return laplacian(u, points, components=["u"], d=["x", "y"]) - f


def poisson_problem() -> BaseProblem:
    """The problem on the same Gauss-Legendre points as the other peers'."""
    interior, boundary = (LabelTensor(points, ["x", "y"]) for points in collocation())

    class Poisson(BaseProblem):
        input_variables, output_variables = ["x", "y"], ["u"]
        conditions: ClassVar = {
            "interior": Condition(input=interior, equation=Equation(residual)),
            "boundary": Condition(input=boundary, equation=Equation(lambda _, u: u)),
        }

    return Poisson()


def train(model, optimizer: TorchOptimizer, steps: int, measure: Measure) -> None:
    solver = PhysicsInformedSingleModelSolver(
        poisson_problem(),
        model,
        optimizer=optimizer,
        weighting=ScalarWeighting({"interior": INTERIOR_WEIGHT, "boundary": 1.0}),
    )
    Trainer(
        solver,
        max_epochs=steps,
        accelerator="cpu",
        callbacks=[measure],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    ).train()


def run(budget: float, seed: int, threads: int) -> None:
    torch.set_num_threads(threads)
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(seed)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    timeline = Timeline("PINA KAN [2,10,1], Adam + L-BFGS", "pina-mathlab", budget)
    # 17 knots: 4 at each end of the clamped cubic grid (order 4) and 9 within, 10 intervals.
    model = KolmogorovArnoldNetwork([2, 10, 1], spline_order=4, n_knots=17, grid_range=[-2, 2])
    timeline.parameters = sum(p.numel() for p in model.parameters() if p.requires_grad)
    field = torch_field(model)
    adam = TorchOptimizer(torch.optim.Adam, lr=1e-2)
    train(model, adam, 5000, Measure(timeline, field, ADAM_SHARE * budget))
    lbfgs = TorchOptimizer(
        torch.optim.LBFGS,
        max_iter=20,
        history_size=100,
        line_search_fn="strong_wolfe",
        tolerance_grad=0.0,
        tolerance_change=0.0,
    )
    train(model, lbfgs, 10**6, Measure(timeline, field, budget))
    timeline.finish(field)


if __name__ == "__main__":
    given = options()
    run(given.budget, given.seed, given.threads)
