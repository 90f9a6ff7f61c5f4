"""What a reader of docs/ sees runs, and tutorials are notebooks in plain words."""

import inspect
import re
import sys
from pathlib import Path
from types import ModuleType

import matplotlib.pyplot as plt
import pytest
import yaml
from forks import Command

sys.path.append(str(Path(__file__).parents[2] / "docs" / "_extensions"))

from gallery_parts import entries, page
from reference_parts import commands, docstrings, groups, names, toml_tables

from kanpinn.cli import app
from kanpinn.runs.config import Config
from kanpinn.runs.config.models import OWN
from kanpinn.runs.config.tables import DOMAINS, FIT_STAGES, SOLVE_NETWORKS
from kanpinn.runs.library import library

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
HEADER = re.compile(r"\A---\n(.*?)^---\n", re.MULTILINE | re.DOTALL)
# A fence of Python or a code cell: its options between lines of dashes, and its code.
CODE = re.compile(
    r"^```(python|\{code-cell\}[^\n]*)\n(---\n.*?^---\n)?(.*?)^```$", re.MULTILINE | re.DOTALL
)
TUTORIALS = sorted(path for path in (DOCS / "tutorials").glob("*.md") if path.stem != "index")


def pages_with_code() -> list[Path]:
    """The pages of the site, without those that its build has left there."""
    found = [path for path in DOCS.rglob("*.md") if "_build" not in path.parts]
    return sorted(path for path in found if CODE.search(path.read_text(encoding="utf-8")))


def name(path: Path) -> str:
    return path.relative_to(DOCS).with_suffix("").as_posix()


@pytest.mark.parametrize("path", pages_with_code(), ids=name)
def test_the_code_of_a_page_runs_in_order(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = path.read_text(encoding="utf-8")
    # The empty lines give a traceback the page's own line numbers.
    blocks = ["\n" * text.count("\n", 0, b.start(3)) + b[3] for b in CODE.finditer(text)]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "problems").symlink_to(ROOT / "problems")
    if any("kp.sweep" in block for block in blocks):  # workers are forks of such a process
        script = "\n".join(["import warnings; warnings.simplefilter('error')", *blocks])
        process = Command(["-c", script], tmp_path)
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
        return
    module = ModuleType("page_" + re.sub(r"\W", "_", name(path)))
    monkeypatch.setitem(sys.modules, module.__name__, module)  # its classes can be found
    for block in blocks:
        exec(compile(block, str(path), "exec"), module.__dict__)
        plt.close("all")  # as a notebook does after each cell


