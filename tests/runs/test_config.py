"""Problem files say what they mean, or why they cannot be used."""

import hashlib
import json
import math
import sys
from pathlib import Path
from typing import Annotated

import pytest
import torch
from msh_files import ring, write_msh

import kanpinn as kp
from kanpinn._support.errors import InputError
from kanpinn.accuracy.references import DataFile
from kanpinn.cli.new import new_command as new
from kanpinn.geometry import Domain
from kanpinn.runs.config import Config, document_schema, load_toml
from kanpinn.runs.config.models import TomlTable, load_class, read_table
from kanpinn.runs.config.tables import DOMAINS, EQUATIONS, OPTIMIZERS, ShapeTable
from kanpinn.runs.config.toml import Override, override
from kanpinn.runs.results import RunFolder
from kanpinn.runs.results.sources import copy_sources, source_texts

PROBLEMS = Path(__file__).parents[2] / "problems"
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
def test_the_files_build_and_survive_strict_json(file: Path) -> None:
    config = Config.read(file)
    text = json.dumps(config.to_dict(), allow_nan=False)
    assert Config.from_dict(json.loads(text), config.directory, config.name) == config
    job = config.build()
    assert job.name == file.stem
    if config.file.kind == "fit":
        assert set(job.data.parts) == {"train", "validation", "test"}
    names = job.data.train.names if config.file.kind == "fit" else job.problem.domain.names
    assert job.network.width[0] == len(names)
    lines = file.read_text().splitlines()  # every key stands at the beginning of its line
    keys = [line.split(" = ")[0] for line in lines if " = " in line and not line.startswith("#")]
    assert all(key.isidentifier() for key in keys)


def test_a_file_with_three_sections_is_enough(line: Path) -> None:
    job = Config.read(line).build()
    assert job.problem.slope == 2.0
    assert isinstance(job.problem.slope, float)
    assert job.optimizers == (kp.LeastSquares(),)
    assert (job.settings.points.sampler, job.settings.boundary, job.seed) == ("gauss", "auto", 0)
    assert job.run().errors.l2_relative < 1e-12


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
     "network.type.name=1", "network.width=[2,", "loss=1 2", ".".join(["a"] * 100) + "=1",
     "network.width=" + "[" * 2000, "run.seed=" + "9" * 5000],
)  # fmt: skip
def test_an_override_that_leads_nowhere_is_refused(pair: str) -> None:
    data = {"network": {"type": "kan", "width": [2, 1]}, "loss": {}}
    with pytest.raises(InputError, match="--set"):
        override(data, [Override.parse(pair)])


def test_another_network_type_drops_what_the_file_says_for_the_old_one() -> None:
    config = Config.read(POSTER, ["network.type=mlp", "network.hidden=[100,100,100]"])
    assert config.sections["network"] == {
        "type": "mlp",
        "hidden": [100, 100, 100],
        "boundary": "penalty",
    }
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
        "from kanpinn.geometry import Domain\n"
        "class Wide(kp.KAN):\n"
        "    def __init__(self, units: int, seed: int = 0):\n"
        "        super().__init__([1, units, 1], seed=seed)\n"
    )
    job = Config.read(line, ["network.type=wide.py:Wide", "network.units=6", "run.seed=1"]).build()
    assert job.network.width == (1, 6, 1)
    (line.parent / "deep.py").write_text(
        "import kanpinn as kp\n"
        "from kanpinn.geometry import Domain\n"
        "class Deep(kp.KAN):\n"
        "    def __init__(self, width=None, hidden=(5,), seed: int = 0):\n"
        "        super().__init__(width, hidden=hidden, seed=seed)\n"
    )
    deep = Config.read(line, ["network.type=deep.py:Deep", "network.width="])
    assert deep.build().network.width == (1, 5, 1)
    with pytest.raises(InputError, match=r"network\.unit is unknown; did you mean \"units\"\?"):
        Config.read(line, ["network.type=wide.py:Wide", "network.unit=6"]).build()


def test_other_optimizers_of_a_network_in_windows_are_refused() -> None:
    config = Config.read(POISSON.parent / "burgers.toml", ['optimizer=[{type="least_squares"}]'])
    with pytest.raises(
        InputError, match=r"optimizer\[0\].*does not solve for a Windows: use March"
    ):
        config.build()


