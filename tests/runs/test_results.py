"""Run folders: what is in them, that nothing is lost, and that runs go on bit for bit."""

import errno
import json
import math
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy
import pytest
import torch
from cases import InterruptAt

import kanpinn as kp
from kanpinn.runs.config import Config
from kanpinn.runs.results import RunFolder, config_of, load, to_npz, to_vtkhdf
from kanpinn.runs.results.checkpoint import read_checkpoint
from kanpinn.runs.results.record import outside_grids, strict
from kanpinn.solvers.grid_fields import on_grid
from kanpinn.solvers.state import SolverState

SOURCE = '''
"""A parabola on an interval, a saddle and its like on boxes."""
import torch
import kanpinn as kp
from exactly import parabola

class Line(kp.Problem):
    domain = kp.Box(t=(0, 2))
    def residual(self, p, u):
        return kp.laplacian(u) - 2.0
    def conditions(self):
        return [kp.Dirichlet(self.domain.boundary, 0.0)]
    def exact(self, p):
        return parabola(p.t)

class Square(kp.Problem):
    domain = kp.Box(x=(0, 1), y=(0, 2))
    def residual(self, p, u):
        return kp.laplacian(u)
    def conditions(self):
        return [kp.Dirichlet(self.domain.boundary, self.exact)]
    def exact(self, p):
        return p.x**2 - p.y**2

class Unknown(Square):
    exact = None
    def conditions(self):
        return [kp.Dirichlet(self.domain.boundary, 1.0)]

class Brick(kp.Problem):
    domain = kp.Box(x=(0, 1), y=(0, 1), z=(0, 1))
    fields = ("u", "v")
    def residual(self, p, u, v):
        return kp.laplacian(u) - 2, kp.laplacian(v)
    def conditions(self):
        return [kp.Dirichlet(self.domain.boundary, self.exact)]
    def exact(self, p):
        return torch.cat([p.x**2, p.y], dim=1)

class Tesseract(kp.Problem):
    domain = kp.Box(a=(0, 1), b=(0, 1), c=(0, 1), d=(0, 1))
    def residual(self, p, u):
        return kp.laplacian(u)
    def conditions(self):
        return [kp.Dirichlet(self.domain.boundary, 0.0)]
'''
HELPER = """
def parabola(t):
    return t * (t - 2)
"""
ADAM = {"type": "adam", "steps": 6, "lr": 0.01}
LBFGS = {"type": "lbfgs", "steps": 3, "iterations": 4}
REFINE = {"type": "refine", "grid": 4}
LM = {"type": "levenberg_marquardt", "steps": 3}
SOLVE = {"type": "least_squares"}


@pytest.fixture(autouse=True)
def quick(request, monkeypatch) -> None:
    """Coarse grids and no figures, but in tests marked otherwise by asking for `figures`."""
    monkeypatch.setattr("kanpinn.solvers.grid_fields.NODES", {1: 11, 2: 9, 3: 5})
    if "figures" not in request.fixturenames:
        monkeypatch.setattr("kanpinn.plotting.draw_figures", lambda *_: [])


@pytest.fixture
def figures() -> None:
    """Have the figures drawn."""


@pytest.fixture
def settings(tmp_path: Path):
    """Writes the class files; gives a function that makes a configuration for one of them."""
    sources = tmp_path / "sources"
    sources.mkdir()
    (sources / "shapes.py").write_text(SOURCE)
    (sources / "exactly.py").write_text(HELPER)

    def make(
        problem: str = "Square",
        optimizers: tuple = (SOLVE,),
        points: Mapping[str, Any] | None = None,
        **network: Any,
    ) -> Config:
        size = {"Line": 1, "Brick": 3, "Tesseract": 4}.get(problem, 2)
        width = [size, 4, 2 if problem == "Brick" else 1]
        chosen = {"type": "kan", "width": width, "degree": 4, "grid": 2} | network
        if chosen["type"] == "mlp":
            del chosen["degree"], chosen["grid"]
        data = {
            "problem": {"class": f"shapes.py:{problem}"},
            "network": {"boundary": "penalty"} | chosen,
            "points": points or {"interior": 100, "boundary": 40, "sampler": "gauss"},
            "optimizer": list(optimizers),
            "run": {"seed": 3},
        }
        return Config.from_dict(data, sources, problem.lower())

    return make


def run(config: Config, output: Path, *more: Any) -> Path:
    folder, job = RunFolder.create(output, config.name, config), config.build()
    return folder.finish(job.run((folder.checkpoint, *more)))


