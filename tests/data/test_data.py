"""Tables and their parts: what files say, what is refused, and that groups stay together."""

import io
import zipfile
from pathlib import Path

import h5py
import numpy
import pytest
import torch

import kanpinn as kp
from kanpinn._support.errors import InputError
from kanpinn.data import column_files
from kanpinn.data.column_files import read_columns

CSV = """,x,y,kind,value
0,0.0,1.0,b,3.5
1,0.5,0.0,a,-1
2,1.0,2.0,b,2e-1
3,1.5,1.0,c,0
"""


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    """A small file whose first column has no name, as pandas writes it."""
    path = tmp_path / "points.csv"
    path.write_text(CSV)
    return path


def numbered(n: int = 60) -> kp.Table:
    """Rows that are told apart by their first input."""
    x = torch.arange(float(n))
    return kp.Table(torch.stack([x, -x], dim=1), x**2)


# Reading


def test_columns_are_chosen_by_their_names(csv: Path) -> None:
    table = kp.Table.read(csv, ["y", "x"], "value")
    assert (table.names, table.outputs, len(table)) == (("y", "x"), ("value",), 4)
    assert table.inputs.tolist() == [[1, 0], [0, 0.5], [2, 1], [1, 1.5]]
    assert table.targets.tolist() == [[3.5], [-1], [0.2], [0]]
    assert table.column("x").tolist() == [0, 0.5, 1, 1.5]
    assert table.only(["x"]).inputs.tolist() == [[0], [0.5], [1], [1.5]]


def test_without_names_the_last_column_is_the_target(tmp_path: Path) -> None:
    path = tmp_path / "plain.csv"
    path.write_text(CSV.replace(",kind", "").replace(",a", "").replace(",b", "").replace(",c", ""))
    table = kp.Table.read(path)
    assert (table.names, table.outputs) == (("x", "y"), ("value",))


def test_all_formats_hold_the_same(csv: Path, tmp_path: Path) -> None:
    columns = {"x": numpy.array([0, 0.5, 1, 1.5]), "value": numpy.array([3.5, -1, 0.2, 0])}
    numpy.savez(tmp_path / "points.npz", **columns)
    with h5py.File(tmp_path / "points.h5", "w") as file:
        for name, column in columns.items():
            file[name] = column
    tables = [
        kp.Table.read(tmp_path / f"points.{end}", ["x"], "value") for end in ("csv", "npz", "h5")
    ]
    for table in tables[1:]:
        assert torch.equal(table.inputs, tables[0].inputs)
        assert torch.equal(table.targets, tables[0].targets)


def test_classes_are_texts_or_numbers_in_their_order(csv: Path) -> None:
    table = kp.Table.read(csv, ["x"], "kind", "classes")
    assert table.classes == ("a", "b", "c")
    assert table.targets.tolist() == [1, 0, 1, 2]
    table = kp.Table.read(csv, ["x"], "value", "classes")
    assert table.classes == ("-1", "0", "0.2", "3.5")


def test_long_numbers_of_classes_stay_apart(tmp_path: Path) -> None:
    numpy.savez(tmp_path / "ids.npz", x=[0.0, 1, 2], id=[10000001, 10000002, 10000001])
    table = kp.Table.read(tmp_path / "ids.npz", kind="classes")
    assert table.classes == ("10000001", "10000002") and table.targets.tolist() == [0, 1, 0]


def test_texts_are_read_from_every_format(tmp_path: Path) -> None:
    x, kinds = [0.0, 1.0, 2.0], ["é", "a", "é"]
    (tmp_path / "a.csv").write_text("x,kind\n0,é\n1,a\n2,é\n", encoding="utf-8-sig")
    numpy.savez(tmp_path / "a.npz", x=x, kind=[kind.encode() for kind in kinds])
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"], file["kind"] = x, kinds
        file["nothing"] = h5py.Empty("f")
    for end in ("csv", "npz", "h5"):
        table = kp.Table.read(tmp_path / f"a.{end}", targets="kind", kind="classes")
        assert (table.names, table.classes) == (("x",), ("a", "é"))
        assert table.targets.tolist() == [1, 0, 1]


def test_texts_stay_as_they_are_written_however_late_the_first_one_comes(tmp_path: Path) -> None:
    """A column is read as numbers, in blocks of rows, until it is found to have a text."""
    path = tmp_path / "late.csv"
    path.write_text("x,kind\n" + "".join(f"{i},01\n" for i in range(20_000)) + "5e3,none\n")
    columns = read_columns(path)
    assert list(columns["kind"]) == ["01"] * 20_000 + ["none"]
    assert columns["x"][[0, 19_999, 20_000]].tolist() == [0, 19_999, 5000]


def test_classes_that_a_file_lacks_can_be_named(csv: Path) -> None:
    table = kp.Table.read(csv, ["x"], "kind", "classes", ["c", "z", "b", "a"])
    assert table.classes == ("c", "z", "b", "a")
    assert table.targets.tolist() == [2, 3, 2, 0]
    with pytest.raises(InputError, match=r"kind has the class 'c'.*the classes are a, b"):
        kp.Table.read(csv, ["x"], "kind", "classes", ["a", "b"])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x,value\n1,2\n2,oops\n", "value must be numbers, row 2 has 'oops'"),
        ("x,value\n1,2\nnan,3\n", "x must be finite numbers, got nan in row 2$"),
        ("x,value\n1,inf\n2,inf\n", r"target value must be .* got inf in row 1 \(and 1 more\)"),
        ("x,value\n1,2\n\n2\n", "line 4 has 1 cells, the first 2"),
        ("x,x\n1,2\n", "two columns are called 'x'"),
        ("x,value\n", "has no rows"),
        ("x\tvalue\n1\t2\n", "must be separated by commas"),
        ("", "has no column"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=words) as refusal:
        kp.Table.read(path, ["x"], "value")
    assert "bad.csv" in str(refusal.value)


