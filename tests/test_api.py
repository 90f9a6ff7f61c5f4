"""`import kanpinn` offers the public names, explicitly and when they are first asked for."""

import importlib.util
import re
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest
from forks import Command

import kanpinn as kp
from kanpinn.runs.config import Config

ROOT = Path(kp.__file__).parents[1]


def test_the_names_are_those_of_the_stub():
    assert {"Box", "KAN", "Problem", "load", "solve"} <= {*dir(kp)}
    assert len(kp.__all__) > 80


@pytest.mark.parametrize("name", kp.__all__)
def test_every_public_name_is_there(name):
    found = getattr(kp, name)
    assert found.__module__.startswith("kanpinn.") and found.__doc__


def test_no_room_is_called_like_a_public_name():
    """Its import would put the room in the name's place."""
    assert not {path.stem for path in (ROOT / "kanpinn").iterdir()} & {*kp.__all__}


def test_other_names_are_no_attributes():
    with pytest.raises(AttributeError, match="no attribute 'sovle'"):
        _ = kp.sovle
    assert not hasattr(kp, "__wrapped__")


ORDERS = """
import sys
for text in (
    "import kanpinn; kanpinn.Box(x=(0, 1))",
    "from kanpinn.runs.config import Config; import kanpinn; assert callable(kanpinn.solve)",
    "from kanpinn.networks.kan import KAN; import kanpinn as kp; assert kp.KAN is KAN",
):
    for name in [name for name in sys.modules if name.split(".")[0] == "kanpinn"]:
        del sys.modules[name]
    exec(text)
"""


def test_the_order_of_imports_does_not_matter():
    process = Command(["-c", ORDERS], ROOT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors


def test_shapes_are_checked_in_packages_that_exist():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    options = settings["tool"]["pytest"]["ini_options"]["addopts"]
    (hook,) = (option for option in options if option.startswith("--jaxtyping-packages="))
    names = hook.partition("=")[2].split(",")[:-1]  # the last one is the checker
    assert names and all(importlib.util.find_spec(name) for name in names)


# --- What README.md shows works as printed


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


def test_the_readme_is_short_and_its_links_lead_somewhere() -> None:
    text = README.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 200
    targets = re.findall(r"\]\(([^)#]+)\)", text)
    assert targets
    for target in targets:
        assert target.startswith("https://") or (README.parent / target).exists(), target
