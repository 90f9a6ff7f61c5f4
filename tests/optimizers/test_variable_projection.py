"""Variable projection: the projected loss, its steps, and the search for inner functions."""

import copy
import io
from itertools import pairwise

import numpy
import pytest
import reference
import torch
from cases import Known, Line, Manufactured, Stated, Waves, error_of, residuals_of

import kanpinn as kp
from kanpinn.jets import Channels, Coordinates
from kanpinn.loss.residuals import Residuals
from kanpinn.networks.layer import set_coefficients
from kanpinn.optimizers.variable_projection import Projection

d = kp.partial


def nonlinear():
    """Δu - u³ = f, with the same solution."""
    operator = lambda p, u: kp.laplacian(u) - u.value**3  # noqa: E731
    return Manufactured(Waves.domain, operator, "sin(pi * x) * sin(pi * y**2)")


def dense(residuals):
    """The whole Jacobian, inner and output columns, and the residual, as numpy arrays."""
    layers = residuals.surrogate.network.layers
    rows = list(residuals.rows(list(layers)))
    jacobian, residual = (torch.cat(part).numpy() for part in zip(*rows, strict=True))
    split = jacobian.shape[1] - layers[-1].coefficients.numel()
    return jacobian[:, :split], jacobian[:, split:], residual


def small(problem=Waves, base=None, seed=0) -> Residuals:
    network = kp.KAN([problem.domain.dim, 2, 1], degree=[3, 5], grid=[2, 6], base=base, seed=seed)
    return residuals_of(problem(), network, nodes=16)


def hidden(projection):
    """The last hidden layer's edges (n, n_in, n_out) at the projection's points."""
    network, residuals = projection.network, projection.residuals
    h = residuals.surrogate.coordinates(residuals.points, Channels(("x", "y")))
    for layer in network.layers[:-2]:
        h = layer(h)
    return network.layers[-2].edges(h.value)[:, 0]


def near_the_solution(share: float, seed: int, degree=9, grid=24) -> kp.KAN:
    """Inner functions x, ±y² with `share` of their size in random coefficients added."""
    network = kp.KAN([2, 2, 1], degree=[3, degree], grid=[1, grid], seed=seed)
    inner = network.layers[0]
    x = torch.linspace(-1, 1, 9, dtype=torch.float64)[:, None].expand(-1, 2)
    values = torch.stack([x, x**2 * x.new_tensor([0.0, 1.0])[:, None].T], dim=2)
    values[:, 0, 1], values[:, 1, 0] = x[:, 0], x[:, 1] ** 2
    values[:, 1, 1] = -(x[:, 1] ** 2)
    exact = inner.basis.fit(x, values)
    noise = torch.randn(
        exact.shape, generator=torch.Generator().manual_seed(seed), dtype=exact.dtype
    )
    noise *= share * exact.norm() / noise.norm()
    set_coefficients([inner], (exact + noise).flatten())
    return network


@pytest.mark.parametrize("base", [None, "silu"])
@pytest.mark.parametrize("problem", [Waves, Line])
def test_the_projected_loss_is_the_least_squares_loss_of_the_output_layer(problem, base):
    projection = Projection(small(problem, base))
    loss = projection(projection.inner)
    _, outputs, residual = dense(projection.residuals)
    change, *_ = numpy.linalg.lstsq(outputs, -residual, rcond=1e-14)
    least = float(numpy.sum((outputs @ change + residual) ** 2))
    assert loss == pytest.approx(least, rel=1e-8)
    assert projection.residuals.loss() == pytest.approx(loss, rel=1e-8)
    assert projection.linear


def test_the_step_sees_the_part_of_the_jacobian_that_the_output_layer_cannot_undo():
    """Kaufman: RᵀR is the Gram matrix of (I - QQᵀ)[J_inner, r]."""
    projection = Projection(small())
    projection(projection.inner)
    triangle = projection._projected_triangle()
    inner, outputs, residual = dense(projection.residuals)
    lengths = numpy.linalg.norm(outputs, axis=0)
    seen = outputs[:, lengths > 0] / lengths[lengths > 0]  # some splines see no point
    u, s, _ = numpy.linalg.svd(seen, full_matrices=False)
    q = u[:, s > 1e-13 * s[0]]
    assert q.shape[1] < outputs.shape[1]
    rows = numpy.column_stack([inner, residual])
    rows -= q @ (q.T @ rows)
    gram = torch.from_numpy(rows.T @ rows)
    assert reference.distance(triangle.factor.T @ triangle.factor, gram) < 1e-10
    step = triangle.damped().step(1e-3)
    scale = numpy.linalg.norm(rows[:, :-1], axis=0)
    scaled = rows[:, :-1] / scale
    damping = 1e-3 * numpy.linalg.norm(scaled, 2) ** 2 * numpy.eye(len(scale))
    normal = numpy.linalg.solve(scaled.T @ scaled + damping, -scaled.T @ rows[:, -1]) / scale
    assert reference.distance(step, torch.from_numpy(normal)) < 1e-8


