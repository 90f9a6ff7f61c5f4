"""kanpinn: partial differential equations solved with Kolmogorov–Arnold networks.

These are the public names, all of them, by the room in which each is defined. A name is imported
when it is first asked for: `kanpinn --help` and a misspelt file name do not wait for torch
(scientific-python SPEC 1).
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kanpinn import interpret as interpret
    from kanpinn._support.errors import InputError as InputError
    from kanpinn._support.errors import NumericalError as NumericalError
    from kanpinn._support.errors import Outcome as Outcome
    from kanpinn.accuracy import FEM as FEM
    from kanpinn.accuracy import DataFile as DataFile
    from kanpinn.accuracy import fit_order as fit_order
    from kanpinn.data import Data as Data
    from kanpinn.data import Table as Table
    from kanpinn.geometry import Annulus as Annulus
    from kanpinn.geometry import Arc as Arc
    from kanpinn.geometry import Ball as Ball
    from kanpinn.geometry import Box as Box
    from kanpinn.geometry import Corner as Corner
    from kanpinn.geometry import Disk as Disk
    from kanpinn.geometry import Ellipse as Ellipse
    from kanpinn.geometry import LShape as LShape
    from kanpinn.geometry import Mesh as Mesh
    from kanpinn.geometry import Planar as Planar
    from kanpinn.geometry import Points as Points
    from kanpinn.geometry import Polygon as Polygon
    from kanpinn.geometry import Sector as Sector
    from kanpinn.geometry import Segment as Segment
    from kanpinn.geometry import Stretch as Stretch
    from kanpinn.geometry import Surface as Surface
    from kanpinn.geometry import Triangle as Triangle
    from kanpinn.geometry import graded as graded
    from kanpinn.geometry.sampling import Collocation as Collocation
    from kanpinn.jets import Jet as Jet
    from kanpinn.jets import biharmonic as biharmonic
    from kanpinn.jets import directional as directional
    from kanpinn.jets import div as div
    from kanpinn.jets import grad as grad
    from kanpinn.jets import hessian as hessian
    from kanpinn.jets import laplacian as laplacian
    from kanpinn.jets import normal_derivative as normal_derivative
    from kanpinn.jets import partial as partial
    from kanpinn.loss import Sparsity as Sparsity
    from kanpinn.networks import KAN as KAN
    from kanpinn.networks import MLP as MLP
    from kanpinn.networks import Beside as Beside
    from kanpinn.optimizers import LBFGS as LBFGS
    from kanpinn.optimizers import Adam as Adam
    from kanpinn.optimizers import LeastSquares as LeastSquares
    from kanpinn.optimizers import LevenbergMarquardt as LevenbergMarquardt
    from kanpinn.optimizers import Refine as Refine
    from kanpinn.optimizers import SSBroyden as SSBroyden
    from kanpinn.optimizers import VariableProjection as VariableProjection
    from kanpinn.pde import AdvectionDiffusion as AdvectionDiffusion
    from kanpinn.pde import Condition as Condition
    from kanpinn.pde import Constraint as Constraint
    from kanpinn.pde import Dirichlet as Dirichlet
    from kanpinn.pde import EigenProblem as EigenProblem
    from kanpinn.pde import Expression as Expression
    from kanpinn.pde import Heat as Heat
    from kanpinn.pde import Helmholtz as Helmholtz
    from kanpinn.pde import Initial as Initial
    from kanpinn.pde import Integral as Integral
    from kanpinn.pde import Interface as Interface
    from kanpinn.pde import Neumann as Neumann
    from kanpinn.pde import NormalDirichlet as NormalDirichlet
    from kanpinn.pde import Observed as Observed
    from kanpinn.pde import Periodic as Periodic
    from kanpinn.pde import Poisson as Poisson
    from kanpinn.pde import Problem as Problem
    from kanpinn.pde import Robin as Robin
    from kanpinn.pde import TangentialDirichlet as TangentialDirichlet
    from kanpinn.pde import Unknown as Unknown
    from kanpinn.pde import Wave as Wave
    from kanpinn.runs.progress import Progress as Progress
    from kanpinn.runs.progress import StudyProgress as StudyProgress
    from kanpinn.runs.results import load as load
    from kanpinn.runs.results import to_npz as to_npz
    from kanpinn.runs.results import to_vtkhdf as to_vtkhdf
    from kanpinn.runs.study import Study as Study
    from kanpinn.runs.study.sweep import sweep as sweep
    from kanpinn.solvers import Loss as Loss
    from kanpinn.solvers import Solution as Solution
    from kanpinn.solvers import eigen as eigen
    from kanpinn.solvers import error_bound as error_bound
    from kanpinn.solvers import estimate_error as estimate_error
    from kanpinn.solvers import fit as fit
    from kanpinn.solvers import solve as solve
    from kanpinn.spaces import Cells as Cells
    from kanpinn.spaces import CellWindows as CellWindows
    from kanpinn.spaces import Windows as Windows
    from kanpinn.tasks import AdaptiveLeastSquares as AdaptiveLeastSquares
    from kanpinn.tasks import Continuation as Continuation
    from kanpinn.tasks import March as March
    from kanpinn.tasks import Shooting as Shooting

# The same names for run time; a test holds the two lists together.
_NAMES = {
    "_support.errors": (
        "InputError",
        "NumericalError",
        "Outcome",
    ),
    "accuracy": (
        "DataFile",
        "FEM",
        "fit_order",
    ),
    "data": (
        "Data",
        "Table",
    ),
    "geometry": (
        "Annulus",
        "Arc",
        "Ball",
        "Box",
        "Corner",
        "Disk",
        "Ellipse",
        "LShape",
        "Mesh",
        "Planar",
        "Points",
        "Polygon",
        "Sector",
        "Segment",
        "Stretch",
        "Surface",
        "Triangle",
        "graded",
    ),
    "geometry.sampling": ("Collocation",),
    "jets": (
        "Jet",
        "biharmonic",
        "directional",
        "div",
        "grad",
        "hessian",
        "laplacian",
        "normal_derivative",
        "partial",
    ),
    "loss": ("Sparsity",),
    "networks": (
        "Beside",
        "KAN",
        "MLP",
    ),
    "optimizers": (
        "Adam",
        "LBFGS",
        "LeastSquares",
        "LevenbergMarquardt",
        "Refine",
        "SSBroyden",
        "VariableProjection",
    ),
    "pde": (
        "AdvectionDiffusion",
        "Condition",
        "Constraint",
        "Dirichlet",
        "EigenProblem",
        "Expression",
        "Heat",
        "Helmholtz",
        "Initial",
        "Integral",
        "Interface",
        "Neumann",
        "NormalDirichlet",
        "Observed",
        "Periodic",
        "Poisson",
        "Problem",
        "Robin",
        "TangentialDirichlet",
        "Unknown",
        "Wave",
    ),
    "runs.progress": (
        "Progress",
        "StudyProgress",
    ),
    "runs.results": (
        "load",
        "to_npz",
        "to_vtkhdf",
    ),
    "runs.study": ("Study",),
    "runs.study.sweep": ("sweep",),
    "solvers": (
        "Loss",
        "Solution",
        "eigen",
        "error_bound",
        "estimate_error",
        "fit",
        "solve",
    ),
    "spaces": (
        "CellWindows",
        "Cells",
        "Windows",
    ),
    "tasks": (
        "AdaptiveLeastSquares",
        "Continuation",
        "March",
        "Shooting",
    ),
}
_ROOM_OF = {name: room for room, names in _NAMES.items() for name in names}
__all__ = sorted(_ROOM_OF)

if TYPE_CHECKING:
    __version__: str
else:

    def __getattr__(name: str) -> object:
        if name == "__version__":
            return _version()
        if name == "interpret":
            return import_module("kanpinn.interpret")
        if name not in _ROOM_OF:
            raise AttributeError(f"module 'kanpinn' has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(f"kanpinn.{_ROOM_OF[name]}"), name)
        return value


def _version() -> str:
    """Return the version of the installed package, "0+unknown" where it is only on the path."""
    from importlib import metadata  # needed for this alone

    try:
        return metadata.version("kanpinn")
    except metadata.PackageNotFoundError:
        return "0+unknown"


def __dir__() -> list[str]:
    return [*__all__, "__version__", "interpret"]
