"""What README.md shows works as printed."""

import re
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

from kanpinn.runs.config import Config

README = Path(__file__).parents[1] / "README.md"
COMMANDS = [
    "pip install . && kanpinn solve problems/poisson2d.toml",
    "pip install -e '.[test]' && pytest",
]


def fences(*languages: str) -> list[tuple[int, str]]:
    """The fenced blocks in these languages: (lines before the block's text, text)."""
    text = README.read_text(encoding="utf-8")
    blocks = re.finditer(r"^```(\w*)[^\n]*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [(text.count("\n", 0, b.start(2)), b[2]) for b in blocks if b[1] in languages]


def test_the_readme_prints_exactly_two_shell_commands() -> None:
    shell = fences("bash", "console", "sh", "shell", "zsh")
    lines = [line for _, block in shell for line in block.splitlines() if line.strip()]
    assert lines == COMMANDS
    assert len(fences("bash")) == len(shell)  # .ci/run reads its commands from the bash fences


def test_the_python_blocks_run_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = fences("python")
    assert blocks
    monkeypatch.chdir(tmp_path)
    (tmp_path / "problems").symlink_to(README.parent / "problems")
    module = ModuleType("readme")
    monkeypatch.setitem(sys.modules, "readme", module)  # classes defined there can be found
    for lines_before, block in blocks:
        # The empty lines give a traceback the README's own line numbers.
        code = compile("\n" * lines_before + block, str(README), "exec")
        exec(code, module.__dict__)


@pytest.mark.parametrize(("section", "count"), [("problem", 2), ("data", 1)])
def test_the_files_that_it_shows_are_valid(section: str, count: int) -> None:
    found = [tomllib.loads(block) for _, block in fences("toml")]
    shown = [data for data in found if section in data]
    assert len(shown) == count
    for data in shown:
        assert Config.from_dict(data, directory=README.parent / "problems").build()
