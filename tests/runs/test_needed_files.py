"""A run folder and a copy of a library problem have the data that their class file names."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from commands import kanpinn

import kanpinn as kp
from kanpinn._support.errors import InputError
from kanpinn.runs import library as libraries
from kanpinn.runs.config import Config
from kanpinn.runs.library import copy_problem, library, library_folder
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
    (tmp_path / "helper.py").write_text('ONE = 1.0\nFILES = "table.txt", "part.msh"\n')
    for name in ("table.txt", "part.msh"):
        (tmp_path / name).write_text("1", encoding="utf-8")
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
    assert {"line.py", "helper.py", "table.txt", "part.msh", "slope-1.csv", "line.npy"} <= copied
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


# --- The library of problems: copied under new names with all it needs


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_file_says_in_a_sentence_what_it_is_and_how_long_it_takes() -> None:
    for one in library():
        assert one.about and one.seconds is not None, one
    assert {one.name for one in library() if one.command == "fit"} == {"fit_exp", "fit_spirals"}


def test_every_problem_is_copied_with_all_files_that_it_names(folder: Path) -> None:
    for one in library():
        place = folder / one.name
        place.mkdir()
        files = copy_problem(one.name, place / "mine")
        assert sorted(files) == sorted(place.iterdir())
        config = Config.read(files[-1])  # finds the class file
        assert "problems/" not in files[-1].read_text(encoding="utf-8")
        assert not config.file.title.endswith(".py") and files[-1].name == "mine.toml"


@pytest.mark.parametrize("name", ["allen_cahn", "bracket", "cavity", "cylinder_shedding"])
def test_a_copy_has_its_modules_meshes_and_reference_data(folder: Path, name: str) -> None:
    """Data by the class file's own name, by another name, and a class file that imports another."""
    problem = Config.read(copy_problem(name, folder / "mine")[-1]).build().problem
    assert Path(sys.modules[type(problem).__module__].__file__).parent == folder
    reference = problem.reference()
    if reference is not None:
        assert Path(reference.path).parent == folder and Path(reference.path).is_file()


def test_a_copied_problem_runs_and_the_next_command_is_named(folder: Path) -> None:
    result = kanpinn("new", "mine", "--from", "poisson5d")
    assert result.stdout.splitlines() == ["mine.py", "mine.toml"]
    assert "next: kanpinn solve mine.toml takes 0.1 s of one core" in result.stderr
    text = (library_folder() / "poisson5d.py").read_text(encoding="utf-8")
    assert (folder / "mine.py").read_text(encoding="utf-8") == text


def test_nothing_is_overwritten_and_wrong_names_are_refused(folder: Path) -> None:
    (folder / "mine.h5").write_text("mine")
    with pytest.raises(InputError, match=r"mine\.h5 exists already"):
        copy_problem("allen_cahn", folder / "mine")
    assert [path.name for path in folder.iterdir()] == ["mine.h5"]
    with pytest.raises(InputError, match='did you mean "burgers"'):
        copy_problem("burger", folder / "mine")
    with pytest.raises(InputError, match=r"needs another file cylinder\.py"):
        copy_problem("cylinder_shedding", folder / "cylinder")
