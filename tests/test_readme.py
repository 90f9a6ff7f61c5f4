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


def test_the_file_that_it_shows_is_valid() -> None:
    ((_, shown),) = fences("toml")
    assert Config.from_dict(tomllib.loads(shown), directory=README.parent / "problems").build()


def test_it_is_short_and_its_links_lead_somewhere() -> None:
    text = README.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 200
    targets = re.findall(r"\]\(([^)#]+)\)", text)
    assert targets
    for target in targets:
        assert target.startswith("https://") or (README.parent / target).exists(), target
