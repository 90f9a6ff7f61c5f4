"""The reference is complete: every public name, every key of a file and every command is in it."""

import inspect
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2] / "docs" / "_extensions"))

from reference_parts import commands, docstrings, groups, names, toml_tables

from kanpinn.cli import app
from kanpinn.runs.config.models import OWN
from kanpinn.runs.config.tables import DOMAINS, FIT_STAGES, SOLVE_NETWORKS

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
