"""The page and the card of a study: what they say, and that they need nothing else."""

import re
import tomllib
from pathlib import Path

import pytest
from cards import Read
from commands import kanpinn
from html_pages import Page
from made_studies import made
from matplotlib.figure import Figure

import kanpinn as kp
from kanpinn.accuracy.orders import fit_order
from kanpinn.runs.config import Config
from kanpinn.runs.report.pages import (
    environment,
    problem_toml,
    study_html,
    study_toml,
    write_report,
)
from kanpinn.runs.study import Study, StudyFile
from kanpinn.runs.study.sweep import plan

OVER = {"network.degree": [3, 5], "network.grid": [4, 8, 16], "run.seed": [0, 1]}


def error(grid=8, degree=3, seed=0, **_):
    return "no <memory> & more" if (grid, seed) == (16, 1) else grid ** -(degree + 1.0) * 2**seed


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Study:
    return made(tmp_path_factory.mktemp("studies") / "study", OVER, error)


@pytest.fixture(scope="module")
def text(study) -> str:
    return write_report(study).read_text()


def test_the_page_needs_no_network_and_its_links_lead_somewhere(study, text):
    found = Page(text)
    assert "http" not in text.replace("http-equiv", "")
    assert not {"script", "link", "img", "iframe", "object"} & {*found.tags}
    assert len(found.ids) == len(set(found.ids))
    for address in found.addresses:
        if address.startswith("#"):
            assert address[1:] in found.ids
        else:
            assert (study.path / address / "run.json").is_file()
    assert sum(not address.startswith("#") for address in found.addresses) == 10


def test_figures_are_inline_and_have_a_title_and_a_description(text):
    found = Page(text)
    assert found.tags.count("svg") == found.tags.count("figcaption") == 3
    for svg in re.findall(r"<svg[^>]*>", text):
        assert 'role="img"' in svg
        title, description = re.search(r'aria-labelledby="(\S+) (\S+)"', svg).groups()
        assert {title, description} <= {*found.ids}
    assert "Errors against grid" in found.texts["title"]
    assert all("Panels: relative L² error; relative H¹ error." in t for t in found.texts["desc"])


def test_all_that_is_known_stands_on_the_page(text):
    found = Page(text)
    cells = found.texts["td"]
    sizes = [4, 4, 8, 8, 16]
    order = str(
        fit_order(sizes, [error(*run) for run in zip(sizes, [3] * 5, [0, 1] * 3, strict=False)])
    )
    at = cells.index(order)
    assert cells[at - 2 : at + 4] == ["degree 3", "relative L² error", order, "4", "2", "4 … 16"]
    assert "network.degree" in found.texts["th"] and "3, 5" in cells
    assert "10 converged, 2 failed" in found.texts["p"][0] and "line.py:Line" in found.texts["p"][0]
    assert "2 of 12 runs failed." in text
    assert cells.count("converged") == 10
    assert any("degree 5, grid 16, seed 1" in cell for cell in cells)
    assert "not installed" in cells and "no repository" in cells
    assert found.tags.count("caption") == found.tags.count("table") == 6
    for row in re.findall(r"<tbody>.*?</tbody>", text):
        assert row.count('<th scope="row">') == row.count("<tr>")


def test_medians_and_ranges_are_those_of_the_runs(text):
    cells = Page(text).texts["td"]
    low, high = 4.0**-4, 2 * 4.0**-4
    assert f"{(low + high) / 2:.2e}" in cells and f"{low:.2e} … {high:.2e}" in cells


def test_texts_are_escaped(tmp_path):
    name = "<b>&\"'</b>"
    over = {"problem.class": ["a.py:A<i>", "b.py:B"], "run.seed": [0, 1]}
    study = made(
        tmp_path, over, lambda seed, **_: "<script>alert(1)</script>" if seed else 1e-3, name
    )
    text = study_html(study)
    found = Page(text)
    assert "script" not in found.tags and "i" not in found.tags and "b" not in found.tags
    assert "<script>alert(1)</script>" in "".join(found.texts["th"])
    assert f"Study {name}" == "".join(found.texts["h1"])


@pytest.mark.parametrize("result", ["singular", None])
def test_a_study_without_errors_has_a_report(tmp_path, result):
    study = made(tmp_path, OVER, lambda **_: result)
    found = Page(write_report(study).read_text())
    assert "svg" not in found.tags and "runs" in found.ids
    assert ("failures" in found.ids) == (result is not None) and "environment" not in found.ids
    assert any("nothing to draw" in text for text in found.texts["p"])


def test_the_same_study_has_the_same_report(study, text):
    assert study_html(Study.read(study.path)) == text


def test_where_runs_differ_the_environment_says_how_many():
    records = [{"versions": {"torch": v}, "git": "abc"} for v in ("2.6", "2.6", "2.7")]
    assert environment(records) == [("torch", "2.6 (2 runs); 2.7 (1 runs)"), ("git commit", "abc")]


