"""`import kanpinn` offers the public names, explicitly and when they are first asked for."""

import importlib.util
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import kanpinn as kp

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
import kanpinn
assert "torch" not in sys.modules
kanpinn.Box(x=(0, 1))
for text in (
    "from kanpinn.runs.config import Config; import kanpinn; assert callable(kanpinn.solve)",
    "from kanpinn.networks.kan import KAN; import kanpinn as kp; assert kp.KAN is KAN",
):
    for name in [name for name in sys.modules if name.split(".")[0] == "kanpinn"]:
        del sys.modules[name]
    exec(text)
"""


def test_the_order_of_imports_does_not_matter():
    done = subprocess.run([sys.executable, "-c", ORDERS], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_shapes_are_checked_in_packages_that_exist():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    options = settings["tool"]["pytest"]["ini_options"]["addopts"]
    (hook,) = (option for option in options if option.startswith("--jaxtyping-packages="))
    names = hook.partition("=")[2].split(",")[:-1]  # the last one is the checker
    assert names and all(importlib.util.find_spec(name) for name in names)
