"""Quadrature rules and grids on the unit cube, which shapes map to their own points."""

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
import torch
from scipy.special import j1, jn_zeros, roots_jacobi, roots_legendre
from torch import Tensor

from kanpinn._support.errors import InputError, integer
from kanpinn._support.shapes import Coords, Weights

Draw = Callable[[int, int], Coords]  # draw(n, dim): n points of the unit cube [0, 1]^dim


def gauss_legendre(n: int) -> tuple[Weights, Weights]:
    """Return nodes and weights, (n,) each, of the Gauss-Legendre rule on [0, 1] in float64.

    The rule is exact for polynomials up to degree 2n - 1; its nodes lie inside the interval.

    Raises:
        InputError: unless n is a positive integer.
    """
    nodes, weights = _legendre(integer("n", n))
    # Return copies, so that no caller can modify the cached arrays.
    return torch.tensor((1 + nodes) / 2), torch.tensor(weights / 2)


def gauss_product(nodes: int | Sequence[int], dim: int) -> tuple[Coords, Weights]:
    """Return the product of Gauss-Legendre rules on [0, 1]^dim.

    Args:
        nodes: the number of nodes on all axes, or one number for each axis.
        dim: the number of axes; for 0 the rule is one point with weight 1.

    Returns:
        Coordinates (n, dim) and weights (n,), where n is the product of the numbers of nodes.

    Raises:
        InputError: unless nodes is a positive integer or a sequence of dim positive integers.
    """
    counts = list(nodes) if isinstance(nodes, Sequence) else [nodes] * dim
    if len(counts) != dim:
        raise InputError(f"nodes must be one number or one for each of {dim} axes, got {nodes!r}")
    rules = [gauss_legendre(integer("nodes", count)) for count in counts]
    coords, weights = (tensor_grid([rule[part] for rule in rules]) for part in (0, 1))
    return coords, weights.prod(dim=1)


def jacobi(n: int, alpha: float | int, beta: float | int) -> tuple[Weights, Weights]:
    """Return Gauss–Jacobi nodes and weights, (n,) each, on [-1, 1].

    The weight function is (1 - x)^alpha (1 + x)^beta.
    """
    nodes, weights = roots_jacobi(n, alpha, beta)
    return torch.tensor(nodes), torch.tensor(weights)


def check_size(nodes: int, count: int) -> None:
    """Check that a product rule with `count` points fits into memory.

    Args:
        nodes: the number of nodes of each one-dimensional rule, for the message.
        count: the number of points of the product rule.

    Raises:
        InputError: if the rule has more than 2^24 points.
    """
    most = 2**24  # about the limit of a machine with little memory
    if count > most:
        size = f"a rule with nodes={nodes} would have {count:.1e} points, more than {most:.1e}"
        raise InputError(f"{size}: take fewer nodes, or sample(..., 'sobol') in high dimension")


def simplex_rule(nodes: int, dim: int) -> tuple[Coords, Weights]:
    """Return a rule on a triangle (dim 2) or tetrahedron (dim 3), exact up to degree 2·nodes - 1.

    It is a conical product of Gauss–Jacobi rules: a simplex is a cone over a simplex of one
    dimension less, and the rule on the cone is the product of a rule over its height and the rule
    on its base.

    Args:
        nodes: the number of nodes of each one-dimensional rule.
        dim: the dimension of the simplex, at least 1.

    Returns:
        Barycentric coordinates (nodes^dim, dim + 1) and positive weights, whose sum is 1.

    Reference: Stroud, Approximate Calculation of Multiple Integrals (1971), section 2.4.
    """
    share, along = gauss_legendre(nodes)
    shares, weights = torch.stack([1 - share, share], dim=1), along
    for d in range(2, dim + 1):
        # The rule on the face opposite to the new first corner is copied to each height s; there
        # the weights of the copy shrink like s^(d-1).
        height, across = jacobi(nodes, 0, d - 1)
        s = (1 + height[:, None, None]) / 2
        shares = torch.cat([(1 - s).expand(-1, len(shares), 1), s * shares], dim=2).flatten(0, 1)
        weights = torch.outer(across * (d / 2**d), weights).flatten()
    return shares, weights