LINE = """
import kanpinn as kp
class Line(kp.Problem):
    domain = kp.Box(x=(0, 1))
    def residual(self, p, u):
        return kp.laplacian(u)
    def conditions(self):
        return [kp.Dirichlet(self.domain.boundary, 0.0)]
"""


@pytest.mark.parametrize("product", [True, False])
def test_the_files_on_the_page_lead_to_the_same_runs(study, text, tmp_path, product):
    if not product:
        study = Study(study.path, study.name, study.varied, study.rows[:5], study.version)
        text = study_html(study)
    (tmp_path / "line.py").write_text(LINE)
    base, again = (part for part in Page(text).texts["pre"] if part.startswith("["))
    (tmp_path / "base.toml").write_text(base)
    (tmp_path / "study.toml").write_text(again)
    file = StudyFile.read(tmp_path / "study.toml")
    entries, _ = plan(file.base, file.over, file.zipped, tmp_path)
    assert bool(file.over) == product and file.name == study.name
    assert [entry.values for entry in entries] == [
        {key: row[key] for key in study.varied} for row in study.rows
    ]


def test_a_configuration_comes_back_from_its_file():
    settings = {
        "problem": {
            "class": 'a".py:A',
            "parameters": {"ν": 0.1, "on": True, "a": {"b c": [1, 2.5]}},
        },
        "network": {"type": "mlp", "width": [1, 2, 1]},
        "optimizer": [{"type": "adam", "steps": 3}, {"type": "lbfgs"}],
    }
    assert tomllib.loads(problem_toml(settings)) == settings
    assert isinstance(Config.from_dict(tomllib.loads(problem_toml(settings))), Config)


def test_the_values_of_a_function_are_given_back_as_python(tmp_path):
    study = made(tmp_path, {"n": [4, 8]}, lambda n: n**-2.0)
    shown = Page(study_html(study)).texts["pre"]
    assert shown == ["kanpinn.sweep(function, over={'n': [4, 8]}, name='made')"]


def test_tables_of_optimizers_can_be_written(tmp_path):
    stages = [[{"type": "adam", "steps": 2}], [{"type": "lbfgs"}]]
    study = made(tmp_path, {"optimizer": stages}, lambda optimizer: 1e-3)
    read = tomllib.loads(study_toml(study, "base.toml"))
    assert read["study"]["over"] == {"optimizer": stages}


def test_the_command_writes_the_report_and_refuses_what_is_no_study(study, tmp_path):
    done = kanpinn("report", study.path)
    assert done.exit_code == 0 and Path(done.stdout.strip()) == study.path / "report.html"
    refused = kanpinn("report", tmp_path)
    assert refused.exit_code == 2 and "is neither a run nor a study" in refused.output
    elsewhere = tmp_path / "page.html"
    assert kanpinn("report", study.path, "--output", elsewhere).exit_code == 0
    links = [a for a in Page(elsewhere.read_text()).addresses if not a.startswith("#")]
    assert links and all((tmp_path / address / "run.json").is_file() for address in links)


@pytest.mark.parametrize("command", ["report", "plot"])
def test_a_folder_that_cannot_be_written_to_is_refused(study, monkeypatch, command):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("kanpinn.runs.report.pages.write_text", full)
    monkeypatch.setattr("kanpinn.runs.report.pages.save", full)
    refused = kanpinn(command, study.path)
    assert refused.exit_code == 2 and "No space left on device" in refused.output


def test_a_study_shows_its_runs_and_errors(tmp_path):
    over = {"network.grid": [2, 4, 8], "run.seed": [0, 1]}
    study = made(tmp_path, over, lambda grid, seed: (1 + seed) * grid**-4.0, name="<i>made</i>")
    shown = Read(study)
    assert "Study <i>made</i>" in shown.text and "6 of 6 are done." in shown.text
    for row in study.rows:
        assert f"{row['l2_relative']:.2e}" in shown.text
    assert shown.colours > 5 and shown.words == "Errors against grid: relative L² error."
    ax = study.plot(ax=Figure().subplots())
    medians = {float(y) for line in ax.lines for y in line.get_ydata()}
    assert {1.5 * grid**-4.0 for grid in (2, 4, 8)} <= medians
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("grid (intervals)", "relative $L^2$ error")
    ax = study.plot("parameters", "h1_relative", ax=Figure().subplots())
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("parameters", "relative $H^1$ error")
    with pytest.raises(kp.InputError, match=r"over must be one of grid, parameters, .*'seed'"):
        study.plot("seed")
    with pytest.raises(kp.InputError, match="error must be one of l2_relative, h1_relative"):
        study.plot(error="w")


def test_a_study_without_errors_has_no_picture(tmp_path):
    study = made(tmp_path, {"network.grid": [2, 4]}, lambda grid: None)
    shown = Read(study)
    assert shown.pixels is None and "no run has an error yet" in shown.text
    assert "0 of 2 are done." in shown.text
