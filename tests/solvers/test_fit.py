"""Fits: their losses against autograd, the best state, batches, resumption, and what is refused."""

import copy
import dataclasses
import math
from typing import Any

import numpy
import pytest
import torch

import kanpinn as kp
from kanpinn._support.errors import InputError
from kanpinn.geometry import Points
from kanpinn.loss.residuals import Residuals
from kanpinn.networks.layer import get_coefficients, set_coefficients
from kanpinn.solvers import Fitted
from kanpinn.solvers.fit import CrossEntropy, loss_term, points_of, scaled_surrogate, score

SQUARE = kp.Box(x=(-1, 1), y=(-1, 1))
LM = kp.LevenbergMarquardt


def wave(p: kp.Points) -> torch.Tensor:
    return torch.exp(torch.sin(math.pi * p.x) + p.y**2)


def numbers(rows: int = 300, noise: float = 0.0, seed: int = 0) -> kp.Table:
    table = kp.Table.sample(SQUARE, wave, rows, seed=seed)
    generator = torch.Generator().manual_seed(seed + 1)
    error = noise * torch.randn(rows, 1, dtype=torch.float64, generator=generator)
    return kp.Table(table.inputs, table.targets + error, table.names, ("f",))


def labels(rows: int = 200, classes: int = 3, noise: float = 0.3, seed: int = 0) -> kp.Table:
    """Rings around the origin, their borders blurred."""
    x = kp.Table.sample(SQUARE, wave, rows, seed=seed).inputs
    generator = torch.Generator().manual_seed(seed + 1)
    radius = x.norm(dim=1) + noise * torch.randn(rows, dtype=torch.float64, generator=generator)
    rings = (radius * classes).long().clamp(0, classes - 1)
    return kp.Table(x, rings, ("x", "y"), ("ring",), tuple("abcdef"[:classes]))


def kan(*width: int, grid: int = 3, seed: int = 0) -> kp.KAN:
    return kp.KAN(list(width), degree=3, grid=grid, seed=seed)


def coefficients(fitted: Fitted) -> torch.Tensor:
    return get_coefficients(list(fitted.network.layers))


# The losses


def loss_of(network: kp.KAN, table: kp.Table) -> Residuals:
    """The loss of a fit before its first step."""
    surrogate = scaled_surrogate(network, table, None)
    points = points_of(table, surrogate)
    surrogate.prepare(points)
    deviation = None if table.classes else surrogate.output.deviation
    return Residuals(surrogate, [loss_term(table, points, deviation)])


def as_function(residuals: Residuals, network: kp.KAN) -> Any:
    """The loss of the coefficients as plain torch has it, for autograd."""
    layer = network.layers[0]  # of a network with one layer: its outputs are linear in them
    (term,) = residuals.terms
    x = residuals.surrogate.inputs_at(term.points)
    features = torch.stack([_outputs(layer, x, column) for column in _units(layer)], dim=2)

    def loss(c: torch.Tensor) -> torch.Tensor:
        outputs = features @ c
        if isinstance(term, CrossEntropy):
            full = outputs
            if outputs.shape[1] == 1:
                full = torch.cat([torch.zeros_like(outputs), outputs], dim=1)
            return torch.nn.functional.cross_entropy(full, term.points.data[:, 0].long())
        affine = residuals.surrogate.output
        values = affine.mean + affine.deviation * outputs
        return ((values - term.points.data) / affine.deviation).square().sum(1).mean()

    return loss


def _units(layer: Any) -> torch.Tensor:
    return torch.eye(layer.coefficients.numel(), dtype=torch.float64)


@torch.no_grad()
def _outputs(layer: Any, x: torch.Tensor, column: torch.Tensor) -> torch.Tensor:
    changed = copy.deepcopy(layer)
    changed.coefficients.copy_(column.view_as(layer.coefficients))
    return changed.edges(x)[:, 0].sum(dim=1)  # the channel of values


