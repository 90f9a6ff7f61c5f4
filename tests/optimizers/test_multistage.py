"""A further network on what a trained one leaves."""

import copy
from pathlib import Path

import pytest
import torch
from cases import POISSON_FILE, Cubic, Known, Line

import kanpinn as kp
from kanpinn.cli import app
from kanpinn.networks.network import get_coefficients
from kanpinn.optimizers.multistage import wave_number

POINTS = kp.Collocation(80, 2)


def kan(seed=0):
    return kp.KAN([1, 3, 1], 7, 3, seed=seed)


def test_a_stage_changes_nothing_by_itself():
    solution = kp.solve(Cubic(), kan(), [kp.LevenbergMarquardt(5), kp.Multistage()], POINTS)
    rows = solution.history.rows
    assert rows[-1]["loss"] == pytest.approx(rows[-2]["loss"], rel=1e-12)
    network = solution.network
    assert len(network.earlier.chains) == 1
    assert not network.layers[-1].coefficients.any()


@pytest.mark.parametrize("problem", [Line, Cubic])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_second_stage_takes_up_what_training_left(problem, seed):
    """After Levenberg–Marquardt on a few units: orders of magnitude for one solve."""
    train = kp.LevenbergMarquardt(10)
    first = kp.solve(problem(), kan(seed), train, POINTS)
    stages = [train, kp.Multistage(width=6), kp.LeastSquares()]
    both = kp.solve(problem(), kan(seed), stages, POINTS)
    assert both.loss_terms["interior"] < 1e-4 * first.loss_terms["interior"]
    assert both.errors.l2_relative < first.errors.l2_relative / 20


def test_earlier_stages_are_frozen_and_the_solution_is_their_sum():
    stages = [kp.LevenbergMarquardt(3), kp.Multistage(), kp.LevenbergMarquardt(3)]
    alone = kp.solve(Line(), kan(), stages[:1], POINTS, boundary="penalty")
    both = kp.solve(Line(), kan(), stages, POINTS, boundary="penalty")
    (chain,) = both.network.earlier.chains
    ends = zip(chain.layers, alone.network.layers, strict=True)
    assert all(torch.equal(a.coefficients, b.coefficients) for a, b in ends)
    assert not any(p.requires_grad for p in chain.parameters())
    points = both.residuals.blocks[0].points
    present = copy.deepcopy(both.network)
    present.earlier = None
    own = present(both.surrogate.inputs_at(points))
    assert torch.allclose(both(points), alone(points) + own, rtol=1e-12, atol=1e-12)


def test_wave_numbers_are_those_of_the_residual():
    class Wave(Line):
        def residual(self, p, u):
            return torch.sin(12 * (2 * p.x - 1) / 3) + 0 * u.value

        def exact(self, p):
            return p.x

    solution = kp.solve(Wave(), kan(), kp.Adam(1), kp.Collocation(200, 2))
    assert wave_number(solution.residuals, 0) == pytest.approx(12, rel=0.1)
    coarse = kp.solve(Wave(), kan(), kp.Adam(1), kp.Collocation(3, 2))
    assert wave_number(coarse.residuals, 0) == 0  # more than these points could tell


def test_the_grid_follows_the_wave_number():
    class Wave(Line):
        def source(self, p):
            return torch.sin(14 * (2 * p.x - 1) / 3)

    stages = [kp.Multistage(), kp.LeastSquares()]
    network = kp.KAN([1, 4, 1], 6, [2, 5])
    network.layers[-1].coefficients.detach().zero_()
    solution = kp.solve(Wave(), network, stages, kp.Collocation(200, 2))
    row = solution.history.rows[1]
    assert row["waves"] == pytest.approx(14, rel=0.1)
    assert row["grid"] == 9 == solution.network.layers[-1].intervals  # 2 · 14 / π
    assert solution.network.layers[0].intervals == 2


def test_single_precision_adds_to_double():
    network = kp.KAN([1, 8, 1], 6, 4, dtype=torch.float32)
    stages = [kp.LeastSquares(), kp.Multistage(grid=4), kp.LeastSquares()]
    solution = kp.solve(Line(), network, stages, POINTS)
    assert solution.network.layers[0].coefficients.dtype == torch.float32
    assert solution.network.earlier.chains[0].layers[0].coefficients.dtype == torch.float64
    assert solution.history.rows[-1]["loss"] <= solution.history.rows[1]["loss"]
    assert solution.errors.l2_relative < 1e-4


