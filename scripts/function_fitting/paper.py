"""The KAN paper's errors of fitted functions (arXiv 2404.19756, Figure 3.1 and Table 1).

All are absolute test RMSE of cubic splines trained by L-BFGS. Those of the figure are read off its
vector paths.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Curve:
    """The errors of a KAN on each of its grids, and the best MLP's."""

    grids: tuple[int, ...]
    rmse: tuple[float, ...]
    mlp: float

    @property
    def best(self) -> float:
        """The least of these errors: the value to reach."""
        return min(self.rmse)


TOY = {
    "bessel": Curve(
        (3, 5, 10, 20, 50, 100, 200), (0.27, 0.27, 0.20, 8.8e-3, 9.6e-5, 5.2e-6, 4.0e-7), 1.7e-4
    ),
    "exponential": Curve(
        (3, 5, 10, 20, 50, 100), (1.8e-2, 6.5e-3, 4.5e-4, 5.0e-5, 3.0e-6, 1.3e-6), 1.5e-4
    ),
    "product": Curve(
        (3, 5, 10, 20, 50, 100), (1.5e-4, 2.2e-5, 2.4e-6, 2.5e-7, 3.2e-8, 2.4e-8), 3.4e-6
    ),
    "hundred": Curve(
        (3, 5, 10, 20, 50, 100), (2.0e-3, 5.4e-4, 2.4e-4, 1.5e-4, 1.1e-4, 1.2e-4), 5e-2
    ),
    "four": Curve((3, 5, 10, 20, 50), (4.8e-3, 1.6e-3, 1.6e-4, 9.8e-6, 7.0e-7), 6.5e-4),
}


@dataclass(frozen=True)
class Best:
    """The best KAN's shape and error, and the best MLP's error."""

    width: str
    kan: float
    mlp: float


SPECIAL = {
    "ellipj": Best("[2,3,2,1,1]", 1.33e-4, 6.48e-4),
    "ellipkinc": Best("[2,2,1,1,1]", 1.24e-4, 5.52e-4),
    "ellipeinc": Best("[2,2,1,1]", 8.26e-5, 3.04e-4),
    "jv": Best("[2,3,1,1,1]", 1.64e-3, 5.52e-3),
    "yv": Best("[2,2,2,1]", 1.49e-5, 3.45e-4),
    "kv": Best("[2,2,1]", 2.52e-5, 1.67e-4),
    "iv": Best("[2,4,3,2,1,1]", 9.28e-3, 1.07e-2),
    "lpmv 0": Best("[2,2,1]", 5.25e-5, 1.74e-2),
    "lpmv 1": Best("[2,4,1]", 6.90e-4, 1.50e-3),
    "lpmv 2": Best("[2,3,2,1]", 2.26e-4, 9.43e-4),
    "sph_harm 0,1": Best("[2,1,1]", 2.21e-7, 1.25e-6),
    "sph_harm 1,1": Best("[2,3,2,1]", 1.22e-4, 6.70e-4),
    "sph_harm 0,2": Best("[2,1,1]", 1.95e-7, 2.85e-6),
    "sph_harm 1,2": Best("[2,2,1,1]", 1.50e-5, 1.84e-3),
    "sph_harm 2,2": Best("[2,2,3,2,1]", 9.45e-5, 6.21e-4),
}
