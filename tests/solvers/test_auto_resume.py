"""A search that is killed goes on with its trials, and ends as if it had not been."""

import io
from pathlib import Path

import pytest
import torch

import kanpinn as kp
from kanpinn.runs.config import Config
from kanpinn.runs.results import RunFolder
from kanpinn.runs.results.checkpoint import read_checkpoint, write_checkpoint
from kanpinn.runs.results.folder import TRIALS, config_to_resume
from kanpinn.solvers.auto.search import TrialSearch


class Killed(Exception):
    """In place of SIGKILL: nothing but what is on the disk is left."""


class Bend(kp.Problem):
    """-u'' + u³ = f with a bump: Newton steps, and several splines until the tolerance."""

    domain = kp.Box(x=(-1, 1))

    def residual(self, p, u):
        return u.value**3 - kp.laplacian(u) - self.source(p)

    def conditions(self):
        return [kp.Dirichlet(self.domain.boundary, self.exact)]

    def exact(self, p):
        return torch.exp(-60 * (p.x - 0.2) ** 2) + torch.sin(2 * p.x)


def searched(announce=None, checkpoint=None):
    search = TrialSearch(problem=Bend(), tolerance=1e-10, budget=1e4, **locals())
    return search.solution()


def without_seconds(log):
    return [" ".join(w for w in line.split() if not w[0].isdigit()) for line in log]


def same(one, other):
    points = torch.linspace(-1, 1, 50, dtype=torch.float64)[:, None]
    assert torch.equal(one(points), other(points))
    assert without_seconds(one.log) == without_seconds(other.log)
    assert one.status == other.status


@pytest.mark.parametrize("trials", [0, 2])
def test_a_search_goes_on_from_what_it_announced(trials):
    kept = {}

    def announce(choice, why, state):
        if len(state["trials"]) == trials:
            kept["file"] = io.BytesIO()
            torch.save(state, kept["file"])
            raise Killed

    with pytest.raises(Killed):
        searched(announce)
    kept["file"].seek(0)
    steps = []
    told = lambda choice, why, state: steps.append(len(state["trials"]))  # noqa: E731
    again = searched(told, torch.load(kept["file"], weights_only=True))
    assert steps[0] == trials and again.status.startswith("converged")
    same(again, searched())


def test_what_is_no_state_of_a_search_is_refused():
    for wrong in ({}, {"trials": 3}, {"trials": [{"choice": "KAN"}]}):
        with pytest.raises(kp.InputError, match="checkpoint of the trials"):
            searched(checkpoint=wrong)


FILE = """
[problem]
equation = "poisson"
domain = { type = "box", x = [0, 1] }
exact = "exp(-60*(x - 0.4)**2)"

[run]
tolerance = 1e-10
budget_seconds = 1000
"""


def test_a_killed_run_is_resumed_in_its_folder(tmp_path: Path):
    (tmp_path / "bump.toml").write_text(FILE)
    config = Config.read(tmp_path / "bump.toml")

    def run(folder, job, after=100):
        def adopt(choice, why, state):
            folder.adopt(choice, why, state)
            if len(state["trials"]) == after:
                raise Killed

        return job.run([folder.checkpoint], folder.state, adopt)

    folder = RunFolder.create(tmp_path / "killed", "bump", config)
    with pytest.raises(Killed):
        run(folder, config.build(), after=2)
    folder.lock.release(folder.path)
    resumed = RunFolder.resume(folder.path)
    assert len(resumed.state["trials"]) == 2
    again = run(resumed, resumed.config.build())
    whole = RunFolder.create(tmp_path / "whole", "bump", config)
    same(again, run(whole, config.build()))
    path = resumed.finish(again, figures=False)
    assert not (path / "trials.pt").exists()
    points = torch.rand(20, 1, dtype=torch.float64)
    assert torch.equal(kp.load(path)(points), again(points))


def test_a_search_without_time_goes_on_with_a_larger_budget(tmp_path: Path):
    (tmp_path / "bump.toml").write_text(FILE)
    config = Config.read(tmp_path / "bump.toml", ["run.budget_seconds=1e-3"])
    folder = RunFolder.create(tmp_path, "bump", config)
    job = config.build()
    path = folder.finish(job.run([folder.checkpoint], None, folder.adopt), figures=False)
    longer = config_to_resume(path).override(["run.budget_seconds=1000"])
    folder = RunFolder.resume(path, longer)
    assert len(folder.state["trials"]) == 1
    solution = folder.config.build().run([folder.checkpoint], folder.state, folder.adopt)
    assert solution.success and len(solution.log) > 2


def test_how_a_search_had_ended_is_kept(tmp_path: Path):
    (tmp_path / "bump.toml").write_text(FILE)
    config = Config.read(tmp_path / "bump.toml", ["run.budget_seconds=1e-3"])
    folder = RunFolder.create(tmp_path, "bump", config)
    result = config.build().run([folder.checkpoint], None, folder.adopt)
    resumed = RunFolder.resume(folder.finish(result, figures=False))
    assert [one["status"] for one in resumed.earlier] == [result.status]
    resumed.lock.release(resumed.path)


def test_trials_that_name_foreign_code_are_refused(tmp_path: Path):
    (tmp_path / "bump.toml").write_text(FILE)
    config = Config.read(tmp_path / "bump.toml", ["run.budget_seconds=1e-3"])
    folder = RunFolder.create(tmp_path, "bump", config)
    result = config.build().run([folder.checkpoint], None, folder.adopt)
    path = folder.finish(result, figures=False)
    state = read_checkpoint(path, TRIALS)
    state["config"]["problem"]["class"] = "../evil.py:Bump"
    (path.parent / "evil.py").write_text("")
    write_checkpoint(path, state["run"], state["config"], [], TRIALS)
    with pytest.raises(kp.InputError, match=r"evil\.py, which is not in that folder"):
        config_to_resume(path)
