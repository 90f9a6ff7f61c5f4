"""What references by scikit-fem's finite elements have in common."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import skfem
from scipy.spatial import cKDTree
from skfem.helpers import ddot, sym_grad, trace

Array = np.ndarray


def bent(before: Any, after: Any, edges: Array, onto: Callable[[Array], Array]) -> Any:
    """Return triangles whose nodes at the middles of some edges are moved.

    Args:
        before: triangles with straight edges.
        after: the same triangles with nodes at the middles of edges, or their parts. Edges without
            a node at their middle stay.
        edges: the numbers of the edges of `before`, or a mask.
        onto: returns the places to which the middles, (2, n), are moved, (2, n).
    """
    middles, nodes = before.p[:, before.facets[:, edges]].mean(axis=1), after.doflocs.copy()
    gaps, numbers = cKDTree(nodes.T).query(middles.T)
    nodes[:, numbers[gaps < 1e-9]] = onto(middles[:, gaps < 1e-9])
    return replace(after, doflocs=nodes)


def elasticity(mu: float, lame: float) -> skfem.BilinearForm:
    """Return the form ∫ 2 μ ε(u) : ε(v) + λ tr ε(u) tr ε(v), with Lamé's constants μ and λ."""

    def form(u: Any, v: Any, _: Any) -> Any:
        strain, test = sym_grad(u), sym_grad(v)
        return 2 * mu * ddot(strain, test) + lame * trace(strain) * trace(test)

    return skfem.BilinearForm(form)


def relative(errors: Array, exact: Array, weights: Array) -> float:
    """Return the L2 norm of errors (n, m), relative to that of exact values (n, m)."""
    squares = [weights @ (part**2).sum(axis=1) for part in (errors, exact)]
    return float(squares[0] / squares[1]) ** 0.5