def test_all_faults_of_a_file_are_told_at_once() -> None:
    with pytest.raises(InputError) as caught:
        Config.read(POISSON, ["network.widht=[2,1]", "network.degree=two"]).build()
    assert str(caught.value).splitlines()[0].startswith('network.degree = "two"')
    assert str(caught.value).splitlines()[1].startswith("network.widht is unknown")


def tables(schema: dict, property: dict) -> list[dict]:
    """The tables that a property of a schema takes, itself or in a list."""
    if "$ref" in property:
        return [schema["$defs"][property["$ref"].rpartition("/")[2]]]
    inner = property.get("anyOf", []) + property.get("oneOf", [])
    inner += [property["items"]] if "items" in property else []
    return [table for one in inner for table in tables(schema, one)]


def test_the_schema_knows_every_section_and_type() -> None:
    schema = json.loads(json.dumps(document_schema(), allow_nan=False))
    solve, eigen = tables(schema, schema)
    shared = {"problem", "network", "points", "loss", "optimizer", "run"}
    assert solve["properties"].keys() == {*shared, "reference"}
    assert eigen["properties"].keys() == {*shared, "eigen"}
    networks = tables(schema, solve["properties"]["network"])
    names = [table["properties"]["type"].get("const") for table in networks]
    types = ["auto", "beside", "cell_windows", "cells", "kan", "mlp", "windows"]
    assert sorted(names, key=str) == [None, *types]
    stages = tables(schema, solve["properties"]["optimizer"])
    names = {table["properties"]["type"].get("const") for table in stages}
    assert names == {None, "auto", *OPTIMIZERS}
    assert schema["$defs"]["LossTable"]["properties"]["interior"]["minimum"] == 0


@pytest.mark.parametrize("kind", ["problem", "fit"])
def test_the_schema_gives_every_key_a_type_a_default_and_a_description(kind: str) -> None:
    schema = document_schema(kind)
    for name, table in schema["$defs"].items():
        assert table["description"], name
        for key, one in table["properties"].items():
            typed = {"type", "anyOf", "oneOf", "$ref", "const", "enum"} & one.keys()
            assert typed or key == "vertices", (name, key)
            assert "default" in one or key in table.get("required", ()), (name, key)
            assert one.get("description"), (name, key)


@pytest.mark.parametrize(
    "pair",
    [
        "points.interior=100000000000000",
        "points.boundary=100000000000000",
        f"points.boundary={10**400}",
        "points.interior=200000000",  # a Gauss rule of 14143 nodes on each axis
        "network.hidden=[1000000000]",
        "network.hidden=[100000]",
        "network.grid=1000000000000",
        "network.degree=5000",
        "network.hidden=[3000]",  # the network fits, its least-squares problem does not
        "run.threads=1000000000",
    ],
)
def test_what_no_machine_holds_is_refused_at_once(
    monkeypatch: pytest.MonkeyPatch, pair: str
) -> None:
    monkeypatch.setattr("os.sysconf", {"SC_PHYS_PAGES": 2**16, "SC_PAGE_SIZE": 2**12}.get)
    with pytest.raises(InputError, match=r"memory, and this machine has|at most|<= 4096"):
        Config.read(POISSON, [pair]).build()


def test_a_box_has_at_most_500_coordinates() -> None:
    """Its faces alone would take a gigabyte."""
    ranges = {f"x{i}": [0, 1] for i in range(501)}
    table = {"equation": "poisson", "domain": {"type": "box"} | ranges, "exact": "x0"}
    network = {"type": "kan", "width": [501, 2, 1]}
    with pytest.raises(InputError, match="at most 500 coordinates, got 501"):
        Config.from_dict({"problem": table, "network": network}).build()


