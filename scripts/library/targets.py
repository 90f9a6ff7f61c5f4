"""The problem files that are measured, and what their errors and seconds should be."""

from collections.abc import Mapping
from dataclasses import dataclass, field

DIRICHLET = "poisson2d"
"""What the variants of the poster's problem are measured against."""
VARIANT = 100.0
"""The factor that a variant may lose against it."""


@dataclass(frozen=True)
class Target:
    """The largest relative L2 error and seconds; None: told, not judged.

    fields: the same error of single fields of a system. variant: the error is judged against that
    of the Dirichlet problem.
    """

    l2: float | None = None
    seconds: float | None = None
    fields: Mapping[str, float] = field(default_factory=dict)
    variant: bool = False


TARGETS = {
    "poisson2d": Target(1e-10, 3),
    "poisson2d_neumann": Target(variant=True),
    "poisson2d_robin": Target(variant=True),
    "poisson2d_periodic": Target(variant=True),
    "poisson2d_expression": Target(1e-6),
    "poisson5d": Target(1e-11, 5),
    "poisson10d": Target(1e-11, 5),
    "poisson100d": Target(1e-12, 10),
    "poisson10d_coupled": Target(),
    "helmholtz": Target(1e-8, 30),
    "heat": Target(1e-8),
    "heat4d": Target(1e-6),
    "heat_disk": Target(1e-6),
    "wave": Target(1e-8),
    "advection": Target(1e-8),
    "stokes": Target(1e-6, fields={"u": 1e-6, "v": 1e-6, "q": 1e-6}),
    "biharmonic": Target(1e-7),
    "disk_hole": Target(1e-6),
    "plate_hole": Target(1e-3, fields={"u": 1e-3, "v": 1e-3}),
    "lshape": Target(1e-3),
    "lshape_singular": Target(1e-5),
}