def axis_counts(n: int, dim: int) -> list[int]:
    """Return the numbers of points on dim axes for a product grid of at least n points.

    They differ by at most 1, the larger numbers come first, and as few as possible are larger.
    """
    if dim == 0:
        return []
    m = max(1, round(n ** (1 / dim)))
    m += m**dim < n
    longer = next(k for k in range(dim + 1) if m**k * (m - 1) ** (dim - k) >= n)
    return [m] * longer + [m - 1] * (dim - longer)


def tensor_grid(axes: Sequence[Tensor]) -> Coords:
    """Return all combinations of one value per axis, (n, d); the last axis varies fastest."""
    if not axes:
        return torch.zeros(1, 0, dtype=torch.float64)
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).reshape(-1, len(axes))


def sobol(seed: int) -> Draw:
    """Return a function that draws scrambled Sobol points, always the same for one seed.

    The function has the arguments n and dim, and returns points (n, dim) of the unit cube.
    """

    def draw(n: int, dim: int) -> Coords:
        """Return n points of the scrambled Sobol sequence in the unit cube, (n, dim)."""
        engine = torch.quasirandom.SobolEngine(dim, scramble=True, seed=seed)
        return engine.draw(n, dtype=torch.float64)

    return draw


def axis_rim() -> Weights:
    """Return the ends and five inner Gauss points of an edge [0, 1], in order, (7,)."""
    inner = gauss_legendre(5)[0]
    return torch.cat([inner.new_zeros(1), inner, inner.new_ones(1)])


def cube_rim(dim: int) -> Coords:
    """Return points (n, dim) on the sides of the unit cube [0, 1]^dim, alike on each side.

    Up to three dimensions the points of a side are the product of `axis_rim` (the ends and five
    Gauss points) over the axes of the side. In more dimensions they are 64 Sobol points.
    """
    if dim == 0:
        return torch.zeros(0, 0, dtype=torch.float64)
    if dim <= 3:
        side = tensor_grid([axis_rim()] * (dim - 1))
    else:
        side = torch.quasirandom.SobolEngine(dim - 1).draw(64, dtype=torch.float64)
    ends = (side.new_full((len(side), 1), end) for end in (0.0, 1.0))
    parts = [[side[:, :i], end, side[:, i:]] for end in ends for i in range(dim)]
    return torch.cat([torch.cat(part, dim=1) for part in parts])


@lru_cache(maxsize=128)
def _legendre(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return nodes and weights, (n,) each, of the Gauss-Legendre rule on [-1, 1].

    Above 1000 nodes eigenvalues would take a time like n², which is minutes for 10⁵ nodes. Let
    ν = n + 1/2, and let u = √sin θ P_n(cos θ), which satisfies u'' + (ν² + 1 / (4 sin² θ)) u = 0.
    Then u / √θ is (1 + A / ν²) J_0(νθ) + B / ν J_1(νθ) up to ν⁻⁴, with B = (cot θ - 1/θ) / 8 and
    A = (B' - B/θ - B²) / 2. The nodes and weights follow from this for zeros α of J_0.

    Reference: Bogaert, Iteration-free computation of Gauss-Legendre quadrature nodes and weights
    (2014).
    """
    few, exact = 1000, 40
    if n <= few:
        return roots_legendre(n)
    count, middle = n // 2, n + 0.5
    beta = (np.arange(exact + 1, count + 1) - 0.25) * np.pi
    more = beta + 1 / (8 * beta) - 124 / (3 * (8 * beta) ** 3) + 120928 / (15 * (8 * beta) ** 5)
    zeros = np.concatenate([jn_zeros(0, exact), more])
    x = zeros / middle
    b, slope = (1 / np.tan(x) - 1 / x) / 8, (1 / x**2 - 1 / np.sin(x) ** 2) / 8
    angles = x + b / middle**2
    sizes = (middle * j1(zeros)) ** 2 * (1 - (slope + b / x) / middle**2)
    nodes, weights = np.cos(angles), 2 * np.sin(angles) / (angles * sizes)
    inner = [0.0] * (n % 2), [2 - 2 * weights.sum()] * (n % 2)
    found = zip((-nodes, weights), inner, (nodes, weights), strict=True)
    first, second = (np.concatenate([a, own, b[::-1]]) for a, own, b in found)
    return first, second
