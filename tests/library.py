"""The classes of problems/, and how far an exact solution is from its problem's conditions."""

import importlib
import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch

import kanpinn as kp
from kanpinn.accuracy.norms import ErrorNorm
from kanpinn.accuracy.references import reference_of
from kanpinn.pde.boundary_value_problem import stated

PROBLEMS = Path(__file__).parents[1] / "problems"
SCRIPTS = PROBLEMS.parent / "scripts"


def class_of(file: str, name: str) -> type[kp.Problem]:
    """The class of problems/`file`.py, loaded anew each time."""
    spec = importlib.util.spec_from_file_location(f"problems_{file}", PROBLEMS / f"{file}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, name)


def script(name: str) -> ModuleType:
    """A module of scripts/."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(SCRIPTS))
        return importlib.import_module(name)


def error_against_reference(solution: kp.Solution) -> float:
    """The relative L2 error of a solution against the reference of its problem, at its points."""
    norm = ErrorNorm(solution.problem, reference_of(solution.problem))
    return norm(solution.surrogate.evaluate).l2_relative


def largest_defect(
    problem: kp.Problem, exact_jet: Callable[[kp.Problem, kp.Points], kp.Jet]
) -> float:
    """The largest defect of all conditions, at some 64 points each."""
    defects = []
    for condition in stated(problem).conditions():
        p = condition.points(kp.Collocation(64, 64), 1.0, torch.Generator().manual_seed(0))
        defects.append(condition.stacked_residual(p, exact_jet(problem, p)).abs().max())
    return float(torch.stack(defects).max())
