"""Steady flow behind a step in a channel."""

import math

import torch

import kanpinn as kp


class BackwardStep(kp.Problem):
    """(u, v)·∇(u, v) = -∇q + Δ(u, v) / Re and u_x + v_y = 0 on [0, length] × [-1/2, 1/2].

    The flow enters at x = 0 above the step, u = 24 y (1/2 - y) for y > 0, and leaves without
    tension, (∂u/∂x / Re - q, ∂v/∂x / Re) = 0. There is no exact solution. At Re = 800 the flow
    separates from the lower wall up to x = 6.10, and from the upper one between 4.85 and 10.48.

    Hard: long thin eddies, for which Newton's method needs cells that are fine enough.

    Args:
        reynolds: Re > 0, of the channel's height and the mean velocity.
        length: of the channel.

    Reference: Gartling, A test problem for outflow boundary conditions (1990).
    """

    fields = ("u", "v", "q")
    error_fields = velocity_fields = ("u", "v")

    def __init__(self, reynolds: float | int = 800.0, length: float | int = 30.0) -> None:
        self.reynolds = reynolds
        self.domain = kp.Box(x=(0, length), y=(-0.5, 0.5))

    def residual(self, p, u, v, q):
        return (
            _advected(u, u, v) + kp.partial(q, "x") - kp.laplacian(u) / self.reynolds,
            _advected(v, u, v) + kp.partial(q, "y") - kp.laplacian(v) / self.reynolds,
            kp.div(u, v),
        )

    def conditions(self):
        boundary = self.domain.boundary
        walls, entry = boundary["y_min", "y_max"], boundary["x_min"]
        return [
            kp.Dirichlet(entry, lambda p: (24 * p.y * (0.5 - p.y)).clamp_min(0), field="u"),
            kp.Dirichlet(walls, 0.0, field="u"),
            kp.Dirichlet(boundary["x_min", "y_min", "y_max"], 0.0, field="v"),
            kp.Constraint(boundary["x_max"], self.tension),
        ]

    def tension(self, p, u, v, q):
        """(∂u/∂x / Re - q, ∂v/∂x / Re)."""
        along = (kp.partial(u, "x") / self.reynolds, kp.partial(v, "x") / self.reynolds)
        return along[0] - q.value, along[1]

    def quantities(self, solution):
        lower, upper = (self._sign_changes(solution, y) for y in (-0.5, 0.5))
        separates, reattaches = (*upper, math.nan, math.nan)[:2]
        return {
            "reattachment, lower wall": (math.nan, *lower)[-1],
            "separation, upper wall": separates,
            "reattachment, upper wall": reattaches,
        }

    def _sign_changes(self, solution, y):
        """The x above 1/2 at which ∂u/∂y changes its sign on the wall at y, in ascending order."""
        x = torch.linspace(0.5, float(self.domain.bounds[1][0]), 6001).double()
        slope = solution.gradient(torch.stack([x, torch.full_like(x, y)], dim=1))[:, 1, 0]
        at = (slope[1:] * slope[:-1] < 0).nonzero()[:, 0]
        part = slope[at] / (slope[at] - slope[at + 1])
        return (x[at] + part * (x[at + 1] - x[at])).tolist()


def _advected(w, u, v):
    """u w_x + v w_y, (n, 1)."""
    return u.value * kp.partial(w, "x") + v.value * kp.partial(w, "y")
