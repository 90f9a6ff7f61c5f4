"""A run folder and a copy of a library problem have the data that their class file names."""

from pathlib import Path

import numpy as np
import pytest
import torch

import kanpinn as kp
from kanpinn.runs import library as libraries
from kanpinn.runs.config import Config
from kanpinn.runs.results import RunFolder

CLASS = """
from pathlib import Path
import numpy as np
import helper
import kanpinn as kp

GIVEN = np.loadtxt(Path(__file__).with_name("slope-1.csv"))
SQUARE = np.load(Path(__file__).with_suffix(".npy"))

class Line(kp.Problem):
    '''u' = a, u(0) = 0; "missing.csv" is no file.'''

    domain = kp.Box(x=(0, 1))

    def residual(self, p, u):
        return kp.partial(u, "x") - helper.ONE * float(GIVEN) * float(SQUARE)

    def conditions(self):
        return [kp.Dirichlet(self.domain.boundary["x_min"], 0.0)]
"""


def test_a_run_folder_has_the_data_and_modules_of_its_class(tmp_path: Path) -> None:
    own = tmp_path / "line.py"
    own.write_text(CLASS, encoding="utf-8")
    (tmp_path / "helper.py").write_text('ONE = 1.0\nTABLE = "table.txt"\n', encoding="utf-8")
    (tmp_path / "table.txt").write_text("1", encoding="utf-8")
    (tmp_path / "slope-1.csv").write_text("2", encoding="utf-8")
    np.save(tmp_path / "line.npy", 3.0)
    config = Config.from_dict(
        {
            "problem": {"class": "line.py:Line"},
            "network": {"type": "kan", "width": [1, 4, 1], "degree": 3, "grid": 2},
        },
        tmp_path,
    )
    folder = RunFolder.create(tmp_path / "results", "line", config)
    job = config.build()
    folder.finish(job.run([folder.checkpoint]), figures=False)
    copied = {path.name for path in folder.path.iterdir()}
    assert {"line.py", "helper.py", "table.txt", "slope-1.csv", "line.npy"} <= copied
    for path in tmp_path.iterdir():
        if path.is_file():
            path.unlink()
    assert kp.load(folder.path)(torch.tensor([[0.5]])).item() == pytest.approx(3, rel=1e-6)


def test_data_that_are_too_large_stay_where_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(libraries, "LARGEST", 10)
    own = tmp_path / "a.py"
    own.write_text("X = 'b.csv', 'c.csv', '.h5', '.npz'", encoding="utf-8")
    for name, size in (("b.csv", 10), ("c.csv", 11), ("a.h5", 10), ("a.npz", 11)):
        (tmp_path / name).write_bytes(bytes(size))
    assert [path.name for path in libraries.needed_files(own)] == ["b.csv", "a.h5"]