def test_a_missing_column_names_the_nearest(csv: Path) -> None:
    with pytest.raises(InputError, match=r"no column 'valeu'; did you mean \"value\""):
        kp.Table.read(csv, ["x"], "valeu")


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"must end in .csv, .npz"):
        kp.Table.read(tmp_path / "points.xls")


@pytest.mark.parametrize(
    ("inputs", "targets", "more", "words"),
    [
        (torch.ones(3), torch.ones(3), {}, "takes inputs"),
        (torch.ones(3, 1), torch.ones(4), {}, "takes inputs"),
        (torch.ones(3, 1), torch.ones(3), {"names": ("x", "y")}, "names must be 1 different"),
        (torch.ones(3, 2), torch.ones(3), {"names": ("x", "x")}, "names must be 2 different"),
        (torch.ones(3, 1), torch.tensor([0, 1, 2]), {"classes": ("a", "b")}, "from 0 to 1"),
        (torch.ones(3, 1), torch.tensor([0, 0, 0]), {"classes": ("a",)}, "one class only"),
        (torch.ones(3, 1), torch.tensor([0, 1, 0]), {"classes": ("a", "a")}, "classes must be 2"),
    ],
)
def test_a_table_that_does_not_fit_together_is_refused(inputs, targets, more, words) -> None:
    with pytest.raises(InputError, match=words):
        kp.Table(inputs, targets, **more)


# Parts


def test_a_split_takes_every_row_once_and_the_seed_decides_which() -> None:
    data = kp.Data.split(numbered(), 0.25, 0.1, seed=3)
    assert {part: len(table) for part, table in data.parts.items()} == {
        "train": 39, "validation": 15, "test": 6,
    }  # fmt: skip
    rows = torch.cat([table.inputs[:, 0] for table in data.parts.values()])
    assert rows.sort().values.tolist() == list(range(60))
    again, other = (kp.Data.split(numbered(), 0.25, 0.1, seed=seed) for seed in (3, 4))
    assert torch.equal(data.train.inputs, again.train.inputs)
    assert not torch.equal(data.train.inputs, other.train.inputs)


@pytest.mark.parametrize("seed", range(5))
def test_groups_stay_together(seed: int) -> None:
    x = numbered().inputs[:, 0].long()
    groups = torch.stack([x % 3, x % 4], dim=1)  # twelve of five rows
    data = kp.Data.split(numbered(), 0.25, 0.25, seed=seed, groups=groups)
    seen = [{tuple(groups[int(i)].tolist()) for i in t.inputs[:, 0]} for t in data.parts.values()]
    assert [len(part) for part in seen] == [6, 3, 3]
    assert len(set.union(*seen)) == 12


def test_parts_that_cannot_be_are_refused() -> None:
    table = numbered(10)
    with pytest.raises(InputError, match=r"test must be a share from 0 to 1, got 1.5"):
        kp.Data.split(table, 0.0, 1.5)
    with pytest.raises(InputError, match="train is left without rows"):
        kp.Data.split(table, 0.5, 0.5)
    with pytest.raises(
        InputError, match="validation is left without rows: there are 2 groups of rows"
    ):
        kp.Data.split(table, 0.1, 0.5, groups=torch.arange(10) % 2)
    with pytest.raises(InputError, match="groups must have 10 rows"):
        kp.Data.split(table, groups=torch.arange(9))
    with pytest.raises(InputError, match="test and train differ in names"):
        kp.Data(table, test=kp.Table(table.inputs, table.targets, ("a", "b")))


def test_what_does_not_vary_is_refused() -> None:
    x = torch.stack([torch.arange(5.0), torch.ones(5)], dim=1)
    with pytest.raises(InputError, match="the input 'x1' is constant, 1 in all rows"):
        kp.Data(kp.Table(x, torch.arange(5.0)))
    with pytest.raises(InputError, match="the target 'y0' is constant"):
        kp.Data(kp.Table(x[:, :1], torch.ones(5)))
    with pytest.raises(InputError, match="all rows to train with are of one class, 'b'"):
        kp.Data(kp.Table(x[:, :1], torch.ones(5, dtype=torch.int64), classes=("a", "b")))


def test_a_sample_is_a_function_at_points_of_a_domain() -> None:
    domain = kp.Disk((0, 0), 1)
    table = kp.Table.sample(domain, lambda p: p.x**2 + p.y, 50, seed=2)
    assert bool((table.inputs.norm(dim=1) <= 1).all())
    assert table.names == ("x", "y")
    assert torch.allclose(table.targets[:, 0], table.column("x") ** 2 + table.column("y"))


def test_an_archive_larger_than_the_free_memory_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "bomb.npz"
    numpy.savez_compressed(path, x=numpy.zeros(10_000))
    monkeypatch.setattr(column_files, "free_memory", lambda: 1000.0)
    with pytest.raises(InputError, match=r"80.1 kB, and 1 kB of memory are free"):
        kp.Table.read(path, ["x"])


def test_a_header_that_claims_more_numbers_than_there_are_is_refused(tmp_path):
    path = tmp_path / "claims.npz"
    head = io.BytesIO()
    shape = {"shape": (10**13,), "fortran_order": False, "descr": "<f8"}
    numpy.lib.format.write_array_header_1_0(head, shape)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", head.getvalue())
    with pytest.raises(InputError, match="no NumPy archive"):
        kp.Table.read(path, ["x"])
