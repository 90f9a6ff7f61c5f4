"""The public names in the groups in which a user looks for them: the one list of the reference."""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType

import kanpinn
import kanpinn.interpret


@dataclass(frozen=True)
class Group:
    """A group of names that users meet.

    key: the name of its page. about: a sentence for the index. names: in the order of the page,
    those that are no attributes of kanpinn itself as "ROOM.NAME".
    """

    key: str
    title: str
    about: str
    names: tuple[str, ...]


GROUPS = (
    Group(
        "solving",
        "Solving and fitting",
        "The functions that do the work.",
        (
            "solve",
            "eigen",
            "fit",
            "Loss",
            "estimate_error",
            "error_bound",
            "verify",
            "load",
            "Progress",
            "to_npz",
            "to_vtkhdf",
        ),
    ),
    Group(
        "problems",
        "Problems and equations",
        "What is solved: a class with a residual, or an equation with data.",
        (
            "Problem",
            "EigenProblem",
            "Unknown",
            "pde.Equation",
            "Poisson",
            "Helmholtz",
            "Heat",
            "Wave",
            "AdvectionDiffusion",
            "Expression",
        ),
    ),
    Group(
        "domains",
        "Domains and points",
        "Where it is solved: shapes, their combinations, curves of a boundary, points.",
        (
            "Box",
            "Disk",
            "Ellipse",
            "Annulus",
            "Sector",
            "Triangle",
            "Polygon",
            "LShape",
            "Planar",
            "Segment",
            "Arc",
            "Ball",
            "Surface",
            "Mesh",
            "geometry.Boundary",
            "Points",
            "Collocation",
            "Corner",
            "Stretch",
            "graded",
        ),
    ),
    Group(
        "conditions",
        "Conditions",
        "Boundary and initial values, data, and what ties points together.",
        (
            "Dirichlet",
            "Neumann",
            "Robin",
            "NormalDirichlet",
            "TangentialDirichlet",
            "Constraint",
            "Initial",
            "Periodic",
            "Interface",
            "Integral",
            "Observed",
            "Condition",
        ),
    ),
    Group(
        "operators",
        "Operators and jets",
        "Derivatives of fields in residuals and conditions.",
        (
            "laplacian",
            "grad",
            "div",
            "partial",
            "directional",
            "normal_derivative",
            "hessian",
            "biharmonic",
            "Jet",
            "jets.Channels",
        ),
    ),
    Group(
        "networks",
        "Networks",
        "What represents the solution.",
        ("KAN", "MLP", "Cells", "Windows", "CellWindows", "Beside"),
    ),
    Group(
        "optimizers",
        "Optimizers and transformations",
        "How the coefficients are found, and how networks are refined.",
        (
            "LeastSquares",
            "VariableProjection",
            "LevenbergMarquardt",
            "AdaptiveLeastSquares",
            "March",
            "Shooting",
            "Continuation",
            "SSBroyden",
            "LBFGS",
            "Adam",
            "Refine",
            "optimizers.Method",
        ),
    ),
    Group(
        "results",
        "Results",
        "What solves and fits return.",
        (
            "Solution",
            "Outcome",
            "solvers.Eigensolution",
            "solvers.Fitted",
            "solvers.Scores",
            "solvers.Verification",
            "accuracy.Quantity",
            "solvers.Line",
            "accuracy.Estimated",
            "accuracy.Invariant",
        ),
    ),
    Group(
        "data",
        "Data for fits",
        "Tables of values, their parts, and a term that leaves few edges.",
        ("Data", "Table", "Sparsity"),
    ),
    Group(
        "studies",
        "Studies",
        "Many solves: combinations of values, tables, orders.",
        ("sweep", "Study", "StudyProgress", "fit_order"),
    ),
    Group(
        "accuracy",
        "Errors and references",
        "Norms of errors, estimates, bounds, what errors are measured against, and exceptions.",
        (
            "accuracy.Errors",
            "accuracy.Estimate",
            "solvers.Verified",
            "accuracy.Bound",
            "accuracy.Reference",
            "accuracy.Recipe",
            "DataFile",
            "ReferenceSolution",
            "InputError",
            "NumericalError",
        ),
    ),
    Group(
        "interpretation",
        "Interpretation",
        "Formulas, pruning and pictures of networks: `kanpinn.interpret`.",
        (
            "interpret.interpret",
            "interpret.read",
            "interpret.Reading",
            "interpret.Formula",
            "interpret.EdgeRow",
            "interpret.prune",
            "interpret.prune_greedily",
            "interpret.Pruned",
            "interpret.score_edges",
            "interpret.EdgeScores",
            "interpret.snap",
            "interpret.LIBRARY",
            "interpret.Univariate",
            "interpret.Graph",
            "interpret.Spline",
            "interpret.Symbolic",
            "interpret.draw_network",
        ),
    ),
)


def public_names() -> Iterator[str]:
    """Yield all names of the reference, those in rooms as "ROOM.NAME".

    Besides the public names and those of kanpinn.interpret, these are the classes of results and
    the bases of own classes, which users meet but seldom write: they are listed in `GROUPS` alone.
    """
    yield from kanpinn.__all__
    listed = [name for group in GROUPS for name in group.names]
    yield from (name for name in {*listed} if "." in name and not name.startswith("interpret."))
    for name, value in vars(kanpinn.interpret).items():
        if not name.startswith("_") and not isinstance(value, ModuleType):
            yield f"interpret.{name}"


def disagreements() -> list[str]:
    """Return a sentence for each public name that is in no group or in several, or is unknown."""
    grouped = [name for group in GROUPS for name in group.names]
    public = [*public_names()]
    found = [f"{name} is in no group" for name in public if name not in grouped]
    found += [f"{name} is no public name" for name in grouped if name not in public]
    found += [f"{name} is in several groups" for name in {*grouped} if grouped.count(name) > 1]
    return sorted(found)


def lookup(name: str) -> object:
    """Return what a public name of `GROUPS` stands for."""
    room, _, last = name.rpartition(".")
    return getattr(import_module(f"kanpinn.{room}") if room else kanpinn, last)
