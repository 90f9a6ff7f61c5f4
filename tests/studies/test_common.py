"""What all scripts share: verdicts as strict JSON, and pieces that are made once."""

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy
import pytest
import torch


def test_verdicts_are_strict_json(module, tmp_path: Path) -> None:
    path = tmp_path / "new" / "script.json"
    figures = {
        "slope": {"value": numpy.float64(4.1), "target": "as high as it goes", "met": None},
        "errors": {"value": [math.nan, 1e-3], "target": "<= 1", "met": numpy.bool_(True)},
    }
    module("common.script").write_verdicts(path, figures)
    assert json.loads(path.read_text()) == {
        "slope": {"value": 4.1, "target": "as high as it goes", "met": None},
        "errors": {"value": [None, 1e-3], "target": "<= 1", "met": True},
    }


def test_a_figure_without_its_target_is_refused(module, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="slope: expected value, target"):
        module("common.script").write_verdicts(
            tmp_path / "script.json", {"slope": {"value": 4.1, "met": True}}
        )
    assert not list(tmp_path.iterdir())


@dataclass(frozen=True)
class Fit:
    name: str
    errors: list[float]
    picture: torch.Tensor | list


def test_a_piece_is_made_once_and_comes_back_as_it_was(module, tmp_path: Path) -> None:
    pieces, calls = module("common.pieces").Pieces.under(tmp_path), []
    fit, key = Fit("KAN", [math.pi, math.nan], torch.eye(2)), {"function": "jv 0,1", "seed": 3}

    def counted(made):
        return lambda: calls.append(1) or made

    for _ in range(2):
        assert pieces.rows(key, counted([{"error": 0.1 + 0.2}])) == [key | {"error": 0.1 + 0.2}]
        (found,) = pieces.records(Fit, {"seed": 0}, counted([fit]))
        assert (found.name, found.picture) == ("KAN", [[1, 0], [0, 1]])
        assert found.errors[0] == math.pi and math.isnan(found.errors[1])
        picture = pieces.pickled({"seed": 0}, counted({"picture": fit.picture}))["picture"]
        assert torch.equal(picture, fit.picture)
    assert len(calls) == 3
    assert pieces.rows(key | {"seed": 4}, counted([{"error": 1.0}])) and len(calls) == 4
    before = [*tmp_path.rglob("*")]
    for make in (pieces.rows, pieces.pickled):
        with pytest.raises(ZeroDivisionError):
            make({"seed": 5}, lambda: 1 / 0)
    assert [*tmp_path.rglob("*")] == before  # a piece that fails leaves nothing


def test_other_sources_make_other_pieces(module, tmp_path: Path, monkeypatch) -> None:
    module = module("common.pieces")
    monkeypatch.setattr(module, "package_digest", lambda: "before")
    module.Pieces.under(tmp_path).rows({"seed": 0}, lambda: [{"error": 1.0}])
    monkeypatch.setattr(module, "package_digest", lambda: "after")
    (row,) = module.Pieces.under(tmp_path).rows({"seed": 0}, lambda: [{"error": 2.0}])
    assert row["error"] == 2.0
    for error in (3.0, 4.0):
        pieces = module.Pieces.under(tmp_path, again=True)
        (row,) = pieces.rows({"seed": 0}, lambda: [{"error": error}])  # noqa: B023
        assert row["error"] == error
    (row,) = module.Pieces.under(tmp_path).rows({"seed": 0}, lambda: [{"error": 5.0}])
    assert row["error"] == 2.0
