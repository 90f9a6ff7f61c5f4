"""The problem files that have targets: what their errors and seconds should be."""

from collections.abc import Mapping
from dataclasses import dataclass, field

DIRICHLET = "poisson2d"
"""What the variants of the poster's problem are measured against."""
VARIANT = 100.0
"""The factor that a variant may lose against it."""
AUTO_ERROR, AUTO_SECONDS = 10.0, 2.0
"""The factors that a solve without a hand-set choice may lose against one with it."""


@dataclass(frozen=True)
class Target:
    """The largest error and seconds; None: reported, not judged.

    The error is the relative L2 error; of an eigenvalue problem it is the largest relative error of
    the first `eigenvalues`. aim: a smaller error that is desired. fields: the largest errors of
    single fields of a system. variant: the error is judged against that of the Dirichlet problem.
    """

    error: float | None = None
    seconds: float | None = None
    aim: float | None = None
    fields: Mapping[str, float] = field(default_factory=dict)
    eigenvalues: int | None = None
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
    "helmholtz40": Target(1e-8, 5),
    "two_peaks": Target(1e-8, 20),
    "holes": Target(1e-8, 30),
    "dielectric": Target(1e-8, 20),
    "dielectric_ball": Target(1e-5, 60),
    "reentrant_corner": Target(1e-8, 20),
    "circular_front": Target(1e-8, 20),
    "bracket": Target(1e-4, 60),
    "elastic_block": Target(1e-6, 60),
    "heat": Target(1e-13, 1),
    "heat4d": Target(1e-6),
    "heat_disk": Target(1e-9, 10),
    "heat_hole": Target(1e-8, 40),
    "ethier_steinman": Target(1e-5, 60),
    "wave": Target(1e-12, 1),
    "advection": Target(1e-11, 1),
    "stokes": Target(1e-6, fields={"u": 1e-6, "v": 1e-6, "q": 1e-6}),
    "biharmonic": Target(1e-7),
    "disk_hole": Target(1e-6),
    "plate_hole": Target(1e-3, fields={"u": 1e-3, "v": 1e-3}),
    "lshape": Target(1e-3),
    "lshape_singular": Target(1e-5),
    "burgers": Target(1e-4, 300, aim=1e-6),
    "allen_cahn": Target(1e-4),
    "burgers2d": Target(1e-5, 120),
    "allen_cahn2d": Target(1e-5, 120),
    "gray_scott": Target(1e-5, 120),
    "klein_gordon": Target(1e-6),
    "klein_gordon_plane": Target(),
    "kdv": Target(1e-5),
    "zabusky_kruskal": Target(1e-9, 10),
    "burgers_riemann": Target(1e-8),
    "black_scholes": Target(1e-8),
    "kovasznay": Target(1e-6, fields={"u": 1e-6, "v": 1e-6, "q": 1e-6}),
    "cavity": Target(3e-5, 60, fields={"u": 3e-5, "v": 3e-5}),
    "cylinder": Target(),
    "cylinder_shedding": Target(),
    "backward_step": Target(),
    "schroedinger": Target(1e-4),
    "sine_gordon": Target(1e-6),
    "lotka_volterra": Target(1e-11, 2),
    "lorenz": Target(1e-8, 3),
    "van_der_pol": Target(1e-7, 10),
    "robertson": Target(1e-11, 5),
    "kuramoto_sivashinsky": Target(),
    "drum": Target(1e-8, eigenvalues=3),
    "oscillator": Target(1e-9, eigenvalues=10),
    "maxwell_cavity": Target(1e-8, eigenvalues=8),
    "inverse_diffusion": Target(),
    "inverse_navier_stokes": Target(),
    "inverse_lorenz": Target(),
    "inverse_lotka_volterra": Target(),
    "inverse_burgers": Target(),
    "inverse_brinkman": Target(),
    "inverse_reaction": Target(),
    "parametric_poisson": Target(1e-8),
}