DISK = {"type": "disk", "center": [0, 0], "radius": 0.5, "name": "hole"}
UNIT = {"type": "box", "x": [0, 1], "y": [0, 1]}
TABLES = [
    (UNIT, kp.Box(x=(0, 1), y=(0, 1))),
    ({"type": "interval", "x": [0, 1]}, kp.Box(x=(0, 1))),
    ({"type": "interval", "x": [0, 1], "time": [0, 2]}, kp.Box(x=(0, 1), t=(0, 2))),
    (UNIT | {"t": [0, 2]}, kp.Box(x=(0, 1), y=(0, 1), t=(0, 2))),
    (DISK, kp.Disk((0, 0), 0.5, name="hole")),
    (DISK | {"time": [1, 2]}, kp.Disk((0, 0), 0.5, name="hole").over(t=(1, 2))),
    ({"type": "ellipse", "center": [0, 1], "axes": [2, 1]}, kp.Ellipse((0, 1), (2, 1))),
    ({"type": "annulus", "center": [0, 0], "inner": 1, "outer": 2}, kp.Annulus((0, 0), 1, 2)),
    (
        {"type": "sector", "center": [0, 0], "radius": 1, "start": 0, "end": 1},
        kp.Sector((0, 0), 1, 0, 1),
    ),
    (
        {"type": "triangle", "a": [0, 0], "b": [1, 0], "c": [0, 1], "names": ["r", "s"]},
        kp.Triangle((0, 0), (1, 0), (0, 1), names=("r", "s")),
    ),
    (
        {
            "type": "polygon",
            "vertices": [[0, 0], [3, 0], [0, 3]],
            "holes": [[[0.5, 0.5], [1, 0.5], [0.5, 1]]],
        },
        kp.Polygon([(0, 0), (3, 0), (0, 3)], holes=[[(0.5, 0.5), (1, 0.5), (0.5, 1)]]),
    ),
    ({"type": "lshape"}, kp.LShape()),
    ({"type": "ball", "center": [0, 0, 0], "radius": 1}, kp.Ball((0, 0, 0), 1)),
    (
        {"type": "difference", "of": [UNIT, DISK], "time": [0, 1]},
        (kp.Box(x=(0, 1), y=(0, 1)) - kp.Disk((0, 0), 0.5, name="hole")).over(t=(0, 1)),
    ),
    (
        {"type": "union", "of": [UNIT, DISK, {"type": "lshape"}]},
        kp.Box(x=(0, 1), y=(0, 1)) | kp.Disk((0, 0), 0.5, name="hole") | kp.LShape(),
    ),
    (
        {"type": "intersection", "of": [UNIT, DISK]},
        kp.Box(x=(0, 1), y=(0, 1)) & kp.Disk((0, 0), 0.5, name="hole"),
    ),
]


class Place(TomlTable):
    """A table with a domain in it."""

    domain: Annotated[ShapeTable, DOMAINS]


def build_domain(table: object, directory: Path = PROBLEMS) -> Domain:
    """The domain of a table."""
    return read_table(Place, {"domain": table}).domain.build("domain", directory)


@pytest.mark.parametrize(("table", "expected"), TABLES, ids=lambda value: str(value)[:30])
def test_a_domain_is_what_its_table_says(table: dict, expected: Domain) -> None:
    domain = build_domain(table)
    assert domain == expected
    assert domain.boundary.names == expected.boundary.names


def test_a_surface_is_read_from_a_file_beside_the_problem(tmp_path: Path) -> None:
    trimesh = pytest.importorskip("trimesh")
    trimesh.creation.box().export(tmp_path / "brick.stl")
    domain = build_domain({"type": "surface", "file": "brick.stl"}, tmp_path)
    assert domain.measure == pytest.approx(1)


