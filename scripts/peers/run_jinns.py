"""jinns: MLP [2,32,32,1], tanh, SSBroyden with its zoom line search, float64.

Rows: `penalty`, the loss of the other peers; `exact`, the boundary data exact by jinns' output
transform, u = (1 - x^2)(1 - y^2) N: twenty times more accurate in the same time.

`jinns.solve` compiles its whole loop; errors are measured from within it through jinns' validation
hook, by a callback to the host, which also ends the run when the budget is spent.
"""

from itertools import pairwise

import equinox as eqx
import jax
import jax.numpy as jnp
import jinns
import numpy as np
from jax.experimental import io_callback
from jinns.solver import GetJinnsVariableName
from jinns.validation import AbstractValidationModule
from peers.measuring import INTERIOR_WEIGHT, Timeline, boundary_grid, gauss_grid, options, source

WIDTH = [2, 32, 32, 1]
LOOK_EVERY = 10
"""Iterations between two looks at the clock."""


class Poisson(jinns.loss.PDEStatio):
    def equation(self, x, u, params):
        laplacian = jinns.loss.laplacian_rev(x, u, params)
        return jnp.reshape(laplacian - source(x[0], x[1], xp=jnp), (1,))


class Measure(AbstractValidationModule):
    """Measures errors when due and stops the run when its budget is spent."""

    timeline: Timeline = eqx.field(static=True, kw_only=True)
    row: str = eqx.field(static=True, kw_only=True)
    call_every: int = eqx.field(static=True, kw_only=True, default=LOOK_EVERY)

    def __call__(self, params):
        layers, boolean = jax.tree.leaves(params.nn_params), jax.ShapeDtypeStruct((), jnp.bool_)
        exhausted = io_callback(self._look, boolean, *layers, ordered=True)
        return self, exhausted, jnp.array(0.0), jnp.array(False)

    def _look(self, *layers) -> np.ndarray:
        self.timeline.record_if_due(FIELDS[self.row]([np.asarray(layer) for layer in layers]))
        return np.array(self.timeline.exhausted)


def mlp_field(layers: list[np.ndarray]):
    """Return a tanh MLP as a numpy field: jax may not be called from within its own callback.

    `layers` alternates weights (out, in) and biases (out,). The gradient is carried forward.
    """

    def field(coords: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        value, slopes = coords, [np.tile(unit, (len(coords), 1)) for unit in np.eye(2)]
        pairs = list(zip(layers[::2], layers[1::2], strict=True))
        for index, (weight, bias) in enumerate(pairs):
            value, slopes = value @ weight.T + bias, [slope @ weight.T for slope in slopes]
            if index < len(pairs) - 1:
                value = np.tanh(value)
                slopes = [(1 - value**2) * slope for slope in slopes]
        return value[:, 0], np.concatenate(slopes, axis=1)

    return field


def exact_boundary_field(layers: list[np.ndarray]):
    """Return the same MLP times (1 - x^2)(1 - y^2)."""
    network = mlp_field(layers)

    def field(coords: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        value, gradient = network(coords)
        x, y = 1 - coords.T**2
        slopes = -2 * coords * np.stack([y, x], axis=1)
        return x * y * value, (x * y)[:, None] * gradient + value[:, None] * slopes

    return field


FIELDS = {"penalty": mlp_field, "exact": exact_boundary_field}


class Points(jinns.data.CubicMeshPDEStatio):
    """jinns' generator, which returns the same Gauss-Legendre points as the other peers use."""

    def generate_omega_data(self, key, *_, **__):
        return key, jnp.asarray(gauss_grid(41)[0])

    def generate_omega_border_data(self, key, *_, **__):
        facets = jnp.asarray(boundary_grid(41)).reshape(4, 41, 2)
        return key, jnp.transpose(facets, (1, 2, 0))


def callback_value_fn(params, batch, loss):
    return loss.evaluate(params, batch)[0]


def callback_grad_fn(params, batch, loss):
    return loss.ponderate_and_sum_gradient(loss.values_and_grads(params, batch)[1])


OPTIMIZER_ARGUMENTS = {
    "value": GetJinnsVariableName("train_loss_value"),
    "grad_pt": GetJinnsVariableName("grads"),
    "value_fn": callback_value_fn,
    "grad_fn": callback_grad_fn,
    "batch": GetJinnsVariableName("batch"),
    "loss": GetJinnsVariableName("loss"),
}


def vanish_on_boundary(point, value, _):
    return value * (1 - point[0] ** 2) * (1 - point[1] ** 2)


def network(key, row: str) -> tuple:
    linear = [(eqx.nn.Linear, *sizes) for sizes in pairwise(WIDTH)]
    layers = (linear[0], (jax.nn.tanh,), linear[1], (jax.nn.tanh,), linear[2])
    transform = vanish_on_boundary if row == "exact" else None
    return jinns.nn.PINN_MLP.create(
        key=key, eqx_list=layers, eq_type="PDEStatio", output_transform=transform
    )


def poisson_loss(u, params, row: str):
    is_penalty = row == "penalty"
    weights = jinns.loss.LossWeightsPDEStatio(
        dyn_loss=jnp.array(INTERIOR_WEIGHT),
        # jinns adds up the four sides' means; the other peers' loss has the mean of all.
        boundary_loss=jnp.array(0.25) if is_penalty else None,
    )
    return jinns.loss.LossPDEStatio(
        u=u,
        dynamic_loss=Poisson(),
        boundary_condition=jinns.loss.Dirichlet() if is_penalty else None,
        loss_weights=weights,
        params=params,
    )


def run(budget: float, seed: int, row: str) -> None:
    label = f"jinns MLP [2,32,32,1], SSBroyden, {row}"
    timeline = Timeline(label, "jinns", budget)
    key = jax.random.PRNGKey(seed)
    u, weights = network(key, row)
    timeline.parameters = sum(leaf.size for leaf in jax.tree.leaves(weights))
    params = jinns.parameters.Params(nn_params=weights, eq_params={})
    square = {"dim": 2, "min_pts": (-1.0, -1.0), "max_pts": (1.0, 1.0)}
    params = jinns.solve(
        n_iter=10**6,
        init_params=params,
        data=Points(key=key, n=1681, nb=164, **square),
        loss=poisson_loss(u, params, row),
        optimizer=jinns.optimizers.scale_by_SSBroyden_family(),
        validation=Measure(timeline=timeline, row=row),
        extra_optax_args_and_kwargs=OPTIMIZER_ARGUMENTS,
        verbose=False,
    )[0]
    layers = [np.asarray(leaf) for leaf in jax.tree.leaves(params.nn_params)]
    timeline.finish(FIELDS[row](layers))


if __name__ == "__main__":
    given = options()
    jax.config.update("jax_enable_x64", True)
    run(given.budget, given.seed, given.row or "exact")