@pytest.mark.parametrize("base", [None, "silu"])
def test_the_gauge_gives_edges_of_one_mean_and_outputs_that_fill_the_grid(base):
    projection = Projection(small(base=base))
    projection(projection.inner)
    edges = hidden(projection)
    outputs = edges.sum(dim=1)
    ends = torch.full_like(outputs[0], projection.reach)
    assert reference.distance(outputs.amax(0), ends) < 1e-12
    assert reference.distance(outputs.amin(0), -ends) < 1e-12
    means = edges.mean(dim=0)
    assert float((means - means[:1]).detach().abs().max()) < 1e-12


@pytest.mark.parametrize(("share", "seed"), [(0.1, 2), (0.2, 4)])
def test_a_start_near_the_solution_arrives_at_once(share, seed):
    stage = kp.VariableProjection(rounds=0, steps=12)
    settings = {"boundary": "penalty", "errors": False, "verified": False}
    solution = kp.solve(Known(), near_the_solution(share, seed), stage, **settings)
    assert error_of(solution) < 1e-9


def finish(stage, limit=300):
    """All steps of a stage, and the phases they ran in."""
    steps, phases = [], []
    while not steps or not (steps[-1].finished or len(steps) == limit):
        phases.append(stage.phase)
        steps.append(stage.step())
    return steps, phases


def search(network=None, **settings):
    network = network or kp.KAN([2, 3, 1], degree=[3, 7], grid=[1, 12])
    defaults = {"rounds": 6, "starts": 10, "tolerance": 1e-4}
    optimizer = kp.VariableProjection(**defaults | settings)
    return optimizer, residuals_of(Waves(), network, nodes=20)


def test_the_search_finds_the_solution_and_prunes_what_it_does_not_need():
    optimizer, residuals = search()
    network = residuals.surrogate.network
    stage = optimizer.start(residuals, 0)
    steps, phases = finish(stage)
    assert list(dict.fromkeys(phases)) == ["screen", "follow", "prune", "enter", "polish"] or (
        set(phases) == {"screen", "follow", "prune", "polish"}
    )
    assert steps[-1].finished == "converged"
    assert network.width == (2, 2, 1) and network.layers[-1].basis.intervals == 12
    p = Waves.domain.quadrature(30)[0]
    assert reference.distance(residuals.surrogate(p), Known().exact(p)) < 1e-4
    assert steps[-1].loss == pytest.approx(residuals.loss(), rel=1e-6)


def test_without_pruning_the_width_stays():
    optimizer, residuals = search(prune=False, tolerance=0.5)
    steps, phases = finish(optimizer.start(residuals, 0))
    assert "prune" not in phases and residuals.surrogate.network.width == (2, 3, 1)
    assert steps[-1].finished == "converged"


def test_a_search_that_finds_nothing_says_so():
    optimizer, residuals = search(rounds=1, starts=2, follow=1, tolerance=1e-12)
    steps, _ = finish(optimizer.start(residuals, 0))
    assert steps[-1].finished.startswith("stopped: none of 2 random starts came below 1e-12")


def test_a_nonlinear_residual_is_projected_and_improved():
    residuals = residuals_of(nonlinear(), near_the_solution(0.1, 1, degree=7, grid=8), nodes=20)
    projection = Projection(residuals)
    loss = projection(projection.inner)
    assert projection.linear is False
    assert loss == pytest.approx(residuals.loss(), rel=1e-12)
    _, outputs, residual = dense(residuals)  # a minimum over the output layer
    slope = numpy.linalg.norm(outputs.T @ residual)
    assert slope < 1e-2 * numpy.linalg.norm(outputs) * numpy.linalg.norm(residual)
    steps, _ = finish(kp.VariableProjection(rounds=0).start(residuals, 0), limit=8)
    losses = [loss] + [step.loss for step in steps]
    assert all(b <= a * (1 + 1e-9) for a, b in pairwise(losses)) and losses[-1] < 1e-5 * loss
    assert losses[-1] == pytest.approx(residuals.loss(), rel=1e-12)


