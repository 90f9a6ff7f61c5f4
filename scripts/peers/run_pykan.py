"""pykan: KAN [2,10,1], k=3, G=5, its own L-BFGS, float64, the paper's penalty loss.

The grids are not updated during the run: on this problem updates made its error three times larger.
"""

import torch
from kan import KAN
from kan.LBFGS import LBFGS
from peers.measuring import Timeline, collocation, options, penalty_loss, torch_field


def run(budget: float, seed: int, threads: int) -> None:
    torch.set_num_threads(threads)
    torch.set_default_dtype(torch.float64)
    timeline = Timeline("pykan KAN [2,10,1], L-BFGS", "pykan", budget)
    model = KAN(width=[2, 10, 1], grid=5, k=3, seed=seed, auto_save=False)
    # Without the symbolic branch, which this problem does not use: its documented fast mode.
    model.speed()
    trainable = [
        p for name, p in model.named_parameters() if p.requires_grad and "symb" not in name
    ]
    timeline.parameters = sum(p.numel() for p in trainable)
    interior, boundary = collocation()
    optimizer = LBFGS(
        trainable,
        lr=1,
        history_size=10,
        line_search_fn="strong_wolfe",
        tolerance_grad=1e-32,
        tolerance_change=1e-32,
        tolerance_ys=1e-32,
    )

    def closure():
        optimizer.zero_grad()
        loss = penalty_loss(model, interior, boundary)
        loss.backward()
        return loss

    field = torch_field(model)
    while not timeline.exhausted:
        optimizer.step(closure)
        timeline.record_if_due(field)
    timeline.finish(field)


if __name__ == "__main__":
    given = options()
    run(given.budget, given.seed, given.threads)