def test_a_mesh_is_read_from_a_file_beside_the_problem(tmp_path: Path) -> None:
    write_msh(tmp_path / "ring.msh", ring(8))
    table = {"type": "mesh", "file": "ring.msh", "name": "wall"}
    assert build_domain(table, tmp_path).measure == pytest.approx(3 * math.pi)
    straight = build_domain(table | {"arcs": False, "time": [0, 2]}, tmp_path)
    assert straight.measure == pytest.approx(24 * math.sin(math.pi / 4))
    with pytest.raises(InputError, match=r"there is no file .*rings\.msh"):
        build_domain(table | {"file": "rings.msh"}, tmp_path)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (3, 'domain = 3: expected a table such as { type = "box"'),
        ({"x": [0, 1]}, "domain.type is missing: expected one of interval, box"),
        ({"type": "dsk"}, 'domain.type = "dsk": expected one of .*; did you mean "disk"'),
        (DISK | {"radius": -1}, "domain.radius must be a finite number above 0, got -1"),
        (DISK | {"radius": "1"}, 'domain.radius = "1": expected a number'),
        (DISK | {"raduis": 1}, 'domain.raduis is unknown; did you mean "radius"'),
        (DISK | {"time": [1, 0]}, "domain.time: t must be finite numbers low < high"),
        (DISK | {"time": 1}, "domain.time = 1: expected a list"),
        (UNIT | {"x": [1, 0]}, "domain.x must be finite numbers low < high"),
        ({"type": "interval", "x": [0, 1], "y": [0, 1]}, "domain: an interval has one coordinate"),
        ({"type": "union", "of": [UNIT]}, "domain.of = .*: expected a list of tables, at least 2"),
        ({"type": "union", "of": [UNIT, {"type": "disk"}]}, r"domain.of\[1\].center is missing"),
        ({"type": "difference", "of": [UNIT, UNIT]}, "domain: the difference of .* is empty"),
    ],
)
def test_a_domain_that_cannot_be_is_refused_with_its_key(table: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        build_domain(table)


EQUATION_FILE = """
[problem]
equation = "helmholtz"
domain = { type = "box", x = [0, 1], y = [0, 1] }
wavenumber = 2
exact = "sin(k*x) * y"
parameters = { k = 2 }

[network]
type = "kan"
width = [2, 8, 1]
degree = 5
"""


@pytest.fixture
def helmholtz(tmp_path: Path) -> Path:
    """A problem without a class."""
    (tmp_path / "waves.toml").write_text(EQUATION_FILE)
    return tmp_path / "waves.toml"


@pytest.mark.parametrize(
    ("pair", "key", "value"),
    [
        ("problem.wavenumber=3", "wavenumber", 3),
        ("problem.wavenumber=1 + x**2", "wavenumber", "1 + x**2"),
        ("problem.source=-x", "source", "-x"),
        ('problem.source="x*y"', "source", "x*y"),
        ("problem.exact=cos(pi*x)", "exact", "cos(pi*x)"),
        ("problem.boundary={ x_min = { neumann = 0 }, others = 0 }", "boundary",
         {"x_min": {"neumann": 0}, "others": 0}),
    ],
)  # fmt: skip
def test_a_formula_needs_no_quotes_on_the_command_line(
    helmholtz: Path, pair: str, key: str, value: object
) -> None:
    config = Config.read(helmholtz, [pair])
    assert config.sections["problem"][key] == value
    config.build()


def test_another_equation_drops_what_the_file_says_for_the_old_one(helmholtz: Path) -> None:
    config = Config.read(helmholtz, ["problem.equation=poisson"])
    assert "wavenumber" not in config.sections["problem"]
    assert config.notes == ('equation = "poisson": problem.wavenumber of the file does not apply',)
    assert isinstance(config.build().problem, kp.Poisson)


def test_the_parameters_of_an_equation_vary_in_a_study(helmholtz: Path) -> None:
    changed = {"problem.parameters.k": 3, "problem.wavenumber": "k", "problem.domain.x": [0, 2]}
    problem = Config.read(helmholtz).vary(changed).build().problem
    assert problem.domain == kp.Box(x=(0, 2), y=(0, 1))
    assert problem.wavenumber == 3.0


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ("problem.equation=poison", 'problem.equation = "poison": .*did you mean "poisson"'),
        ("problem.exact=sin(z)", r'problem.exact = "sin\(z\)": unknown name z'),
        ("problem.exact=x.real", 'problem.exact = "x.real": attributes are not allowed'),
        ("problem.wavenumber=", "problem.wavenumber is missing: expected a number or a text"),
        ("problem.wavenumbr=3", 'problem.wavenumbr is unknown; did you mean "wavenumber"'),
        ("problem.domain=", "problem.domain is missing: expected a table"),
        ("problem.domain.z=1", "problem.domain.z = 1: expected a list of numbers"),
        ("problem.boundary.hole=1", "problem.boundary.hole is no piece of the boundary"),
        ("problem.class=a.py:B", "expected an equation or a class, not both"),
        ("problem.equation=", "problem.class is missing: expected a class, or an equation"),
        ("problem.equation=3", "problem.equation = 3: expected one of advection_diffusion"),
        ("problem.parameters.k=big", 'problem.parameters = {"k": "big"}: expected a table of num'),
        ("reference.type=solutoin", 'reference.type = "solutoin": .*did you mean "solution"'),
        ("reference.tolerance=3", "reference.type is missing"),
    ],
)
def test_an_equation_that_cannot_be_is_refused_with_its_key(
    helmholtz: Path, pair: str, message: str
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        Config.read(helmholtz, [pair]).build()
    assert "\n" not in str(caught.value)


def test_a_reference_is_made_of_its_table(helmholtz: Path) -> None:
    pairs = ["reference.type=solution", "reference.tolerance=1e-5"]
    config = Config.read(helmholtz, pairs)
    assert config.build().reference == kp.ReferenceSolution(tolerance=1e-5)
    assert config.to_dict()["reference"] == {"type": "solution", "tolerance": 1e-5}
    pairs = ["reference.type=file", "reference.path=u.csv"]
    reference = Config.read(helmholtz, pairs).build().reference
    assert reference == DataFile(str(helmholtz.parent.resolve() / "u.csv"))


def test_a_run_of_an_equation_stands_on_its_own(helmholtz: Path) -> None:
    config = Config.read(helmholtz)
    folder = RunFolder.create(helmholtz.parent / "results", "waves", config)
    job = config.build()
    solution = job.run([folder.checkpoint])
    folder.finish(solution, figures=False)
    helmholtz.unlink()
    loaded = kp.load(folder.path)
    p = loaded.problem.domain.quadrature(3)[0]
    assert torch.equal(loaded(p), solution(p))
    assert loaded.errors == solution.errors


def test_files_of_data_go_with_a_run(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "run").mkdir()
    names = ("part.stl", "data/part.stl", "data/u.csv")
    for name in names:
        (tmp_path / name).write_text(name)
    shapes = [{"type": "surface", "file": file} for file in ("part.stl", "data/part.stl")]
    settings = {
        "problem": {"equation": "poisson", "domain": {"type": "union", "of": shapes}},
        "reference": {"type": "file", "path": "data/u.csv"},
    }
    hashes = [hashlib.sha256(name.encode()).hexdigest() for name in names]
    assert source_texts(settings, tmp_path) == sorted(hashes)
    copied = copy_sources(settings, tmp_path, tmp_path / "run").settings
    files = [shape["file"] for shape in copied["problem"]["domain"]["of"]]
    files.append(copied["reference"]["path"])
    texts = {(tmp_path / "run" / file).read_text() for file in files}
    assert texts == {"part.stl", "data/part.stl", "data/u.csv"}


@pytest.mark.parametrize("equation", EQUATIONS)
def test_a_new_problem_of_each_equation_runs_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, equation: str
) -> None:
    monkeypatch.chdir(tmp_path)
    new("mine", equation)
    job = Config.read(tmp_path / "mine.toml").build()
    assert list(tmp_path.iterdir()) == [tmp_path / "mine.toml"]
    assert job.run().errors.l2_relative < 1e-6