def test_a_travelling_front_is_found_from_random_starts_with_one_hidden_unit():
    """Burgers' equation u_t + u u_x = ν u_xx with a front that travels, a function of x - t/2."""
    front = Manufactured(
        kp.Box(x=(-1, 1), t=(0, 1)),
        lambda p, u: d(u, "t") + u.value * d(u, "x") - 0.1 * d(u, "x", "x"),
        "(1 - tanh((x - t / 2) / 0.4)) / 2",
        source=False,
    )
    network = kp.KAN([2, 1, 1], degree=[2, 9], grid=[1, 24])
    optimizer = kp.VariableProjection(rounds=3, starts=10, coarse=12, tolerance=1e-4)
    points = kp.Collocation(144, 40, "gauss")
    settings = {"boundary": "penalty", "errors": False, "verified": False}
    solution = kp.solve(front, network, optimizer, points, **settings)
    assert solution.status == "converged" and solution.parameters == 39
    assert error_of(solution) < 1e-6
    # The hidden unit is a function of x - t/2, ξ - τ/4 on [-1, 1]²: alike where that is alike.
    alike = torch.tensor([[0.0, 0.0], [0.2, 0.8]], dtype=torch.float64)
    ones = torch.ones_like(alike[0])
    seen = network.layers[0](Coordinates(Channels(("x", "t")), alike, ones)).value
    assert float((seen[0] - seen[1]).detach().abs()) < 1e-5


def test_the_projected_loss_depends_on_the_inner_functions_alone():
    """Newton's method for the output layer starts from one place, whatever was tried before."""
    residuals = residuals_of(nonlinear(), near_the_solution(0.1, 1, degree=7, grid=8), nodes=12)
    projection = Projection(residuals)
    one = projection.inner
    loss = projection(one)
    other = projection(one + 0.1)
    assert projection(one) == loss != other


