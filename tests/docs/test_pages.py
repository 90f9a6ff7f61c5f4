"""What a reader of docs/ sees runs, and tutorials are notebooks in plain words."""

import re
import sys
from pathlib import Path
from types import ModuleType

import matplotlib.pyplot as plt
import pytest
import yaml
from forks import Command

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
