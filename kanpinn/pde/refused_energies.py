"""The densities of an energy that are refused, in the domain and on the boundary."""

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn._support.wording import of_class, show
from kanpinn.geometry import Boundary, Domain, Points
from kanpinn.geometry.sampling import sample
from kanpinn.jets import Jet
from kanpinn.pde.conditions import Condition
from kanpinn.pde.evaluate import jets_of_fields
from kanpinn.pde.random_jets import random_jets
from kanpinn.pde.stationary import Density, Integrand, OnWalls, euler_lagrange


def check_energy(energy: Density, domain: Domain, count: int, what: str) -> int:
    """Refuse a density whose derivatives by the coordinates are not those of its values.

    They are compared with differences at a few points, for random fields. Where a coefficient is
    computed without a graph, as from a table, its derivatives would be missing in the equation.

    Args:
        energy, what: the density, and its name in messages.
        domain: its domain.
        count: the number of fields and unknown numbers.

    Returns:
        The order of the highest derivatives in the density.

    Raises:
        InputError: see above, and for a problem with a time.
    """
    if domain.time_name is not None:
        raise InputError(
            f"{what} has the time {domain.time_name}: an equation is derived from energies of "
            "problems without a time"
        )

    def equation(p: Points, u: Jet) -> Tensor:
        return euler_lagrange(energy, p, jets_of_fields(u), what, count)

    p = sample(domain, 5, "uniform")
    jet, _ = random_jets(equation, p, count)
    columns = jets_of_fields(jet)
    steps = 1e-5 * (domain.bounds[1] - domain.bounds[0])
    with torch.enable_grad():
        at = Integrand.at(energy, p, columns, what)
        for axis, step in enumerate(torch.diag(steps)):
            ends = [_at_shifted(energy, p, columns, sign * step, what) for sign in (-1, 1)]
            for own, *both in zip(_columns(at), *ends, strict=True):
                exact = at.slopes(own)[0][:, axis]
                gap = (both[1] - both[0])[:, 0] / (2 * steps[axis]) - exact
                size = own.abs().max() / (steps[axis] * 1e5) + exact.abs().max()
                if float(gap.detach().abs().max()) > 1e-4 * float(size.detach()):
                    raise InputError(
                        f"{what} has a coefficient whose derivative by {domain.names[axis]} is not "
                        "that of its values: compute it from p by functions of torch, without "
                        "detach() or NumPy"
                    )
    return at.order


def _columns(at: Integrand) -> list[Tensor]:
    """The derivatives of a density by those of the fields, (n, 1) each."""
    _, by_levels = at.slopes(at.density)
    return [one for level in by_levels[1:] for slope in level for one in slope.split(1, dim=1)]


def _at_shifted(
    energy: Density, p: Points, fields: Sequence[Jet], shift: Tensor, what: str
) -> list[Tensor]:
    """The derivatives of a density by those of the fields at shifted points, (n, 1) each."""
    return _columns(Integrand.at(energy, Points(p.coords + shift, p.names), fields, what))


def check_boundary_energies(
    conditions: Sequence[Condition], on_walls: OnWalls, fields: Sequence[str], name: str
) -> None:
    """Refuse densities on the boundary that change nothing, and fluxes that are not among them.

    A density changes nothing where all fields are prescribed: its integral is the same for all.

    Args:
        conditions: those that are stated.
        on_walls: what `boundary_energies` returned.
        fields: the names of the problem's fields.
        name: the name of the problem.

    Raises:
        InputError: naming the density or the condition; or for densities of another kind.
    """
    for i, pair in enumerate(on_walls):
        match pair:
            case (Boundary(), density) if callable(density):
                continue
        raise InputError(
            f"{name}.boundary_energies()[{i}] must be a pair of a part of the boundary and a "
            f"function (p, u, …), such as (domain.boundary, density), got {show(pair)}"
        )
    data = [one for condition in conditions for one in condition.prescribed(fields)]
    given = {(one.piece, one.field) for one in data}
    for i, (part, _) in enumerate(on_walls):
        if given.issuperset(itertools.product(part.pieces, fields)):
            raise InputError(
                f"{name}.boundary_energies()[{i}] changes nothing: all fields are prescribed on "
                f"{', '.join(piece.name for piece in part.pieces)}"
            )
    covered = {piece for part, _ in on_walls for piece in part.pieces}
    for index, condition in enumerate(conditions):
        if condition.needs_energy and not covered.issuperset(condition.pieces):
            raise InputError(
                f"conditions()[{index}], {of_class(condition)}, is natural for an energy, "
                f"but {name}.boundary_energies() has no density there: the density for ∂u/∂n = g "
                "is -g u, and for ∂u/∂n + αu = g it is αu²/2 - g u"
            )
