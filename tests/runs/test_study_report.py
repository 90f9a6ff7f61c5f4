"""The page and the card of a study: what they say, and that they need nothing else."""

import hashlib
import itertools
import re
import tomllib
from pathlib import Path

import pytest
from commands import kanpinn
from forks import Command
from html_pages import Page, Read
from made_studies import made
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

import kanpinn as kp
from kanpinn._support.errors import InputError
from kanpinn.accuracy.orders import fit_order
from kanpinn.plotting import ErrorCurve, plot_curves, plot_spreads
from kanpinn.plotting.style import number_text, style_of
from kanpinn.runs.config import Config
from kanpinn.runs.report.pages import (
    curves,
    draw_study,
    environment,
    figure_of,
    pictures,
    problem_toml,
    study_html,
    study_toml,
    write_report,
)
from kanpinn.runs.study import Study, StudyFile
from kanpinn.runs.study.sweep import plan
from kanpinn.runs.study.table import dimensions, names_of, sizes_of

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


# --- Figures of studies: what is drawn is the table, orders are those of the errors, nothing hides


GRIDS, SEEDS = [4, 8, 16, 32], [0, 1, 2]
ADAM = [[{"type": "adam", "rate": r, "steps": 9}] for r in (0.1, 0.01)]

LONG = [[*stages, {"type": "levenberg_marquardt", "steps": 30}] for stages in ADAM]


def spline(grid=8, degree=3, seed=0, **_):
    """The error of the best spline, times a factor of the seed."""
    return grid ** -(degree + 1.0) * 1.5 ** (seed - 1)


KINDS = {
    "grid": {"network.grid": GRIDS, "run.seed": SEEDS},
    "grid-degree": {"network.degree": [3, 5], "network.grid": GRIDS, "run.seed": SEEDS},
    "two-sizes": {"network.grid": GRIDS, "network.width": [[1, 4, 1], [1, 8, 1]]},
    "degree": {"network.degree": [3, 4, 5, 7], "run.seed": SEEDS},
    "words": {"network.boundary": ["exact", "penalty"], "run.seed": SEEDS},
    "seeds": {"run.seed": SEEDS},
    "weights": {"loss.interior": [1e-4, 1e-2, 1.0]},
    "lists": {"network.grid": [[4, 4], [4, 8], [6, 4], [6, 8]]},
    "one-run": {"run.seed": [0]},
    "long": {"optimizer": LONG, "network.degree": [3, 5], "network.grid": GRIDS},
    "long-words": {"optimizer": LONG, "network.boundary": ["exact", "penalty"]},
}


def study_of(kind, folder):
    return made(folder, KINDS[kind], lambda **v: spline(**({**v, "grid": _last(v.get("grid", 8))})))


def _last(grid):
    return grid[-1] if isinstance(grid, list) else grid


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("grid-degree", ["grid", "parameters", "seconds"]),
        ("two-sizes", ["grid", "width", "parameters", "seconds"]),
        ("degree", ["degree", "seconds"]),
        ("words", ["settings", "seconds"]),
        ("seeds", ["runs"]),
        ("weights", ["interior", "seconds"]),
        ("lists", ["grid", "seconds"]),
        ("one-run", ["runs"]),
        ("long", ["grid", "parameters", "seconds"]),
        ("long-words", ["settings", "seconds"]),
    ],
)
@pytest.mark.usefixtures("ticks")
def test_every_kind_of_study_has_its_pictures_and_no_text_lies_on_another(tmp_path, kind, names):
    drawn = list(pictures(study_of(kind, tmp_path)))
    assert [picture.name for picture in drawn] == [f"error_{name}" for name in names]
    for picture in drawn:
        figure = figure_of(picture)
        assert figure.get_size_inches()[0] == 7.0 and len(figure.axes) == 2
        figure.draw_without_rendering()
        texts = list(_texts(figure))
        assert all(figure.bbox.contains(*corner) for box in texts for corner in _corners(box))
        assert not any(a.overlaps(b) for a, b in itertools.combinations(texts, 2))


def _texts(figure):
    """Boxes of all that is written, a little smaller so that touching is allowed."""
    for ax in figure.axes:
        written = [ax.xaxis.label, ax.yaxis.label]
        for axis in (ax.xaxis, ax.yaxis):
            low, high = sorted(axis.get_view_interval())
            written += [t.label1 for t in axis.get_major_ticks() if low <= t.get_loc() <= high]
        if legend := ax.get_legend():
            written += [legend.get_title(), *legend.get_texts()]
        for text in written:
            if text.get_text() and text.get_visible():
                yield _shrunk(text.get_window_extent())
    if figure._supxlabel is not None:
        yield _shrunk(figure._supxlabel.get_window_extent())


