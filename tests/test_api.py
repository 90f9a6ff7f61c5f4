"""`import kanpinn` offers the API, whatever has been imported before it."""

import subprocess
import sys
from pathlib import Path

import pytest

import kanpinn as kp
from kanpinn import api

ROOT = Path(kp.__file__).parents[1]


def test_every_name_of_the_api_is_offered():
    names = {name for name in vars(api) if not name.startswith("_")}
    assert {"Box", "KAN", "Problem", "load", "solve"} <= names <= {*dir(kp)}
    assert all(getattr(kp, name) is getattr(api, name) for name in names)


def test_no_module_is_called_like_a_name_of_the_api():
    """Its import would put the module in the name's place."""
    modules = {path.stem for path in (ROOT / "kanpinn").iterdir()}
    assert not modules & {*vars(api)}


def test_other_names_are_no_attributes():
    with pytest.raises(AttributeError, match="no attribute 'sovle'"):
        _ = kp.sovle
    assert not hasattr(kp, "__wrapped__")


@pytest.mark.parametrize(
    "code",
    [
        "import kanpinn, sys; assert 'torch' not in sys.modules; kanpinn.Box(x=(0, 1))",
        "from kanpinn.config import Config; import kanpinn; assert callable(kanpinn.solve)",
    ],
)
def test_the_order_of_imports_does_not_matter(code):
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_module_may_be_imported_before_the_api():
    code = "from kanpinn import splines; from kanpinn.networks.kan import KAN; import kanpinn as kp"
    check = f"{code}; assert kp.KAN is KAN and kp.splines is splines"
    done = subprocess.run([sys.executable, "-c", check], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