@pytest.mark.parametrize(
    ("table", "outputs"),
    [(numbers(60), 1), (labels(60), 3), (labels(60, 2), 1), (labels(60, 2), 2)],
    ids=["numbers", "three classes", "two classes, one output", "two classes, two outputs"],
)
def test_loss_gradient_and_curvature_are_those_of_autograd(table, outputs) -> None:
    network = kan(2, outputs)
    residuals = loss_of(network, table)
    if table.classes:
        # In one layer Gauss–Newton is Newton; the mixture under the roots is for distant starts.
        (term,) = residuals.terms
        residuals = Residuals(residuals.surrogate, [dataclasses.replace(term, mixed=0.0)])
    layers = list(network.layers)
    start = get_coefficients(layers)
    exact = as_function(residuals, network)
    model = residuals.model(layers)
    assert residuals.loss() == pytest.approx(float(exact(start)), rel=1e-12)
    assert model.loss() == pytest.approx(residuals.loss(), rel=1e-10)
    jacobians, values = zip(*residuals.rows(layers), strict=True)
    J, r = torch.cat(jacobians), torch.cat(values)
    gradient = torch.func.grad(exact)(start)
    assert torch.allclose(2 * J.T @ r, gradient, atol=1e-12)
    residuals.backward()
    assert torch.allclose(layers[0].coefficients.grad.flatten(), gradient, atol=1e-12)
    assert torch.allclose(2 * J.T @ J, torch.autograd.functional.hessian(exact, start), atol=1e-12)


def test_the_gradient_is_exact_however_wrong_a_row_is() -> None:
    table, network = labels(60), kan(2, 3)
    residuals = loss_of(network, table)
    layers = list(network.layers)
    set_coefficients(layers, 40 * get_coefficients(layers))  # probabilities that underflow
    jacobians, values = zip(*residuals.rows(layers), strict=True)
    residuals.backward()
    gradient = layers[0].coefficients.grad.flatten()
    found = 2 * torch.cat(jacobians).T @ torch.cat(values)
    assert bool(found.isfinite().all())
    assert torch.allclose(found, gradient, atol=1e-12)


# Fits


def test_a_function_that_a_kan_can_be_is_found_to_its_grids_accuracy() -> None:
    stages = [LM(steps=25), kp.Refine(grid=6), LM(steps=3), kp.Refine(grid=12), LM(steps=3)]
    fitted = kp.fit(kan(2, 1, 1), kp.Data.split(numbers(500), 0.1, 0.2), stages)
    errors = fitted.history.column("test_rmse")
    ends = [errors[25], errors[29], errors[33]]
    assert ends[0] < 0.05 and ends[1] < ends[0] / 4 and ends[2] < ends[1] / 8
    refined = fitted.history.column("train_rmse")
    assert refined[26] == pytest.approx(refined[25], rel=1e-8)  # the function stays what it was
    test = fitted.data.test
    direct = float((fitted(test.inputs) - test.targets).square().mean().sqrt())
    assert fitted.scores["test"].rmse == pytest.approx(direct, rel=1e-12)
    largest = float((fitted(test.inputs) - test.targets).abs().max())
    assert fitted.scores["test"].max_error == pytest.approx(largest, rel=1e-12)


@pytest.mark.parametrize(
    "optimizer", [LM(steps=6), kp.LBFGS(steps=3), kp.Adam(steps=60, lr=0.2)], ids=lambda o: o.title
)
def test_classes_are_learned_by_every_optimizer(optimizer) -> None:
    fitted = kp.fit(kan(2, 1), kp.Data.split(labels(200, 2, noise=0.02), 0.0, 0.3), optimizer)
    assert fitted.scores["train"].accuracy > 0.9
    table = fitted.data.test
    named = (fitted.predict(table.inputs) == table.targets).double().mean()
    assert fitted.scores["test"].accuracy == pytest.approx(float(named))
    shares = fitted.probabilities(table.inputs)
    assert torch.allclose(shares.sum(dim=1), torch.ones(len(table), dtype=torch.float64))
    assert fitted.scores["test"].rmse is None
    assert fitted.scores["test"] == score(fitted(table.inputs), table)