def _shrunk(box):
    return Bbox.from_extents(box.x0 + 1, box.y0 + 1, box.x1 - 1, box.y1 - 1)


def _corners(box):
    return [(box.x0, box.y0), (box.x1, box.y1)]


def test_curves_are_medians_with_the_order_of_the_errors_and_of_theory(tmp_path):
    study = study_of("grid-degree", tmp_path)
    l2, h1 = (curves(study, "network.grid", error) for error in ("l2_relative", "h1_relative"))
    assert [curve.label for curve in l2] == ["degree 3", "degree 5"]
    for degree, one, other in zip((3, 5), l2, h1, strict=True):
        assert [p.x.median for p in one.points] == GRIDS
        assert [p.error.median for p in one.points] == pytest.approx(
            [spline(g, degree, 1) for g in GRIDS]
        )
        assert {p.error.count for p in one.points} == {3}
        assert one.fit.order == pytest.approx(degree + 1) and one.fit.count == 12
        assert (one.theory.best, one.theory.guaranteed) == (degree + 1, degree - 1)
        assert other.theory.best == degree


def test_against_parameters_errors_stand_at_the_number_of_parameters(tmp_path):
    (curve,) = curves(study_of("grid", tmp_path), "parameters")
    assert [p.x.median for p in curve.points] == [3 + g for g in GRIDS]
    assert curve.fit.order > 4  # 3 + G grows more slowly than G
    (timed,) = curves(study_of("grid", tmp_path), "seconds")
    assert timed.fit is None and timed.theory is None


def test_errors_that_no_longer_fall_are_hollow_and_said_to_be(tmp_path):
    over = {"network.grid": [4, 8, 16, 32, 64], "run.seed": SEEDS}
    study = made(tmp_path, over, lambda **v: max(spline(**v), 1e-5 * 1.2 ** v["seed"]))
    picture = next(pictures(study))
    (curve,) = picture.curves["l2_relative"]
    assert [p.size for p in curve.levelled] == [32, 64]
    assert curve.fit.order == pytest.approx(4) and curve.overall.order < 3.5
    assert any("Hollow" in note for note in picture.notes)
    figure = figure_of(picture)
    faces = [
        line.get_markerfacecolor() for line in figure.axes[0].lines if line.get_marker() == "o"
    ]
    assert (
        "white" in faces
        and "up\N{NO-BREAK SPACE}to\N{NO-BREAK SPACE}16"
        in figure.axes[0].get_legend().get_texts()[0].get_text()
    )


def test_failed_and_waiting_runs_are_left_out_and_counted(tmp_path):
    def error(grid, seed):
        return {(4, 0): "no memory", (8, 1): None, (8, 2): 0.0}.get((grid, seed), spline(grid))

    study = made(tmp_path, KINDS["grid"], error)
    (curve,) = curves(study, "network.grid")
    assert [p.error.count for p in curve.points] == [2, 1, 3, 3]
    notes = " ".join(next(pictures(study)).notes)
    for text in ("1 of 12 runs failed", "1 of 12 runs not done", "1 of 12 runs without an error"):
        assert text in notes
    figure = figure_of(next(pictures(study)))
    assert "1 of 12 runs failed" in figure._supxlabel.get_text()


@pytest.mark.parametrize("error", ["singular", None])
def test_without_any_error_there_is_nothing_to_draw(tmp_path, error):
    study = made(tmp_path, KINDS["grid"], lambda **_: error)
    with pytest.raises(InputError, match="nothing to draw"):
        draw_study(study)
    assert not (tmp_path / "figures").exists()


def test_a_size_that_is_left_alone_has_no_order(tmp_path):
    study = made(tmp_path, KINDS["grid"], lambda **v: spline(**v) if v["grid"] == 8 else "no")
    (curve,) = curves(study, "network.grid")
    assert curve.fit is None and len(curve.points) == 1
    assert figure_of(next(pictures(study))).axes


def test_too_many_settings_are_cut_and_said_to_be(tmp_path):
    study = made(tmp_path, {"problem.name": [*map(str, range(20))], "network.grid": [4, 8]}, spline)
    picture = next(pictures(study))
    assert "12 of 20 settings are shown." in picture.notes
    assert len(figure_of(picture).axes[0].get_legend().get_texts()) == 13


def test_there_are_no_curves_against_what_does_not_vary(tmp_path):
    study = study_of("words", tmp_path)
    for against, error in (("network.boundary", "l2_relative"), ("seconds", "l3")):
        with pytest.raises(InputError, match=r"network\.boundary|l3"):
            curves(study, against, error)


FILES = """
import sys, hashlib
from pathlib import Path
from kanpinn.runs.study import Study
from kanpinn.runs.report.pages import draw_study
for path in draw_study(Study.read(sys.argv[1]), Path(sys.argv[2])):
    print(path.name, hashlib.sha256(path.read_bytes()).hexdigest())
"""


