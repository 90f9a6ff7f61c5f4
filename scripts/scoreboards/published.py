"""The best errors that others have published for the problems of the library."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """A published relative L2 error: who reached it, when, and on which problem, if known.

    same: whether it is the very same problem; if not, source says what differs.
    """

    error: float
    source: str
    same: bool = True

    def __str__(self) -> str:
        return f"{self.error:.1e}: {self.source}"


@dataclass(frozen=True)
class Published:
    """The best error of a KAN code, and of any other neural code; None if none is known."""

    kan: Figure | None = None
    neural: Figure | None = None


POSTER = Published(
    Figure(5.3e-4, "KAN [2,10,1], Liu et al. (2024)"),
    Figure(7.6e-8, "jinns 1.10, SSBroyden, MLP of 1185 parameters, 240 s on two CPU cores"),
)
SMOOTH = Published(neural=Figure(2e-8, "KFAC, Dangel et al. (2024); an absolute error", same=False))

PUBLISHED = {
    "poisson2d": POSTER,
    "poisson2d_expression": POSTER,
    "poisson2d_penalty": POSTER,
    "poisson2d_small": POSTER,
    "poisson2d_poster": POSTER,
    "poisson5d": Published(
        neural=Figure(3.5e-8, "ENGD, Müller and Zeinhofer (2023), 3000 s on a GPU")
    ),
    "poisson10d": Published(
        neural=Figure(8.9e-6, "SPRING, Guzmán-Cordero et al. (2025), 6249 s on a GPU")
    ),
    "poisson100d": Published(
        neural=Figure(1.1e-4, "SPRING, Guzmán-Cordero et al. (2025), 7001 s on a GPU")
    ),
    "helmholtz": Published(
        Figure(1.0e-3, "jaxKAN, Rigas et al. (2024), 1828 s"),
        Figure(1e-10, "natural gradient and SSBroyden: 1e-6 to 1e-10"),
    ),
    "heat": SMOOTH,
    "wave": SMOOTH,
    "heat4d": Published(neural=Figure(7e-7, "ENGD; an absolute error", same=False)),
    "burgers": Published(
        Figure(2.4e-2, "jaxKAN, Rigas et al. (2024), 1411 s"),
        Figure(8e-14, "DSGNAR (2026), 346 s on an H100; SSBroyden (2025): 1.6e-8"),
    ),
    "allen_cahn": Published(
        Figure(2.5e-5, "KKAN, Toscano et al. (2024), 93 min on a GPU"),
        Figure(9.4e-7, "SSBroyden (2025)"),
    ),
    "klein_gordon_plane": Published(Figure(7.6e-3, "SPIKAN, Jacob et al. (2024)")),
    "kdv": Published(
        neural=Figure(3.4e-4, "SOAP, Wang et al. (2025); from another initial state", same=False)
    ),
    "zabusky_kruskal": Published(
        neural=Figure(8.2e-11, "1210 s on an H100 (2026); jaxpi 2: 1.5e-4")
    ),
    "gray_scott": Published(
        neural=Figure(8.4e-4, "Scale-PINN; other initial values, to t = 2", same=False)
    ),
    "cavity": Published(
        Figure(5.8e-2, "u by SPIKAN, Jacob et al. (2024), v 7.2e-2"),
        Figure(4e-2, "u and v, other neural codes"),
    ),
}
NOTHING = Published()


def best(problem: str) -> Published:
    """Return the best published errors of a problem."""
    return PUBLISHED.get(problem, NOTHING)
