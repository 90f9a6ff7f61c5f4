"""Densities of the integrals that a problem conserves: their evaluation, and checks."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.geometry import Points
from kanpinn.geometry.sampling import sample
from kanpinn.jets import Jet
from kanpinn.pde.evaluate import jets_of_fields, stack_equations
from kanpinn.pde.problem import Problem
from kanpinn.pde.random_jets import random_jets

Densities = Callable[..., Mapping[str, Tensor]]


def densities_at(what: str, densities: Densities, p: Points, u: Jet) -> dict[str, Tensor]:
    """Return the densities of a solution at n points by name, (n,) each.

    Args:
        what: the name of the method, "Class.invariants", for messages.
        densities: a problem's method `invariants` or `outflow`.
        p: the points.
        u: the jet of all columns there.

    Raises:
        InputError: where the method returns no columns by name.
    """
    n, found = len(p), densities(p, *jets_of_fields(u))
    if not isinstance(found, Mapping) or not found or not all(isinstance(k, str) for k in found):
        raise InputError(
            f'{what} must return a dict from names to densities, {{"mass": u.value}}, got {found!r}'
        )
    columns = {name: stack_equations(one, n, f"{what}[{name!r}]") for name, one in found.items()}
    for name, column in columns.items():
        if column.shape[1] != 1:
            raise InputError(
                f"{what}[{name!r}] must have shape (n, 1) with n = {n} points here, "
                f"got {tuple(column.shape)}"
            )
    return {name: column[:, 0] for name, column in columns.items()}


def check_densities(problem: Problem) -> None:
    """Try the methods `invariants` and `outflow` of a problem that has the first, on random jets.

    Raises:
        InputError: where they do not return columns by name, or `outflow` has other names.
    """
    p, name = sample(problem.domain, 5, "uniform"), type(problem).__name__
    p = Points(p.coords, p.names, torch.ones_like(p.coords))  # an outflow takes normals
    known: tuple[str, ...] = ()
    for method, densities in (("invariants", problem.invariants), ("outflow", problem.outflow)):
        if densities is None:
            continue
        found = _names(f"{name}.{method}", densities, p, len(problem.columns))
        if known and (other := [name for name in found if name not in known]):
            raise InputError(
                f"{name}.{method} has {other[0]!r}, which is none of the invariants "
                f"{', '.join(known)}"
            )
        known = found


def _names(what: str, densities: Densities, p: Points, m: int) -> tuple[str, ...]:
    """Return the names of the densities, from those of a random jet of m columns."""
    found: dict[str, Tensor] = {}

    def stacked(p: Points, u: Jet) -> Tensor:
        found.update(densities_at(what, densities, p, u))
        return torch.stack([*found.values()], dim=1)

    random_jets(stacked, p, m)
    return tuple(found)