def saved(*states):
    """What torch.save keeps of states and torch.load gives without running any code."""
    file = io.BytesIO()
    torch.save(states, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def equal(one, other) -> bool:
    """Whether two states are the same, bit for bit."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(v, other[k]) for k, v in one.items())
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(equal, one, other))
    return one == other


def test_a_stage_goes_on_bit_for_bit_from_every_phase():
    problem, nodes, network = Waves, 8, kp.KAN([2, 3, 1], degree=[3, 5], grid=[1, 7])
    optimizer = kp.VariableProjection(rounds=2, starts=2, follow=2, coarse=3, tolerance=0.2)
    residuals = residuals_of(problem(), network, nodes=nodes)
    fresh = copy.deepcopy(network)
    stage, states, losses, phases = optimizer.start(residuals, 0), [], [], []
    while len(losses) < 60:
        states.append(saved(network.state_dict(), stage.state_dict()))
        phases.append((stage.phase, network.width, network.layers[-1].basis.intervals))
        step = stage.step()
        losses.append(step.loss)
        if step.finished:
            break
    assert {phase for phase, *_ in phases} >= {"screen", "follow", "prune", "polish"}
    # Where each phase begins and in the middle of it, a few steps on.
    first = [phases.index(p) for p in dict.fromkeys(phases)]
    for number in sorted({*first, *(n + 1 for n in first if n + 1 < len(losses))}):
        other = residuals_of(problem(), copy.deepcopy(fresh), nodes=nodes)
        resumed = optimizer.start(other, 0)
        other.surrogate.network.load_state_dict(states[number][0])
        resumed.load_state_dict(states[number][1])
        assert resumed.step().loss == losses[number], phases[number]
        if number + 1 < len(states):
            then = saved(other.surrogate.network.state_dict(), resumed.state_dict())
            assert equal(then, states[number + 1]), phases[number]


def on_square(operator, values):
    """Δu + operator(u) = 0 with values on the boundary."""
    square = kp.Box(x=(0, 1), y=(0, 1))
    given = [kp.Dirichlet(square.boundary, values)]
    return Stated(square, lambda p, u: kp.laplacian(u) + operator(u.value), given)


# √(u²) has no derivative at u = 0, where log u is no number
ROOT = on_square(lambda u: u.square().sqrt() + 1, 0.0)
LOGARITHM = on_square(lambda u: -u.log(), "1 + x")
HOPELESS = on_square(lambda u: (-1 - u.square()).log(), 0.0)


@pytest.mark.parametrize(("problem", "boundary"), [(ROOT, "penalty"), (LOGARITHM, "exact")])
def test_a_search_goes_round_what_has_no_derivative_or_loss_at_zero(problem, boundary):
    network = kp.KAN([2, 2, 1], degree=[3, 5], grid=[1, 4], seed=0)
    optimizer = kp.VariableProjection(steps=6, rounds=1, starts=3)
    points, settings = kp.Collocation(40, 16), {"errors": False, "verified": False}
    solution = kp.solve(problem, network, optimizer, points, boundary=boundary, **settings)
    losses = solution.history.column("loss")
    assert solution.status.startswith("stopped: limit of 6 steps")
    assert losses[-1] < 0.1 and losses[-1] == pytest.approx(solution.residuals.loss(), rel=1e-6)


def test_a_start_has_not_arrived_where_the_zero_solution_has_no_loss():
    network = kp.KAN([2, 2, 1], degree=[3, 5], grid=[1, 4])
    optimizer = kp.VariableProjection(rounds=1, starts=3)
    stage = optimizer.start(residuals_of(LOGARITHM, network, nodes=8), 0)
    for _ in range(2):
        stage.step()
    assert stage.phase == "follow" and 0 < stage.zero < float("inf")


def test_a_residual_without_numbers_is_told():
    network = kp.KAN([2, 2, 1], degree=[3, 5], grid=[1, 4])
    optimizer = kp.VariableProjection(rounds=2, starts=3)
    stage = optimizer.start(residuals_of(HOPELESS, network, nodes=8), 0)
    with pytest.raises(numpy.linalg.LinAlgError, match="no finite number from any of 6 random"):
        stage.step()


def test_a_step_that_overflows_does_not_end_the_search():
    overflows = []

    def steep(u):
        found = -torch.sinh(60 * u)
        overflows.append(not bool(found.square().sum().isfinite()))
        return found

    network = kp.KAN([2, 1, 1], degree=[3, 4], grid=[1, 1], seed=0)
    optimizer = kp.VariableProjection(steps=2, rounds=1, starts=1, follow=1)
    settings = {"boundary": "penalty", "errors": False, "verified": False}
    solution = kp.solve(
        on_square(steep, "x"), network, optimizer, kp.Collocation(12, 4), **settings
    )
    assert sum(overflows) > 10
    assert not solution.status.startswith("failed") and solution.history.steps == 2


def test_levels_double_from_the_coarse_grid_to_the_network_s_own():
    network = kp.KAN([2, 2, 1], degree=[3, 5], grid=[1, 32])
    stage = kp.VariableProjection(coarse=6).start(residuals_of(Waves(), network, nodes=16), 0)
    assert stage.levels == [12, 24, 32]
    stage = kp.VariableProjection(coarse=40).start(stage.residuals, 0)
    assert stage.levels == [32]


def test_only_kans_with_a_hidden_layer_have_inner_functions():
    others = [(kp.MLP([1, 3, 1]), "for KANs"), (kp.KAN([1, 1], degree=4), "hidden layer")]
    for network, words in others:
        with pytest.raises(kp.InputError, match=words):
            kp.VariableProjection().check(network)


def test_a_search_that_is_broken_off_leaves_its_best_start():
    def broken_off(steps):
        network = kp.KAN([2, 3, 1], degree=[3, 7], grid=[1, 12], seed=0)
        optimizer = kp.VariableProjection(steps=steps, starts=8, tolerance=1e-30)
        settings = {"boundary": "penalty", "errors": False, "verified": False}
        return kp.solve(Waves(), network, optimizer, kp.Collocation(200, 50), **settings)

    few, more = broken_off(3), broken_off(9)
    for solution in (few, more):
        assert solution.status.startswith("stopped: limit")
        assert solution.network.layers[-1].basis.intervals == 12
    assert more.residuals.loss() <= few.residuals.loss()