@pytest.mark.parametrize("path", TUTORIALS, ids=name)
def test_a_tutorial_is_a_notebook_that_can_be_downloaded(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    header = HEADER.match(text)
    assert header
    settings = yaml.safe_load(header[1])
    assert settings["kernelspec"]["name"] == "python3"
    assert settings["jupytext"]["text_representation"]["format_name"] == "myst"
    assert f"{{nb-download}}`{path.stem}.ipynb`" in text
    cells = [block for block in CODE.finditer(text) if block[1].startswith("{code-cell}")]
    assert cells
    for cell in cells:
        assert cell[1] == "{code-cell} ipython3"
        assert cell[3].strip()
        if "plt.subplots" in cell[3] or ".plot(" in cell[3]:
            options = yaml.safe_load(cell[2].strip("-\n")) if cell[2] else {}
            assert options["mystnb"]["image"]["alt"].strip()


@pytest.mark.parametrize("path", TUTORIALS, ids=name)
def test_sentences_of_a_tutorial_are_short(path: Path) -> None:
    lengths = [len(sentence.split()) for sentence in sentences(path.read_text(encoding="utf-8"))]
    assert len(lengths) > 10
    assert sum(lengths) / len(lengths) <= 20


def sentences(text: str) -> list[str]:
    """The sentences of a page's paragraphs; a formula or a code span counts as one word."""
    text = HEADER.sub("", text)
    text = re.sub(r"^(```+|:::+).*?^\1$", "", text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"^\$\$.*?^\$\$$", "", text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"^(#|\|).*$", "", text, flags=re.MULTILINE)
    text = re.sub(r"\$[^$]+\$|(\{[\w-]+\})?`[^`]+`", "x", text)
    paragraphs = re.split(r"\n\s*\n|^- ", text, flags=re.MULTILINE)
    return [
        sentence
        for paragraph in paragraphs
        for sentence in re.split(r"(?<=[.:?!])\s+", paragraph.strip())
        if len(sentence.split()) > 1
    ]


# --- The pages of the gallery: one for each problem, with overrides that work and kept pictures


FOUND = entries.entries()


def test_every_problem_of_the_library_has_a_page_and_a_card() -> None:
    assert [one.name for one in FOUND] == [one.name for one in library()]
    assert {one.group for one in FOUND} == {*entries.GROUPS}
    overview = page.overview(FOUND)
    for one in FOUND:
        assert f":link: generated/{one.name}\n" in overview
        text = page.page(one)
        assert one.path.read_text(encoding="utf-8").strip() in text
        if one.record is None:
            assert "No run of this problem is kept" in text


@pytest.mark.parametrize("one", FOUND, ids=lambda one: one.name)
def test_overrides_that_a_page_shows_are_accepted(one: entries.Entry) -> None:
    shown = page.sets(one)
    assert shown
    for pair, _ in shown:
        Config.read(one.path, [pair]).build()


def test_pictures_of_kept_runs_have_alternative_texts() -> None:
    for one in FOUND:
        if one.record is not None:
            folder = entries.KEPT / one.name
            assert all((folder / name).is_file() for name in (*one.record["pictures"], "thumb.png"))
            text = page.page(one)
            assert text.count("```{figure}") == text.count("\n:alt: ")
            assert text.count("```{figure}") == len(one.record["pictures"])


# --- The reference is complete: every public name, every key of a file and every command is in it


PAGES = dict(toml_tables.pages())


def test_every_public_name_is_in_one_group(monkeypatch: pytest.MonkeyPatch) -> None:
    assert groups.disagreements() == []
    first, *others = groups.GROUPS
    monkeypatch.setattr(groups, "GROUPS", (first, first, *others[1:]))
    wrong = groups.disagreements()
    assert {f"{name} is in no group" for name in others[0].names if "." not in name} <= {*wrong}
    assert {f"{name} is in several groups" for name in first.names} <= {*wrong}


def test_every_public_name_has_a_docstring_with_an_example() -> None:
    """The examples themselves are run as doctests of the modules."""
    documented = [name for name in groups.public_names() if name not in names.DATA]
    without = [name for name in documented if ">>> " not in (groups.lookup(name).__doc__ or "")]
    assert without == []
    assert {name for name, _ in names.pages()} == {group.key for group in groups.GROUPS} | {
        f"kanpinn.{name}" for name in groups.public_names()
    }


@pytest.mark.parametrize(
    ("page", "known"),
    [
        ("toml_network", SOLVE_NETWORKS.tables),
        ("toml_optimizer", FIT_STAGES.tables),
        ("toml_domain", DOMAINS.tables),
    ],
)
def test_every_type_of_a_table_is_described(page: str, known: dict[str, object]) -> None:
    types = [name for name in known if name != OWN]
    assert [name for name in types if f'"{name}"' not in PAGES[page]] == []


def test_every_key_of_every_table_has_a_type_and_a_meaning() -> None:
    rows = [line for text in PAGES.values() for line in text.splitlines() if line[:3] == "| `"]
    assert len(rows) > 150
    cells = [line.replace(r"\|", "").strip("| ").split(" | ") for line in rows]
    assert [line for line, found in zip(rows, cells, strict=True) if len(found) != 4] == []
    assert [found[0] for found in cells if found[1] == "any value"] == ["`vertices`"]


def test_a_table_that_is_on_no_page_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    known = toml_tables.models()
    with pytest.raises(ValueError, match=r"on no page of the reference: \['NewTable'\]"):
        toml_tables.assigned({**known, "NewTable": {}})


def test_every_command_is_described() -> None:
    text = commands.page()
    names = [one.name for one in app.registered_commands]
    assert len(names) > 10
    assert [name for name in names if f"## kanpinn {name}\n" not in text] == []
    assert "`--set KEY=VALUE`" in text and "| 130 |" in text


def test_a_bar_in_code_does_not_end_the_cell_of_a_table() -> None:
    page = commands.page()
    assert r"| `--executor <processes\|dask\|slurm\|pbs>` | What executes" in page
    assert r"| `RUN\|STUDY <path>` | A run folder" in page


def test_docstrings_are_read_as_plain_text() -> None:
    """Marks of reStructuredText are escaped outside of code and of examples; names are links."""
    lines = ["|u| of `KAN` and `u_x`, 2 * x, u_.", "", "Example:", "    >>> 2 * 3", "    6 | 7"]
    docstrings.as_rst(None, "class", "kanpinn.KAN", None, None, lines)
    assert lines[0] == r"\|u\| of :py:obj:`~kanpinn.KAN` and ``u_x``, 2 \* x, u\_."
    assert lines[3:] == ["    >>> 2 * 3", "    6 | 7"]
    lines = ["The names: of all."]
    docstrings.as_rst(None, "property", "kanpinn.Box.names", None, None, lines)
    assert lines == ["", "The names: of all."]


def test_summaries_are_sentences() -> None:
    found = {name: names.summary(name) for name in groups.public_names()}
    assert [name for name, text in found.items() if not text.endswith((".", "ᵖ"))] == []
    assert all(inspect.cleandoc(text) == text for text in found.values())