def go_on(path: Path, config: Config | None = None) -> Path:
    folder = RunFolder.resume(path, config)
    job = folder.config.build()
    return folder.finish(job.run((folder.checkpoint,), folder.state))


def record_of(path: Path) -> dict[str, Any]:
    def refuse(text: str) -> None:
        raise AssertionError(f"{text} is not strict JSON")

    return json.loads((path / "run.json").read_text(), parse_constant=refuse)


class KilledError(Exception):
    pass


class KillAt(InterruptAt):
    def __call__(self, run: SolverState) -> None:
        if run.progress.step == self.step:
            raise KilledError


# --- the folder -------------------------------------------------------------------------------


def test_a_run_folder_is_partial_until_it_is_finished(settings, tmp_path, figures):
    config = settings(width=[2, 2, 1])
    folder = RunFolder.create(tmp_path / "out", "square", config)
    assert re.fullmatch(r"\d{8}T\d{6}Z-[0-9a-f]{8}\.partial", folder.path.name)
    assert record_of(folder.path)["status"] == "running"
    job = config.build()
    path = folder.finish(job.run((folder.checkpoint,)))
    assert path == folder.path and path.parent == tmp_path / "out" / "square"
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    assert path.name + ".partial" not in path.parent.iterdir()
    names = {p.relative_to(path).as_posix() for p in path.rglob("*") if p.is_file()}
    assert names == {
        "run.json",
        "result.h5",
        "checkpoint.pt",
        "fields.vtkhdf",
        "figures/solution.png",
        "figures/edges.png",
        "shapes.py",
        "exactly.py",
    }


def test_folders_never_collide(settings, tmp_path, monkeypatch):
    monkeypatch.setattr("time.strftime", lambda *_: "now")
    config = settings()
    job = config.build()
    first, second = (RunFolder.create(tmp_path, "a", config) for _ in range(2))
    solution = job.run()
    stem = first.path.name.removesuffix(".partial")
    assert stem.startswith("now-") and second.path.name == f"{stem}-2.partial"
    assert first.finish(solution).name == stem
    third = RunFolder.create(tmp_path, "a", config)
    assert third.path.name == f"{stem}-3.partial"
    second.path.with_name(f"{stem}-2").mkdir()  # taken by somebody else meanwhile
    assert second.finish(solution).name == f"{stem}-2-2"


def test_discard_leaves_no_trace_and_touches_nothing_else(settings, tmp_path):
    RunFolder.create(tmp_path / "new" / "deep", "square", settings()).discard()
    assert not (tmp_path / "new" / "deep").exists()
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "file").write_text("kept")
    RunFolder.create(tmp_path / "old", "square", settings()).discard()
    assert [p.name for p in (tmp_path / "old").iterdir()] == ["file"]


