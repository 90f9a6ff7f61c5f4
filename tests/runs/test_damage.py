"""Damaged run folders: each fault is told in a sentence, and the folder stays as it is."""

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import pytest
import torch

from kanpinn._support.errors import InputError
from kanpinn.runs.config import Config
from kanpinn.runs.results import RunFolder, load

SETTINGS = {
    "problem": {
        "equation": "poisson",
        "domain": {"type": "box", "x": [0, 1]},
        "exact": "sin(pi*x)",
    },
    "network": {"type": "kan", "width": [1, 3, 1], "degree": 3, "grid": 3},
    "points": {"interior": 20, "boundary": 2},
    "optimizer": [{"type": "levenberg_marquardt", "steps": 3}],
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run."""
    config = Config.from_dict(SETTINGS)
    folder = RunFolder.create(tmp_path_factory.mktemp("runs"), "poisson", config)
    return folder.finish(config.build().run((folder.checkpoint,)), figures=False)


@pytest.fixture
def copied(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "run"))


def resumed(path: Path) -> None:
    """Resume a run with more steps, as the command does."""
    more = [{"type": "levenberg_marquardt", "steps": 5}]
    folder = RunFolder.resume(path, Config.from_dict(SETTINGS | {"optimizer": more}, path))
    try:
        folder.config.build().run((folder.checkpoint,), folder.state)
    except InputError:
        folder.discard()
        raise


def is_refused(path: Path, *reads: Callable[[Path], Any]) -> None:
    """Each read refuses the folder with the name of a file in it, and leaves it as it was."""
    before = {file.name: file.read_bytes() for file in path.iterdir() if file.is_file()}
    for read in reads:
        with pytest.raises(InputError) as refused:
            read(path)
        assert len(str(refused.value)) < 600
        assert {file.name: file.read_bytes() for file in path.iterdir()} == before, read


@pytest.mark.parametrize("seed", range(4))
def test_a_flipped_bit_in_the_contents_of_a_checkpoint_is_found(copied, seed):
    path = copied / "checkpoint.pt"
    content, chosen = bytearray(path.read_bytes()), random.Random(seed)
    tensor = load(copied).network.layers[0].coefficients.detach().numpy().tobytes()
    at = content.find(tensor[: len(tensor) // 2])
    assert at > 0
    content[at + chosen.randrange(len(tensor))] ^= 1 << chosen.randrange(8)
    path.write_bytes(content)
    is_refused(copied, load, resumed)


@pytest.mark.parametrize("name", ["checkpoint.pt", "run.json"])
@pytest.mark.parametrize("part", [0.0, 0.6])
def test_a_file_that_was_cut_off_is_found(copied, name, part):
    path = copied / name
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    is_refused(copied, load, resumed)


def test_a_run_is_not_resumed_over_another_unfinished_one(copied):
    (copied.parent / "run.partial").mkdir()
    (copied.parent / "run.partial" / "notes.txt").touch()
    is_refused(copied, resumed)


@pytest.mark.parametrize("name", ["/network/layer_0/coefficients", "/history/loss"])
def test_a_changed_value_in_result_h5_is_found(copied, name):
    (copied / "checkpoint.pt").unlink()
    assert load(copied).network.layers
    with h5py.File(copied / "result.h5", "r+") as file:
        values = file[name][()]
        values.flat[0] += 1e-9
        file[name][...] = values
    is_refused(copied, load)


RECORDS = {
    "status": 5,
    "config": [1],
    "config.network": {"type": "kan", "width": [1, 4, 1], "degree": 3, "grid": 3},
    "config.problem": None,
    "name": {},
    "seconds": {},
    "seconds.total": "x",
    "loss": None,
    "loss.terms": {"interior": "x"},
    "errors": 5,
    "errors.l2": [],
    "verification": {"own": 1.0},
}


@pytest.mark.parametrize(("key", "value"), RECORDS.items(), ids=RECORDS.keys())
def test_a_record_with_other_contents_is_no_traceback(copied, key, value):
    """It is refused, but where nothing that is read depends on the entry."""
    record = json.loads((copied / "run.json").read_text())
    *above, last = key.split(".")
    place = record
    for part in above:
        place = place[part]
    place[last] = value
    (copied / "run.json").write_text(json.dumps(record))
    harmless = {"status", "name"}  # texts, of which any value can be made one
    if key in harmless:
        assert load(copied).status in ("5", record["status"])
    else:
        is_refused(copied, load)


STATES = {
    "network": {},
    "network.layers.0.coefficients": torch.zeros(3),
    "history": [{"step": "x"}],
    "step": -1,
    "stage_index": "x",
    "seconds": None,
    "stage": {"damping": []},
    "least": {"x": 1},
}


@pytest.mark.parametrize(("key", "value"), STATES.items(), ids=STATES.keys())
def test_a_checkpoint_with_other_contents_is_refused_before_a_step_is_taken(copied, key, value):
    path = copied / "checkpoint.pt"
    payload = torch.load(path, weights_only=True)
    place, name = payload["run"], key
    if key.startswith("network."):
        place, name = place["network"], key.removeprefix("network.")
    place[name] = value
    torch.save(payload, path)
    is_refused(copied, resumed)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes")
@pytest.mark.parametrize("name", ["checkpoint.pt", "run.json"])
def test_a_pipe_in_place_of_a_file_is_not_waited_for(copied, name):
    (copied / name).unlink()
    os.mkfifo(copied / name)
    with pytest.raises(InputError, match=r"no regular file|is not a run folder"):
        load(copied)