def test_files_are_vector_with_fonts_and_the_same_each_time(tmp_path, ticks):
    study = study_of("seeds", tmp_path / "study")
    paths = draw_study(study)
    assert {p.suffix for p in paths} == {".png", ".pdf"} and paths[
        0
    ].parent == study.path / "figures"
    for path in paths:
        if path.suffix == ".pdf":
            content = path.read_bytes()
            assert b"/FontFile2" in content and b"/Type3" not in content
    # In a process with other hashes, so that sets have another order.
    again = Command(["-c", FILES, str(study.path), str(tmp_path / "again")], tmp_path)
    assert again.communicate(60)[0].split() == [
        part for p in paths for part in (p.name, hashlib.sha256(p.read_bytes()).hexdigest())
    ]


def test_axes_in_axes_out_for_figures_of_ones_own():
    ax = Figure().subplots()
    curve = ErrorCurve.of("mine", [4, 4, 8, 8], [1e-2, 2e-2, 1e-3, 2.5e-3])
    assert plot_curves(ax, [curve], "G", "error") is ax
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("G", "error")
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    assert "mine: 3.2\N{NO-BREAK SPACE}±" in ax.get_legend().get_texts()[0].get_text()
    ax = Figure().subplots()
    assert plot_spreads(ax, {"a": [1e-3, 1e-2], "$b": [1e-4]}) is ax
    assert [t.get_text() for t in ax.get_yticklabels()] == ["a", r"\$b"]


def test_no_two_of_a_hundred_series_look_the_same():
    styles = [style_of(number) for number in range(100)]
    assert len({tuple(map(str, style.values())) for style in styles}) == 100


@pytest.mark.parametrize(
    ("value", "text"),
    [(4, "4"), (0.5, "0.5"), (1728, "1728"), (1e-4, "$10^{-4}$"), (3e5, "$3·10^{5}$"), (0, "0")],
)
def test_ticks_are_short(value, text):
    assert number_text(value) == text


def test_lists_are_sizes_in_the_component_that_varies():
    taken = sizes_of([[4, 4], [4, 8], [6, 8]])
    assert [(s.number, s.rest) for s in taken] == [(4, "[4, ·]"), (8, "[4, ·]"), (8, "[6, ·]")]
    assert [s.rest for s in sizes_of([[4, 4], [8, 8]])] == ["[·, ·]"] * 2
    assert sizes_of([4, "many"]) is None and sizes_of([True, False]) is None


def test_the_degree_of_theory_is_that_of_the_layers_whose_grid_varies(tmp_path):
    over = {"network.degree": [[3, 9]], "network.grid": [[1, 4], [1, 8]]}
    study = made(tmp_path, over, lambda grid, **_: grid[1] ** -10.0)
    (curve,) = curves(study, "network.grid")
    assert curve.theory.best == 10


def test_keys_in_step_are_one_axis(tmp_path):
    study = made(tmp_path, {"network.grid": GRIDS}, spline)
    rows = tuple(row | {"points.interior": row["network.grid"] ** 2} for row in study.rows)
    tied = type(study)(study.path, "tied", (*study.varied, "points.interior"), rows)
    assert [d.name for d in dimensions(tied)] == ["grid", "interior"]
    picture = next(pictures(tied))
    assert [p.name for p in pictures(tied)].count("error_interior") == 0
    assert figure_of(picture).axes[0].get_xlabel() == "grid (intervals), varied with interior"


@pytest.mark.parametrize(
    ("values", "names"),
    [
        (ADAM, ["adam (rate=0.1)", "adam (rate=0.01)"]),
        ([[{"type": "adam"}], [{"type": "adam"}, {"type": "lbfgs"}]], ["adam", "adam + lbfgs"]),
        ([[2, 8, 1], [2, 16, 1]], ["[2, 8, 1]", "[2, 16, 1]"]),
        ([True, None, "exact", 1e-9], ["true", "none", "exact", "1e-09"]),
        (["x" * 50 + "a", "x" * 50 + "b"], ["x" * 39 + "… #1", "x" * 39 + "… #2"]),
    ],
)
def test_values_have_short_different_names(values, names):
    assert names_of(values) == names


def test_plot_tells_a_study_from_a_run(tmp_path):
    study = study_of("seeds", tmp_path)
    done = kanpinn("plot", study.path / "study.csv")
    assert done.exit_code == 0, done.output
    names = [Path(line).name for line in done.stdout.split()]
    assert names == ["error_runs.png", "error_runs.pdf"]
    refused = kanpinn("plot", tmp_path / "runs")
    assert refused.exit_code == 2 and "neither a run nor a study" in refused.output
