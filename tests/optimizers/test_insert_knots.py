"""Knots are inserted where the residual is large, and points tell of both halves."""

import pytest
import torch
from cases import Line
from test_adaptive import Layer

import kanpinn as kp
from kanpinn.optimizers.refine import inserted


@pytest.mark.parametrize(("points", "error"), [(40, 1e-2), (100, 1e-4), (400, 1e-7)])
def test_intervals_that_no_points_see_are_not_halved(points, error):
    """With a tenth of the points a layer is resolved as well as these can tell, not at random."""
    optimizers = [kp.LeastSquares(), *(6 * [kp.InsertKnots(6), kp.LeastSquares()])]
    solution = kp.solve(Layer(), kp.KAN([1, 1], 7, 12), optimizers, kp.Collocation(points, 2))
    assert solution.errors.l2_relative < error
    rows = solution.history.rows
    added = [int(row["inserted"]) for row in rows if "inserted" in row]
    assert solution.network.layers[0].basis.intervals == 12 + sum(added)
    assert (sum(added) == 6 * 6) == (points == 400)


def test_every_new_interval_holds_points():
    solution = kp.solve(Layer(), kp.KAN([1, 1], 7, 6), kp.LeastSquares(), kp.Collocation(50, 2))
    stage = kp.InsertKnots(50).start(solution.residuals, 0)
    steps = [stage.step() for _ in range(6)]
    breaks = solution.network.layers[0].basis.breaks[0]
    inputs = 2 * solution.residuals.terms[0].points.coords[:, 0] - 1
    counts = torch.histogram(inputs, breaks).hist
    assert float(counts.min()) >= 2 and len(breaks) > 12
    assert steps[0].finished == "converged" and steps[0].notes["inserted"] > 0
    assert steps[-1].notes == {"projection_error": 0.0, "inserted": 0.0}
    assert steps[-1].finished.startswith("stopped: no interval")


def test_no_input_gets_more_knots_than_the_one_with_the_fewest_intervals_to_halve():
    breaks = torch.tensor([[0.0, 1, 2, 4], [0, 1, 2, 3]]).double()
    share = torch.tensor([[9.0, 5, 1], [1, 2, 3]]).double()
    allowed = torch.tensor([[False, True, True], [True, False, False]])
    expected = torch.tensor([[0.0, 1, 1.5, 2, 4], [0, 0.5, 1, 2, 3]]).double()
    assert torch.equal(inserted(breaks, share, 3, allowed), expected)
    assert torch.equal(inserted(breaks, share, 3, torch.zeros_like(allowed)), breaks)


@pytest.mark.parametrize("layers", [[], [True]], ids=repr)
def test_layers_are_numbers(layers):
    with pytest.raises(kp.InputError, match="layers must be"):
        kp.InsertKnots(2, layers)


@pytest.mark.parametrize("layers", [[0, 0], [0, -2], (1, -1)], ids=repr)
def test_a_layer_is_named_once(layers):
    solution = kp.solve(Line(), kp.KAN([1, 4, 1], 5, 3), points=kp.Collocation(40, 2))
    with pytest.raises(kp.InputError, match="layers must name each layer once"):
        kp.InsertKnots(2, layers).start(solution.residuals, 0).step()


def test_a_problem_file_with_another_network_is_refused():
    from kanpinn.runs.config import Config

    data = {
        "problem": {"equation": "poisson", "domain": {"type": "interval", "x": [0, 1]}},
        "network": {"type": "mlp", "width": [1, 4, 1]},
        "optimizer": [{"type": "insert_knots"}],
    }
    data["problem"]["exact"] = "sin(x)"
    with pytest.raises(
        kp.InputError, match=r'optimizer\[0\].type = "insert_knots": insert_knots is for'
    ):
        Config.from_dict(data).build()
