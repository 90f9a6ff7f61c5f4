"""Problem files say what they mean, or why they cannot be used."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

import kanpinn as kp
from kanpinn.config import Config, document_schema
from kanpinn.config.classes import load_class
from kanpinn.config.forms import Form, construct
from kanpinn.config.overrides import Override, override
from kanpinn.errors import InputError

PROBLEMS = Path(__file__).parents[1] / "problems"
FILES = sorted(PROBLEMS.glob("*.toml"))
POISSON = PROBLEMS / "poisson2d.toml"
POSTER = PROBLEMS / "poisson2d_poster.toml"

LINE = """
import kanpinn as kp

class Line(kp.Problem):
    domain = kp.Box(x=(0, 1))

    def __init__(self, slope: float = 1.0):
        self.slope = slope

    def residual(self, p, u):
        return kp.partial(u, "x") - self.slope

    def conditions(self):
        return [kp.Dirichlet(self.domain.boundary, lambda p: self.slope * p.x)]

    def exact(self, p):
        return self.slope * p.x
"""
LINE_FILE = """
[problem]
class = "line.py:Line"
parameters = { slope = 2 }

[network]
type = "kan"
width = [1, 1]
"""


@pytest.fixture
def line(tmp_path: Path) -> Path:
    """A problem in one dimension that says no more than it has to."""
    (tmp_path / "line.py").write_text(LINE)
    (tmp_path / "line.toml").write_text(LINE_FILE)
    return tmp_path / "line.toml"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_problem_files_build_and_survive_strict_json(file: Path) -> None:
    config = Config.read(file)
    text = json.dumps(config.to_dict(), allow_nan=False)
    assert Config.from_dict(json.loads(text), config.directory, config.name) == config
    job = config.build()
    assert job.name == file.stem
    assert job.network.width[0] == job.problem.domain.dim


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_key_stands_at_the_start_of_its_line(file: Path) -> None:
    lines = file.read_text().splitlines()
    keys = [line.split(" = ")[0] for line in lines if " = " in line and not line.startswith("#")]
    assert all(key.isidentifier() for key in keys)


def test_a_file_with_three_sections_is_enough(line: Path) -> None:
    job = Config.read(line).build()
    assert job.problem.slope == 2.0
    assert isinstance(job.problem.slope, float)
    assert job.optimizers == (kp.LeastSquares(),)
    assert (job.points.sampler, job.boundary, job.seed) == ("gauss", "exact", 0)
    assert job.solve().errors.l2_relative < 1e-12


def test_the_run_section_sets_seed_and_precision() -> None:
    job = Config.read(POISSON, ["run.seed=3", "run.dtype=float32"]).build()
    same = kp.KAN([2, 64, 1], degree=9, grid=[4, 10], seed=3).to(torch.float32)
    for ours, theirs in zip(job.network.parameters(), same.parameters(), strict=True):
        assert ours.dtype == torch.float32
        assert torch.equal(ours, theirs)
    assert Config.read(POISSON, ["run.seed=3", "network.seed=4"]).build().seed == 3


@pytest.mark.parametrize(
    ("pair", "path", "value"),
    [
        ("network.width=[2, 32, 1]", ["network", "width"], [2, 32, 1]),
        ("network.base=silu", ["network", "base"], "silu"),
        ('network.base="silu"', ["network", "base"], "silu"),
        ("loss.interior = 1e-3", ["loss", "interior"], 1e-3),
        ("problem.class=a.py:B", ["problem", "class"], "a.py:B"),
        ("problem.parameters.nu=2", ["problem", "parameters", "nu"], 2),
        ("optimizer[0].steps=7", ["optimizer", 0, "steps"], 7),
        ("optimizer.0.steps=7", ["optimizer", 0, "steps"], 7),
        ("optimizer[1].type=adam", ["optimizer", 1, "type"], "adam"),
        ('optimizer=[{type="adam"}]', ["optimizer"], [{"type": "adam"}]),
    ],
)
def test_an_override_sets_its_key(pair: str, path: list, value: object) -> None:
    before = {"network": {"width": [2, 1]}, "optimizer": [{"type": "lbfgs", "steps": 5}]}
    change = Override.parse(pair)
    after = override(before, [change])
    place = after
    for part in path:
        place = place[part]
    assert place == value
    assert change.path == tuple(path)
    assert before["optimizer"] == [{"type": "lbfgs", "steps": 5}]


def test_an_override_without_value_removes_its_key() -> None:
    changes = [Override.parse("loss.interior="), Override.parse("optimizer[0]=")]
    after = override({"loss": {"interior": 1}, "optimizer": [{}, {}]}, changes)
    assert after == {"loss": {}, "optimizer": [{}]}


@pytest.mark.parametrize(
    "pair",
    ["network.width", "=3", "a b=3", "loss.interior=1\nboundary=2", "network.width[5]=1",
     "network.type.name=1", "network.width=[2,", "loss=1 2"],
)  # fmt: skip
def test_an_override_that_leads_nowhere_is_refused(pair: str) -> None:
    data = {"network": {"type": "kan", "width": [2, 1]}, "loss": {}}
    with pytest.raises(InputError, match="--set"):
        override(data, [Override.parse(pair)])


def test_another_network_type_drops_what_the_file_says_for_the_old_one() -> None:
    config = Config.read(POSTER, ["network.type=mlp", "network.width=[2,100,100,100,1]"])
    assert config.network == {"type": "mlp", "width": [2, 100, 100, 100, 1], "boundary": "penalty"}
    assert config.build().optimizers == (kp.LBFGS(steps=50, history=300),) * 5
    assert len(config.notes) == 2
    assert "degree" in config.notes[0]
    assert "4 refine stages" in config.notes[1]


def test_another_optimizer_type_drops_its_keys_but_not_those_that_are_set() -> None:
    pairs = ["optimizer[1].type=levenberg_marquardt", "optimizer[1].damping=1e-2"]
    assert Config.read(POSTER, pairs).build().optimizers[1] == kp.LevenbergMarquardt(damping=1e-2)
    with pytest.raises(InputError, match=r"optimizer\[1\]\.grid is unknown"):
        Config.read(POSTER, [*pairs, "optimizer[1].grid=4"]).build()


def test_what_a_file_itself_gets_wrong_is_not_dropped(tmp_path: Path) -> None:
    text = POSTER.read_text().replace('type = "kan"', 'type = "mlp"')
    file = tmp_path / "mixed.toml"
    file.write_text(text.replace("poisson2d.py", f"{PROBLEMS}/poisson2d.py"))
    with pytest.raises(InputError, match=r"network\.degree is unknown"):
        Config.read(file).build()
    with pytest.raises(InputError, match=r'optimizer\[1\]\.type = "refine"'):
        Config.read(file, ["network.degree=", "network.grid="]).build()


def test_a_refinement_names_as_many_grids_as_there_are_layers() -> None:
    with pytest.raises(InputError, match=r"optimizer\[1\]\.grid must be one number or 2"):
        Config.read(POSTER, ["optimizer[1].grid=[4, 4, 4]"]).build()


def test_files_of_one_name_do_not_collide(tmp_path: Path) -> None:
    path, modules, found = list(sys.path), set(sys.modules), []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "value.py").write_text(f"VALUE = {folder!r}")
        (tmp_path / folder / "same.py").write_text(
            f"import value\n{LINE}\nclass Same(Line):\n    value = value.VALUE\n"
        )
        found.append(load_class("same.py:Same", kp.Problem, tmp_path / folder, "problem.class"))
    assert [c.value for c in found] == ["a", "b"]
    assert found[0].__module__ != found[1].__module__
    assert sys.path == path
    assert not {"same", "value"} & (set(sys.modules) - modules)


def test_an_installed_class_is_found_by_its_module() -> None:
    assert load_class("kanpinn.networks:MLP", kp.KAN.__mro__[1], PROBLEMS, "network.type") is kp.MLP
    config = Config.read(POISSON, ["network.type=kanpinn.networks:MLP", "network.scale=2.0"])
    assert isinstance(config.build().network, kp.MLP)


def test_a_network_of_ones_own_takes_its_own_keys(line: Path) -> None:
    (line.parent / "wide.py").write_text(
        "import kanpinn as kp\n"
        "class Wide(kp.KAN):\n"
        "    def __init__(self, units: int, seed: int = 0):\n"
        "        super().__init__([1, units, 1], seed=seed)\n"
    )
    job = Config.read(line, ["network.type=wide.py:Wide", "network.units=6", "run.seed=1"]).build()
    assert job.network.width == (1, 6, 1)
    with pytest.raises(InputError, match=r"network\.unit is unknown; did you mean \"units\"\?"):
        Config.read(line, ["network.type=wide.py:Wide", "network.unit=6"]).build()


@dataclass(frozen=True)
class Shape:
    """Something with arguments of several kinds."""

    count: int
    sizes: list[int] | int = 1
    name: str | None = None
    ratio: float = 0.5


def test_a_form_is_the_signature_of_a_class() -> None:
    assert list(Form.of(Shape).keys) == ["count", "sizes", "name", "ratio"]
    assert construct("shape", Shape, {"count": 2, "ratio": 1}) == Shape(2, ratio=1.0)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({}, "shape.count is missing: expected an integer"),
        ({"count": 2.0}, "shape.count = 2.0: expected an integer"),
        ({"count": True}, "shape.count = true: expected an integer"),
        ({"count": "2"}, 'shape.count = "2": expected an integer'),
        ({"count": 1, "sizes": [1, "a"]}, 'shape.sizes = [1, "a"]: expected a list of integers or'),
        ({"count": 1, "name": 5}, "shape.name = 5: expected a text"),
        ({"count": 1, "Ratio": 1.0}, 'shape.Ratio is unknown; did you mean "ratio"?'),
        ([1], "shape = [1]: expected a table"),
    ],
)
def test_a_table_that_does_not_fit_is_refused_by_key_and_value(table: object, message: str) -> None:
    with pytest.raises(InputError) as caught:
        construct("shape", Shape, table)
    assert message in str(caught.value)


def test_all_faults_of_a_file_are_told_at_once() -> None:
    with pytest.raises(InputError) as caught:
        Config.read(POISSON, ["network.widht=[2,1]", "network.degree=two"]).build()
    assert str(caught.value).splitlines()[0].startswith('network.degree = "two"')
    assert str(caught.value).splitlines()[1].startswith("network.widht is unknown")


def test_the_schema_knows_every_section_and_type() -> None:
    schema = json.loads(json.dumps(document_schema(), allow_nan=False))
    sections = schema["properties"]
    assert list(sections) == ["problem", "network", "points", "loss", "optimizer", "run"]
    networks = [v["properties"]["type"].get("const") for v in sections["network"]["anyOf"]]
    assert networks == ["kan", "mlp", None]
    stages = sections["optimizer"]["items"]["anyOf"]
    names = {v["properties"]["type"].get("const") for v in stages}
    assert {"adam", "lbfgs", "least_squares", "levenberg_marquardt", "refine"} <= names
    assert sections["loss"]["properties"]["interior"]["minimum"] == 0


@pytest.mark.parametrize(
    "pair",
    [
        "points.interior=100000000000000",
        "points.boundary=100000000000000",
        "points.interior=200000000",  # a Gauss rule of 14143 nodes on each axis
        "network.width=[2,1000000000,1]",
        "network.grid=1000000000000",
        "network.degree=5000",
        "network.width=[2,100000,1]",  # the network fits, its least-squares problem does not
        "run.threads=1000000000",
    ],
)
def test_what_no_machine_holds_is_refused_at_once(
    monkeypatch: pytest.MonkeyPatch, pair: str
) -> None:
    monkeypatch.setattr("kanpinn.config.limits._memory", lambda: 2**34)
    with pytest.raises(InputError, match=r"memory, this machine has|at most|<= 4096"):
        Config.read(POISSON, [pair]).build()