def test_inputs_and_targets_of_any_scale_are_fitted_alike() -> None:
    table = numbers(200)
    moved = kp.Table(1e4 + 1e-3 * table.inputs, 7e5 + 1e6 * table.targets)
    first, second = (kp.fit(kan(2, 2, 1), t, LM(steps=5)) for t in (table, moved))
    assert second.scores["train"].rmse == pytest.approx(1e6 * first.scores["train"].rmse, rel=1e-4)
    assert second.scores["train"].r2 == pytest.approx(first.scores["train"].r2, abs=1e-6)


@pytest.mark.parametrize("scaling", ["range", "quantile"])
def test_no_row_to_train_with_lies_outside_the_first_grid(scaling: str) -> None:
    x = torch.linspace(0, 1, 101, dtype=torch.float64)[:, None] ** 4  # most of them near 0
    table = kp.Table(x, torch.sqrt(x))
    fitted = kp.fit(kan(1, 1, grid=4), table, LM(steps=2), scaling=scaling)
    layer = fitted.network.layers[0]
    seen = fitted.surrogate.inputs_at(fitted.residuals.terms[0].points)
    assert (
        layer.basis.breaks[0, 0] <= seen.min() + 1e-12
        and seen.max() - 1e-12 <= layer.basis.breaks[0, -1]
    )
    counts = numpy.histogram(seen[:, 0].numpy(), layer.basis.breaks[0].numpy())[0]
    assert (counts.max() < 3 * counts.min()) == (scaling == "quantile")


# The best state


NOISY = kp.Data.split(numbers(90, noise=0.6), 0.3, 0.2)
FINER = [LM(steps=4), kp.Refine(grid=8), LM(steps=2), kp.Refine(grid=16), LM(steps=2)]


def test_the_state_of_least_validation_error_is_kept() -> None:
    fitted = kp.fit(kan(2, 2, 1), NOISY, LM(steps=6))
    errors = fitted.history.column("validation_rmse")
    best = int(errors.argmin())
    assert 0 < best < 6
    assert f"step {best} of 6 is kept, where the validation error was least" in fitted.status
    assert fitted.scores["validation"].rmse == errors[best]
    again = kp.fit(kan(2, 2, 1), NOISY, LM(steps=best))
    assert torch.equal(coefficients(again), coefficients(fitted))


def test_refinement_stops_where_the_validation_error_no_longer_falls() -> None:
    fitted = kp.fit(kan(2, 2, 1), NOISY, FINER)
    assert fitted.status.startswith("stopped: the validation error no longer falls (")
    assert "parameters for 45 rows" in fitted.status
    assert fitted.history.steps < 10
    assert fitted.scores["validation"].rmse == fitted.history.column("validation_rmse").min()
    assert fitted.network.layers[0].basis.intervals == 3  # of the state that is kept


def test_patience_ends_a_fit() -> None:
    fitted = kp.fit(kan(2, 2, 1), NOISY, LM(steps=12), patience=3)
    best = int(fitted.history.column("validation_rmse").argmin())
    stopped = f"stopped: the validation error has not fallen since step {best}"
    assert fitted.status.startswith(stopped) and fitted.history.steps == best + 3


# Batches, and runs that go on


def states(network, data, stages, **settings) -> tuple[Fitted, dict[int, Any]]:
    """A fit, and a checkpoint after each of its steps."""
    kept: dict[int, Any] = {}

    def keep(run) -> None:
        kept[run.progress.step] = copy.deepcopy(run.state_dict())

    return kp.fit(network, data, stages, observers=[keep], **settings), kept


RESUMED = {
    "batches": (NOISY, [kp.Adam(steps=6, lr=0.02)], {"batch": 16}),
    "validation": (NOISY, FINER, {}),
    "patience": (NOISY, [LM(steps=3), kp.Adam(steps=9), LM(steps=3)], {"patience": 3}),
    "classes": (kp.Data.split(labels(60), 0.2, 0.2), [kp.LBFGS(steps=3), LM(steps=2)], {}),
}


