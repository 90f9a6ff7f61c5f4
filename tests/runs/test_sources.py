"""Class files run from their sources, never from cached files."""

import importlib.util
import py_compile

import pytest

import kanpinn as kp
from kanpinn.runs.config.models import load_class, load_function

PROBLEM = """
import kanpinn as kp
import {name}_helper


class Mine(kp.Poisson):
    said = {name}_helper.said


def field(x):
    return x
"""


def plant(path, text):
    """Put a `.pyc` of another source beside a file; importing the file as usual would run it."""
    other = path.with_name("other.txt")
    other.write_text(text)
    cached = importlib.util.cache_from_source(str(path))
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    py_compile.compile(str(other), cfile=cached, invalidation_mode=mode)


def test_a_cached_file_of_another_source_is_not_run(tmp_path):
    problem, helper = tmp_path / "planted.py", tmp_path / "planted_helper.py"
    problem.write_text(PROBLEM.format(name="planted"))
    helper.write_text("said = 'source'\n")
    plant(problem, "raise SystemExit('planted')\n")
    plant(helper, "said = 'planted'\n")
    loaded = load_class("planted.py:Mine", kp.Problem, tmp_path, "problem.class")
    assert loaded.said == "source"


def test_a_package_beside_a_class_file_is_run_from_its_sources(tmp_path):
    package = tmp_path / "beside_helper"
    package.mkdir()
    (package / "__init__.py").write_text("from beside_helper.inner import said\n")
    (package / "inner.py").write_text("said = 'source'\n")
    plant(package / "inner.py", "said = 'planted'\n")
    (tmp_path / "beside.py").write_text(PROBLEM.format(name="beside"))
    loaded = load_class("beside.py:Mine", kp.Problem, tmp_path, "problem.class")
    assert loaded.said == "source"
    with pytest.raises(ModuleNotFoundError):  # other files do not find it
        importlib.import_module("beside_helper.inner2")


def test_functions_are_loaded_and_refused_by_name(tmp_path):
    (tmp_path / "mine.py").write_text("def field(x):\n    return x\n\n\nvalue = 1\n")
    assert load_function("mine.py:field", tmp_path, "FIELD")(3) == 3
    for spec, said in {
        "mine.py:feild": 'has no function feild.* "field"',
        "mine.py:value": "has no function value",
        "none.py:field": "there is no file none.py",
        "mine.py": "expected",
    }.items():
        with pytest.raises(kp.InputError, match=said):
            load_function(spec, tmp_path, "FIELD")
