"""Scales of the fields and of the equations, with which a loss does not depend on units."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from scipy.sparse.csgraph import connected_components
from torch import Generator, Tensor

from kanpinn.geometry import Points
from kanpinn.geometry.points import Batch
from kanpinn.geometry.sampling import Collocation, sample
from kanpinn.jets import Channels, Jet, Linearised, find_channels, jet_of_stacked, parts_of_wave
from kanpinn.pde.problem import Problem


@dataclass(frozen=True, eq=False)
class Scales:
    """The sizes of a problem's fields, and factors that bring its residuals to one scale.

    Args:
        fields: the expected size of each field, (m,).
        equations: the factor of each equation of the problem's residual.
        conditions: for each condition the factors of its equations, (equations,); empty for
            measurements, whose residual is not scaled.
    """

    fields: Tensor
    equations: Tensor
    conditions: tuple[Tensor, ...]


def scales_of(problem: Problem) -> Scales:
    """Return scales with which all fields and residuals of a problem have sizes of about one.

    A_ef is the size of the terms of equation e that contain field f, for a field of size 1 that
    varies on the scale L of the domain: Σ_k |∂R_e/∂(∂^k u_f)| (ω / L)^k with the residuals R_e. The
    factors r_e of equations and the sizes c_f of fields make the entries r_e A_ef c_f as near to 1
    as possible, by least squares in the logarithms. This leaves a number s free, since r / s and
    c s give the same entries; s is the largest r_e b_e, where b_e is the size of the residual R_e
    of u = 0, and so of the data. Nonlinear equations are linearised at u = 0, and not at fields of
    the sizes c_f: these may be far too large where the data oscillate, so that nonlinear terms
    would outweigh the linear terms. Only equations without linear terms are linearised at random
    fields of the sizes c_f.

    A change of the units of coordinates, fields and equations changes the scales by just the
    factors that compensate it. Neither an exact solution nor the network plays a part.

    Args:
        problem: a problem without unknowns, as `stated` returns it.

    Reference: Curtis and Reid, On the automatic scaling of matrices for Gaussian elimination
    (1972).
    """
    low, high = problem.domain.bounds
    # A derivative along an axis of length L is assumed to be ω / L times the solution. With
    # ω = 2√5, the Laplacian on [-1, 1]² has the size 10 and Δ² the size 100. The inverse squares of
    # these sizes, 0.01 and 1e-4, are weights of the interior that have proved good in experiments.
    rates = 2 * math.sqrt(5) / (high - low)
    rows = [_Rows(problem.equation, sample(problem.domain, 64, "sobol"), rates)]
    few, made = Collocation(64, 64, "sobol"), {}
    for index, condition in enumerate(problem.conditions()):
        if not condition.measurements:
            places = condition.points(few, 1.0, Generator().manual_seed(index), high - low)
            made[index] = len(rows)
            rows.append(_Rows(condition.stacked_residual, places, rates, condition.sites))
    fields = low.new_zeros(len(problem.fields))
    given = [condition.at_zero(fields) for condition in rows]
    matrix = torch.cat([condition.slopes(fields) for condition in rows])
    factors, fields = _equilibrated(matrix, torch.cat(given))
    if not matrix.any(dim=1).all():  # an equation without linear terms
        again = torch.cat([condition.slopes(fields) for condition in rows])
        matrix = torch.where(matrix.any(dim=1, keepdim=True), matrix, again)
        factors, fields = _equilibrated(matrix, torch.cat(given))
    parts = factors.split([len(condition) for condition in given])
    conditions = (
        parts[made[i]] if i in made else low[:0] for i in range(len(problem.conditions()))
    )
    return Scales(fields, parts[0], tuple(conditions))


@dataclass(frozen=True)
class _Rows:
    """The residual of the equation or of a condition at some points, to measure its terms.

    Args:
        residual: a function of points and the jet of all fields.
        points: the points.
        rates: the size of a derivative along each axis of a function of size 1, (d,).
        sites: the number of points that one row of the residual combines.
    """

    residual: Callable[[Points, Jet], Tensor]
    points: Points
    rates: Tensor
    sites: int = 1

    @torch.no_grad()
    def at_zero(self, fields: Tensor) -> Tensor:
        """The root mean square of each equation's residual for u = 0; 0 where it is not finite.

        Args:
            fields: a tensor of the shape (m,) and the dtype of the fields; its values are not used.
        """
        size = self._tried(torch.zeros_like(fields))[1].double().square().mean(dim=0).sqrt()
        return size.where(size.isfinite(), torch.zeros_like(size))

    def slopes(self, fields: Tensor) -> Tensor:
        """The sizes A of the terms with each field in each equation, (equations, m).

        Args:
            fields: the sizes of the random fields at which the residual is linearised.
        """
        with torch.no_grad():
            channels, _ = self._tried(fields)
        points = Batch.made_of(self.points)
        slopes = Linearised.at(self.residual, points, self._jet(fields, channels)).slopes
        terms = slopes.square().mean(dim=0).sqrt() * self._sizes(channels)[:, None]
        sizes = self.sites * terms.sum(dim=1)
        return sizes.where(sizes.isfinite(), torch.zeros_like(sizes))

    def _tried(self, fields: Tensor) -> tuple[Channels, Tensor]:
        """Evaluate the residual for random fields.

        Args:
            fields: the sizes of the random fields, (m,).

        Returns:
            The derivatives that the residual uses, and its values, (rows, equations).
        """
        return find_channels(
            lambda channels: self.residual(self.points, self._jet(fields, channels)),
            self.points.names,
        )

    def _jet(self, fields: Tensor, channels: Channels) -> Jet:
        """Random values and derivatives of all fields, as a jet; `_sizes` has their sizes.

        Args:
            fields: the sizes of the random fields, (m,).
            channels: the derivatives that the jet carries.
        """
        sizes = self._sizes(channels)[:, None] * fields
        shape, generator = (len(self.points), *sizes.shape), Generator().manual_seed(7)
        return jet_of_stacked(
            channels, sizes * torch.randn(shape, generator=generator, dtype=sizes.dtype)
        )

    def _sizes(self, channels: Channels) -> Tensor:
        """The sizes of the value and derivatives (parts of a jet) of a field of size 1, (parts,).

        Derivatives have the sizes that `rates` gives them.

        Args:
            channels: the derivatives.
        """
        steps = tuple(tuple(map(abs, direction)) for direction in channels.directions)
        return parts_of_wave(replace(channels, directions=steps), self.rates[None])[0]


def _equilibrated(matrix: Tensor, given: Tensor) -> tuple[Tensor, Tensor]:
    """Return the factors of the equations and the sizes of the fields, see `scales_of`.

    Args:
        matrix: A, the sizes of the terms with each field in each equation, (equations, fields).
        given: the sizes b of the residuals of u = 0, (equations,).

    Returns:
        The factors r, (equations,), and the sizes c, (fields,).
    """
    count, width = matrix.shape
    at = matrix.nonzero()
    system = matrix.new_zeros(len(at), count + width)
    rows = torch.arange(len(at))
    system[rows, at[:, 0]] = system[rows, count + at[:, 1]] = 1
    logarithms = -matrix[at[:, 0], at[:, 1]].log()
    logs = torch.linalg.pinv(system) @ logarithms
    factors, fields = logs[:count].exp(), logs[count:].exp()
    coupled = torch.zeros(count + width, count + width)
    coupled[:count, count:] = matrix > 0
    number, labels = connected_components(coupled.numpy(), directed=False)
    for block in range(number):  # the equations and fields that are coupled with each other
        mine, its = torch.from_numpy(labels == block).split([count, width])
        size = float((factors * given)[mine].max()) if mine.any() else 0.0
        size = size if size > 0 else 1.0
        factors[mine] /= size
        fields[its] *= size
    return factors, fields