CHOSEN = {3, 4, 5, 7}  # ends of stages among them


@pytest.mark.parametrize("case", RESUMED)
def test_a_fit_goes_on_bit_for_bit_from_any_step(case: str) -> None:
    data, stages, settings = RESUMED[case]
    width = (2, 2, 3) if case == "classes" else (2, 2, 1)
    whole, kept = states(kan(*width), data, stages, **settings)
    for step in CHOSEN & kept.keys():
        state = kept[step]
        resumed = kp.fit(kan(*width), data, stages, checkpoint=state, **settings)
        assert torch.equal(coefficients(resumed), coefficients(whole)), step
        assert resumed.status == whole.status, step
        assert resumed.history.column("loss").tolist() == whole.history.column("loss").tolist()
        assert repr(resumed.scores) == repr(whole.scores)  # NaN is not itself


def test_what_a_finished_run_keeps_goes_on_from_its_last_step_not_its_best() -> None:
    seen = []
    short = kp.fit(kan(2, 2, 1), NOISY, LM(steps=6), observers=[seen.append])
    assert "is kept" in short.status
    state = copy.deepcopy(seen[-1].state_dict())
    longer = kp.fit(kan(2, 2, 1), NOISY, LM(steps=8), checkpoint=state)
    whole = kp.fit(kan(2, 2, 1), NOISY, LM(steps=8))
    assert longer.history.column("loss").tolist() == whole.history.column("loss").tolist()
    assert torch.equal(coefficients(longer), coefficients(whole))


def test_batches_are_the_seeds() -> None:
    data = numbers(100)
    runs = [kp.fit(kan(2, 2, 1), data, kp.Adam(steps=5), batch=20, seed=seed) for seed in (1, 1, 2)]
    assert torch.equal(coefficients(runs[0]), coefficients(runs[1]))
    assert not torch.equal(coefficients(runs[0]), coefficients(runs[2]))
    assert runs[0].residuals.terms[0].rows == 100  # in the end the loss is that of all rows


# Refusals


@pytest.mark.parametrize(
    ("width", "table", "settings", "words"),
    [
        ((3, 1), numbers(20), {}, "network.width must start with 2 for the inputs x, y"),
        ((2, 2), numbers(20), {}, r"network.width must end with 1 for the targets f, got \[2, 2\]"),
        ((2, 2), labels(20), {}, "must end with 3, an output for each of the classes a, b, c"),
        ((2, 4), labels(20), {}, r"must end with 3.*got \[2, 4\]"),
        ((2, 3), labels(20, 2), {}, r"must end with 2 \(or 1, the log odds of the second\)"),
        ((2, 1), numbers(20), {"scaling": "log"}, "scaling must be one of range, standard"),
        ((2, 1), numbers(20), {"batch": -1}, "batch must be an integer of at least 0, got -1"),
        ((2, 1), numbers(20), {"patience": 3}, "patience needs rows for validation"),
        ((2, 1), numbers(20), {"seed": -1}, "seed must be an integer of at least 0"),
        (
            (2, 3, 1),
            numbers(20),
            {"batch": 5, "optimizers": kp.VariableProjection()},
            "batch must be 0",
        ),
    ],
)
def test_what_does_not_fit_together_is_refused(width, table, settings, words) -> None:
    with pytest.raises(InputError, match=words):
        kp.fit(kan(*width), table, **settings)


def test_scalings_that_other_networks_do_not_have_are_refused() -> None:
    with pytest.raises(InputError, match='scaling "quantile" is for KANs: a MLP has no grid'):
        kp.fit(kp.MLP([2, 3, 1]), numbers(20), scaling="quantile")
    with pytest.raises(kp.InputError, match='bounds are for scaling "range" and "quantile"'):
        kp.fit(kp.MLP([2, 3, 1]), numbers(20), bounds={"x": (0, 1)})


