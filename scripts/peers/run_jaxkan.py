"""jaxKAN: KAN [2,10,1], k=3, G=5, optax's L-BFGS, float64, the paper's penalty loss."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxkan.models.KAN import KAN
from peers.measuring import INTERIOR_WEIGHT, Timeline, boundary_grid, gauss_grid, options, source


def network(seed: int) -> KAN:
    """Return the network with all its numbers in double precision (jaxKAN makes them single)."""
    model = KAN([2, 10, 1], layer_type="spline", required_parameters={"k": 3, "G": 5}, seed=seed)
    nnx.update(model, jax.tree.map(to_double, nnx.state(model)))
    for layer in model.layers:
        layer.grid.item = to_double(layer.grid.item)
    return model


def to_double(leaf):
    is_real = jnp.issubdtype(leaf.dtype, jnp.floating)
    return leaf.astype(jnp.float64) if is_real else leaf


def function_of(static, rest):
    """Return u(parameters, points (n, 2)) -> (n,), the form that jax's transformations need."""

    def u(parameters, points):
        return nnx.merge(static, parameters, rest)(points)[:, 0]

    return u


def along(u, axis: int):
    """Return the derivative of u along a coordinate, by forward mode.

    Here it is twice as fast as reverse mode.
    """

    def derivative(parameters, points):
        direction = jnp.zeros_like(points).at[:, axis].set(1.0)
        return jax.jvp(lambda at: u(parameters, at), (points,), (direction,))[1]

    return derivative


def penalty_loss(u):
    interior, boundary = jnp.asarray(gauss_grid(41)[0]), jnp.asarray(boundary_grid(41))
    f = source(interior[:, 0], interior[:, 1], xp=jnp)
    u_xx, u_yy = (along(along(u, axis), axis) for axis in range(2))

    def loss(parameters):
        residual = u_xx(parameters, interior) + u_yy(parameters, interior) - f
        values = u(parameters, boundary)
        return INTERIOR_WEIGHT * jnp.mean(residual**2) + jnp.mean(values**2)

    return loss


def lbfgs_step(loss):
    """Return the start and one step of optax's L-BFGS with its zoom line search."""
    optimizer = optax.lbfgs(memory_size=100)
    value_and_gradient = optax.value_and_grad_from_state(loss)

    def step(parameters, state):
        value, gradient = value_and_gradient(parameters, state=state)
        updates, state = optimizer.update(
            gradient, state, parameters, value=value, grad=gradient, value_fn=loss
        )
        return optax.apply_updates(parameters, updates), state

    return optimizer.init, step


def jax_field(u):
    """Return a function from parameters to a field of values and gradients.

    It is compiled once, while the clock is stopped.
    """

    @jax.jit
    def evaluate(parameters, points):
        slopes = [along(u, axis)(parameters, points) for axis in range(2)]
        return u(parameters, points), jnp.stack(slopes, axis=1)

    def at(parameters):
        return lambda coords: tuple(map(np.asarray, evaluate(parameters, jnp.asarray(coords))))

    return at


def run(budget: float, seed: int) -> None:
    timeline = Timeline("jaxKAN KAN [2,10,1], L-BFGS", "jaxkan", budget)
    static, parameters, rest = nnx.split(network(seed), nnx.Param, ...)
    timeline.parameters = sum(leaf.size for leaf in jax.tree.leaves(parameters))
    u = function_of(static, rest)
    field = jax_field(u)
    start, step = lbfgs_step(penalty_loss(u))
    state = start(parameters)
    # Compiled ahead: the first state's types are weak, and jit would compile a second time.
    step = jax.jit(step).lower(parameters, state).compile()
    while not timeline.exhausted:
        parameters, state = jax.block_until_ready(step(parameters, state))
        timeline.record_if_due(field(parameters))
    timeline.finish(field(parameters))


if __name__ == "__main__":
    given = options()
    jax.config.update("jax_enable_x64", True)
    run(given.budget, given.seed)
