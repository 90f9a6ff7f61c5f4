"""Reports of runs: one page that needs nothing else, runs no code and trusts no text."""

import json
import shutil
import tomllib
from pathlib import Path

import pytest
from commands import kanpinn
from html_pages import Page

from kanpinn.runs.config import Config
from kanpinn.runs.report.pages import run_html

POISSON = Path(__file__).parents[2] / "problems" / "poisson2d_small.toml"
FAST = ["network.hidden=[24]", "network.degree=5", "network.grid=4", "network.boundary=exact"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("runs")
    pairs = [*FAST, 'optimizer=[{type="least_squares"}]', "run.estimate=true"]
    sets = [part for pair in pairs for part in ("--set", pair)]
    done = kanpinn("solve", POISSON, *sets, "--output", output)
    assert done.exit_code == 0, done.output
    return next(output.glob("*/*/run.json")).parent


@pytest.fixture(scope="module")
def text(run: Path) -> str:
    done = kanpinn("report", run)
    assert done.stdout == f"{run / 'report.html'}\n", done.output
    return (run / "report.html").read_text(encoding="utf-8")


def test_the_page_has_all_figures_in_itself_and_fetches_nothing(run: Path, text: str) -> None:
    page = Page(text)
    assert "http" not in text.replace("http-equiv", "")
    assert not {"script", "link", "iframe", "object"} & {*page.tags}
    pictures = [one for one in page.addresses if not one.startswith("#")]
    assert len(pictures) == len(list((run / "figures").glob("*.png"))) >= 2
    assert all(one.startswith("data:image/png;base64,") for one in pictures)
    assert all(one[1:] in page.ids for one in page.addresses if one.startswith("#"))
    assert text.count('alt="') == len(pictures) and 'alt=""' not in text
    assert '<meta name="viewport"' in text and "prefers-color-scheme: dark" in text


def test_the_numbers_are_those_of_run_json(run: Path, text: str) -> None:
    record = json.loads((run / "run.json").read_text())
    cells = Page(text).texts["td"]
    for value in (record["errors"]["l2_relative"], record["estimate"]["h1_relative"]):
        assert f"{value:.2e}" in cells
    assert str(record["parameters"]) in cells and record["versions"]["torch"] in cells


def test_the_configuration_on_the_page_gives_the_same_run(run: Path, text: str) -> None:
    listing = Page(text).texts["pre"][0]
    read = Config.from_dict(tomllib.loads(listing), run, "again").to_dict()
    record = json.loads((run / "run.json").read_text())
    assert read["network"] == record["config"]["network"]
    assert read["problem"] == record["config"]["problem"]


def test_no_code_is_run_and_texts_are_escaped(run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    (folder / "poisson2d.py").write_text("raise SystemExit('run')")
    record = json.loads((folder / "run.json").read_text())
    record |= {"name": "<script>", "status": "failed: <b> & co", "quantities": {"<i>": 1.5}}
    (folder / "run.json").write_text(json.dumps(record))
    shutil.rmtree(folder / "figures")
    (folder / "figures").mkdir()
    (folder / "figures" / "solution.png").symlink_to(run / "figures" / "solution.png")
    (folder / "figures" / "history.png").write_text("no picture")
    (folder / "result.h5").write_bytes(b"damaged")
    done = kanpinn("report", folder, "--output", tmp_path / "a.html")
    assert done.exit_code == 0, done.output
    page = Page((tmp_path / "a.html").read_text(encoding="utf-8"))
    assert "Run <script>" in page.texts["h1"] and "script" not in page.tags
    assert not {"b", "i"} & {*page.tags} and "failed: <b> & co" in page.texts["td"]
    assert any("has no figures" in text for text in page.texts["p"])
    (folder / "run.json").write_text(json.dumps(record | {"estimated": {"a": 3}}))
    damaged = kanpinn("report", folder)
    assert damaged.exit_code == 2 and "run.json" in damaged.stderr
    none = kanpinn("report", tmp_path)
    assert none.exit_code == 2 and "is neither a run nor a study" in none.stderr


def test_records_of_every_kind_have_their_numbers(run: Path, tmp_path: Path) -> None:
    record = json.loads((run / "run.json").read_text())
    noise = {"deviation": 0.01, "known": False, "freedom": 40.0, "scatter": None, "failure": ""}
    unknown = {"value": 0.01, "low": 0.009, "high": None, "exact": None, "step": 0.0,
               "arrived": True, "resolved": True, "confounded": []}  # fmt: skip
    mode = {"real": 19.739208802178716, "imaginary": 0.0, "multiplicity": 2, "residual": 1e-9,
            "bound": None, "estimate": None, "error": 1e-10, "exact_real": None,
            "exact_imaginary": None}  # fmt: skip
    eigen = {"eigenvalues": [mode], "unbounded": None, "self_adjoint": True, "unresolved": 0}
    score = {"rows": 7, "rmse": 0.5, "max_error": 1.0, "r2": None, "accuracy": None,
             "cross_entropy": None}  # fmt: skip
    for more, cells in (
        ({"noise": noise, "estimated": {"nu": unknown}, "quantities": {"flow": 1.5}},
         ["nu = 0.01 (not determined here: to first order no datum depends on it)", "flow = 1.5"]),
        (eigen, ["19.7392088022", "2", "1.0e-09", "1.0e-10"]),
        ({"data": {}, "errors": {"test": score}}, ["7", "5.00e-01", "1.00e+00", "-"]),
    ):  # fmt: skip
        (tmp_path / "run.json").write_text(json.dumps(record | more))
        found = Page(run_html(tmp_path)).texts["td"]
        assert all(cell in found for cell in cells), found