def test_numbers_have_no_classes() -> None:
    fitted = kp.fit(kan(2, 1), numbers(30), LM(steps=1))
    with pytest.raises(InputError, match="the targets are numbers, not classes"):
        fitted.predict(torch.zeros(1, 2))
    with pytest.raises(InputError, match="the targets are numbers"):
        fitted.probabilities(torch.zeros(1, 2))


# --- The frame of a fit: the box that a network's inputs come from, and its first grid


NAMES = ("x", "y")


def rows(count: int = 40) -> kp.Table:
    """The product of two numbers in the middle of [-1, 1]²."""
    generator = torch.Generator().manual_seed(0)
    x = 1.8 * torch.rand(count, 2, generator=generator, dtype=torch.float64) - 0.9
    return kp.Table(x, x.prod(dim=1), NAMES, ("f",))


def test_bounds_are_mapped_to_the_unit_box_and_hold_the_first_grid():
    network, table = kp.KAN([2, 2, 1], grid=4), rows()
    surrogate = scaled_surrogate(network, table, None, {"y": (-1, 3)})
    low, high = table.inputs[:, 0].aminmax()
    corners = torch.tensor([[float(low), -1], [float(high), 3]], dtype=torch.float64)
    inputs = surrogate.inputs_at(Points(corners, NAMES))
    assert torch.equal(inputs, torch.tensor([[-1, -1], [1, 1]]).double())
    assert torch.equal(network.layers[0].basis.breaks[:, [0, -1]], inputs.T)


def test_what_lies_between_the_rows_and_the_bounds_is_fitted_as_the_rows_are():
    """xy is a KAN on any grid; beyond its grid it would be a tangent."""
    corner, errors = torch.ones(1, 2, dtype=torch.float64), []
    for bounds in (None, dict.fromkeys(NAMES, (-1, 1))):
        network = kp.KAN([2, 2, 1], degree=3, grid=1, seed=1)
        stages = [kp.VariableProjection(steps=60, prune=False), kp.LevenbergMarquardt(steps=30)]
        fitted = kp.fit(network, rows(120), stages, bounds=bounds)
        errors.append(float((fitted(corner) - 1).abs()))
    assert errors[1] < 1e-9 < 1e-4 < errors[0]


def test_the_first_grid_of_standardised_inputs_reaches_a_deviation():
    network, table = kp.KAN([2, 2, 1], grid=4), rows()
    surrogate = scaled_surrogate(network, table, "standard")
    layer = network.layers[0]
    assert torch.equal(layer.basis.breaks[:, [0, -1]], torch.tensor([[-1.0, 1.0]] * 2).double())
    outside = surrogate.inputs_at(Points(table.inputs, NAMES)).abs() > 1
    assert outside.any()
    beyond = torch.linspace(1.1, 3, 5, dtype=torch.float64)[:, None].expand(-1, 2)
    assert layer.edges(beyond, 2)[:, 2].abs().max() == 0


def test_a_trained_network_keeps_its_first_grid():
    network, table = kp.KAN([2, 2, 1], grid=4), rows()
    first = kp.fit(network, table, kp.LevenbergMarquardt(steps=2), scaling="quantile")
    before = first(table.inputs)
    second = kp.fit(network, table, kp.Refine(grid=[6, 4]), scaling="range")
    assert (second(table.inputs) - before).abs().max() < 1e-12


@pytest.mark.parametrize(
    ("bounds", "words"),
    [
        ({"z": (0, 1)}, "bounds name 'z', the inputs are x, y"),
        ({"x": (1, 1)}, r"bounds of x must be low < high, got \(1, 1\)"),
        ({"y": (0, math.nan)}, r"bounds of y must be low < high, got \(0, nan\)"),
        ({"y": (-math.inf, 0)}, r"bounds of y must be low < high, got \(-inf, 0\)"),
        ({"x": (0, 1, 2)}, r"bounds of x must be low < high, got \(0, 1, 2\)"),
    ],
)
def test_bounds_that_are_no_box_are_refused(bounds, words):
    with pytest.raises(kp.InputError, match=words):
        kp.fit(kp.KAN([2, 2, 1]), rows(), bounds=bounds)