def test_a_class_of_kanpinn_with_a_key_of_its_own_is_refused() -> None:
    with pytest.raises(InputError, match=r'expected problem.equation = "poisson" in its place'):
        Config.from_dict({"problem": {"class": "kanpinn:Poisson"}}).build()


def test_an_argument_that_no_value_of_a_file_can_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        "import kanpinn as kp\n"
        "from kanpinn.geometry import Domain\n"
        "class Own(kp.Poisson):\n"
        "    def __init__(self, domain: dict[str, Domain]): ...\n"
    )
    with pytest.raises(InputError, match=r"can be no value of a file"):
        Config.from_dict({"problem": {"class": "own.py:Own"}}, tmp_path).build()


# --- Reading TOML: whatever a file holds, it is read, or refused in a sentence


DEEP = "nested more than 32 deep"
HOSTILE = {
    "nested lists": ("x = " + "[" * 5000 + "]" * 5000, DEEP),
    "nested tables": ("x = " + "{a = " * 3000 + "1" + "}" * 3000, DEEP),
    "a long dotted key": (".".join(["a"] * 100_000) + " = 1", DEEP),
    "a long header": ("[" + ".".join(['"a b"'] * 40) + "]", DEEP),
    "dotted keys in tables": ("[a.a.a.a.a.a.a.a.a.a.a]\n" + "b = {" * 30 + "}" * 30, DEEP),
    "5000 digits": ("x = " + "9" * 5000, "4300 digits"),
    "an open list": ("x = [1, 2", "not valid TOML"),
    "a control character": ("x = \0", "not valid TOML"),
    "a byte order mark": ("\ufeffx = 1", "not valid TOML"),
    "no UTF-8": ("x = \udcff", "UTF-8"),
    "too much": ("# " + "x" * 2**20, "more than 1048576 bytes"),
}


