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
def part(request: pytest.FixtureRequest, module) -> Callable[[str], ModuleType]:
    """Imports a module of the folder in scripts/ that the test file names as FOLDER."""
    return lambda name: module(f"{request.module.FOLDER}.{name}")