def test_the_output_cannot_be_a_file(settings, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(kp.InputError, match=r"no run folder can be made in .*file"):
        RunFolder.create(tmp_path / "file", "square", settings())


@pytest.mark.parametrize(
    ("at", "code", "words"),
    [
        ("copyfile", errno.ENOSPC, r"shapes\.py cannot be copied to .*shapes\.py: No space left"),
        ("mkdir", errno.EACCES, r"no run folder can be made in .*out: .*out.square: Permission"),
    ],
)
def test_a_folder_that_cannot_be_made_tells_path_and_reason(
    settings, tmp_path, monkeypatch, at, code, words
):
    def fail(path, *args, **options):
        raise OSError(code, os.strerror(code), str(path))

    config = settings()
    monkeypatch.setattr({"copyfile": shutil, "mkdir": Path}[at], at, fail)
    with pytest.raises(kp.InputError, match=words):
        RunFolder.create(tmp_path / "out", "square", config)


def test_a_name_is_one_component_of_the_path(settings, tmp_path):
    folder = RunFolder.create(tmp_path / "out", "../../a b", settings())
    assert folder.path.parent.parent == tmp_path / "out"


# --- run.json ---------------------------------------------------------------------------------


def test_run_json_says_how_it_went(settings, tmp_path):
    record = record_of(run(settings(), tmp_path))
    assert record["status"].startswith("stopped: the residual is still") and record["seed"] == 3
    assert record["errors"]["l2_squared"] == pytest.approx(record["errors"]["l2"] ** 2)
    assert set(record["errors"]) == {
        *("l2", "l2_relative", "l2_squared", "h1", "h1_relative", "h1_squared"),
        *("rule_error", "fields"),
    }
    assert record["reference"] is None and record["seconds"]["reference"] == 0
    assert record["parameters"] == 2 * 6 * 4 + 4 * 6 and record["estimated"] == {}
    assert record["seconds"]["total"] >= record["seconds"]["optimizers"][0] > 0
    assert record["config"]["network"]["degree"] == 4
    assert torch.__version__.startswith(record["versions"]["torch"]) and record["threads"] == 1
    assert record["outside_grids"] == [0.0, 0.0]
    assert set(record["loss"]["terms"]) == {"interior", "boundary"}


def test_what_is_absent_is_null(settings, tmp_path, monkeypatch, figures):
    monkeypatch.chdir(tmp_path)  # no repository here
    path = run(settings("Unknown", type="mlp"), tmp_path)
    record = record_of(path)
    assert record["errors"] is None and record["git"] is None
    assert record["outside_grids"] == [None, None]
    assert not (path / "figures" / "edges.png").exists()
    assert load(path).errors is None


def test_the_result_is_saved_before_the_figures_are_drawn(settings, tmp_path, monkeypatch):
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("kanpinn.plotting.draw_figures", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(settings(), tmp_path)
    (path,) = (tmp_path / "square").iterdir()
    with h5py.File(path / "result.h5") as file:
        assert "fields" in file and "network" in file


def test_a_missing_data_file_is_named(settings, tmp_path):
    config = settings("Unknown")
    config.sections["reference"] = {"type": "file", "path": "absent.csv"}
    with pytest.raises(kp.InputError, match=r'path = "absent.csv": there is no file .*absent.csv'):
        RunFolder.create(tmp_path / "output", "unknown", config)
    assert not (tmp_path / "output").exists()


def test_json_has_no_nan():
    value = {"a": [math.nan, math.inf, 1.5], "b": numpy.float64("nan"), "c": numpy.int64(2)}
    assert strict(value) == {"a": [None, None, 1.5], "b": None, "c": 2}


def test_points_outside_the_grids_are_counted(settings):
    solution = settings().build().run()
    layer = solution.network.layers[1]
    middle = layer.basis.breaks.mean(dim=1, keepdim=True)
    layer.basis = layer.basis.on(middle + 1e-3 * (layer.basis.breaks - middle))
    assert outside_grids(solution)[0] == 0.0 and outside_grids(solution)[1] > 0.9


# --- result.h5, NPZ, VTKHDF -------------------------------------------------------------------


def test_result_h5_has_history_fields_and_network(settings, tmp_path):
    path = run(settings(optimizers=(ADAM,)), tmp_path)
    solution = load(path)
    with h5py.File(path / "result.h5") as file:
        assert list(file["history/step"]) == list(range(7))
        loss = file["history/loss"]
        assert loss[()] == pytest.approx(solution.history.column("loss"))
        assert loss.dims[0]["step"] == file["history/step"]
        u = file["fields/u"]
        assert [u.dims[i].label for i in (0, 1)] == ["x", "y"]
        x, y = (u.dims[i][0][()] for i in (0, 1))
        assert (x[0], x[-1], y[0], y[-1]) == (0, 1, 0, 2)
        error = file["fields/u"][()] - (x[:, None] ** 2 - y**2)
        assert error == pytest.approx(file["fields/error"][()], abs=1e-12)
        layer = file["network/layer_1"]
        assert layer.attrs["degree"] == 4 and layer["basis.knots"].shape == (4, 2 + 9)
        assert list(file["network"].attrs["high"]) == [1, 2]


@pytest.mark.parametrize(
    ("problem", "counts"), [("Line", (11, 1, 1)), ("Square", (9, 9, 1)), ("Brick", (5, 5, 5))]
)
def test_vtkhdf_is_as_the_format_says(settings, tmp_path, problem, counts):
    solution = settings(problem).build().run()
    to_vtkhdf(solution, tmp_path / "fields.vtkhdf")
    with h5py.File(tmp_path / "fields.vtkhdf") as file:
        root = file["VTKHDF"]
        kind = root.attrs.get_id("Type").get_type()
        assert not kind.is_variable_str() and kind.get_cset() == h5py.h5t.CSET_ASCII
        assert root.attrs["Type"] == b"ImageData" and root.attrs["Version"][0] == 2
        assert list(root.attrs["WholeExtent"]) == [e for n in counts for e in (0, n - 1)]
        assert list(root.attrs["Direction"]) == [1, 0, 0, 0, 1, 0, 0, 0, 1]
        origin, spacing = root.attrs["Origin"], root.attrs["Spacing"]
        assert origin.dtype == spacing.dtype == numpy.float64
        low, high = (c.numpy() for c in solution.problem.domain.bounds)
        ends = origin + spacing * (numpy.array(counts) - 1)
        assert origin[: len(low)] == pytest.approx(low)
        assert ends[: len(high)] == pytest.approx(high)
        values = root["PointData/u"]
        assert values.attrs["Attribute"] == b"Scalars"
        assert values.shape == counts[: len(low)][::-1]
        corner = solution(torch.stack([solution.problem.domain.bounds[1]]))[0, 0]
        assert values[()].flat[-1] == pytest.approx(float(corner))


def test_npz_holds_the_fields(settings, tmp_path):
    solution = settings("Line").build().run()
    to_npz(solution, tmp_path / "fields.npz")
    with numpy.load(tmp_path / "fields.npz") as arrays:
        assert set(arrays) == {"t", "u", "exact", "error", "residual"}
        assert arrays["exact"] == pytest.approx(arrays["t"] * (arrays["t"] - 2))
        assert arrays["u"] == pytest.approx(arrays["exact"], abs=1e-6)


def test_above_three_dimensions_there_is_no_image(settings, tmp_path, figures):
    path = run(settings("Tesseract", type="mlp"), tmp_path)
    assert not (path / "fields.vtkhdf").exists() and (path / "figures/solution.png").exists()
    with pytest.raises(kp.InputError, match="up to 3 dimensions, the domain has 4"):
        to_vtkhdf(load(path), tmp_path / "fields.vtkhdf")


def test_the_grid_of_a_cut_keeps_the_other_coordinates_at_the_centre(settings):
    solution = settings("Brick").build().run()
    fields = on_grid(solution, ("x", "z"), nodes=5)
    assert fields.fixed == {"y": 0.5} and fields.values["exact_v"] == pytest.approx(0.5)


# --- load -------------------------------------------------------------------------------------


@pytest.mark.parametrize("missing", [None, "checkpoint.pt"])
def test_a_loaded_solution_is_the_one_that_was_saved(settings, tmp_path, missing):
    config = settings(optimizers=(REFINE, LM))
    folder, job = RunFolder.create(tmp_path, "square", config), config.build()
    solution = job.run((folder.checkpoint,))
    path = folder.finish(solution)
    for source in config.directory.glob("*.py"):
        source.unlink()  # the run folder stands on its own
    if missing:
        (path / missing).unlink()
    again = load(path.rename(tmp_path / "elsewhere"))
    points = kp.Points(torch.rand(7, 2, dtype=torch.float64), ("x", "y"))
    assert torch.equal(again(points), solution(points))
    assert torch.equal(again.gradient(points), solution.gradient(points))
    assert torch.equal(again.residual(points), solution.residual(points))
    assert again.errors == solution.errors and again.status == solution.status
    assert again.seconds == solution.seconds and again.loss_terms == solution.loss_terms
    assert again.history.rows == solution.history.rows


def test_loading_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(kp.InputError, match="not a run folder"):
        kp.load(tmp_path)


def test_a_killed_run_can_be_loaded(settings, tmp_path, monkeypatch):
    path = killed(settings(optimizers=(ADAM,)), tmp_path, 4, monkeypatch)
    solution = load(path)
    assert solution.status == "stopped: not finished, at step 3"
    assert solution.errors is not None and len(solution.history) == 4


# --- checkpoints and resuming -----------------------------------------------------------------


def killed(config: Config, output: Path, step: int, monkeypatch) -> Path:
    """The folder of a run that died before it could write a checkpoint of this step."""
    folder = RunFolder.create(output, config.name, config)
    folder.pace.interval, folder.pace.share = 0.0, math.inf
    with pytest.raises(KilledError):
        config.build().run((KillAt(step), folder.checkpoint))
    folder.lock.release(folder.path)  # the system does it for a process that dies
    return folder.path


def coefficients(path: Path) -> dict[str, torch.Tensor]:
    payload = read_checkpoint(path)
    assert payload is not None
    return payload["run"]["network"]


def same(expected: dict[str, torch.Tensor], found: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(expected[name], found[name]) for name in {*expected, *found})


def loss_history(path: Path) -> list[float]:
    with h5py.File(path / "result.h5") as file:
        return list(file["history/loss"])


UNIFORM = {"interior": 60, "boundary": 20, "sampler": "uniform", "resample": 2}
STAGES = (ADAM, SOLVE, REFINE, LBFGS, REFINE | {"grid": 6}, LM)


@pytest.mark.parametrize("points", [None, UNIFORM], ids=["fixed", "resampled"])
def test_an_interrupted_run_goes_on_bit_for_bit(settings, tmp_path, points):
    config = settings("Unknown", optimizers=STAGES, points=points)
    whole = run(config, tmp_path / "whole")
    steps = record_of(whole)["steps"]
    # Within Adam and within the last method, or after the solve and a refinement.
    for step in (2, steps - 1) if points else (8,):
        path = run(config, tmp_path / str(step), InterruptAt(step))
        assert record_of(path)["status"] == "stopped: interrupted"
        assert go_on(path) == path
        assert same(coefficients(whole), coefficients(path))
        ends = record_of(whole), record_of(path)
        assert ends[0]["status"] == ends[1]["status"] and ends[0]["loss"] == ends[1]["loss"]
        assert ends[1]["resumed"][0]["status"] == "stopped: interrupted"
        losses = [loss_history(p) for p in (whole, path)]
        assert losses[0] == losses[1] and len(losses[0]) == steps + 1


def test_a_killed_run_goes_on_bit_for_bit(settings, tmp_path, monkeypatch):
    config = settings("Unknown", optimizers=(ADAM, REFINE, LM), points=UNIFORM)
    whole = run(config, tmp_path / "whole")
    path = killed(config, tmp_path / "killed", 8, monkeypatch)
    assert path.name.endswith(".partial")
    finished = go_on(path)
    assert not path.exists() and finished.name == path.name.removesuffix(".partial")
    assert same(coefficients(whole), coefficients(finished))


def test_a_run_killed_before_its_first_checkpoint_starts_again(settings, tmp_path):
    config = settings("Unknown", optimizers=(ADAM,))
    folder = RunFolder.create(tmp_path, "unknown", config)
    folder.lock.release(folder.path)
    assert record_of(go_on(folder.path))["steps"] == 6


def test_a_raised_limit_goes_on_as_if_it_had_been_there(settings, tmp_path):
    long = settings("Unknown", optimizers=(ADAM | {"steps": 9}, REFINE))
    whole = run(long, tmp_path / "whole")
    path = run(settings("Unknown", optimizers=(ADAM,)), tmp_path / "short")
    assert record_of(path)["status"] == "stopped: limit of 6 steps; more steps may help"
    with pytest.raises(kp.InputError, match=r"has ended \(stopped: limit of 6 steps; more "):
        RunFolder.resume(path)
    go_on(path, long)
    assert same(coefficients(whole), coefficients(path))
    assert record_of(path)["config"]["optimizer"][0]["steps"] == 9


def test_a_converged_run_says_so(settings, tmp_path):
    path = run(settings(width=[2, 24, 1]), tmp_path)
    with pytest.raises(kp.InputError, match="has converged: there is nothing to resume"):
        RunFolder.resume(path)
    assert path.exists() and record_of(path)["status"] == "converged"


def test_other_settings_are_another_run(settings, tmp_path):
    path = run(settings("Unknown", optimizers=(ADAM,)), tmp_path)
    other = config_of(path).to_dict()
    other["network"]["degree"] = 5
    with pytest.raises(kp.InputError, match=r"network\.degree differs") as refusal:
        RunFolder.resume(path, Config.from_dict(other, path))
    assert "run.budget_seconds and run.threads may change" in str(refusal.value)
    other = config_of(path).to_dict()
    other["optimizer"][0]["lr"] = 5.0
    with pytest.raises(kp.InputError, match=r"optimizer\[0\]\.lr differs"):
        RunFolder.resume(path, Config.from_dict(other, path))


def test_a_folder_has_one_owner(settings, tmp_path):
    folder = RunFolder.create(tmp_path, "unknown", settings("Unknown", optimizers=(ADAM,)))
    with pytest.raises(kp.InputError, match="being written by another process"):
        RunFolder.resume(folder.path)


def test_a_resumed_run_that_is_discarded_is_as_it_was(settings, tmp_path):
    path = run(settings("Unknown", optimizers=(ADAM,)), tmp_path, InterruptAt(2))
    before = sorted(p.name for p in path.iterdir())
    RunFolder.resume(path).discard()
    assert sorted(p.name for p in path.iterdir()) == before


def test_checkpoints_are_tensors_and_plain_values(settings, tmp_path):
    path = run(settings("Unknown", optimizers=(ADAM, LBFGS)), tmp_path)
    payload = torch.load(path / "checkpoint.pt", weights_only=True)
    assert payload["config"]["problem"]["class"] == "shapes.py:Unknown"
    assert payload["run"]["step"] == 9