@pytest.mark.parametrize(("text", "reason"), HOSTILE.values(), ids=HOSTILE.keys())
def test_a_text_that_is_no_problem_file_is_refused_in_a_sentence(text, reason, tmp_path):
    path = tmp_path / "hostile.toml"
    path.write_text(text, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(InputError, match=reason) as refused:
        load_toml(path)
    assert str(refused.value).startswith(f"{path}: ") and len(str(refused.value)) < 400


def test_what_is_nested_as_deeply_as_allowed_is_read(tmp_path):
    path = tmp_path / "deep.toml"
    path.write_text("x = " + "[" * 31 + "]" * 31 + "\r\n# " + "word " * 5000 + "\r\n")
    found, depth = load_toml(path)["x"], 1
    while found:
        found, depth = found[0], depth + 1
    assert depth == 31


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such device")
def test_a_device_in_place_of_a_file_is_not_read():
    with pytest.raises(InputError, match="/dev/zero is no regular file"):
        load_toml(Path("/dev/zero"))


def test_only_the_first_faults_of_many_are_told():
    data = {"problem": {"class": "a.py:A"}, "run": {f"key_{k}": 1 for k in range(1000)}}
    with pytest.raises(InputError, match="there are 980 faults more") as refused:
        Config.from_dict(data)
    assert len(str(refused.value).splitlines()) == 21


def test_sizes_that_take_minutes_to_prepare_are_refused():
    def file(**network):
        return Config.from_dict(
            {
                "problem": {"equation": "poisson", "domain": {"type": "box", "x": [0, 1]}}
                | {"source": "1", "boundary": "0"},
                "network": {"type": "kan", "width": [1, 4, 1], "degree": 3, "grid": 4} | network,
                "points": {"interior": 50, "boundary": 2},
            }
        )

    file().build()
    with pytest.raises(InputError, match=r"network.width = .*: expected at most 50 layers, got 61"):
        file(width=[1, *[2] * 60, 1]).build()
    with pytest.raises(InputError, match=r"network.grid = 20000: expected at most 10000 intervals"):
        file(grid=20000).build()
    with pytest.raises(InputError, match=r"network.width must list .* got \[\]"):
        file(width=[]).build()


SQUARE = {"type": "box", "x": [0, 1], "y": [0, 1]}

STATED = {
    "solve": {"problem": {"equation": "poisson", "domain": SQUARE, "exact": "x*y"}},
    "own inputs": {"problem": {"class": f"{PROBLEMS / 'lshape.py'}:LShape"}},
    "eigen": {"problem": {"class": f"{PROBLEMS / 'drum.py'}:Drum"}, "eigen": {"count": 2}},
    "fit": {"data": {"formula": "x*y", "domain": SQUARE, "rows": 20}},
}


@pytest.mark.parametrize("stated", STATED.values(), ids=STATED.keys())
@pytest.mark.parametrize("width", [[20_000, 64, 1], [2, 64, 20_000]], ids=["inputs", "outputs"])
def test_a_network_that_does_not_fit_is_refused_before_it_is_built(stated, width, monkeypatch):
    monkeypatch.setattr("kanpinn.networks.kan.KANLayer", None)  # no layer can be made
    one = {"type": "kan", "width": width, "degree": 5, "grid": 8}
    whole = Config.from_dict(stated | {"network": one})
    parts = Config.from_dict(stated | {"network": {"type": "beside", "of": [one, one]}})
    for config in (whole, parts):
        with pytest.raises(InputError, match=r"network\.width must (start with 2|end with 1) "):
            config.build()