@pytest.mark.parametrize("at", [1, 2, 3, 4])
def test_a_run_of_stages_goes_on_bit_for_bit(at):
    stages = [kp.LevenbergMarquardt(2), kp.Multistage(), kp.LevenbergMarquardt(3)]
    kept = {}

    def keep(run):
        if run.step == at:
            kept.update(copy.deepcopy(run.state_dict()))

    whole = kp.solve(Cubic(), kan(), stages, POINTS, observers=[keep])
    again = kp.solve(Cubic(), kan(), stages, POINTS, checkpoint=kept)
    first, second = (get_coefficients(s.network.all_layers) for s in (whole, again))
    assert torch.equal(first, second) and whole.errors == again.errors


def test_a_run_folder_holds_all_stages(tmp_path: Path, monkeypatch, capsys):
    """With its checkpoint and without, from what the results' file holds."""
    monkeypatch.setattr("kanpinn.plotting.draw_figures", lambda *_: [])
    file = tmp_path / "stages.toml"
    file.write_text(
        POISSON_FILE
        + """
[points]
interior = 80
boundary = 16

[[optimizer]]
type = "least_squares"

[[optimizer]]
type = "multistage"
width = 6

[[optimizer]]
type = "insert_knots"
count = 1

[[optimizer]]
type = "least_squares"
""",
        encoding="utf-8",
    )
    from typer.testing import CliRunner

    done = CliRunner().invoke(
        app, ["solve", str(file), "--quiet", "--output", str(tmp_path / "runs")]
    )
    assert done.exit_code == 0, done.output
    (folder,) = {path.parent for path in (tmp_path / "runs").rglob("run.json")}
    saved = kp.load(folder)
    (folder / "checkpoint.pt").unlink()
    loaded = kp.load(folder)
    assert len(loaded.network.earlier.chains) == 1
    points = loaded.residuals.blocks[0].points
    assert torch.equal(loaded(points), saved(points))
    assert loaded.network.layers[0].coefficients.shape[2] == 6


def test_what_does_not_fit_is_refused():
    with pytest.raises(kp.InputError, match="width"):
        kp.Multistage(width=0)
    with pytest.raises(kp.InputError, match="width must be one number or 1, one per hidden layer"):
        kp.solve(Line(), kan(), kp.Multistage(width=[3, 3]), POINTS)
    with pytest.raises(kp.InputError, match="multistage is for KANs, got a MLP"):
        kp.solve(Line(), kp.MLP([1, 4, 1]), kp.Multistage(), POINTS)


def test_no_more_units_than_the_rows_can_determine():
    stages = [kp.LeastSquares(), kp.Multistage(width=500, grid=4)]
    solution = kp.solve(Known(), kp.KAN([2, 4, 1], 5, 3), stages, kp.Collocation(400, 80))
    units = solution.network.width[1]
    assert units == 400 // ((4 + 5) * 1.4) and solution.status == "converged"


@pytest.mark.parametrize(("equations", "fields"), [(2, 1), (2, 2)])
def test_rows_count_for_each_equation_and_units_for_each_field(equations, fields):
    class Given(kp.Problem):
        domain = kp.Box(x=(0, 1), y=(0, 1))
        fields = ()

        def residual(self, p, *u):
            every = (kp.laplacian(u[0]) + u[-1].value, kp.partial(u[-1], "x") - p.x)
            return every[:equations]

        def conditions(self):
            return [kp.Dirichlet(self.domain.boundary, 0.0)]

    Given.fields = ("u", "v")[:fields]
    network = kp.KAN([2, 4, fields], 5, 3)
    stages = [kp.LeastSquares(), kp.Multistage(width=500, grid=4)]
    solution = kp.solve(Given(), network, stages, kp.Collocation(200, 40), errors=False)
    (block,) = solution.residuals.blocks
    assert solution.network.width[1] == int(block.rows * equations / ((4 + 5) * 1.4 * fields))


@pytest.mark.parametrize("kind", ["multistage", "insert_knots"])
def test_a_problem_file_with_another_network_is_refused(kind):
    from kanpinn.runs.config import Config

    data = {
        "problem": {"equation": "poisson", "domain": {"type": "interval", "x": [0, 1]}},
        "network": {"type": "mlp", "width": [1, 4, 1]},
        "optimizer": [{"type": kind}],
    }
    data["problem"]["exact"] = "sin(x)"
    with pytest.raises(kp.InputError, match=rf'optimizer\[0\].type = "{kind}": only for KANs'):
        Config.from_dict(data).build()
