"""Fixtures that import the modules of scripts/, which is not on the path otherwise."""

import importlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Imports a module of scripts/ by its name, such as "peers.report"."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "scripts"))
    return importlib.import_module


@pytest.fixture
def study(request: pytest.FixtureRequest, module) -> ModuleType:
    """The script that the test file names as SCRIPT."""
    return module(request.module.SCRIPT)
