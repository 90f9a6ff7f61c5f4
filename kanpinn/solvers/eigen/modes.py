"""Functions of an eigenvalue problem at points: surrogates with an output for each mode, the matrix
pencil of the operator and the mass, and samples of modes for inner products.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from kanpinn.geometry import Points
from kanpinn.geometry.sampling import weighted_sample
from kanpinn.jets import Channels, Jet, ResidualFunction, find_channels, jet_of, join
from kanpinn.loss.residuals import Residuals
from kanpinn.loss.terms import PROBE_POINTS, ResidualTerm, Term
from kanpinn.networks.network import Network, OutputMap
from kanpinn.networks.surrogate import Surrogate
from kanpinn.pde.eigen_problem import EigenProblem
from kanpinn.solvers.discretization import Discretization


@dataclass(frozen=True)
class Modes:
    """Eigenvalues and the output layer's coefficients of their modes.

    Args:
        values: (c,), a complex tensor only if some eigenvalues are complex.
        coefficients: (P, c), of the same kind.
    """

    values: Tensor
    coefficients: Tensor

    def __getitem__(self, which: Tensor) -> "Modes":
        return Modes(self.values[which], self.coefficients[:, which])

    @property
    def columns(self) -> Tensor:
        """The coefficients as real columns: (P, c), or (P, 2c) with all real parts first."""
        c = self.coefficients
        return torch.cat([c.real, c.imag], dim=1) if c.is_complex() else c


def as_modes(columns: Tensor, values: Tensor) -> Tensor:
    """Return real columns as modes, (…, count): complex if the eigenvalues are.

    Args:
        columns: (…, count), or (…, 2 count) for complex modes, all real parts first.
        values: the eigenvalues, (count,).
    """
    count = len(values)
    if not values.is_complex():
        return columns[..., :count]
    return torch.complex(columns[..., :count], columns[..., count:])


@dataclass(frozen=True, eq=False)
class Modewise:
    """The output map of several modes: `output` applied to each group of `fields` outputs."""

    output: OutputMap
    fields: int

    def apply(self, points: Points, jet: Jet) -> Jet:
        """Return the jet of all modes from the jet of the network's outputs."""
        return join([self.output.apply(points, mode) for mode in _split(jet, self.fields)])


def each(equation: ResidualFunction, fields: int) -> ResidualFunction:
    """Return the function that evaluates an equation for all modes, (n, equations, modes)."""
    return lambda p, u: torch.stack([equation(p, mode) for mode in _split(u, fields)], dim=2)


def _split(jet: Jet, fields: int) -> list[Jet]:
    """Split a jet of all modes into one jet of `fields` fields for each mode."""
    columns = range(0, jet.value.shape[-1], fields)
    return [jet.map(lambda t, c=c: t[..., c : c + fields]) for c in columns]  # type: ignore[misc]


def widened(surrogate: Surrogate, columns: Tensor) -> Surrogate:
    """Return a copy of a surrogate of m fields with outputs j·m to (j+1)·m - 1 for mode j.

    Args:
        surrogate: of one mode.
        columns: the output layer's coefficients of each mode, (P, modes).
    """
    network: Network = copy.deepcopy(surrogate.network)
    fields = network.width[-1]
    layers, modes = network.output_layers, columns.shape[1]
    parts = columns.split([layer.coefficients.numel() for layer in layers])
    with torch.no_grad():
        for layer, part in zip(layers, parts, strict=True):
            shape = layer.coefficients.shape
            wide = part.view(*shape, modes).transpose(-1, -2).flatten(-2)
            layer.coefficients = nn.Parameter(wide.contiguous())
            if isinstance(kept := getattr(layer, "kept", None), Tensor):
                layer.kept = kept.repeat(1, modes)
    output = None if surrogate.output is None else Modewise(surrogate.output, fields)
    inputs = None if surrogate.inputs is None else surrogate.inputs.functions[0]
    return Surrogate(network, surrogate.domain, output, inputs)


def rule(
    discretization: Discretization[EigenProblem], factor: float = 1.0, fresh: bool = False
) -> Points:
    """Return a quadrature rule: points in the domain whose `data` (n, 1) are the weights.

    The weights sum up to the measure of the domain.

    Args:
        discretization: gives the domain, the sampler and the number of interior points.
        factor: multiplies this number.
        fresh: draw random points with another seed than the solve's.
    """
    count = round(factor * discretization.collocation.interior)
    generator = Generator().manual_seed(discretization.seed + 7919 * fresh)
    # Graded cells of the problem would leave too few points for the bulk of the domain.
    p, weights = weighted_sample(
        [discretization.problem.domain], count, discretization.collocation.sampler, generator
    )
    like = discretization.surrogate.low
    return Points(p.coords, p.names, data=weights[:, None]).to(like.dtype, like.device)


def fresh_rule(discretization: Discretization[EigenProblem]) -> Points:
    """Return a quadrature rule at points that the solve has not used, 1.3 times as many."""
    return rule(discretization, 1.3, fresh=True)


def channels_at(
    surrogate: Surrogate, equations: Sequence[ResidualFunction], points: Points
) -> Channels:
    """Return the channels of all derivatives that one of the equations uses."""
    probe = points[:PROBE_POINTS]

    def run(channels: Channels) -> list[Tensor]:
        jet = surrogate.jet(probe, channels)
        return [equation(probe, jet) for equation in equations]

    with torch.no_grad():
        return find_channels(run, points.names)[0]


@dataclass(frozen=True)
class ModeSamples:
    """u, L u and M u of functions at quadrature points, multiplied by √w.

    So products of two matrices, such as fields.T @ operator, are the integrals of the products of
    the functions. Each function has a column.

    Args:
        fields: u, (n · fields, columns).
        operator: L u, (n · equations, columns).
        mass: M u, (n · equations, columns).
    """

    fields: Tensor
    operator: Tensor
    mass: Tensor

    def map(self, change: Callable[[Tensor], Tensor]) -> "ModeSamples":
        """Return the samples after a change of the columns of all matrices."""
        return ModeSamples(change(self.fields), change(self.operator), change(self.mass))

    def of(self, values: Tensor) -> "ModeSamples":
        """Return the samples of modes from the samples of their real columns, see `as_modes`."""
        return self.map(lambda columns: as_modes(columns, values))


@torch.no_grad()
def samples(
    problem: EigenProblem, surrogate: Surrogate, points: Points, chunk: int = 512
) -> ModeSamples:
    """Evaluate u, L u and M u of all modes of a widened surrogate.

    Args:
        problem: gives the operator L and the mass M.
        surrogate: has an output for each field of each mode.
        points: a quadrature rule, with the weights in `data`.
        chunk: the number of points evaluated at a time, which bounds the memory.
    """
    assert points.data is not None
    own: list[ResidualFunction] = [lambda p, u: u.value]
    own += [problem.operator_values, problem.mass_values]
    equations = [each(equation, len(problem.fields)) for equation in own]
    channels = channels_at(surrogate, equations, points)
    parts: list[list[Tensor]] = [[], [], []]
    for start in range(0, len(points), chunk):
        p = points[start : start + chunk]
        assert p.data is not None
        jet = surrogate.jet(p, channels)
        for part, equation in zip(parts, equations, strict=True):
            part.append((p.data.sqrt()[:, :, None] * equation(p, jet)).flatten(0, 1))
    return ModeSamples(*map(torch.cat, parts))


def pencil(
    discretization: Discretization[EigenProblem], points: Points, size: float
) -> tuple[Tensor, Tensor]:
    """The matrices L and M, (N, P), of the eigenvalue problem (L - λM) c = 0 in least squares.

    There is a row for each quadrature point and a column for each coefficient. The rows of
    penalised conditions come last, with M = 0. Rows are scaled so that the sum of the squares of
    (L - λM) c is the weighted mean of the squared residual.

    Args:
        discretization: gives the surrogate, the conditions and the weights.
        points: a quadrature rule, as `rule` returns it.
        size: the size of the operator, by which the rows of L and M are divided: so the ratio of
            penalty and operator does not depend on the unit of length.
    """
    assert points.data is not None
    problem, surrogate = discretization.problem, discretization.surrogate
    weight = discretization.loss.interior / size**2
    share = len(points) / float(points.data.sum())

    def weighted(equation: ResidualFunction) -> ResidualTerm:
        def scaled(p: Points, u: Jet) -> Tensor:
            assert p.data is not None
            return (share * p.data).sqrt() * equation(p, u)

        channels = channels_at(surrogate, [equation], points)
        return ResidualTerm("interior", points, weight, channels, scaled)

    def rows(terms: Sequence[Term]) -> Tensor:
        chunks = Residuals(surrogate, terms).rows(surrogate.network.output_layers)
        return torch.cat([rows.T for rows, _ in chunks], dim=1).T

    operator, mass = (
        rows([weighted(problem.operator_values)]),
        rows([weighted(problem.mass_values)]),
    )
    if penalties := discretization.penalties():
        below = rows(penalties)
        operator = torch.cat([operator, below])
        mass = torch.cat([mass, torch.zeros_like(below)])
    return operator, mass


@torch.no_grad()
def operator_size(problem: EigenProblem, surrogate: Surrogate, points: Points) -> float:
    """Return ‖L φ‖ / ‖M φ‖ of one smooth function φ, as the magnitude of the first eigenvalues.

    φ is a product of cosines that vary on the scale of the domain. The result is 1 if one of the
    norms is zero.
    """
    both = _of_wave(problem, surrogate, points, 1.5)
    left, right = (float(part.square().mean().sqrt()) for part in both)
    return left / right if left > 0 and right > 0 else 1.0


@torch.no_grad()
def is_bounded_below(problem: EigenProblem, surrogate: Surrogate, points: Points) -> bool:
    """Whether ∫ L φ · M φ is not negative for a function φ that varies on a small scale.

    Then the spectrum is bounded from below, as that of -Δ; that of Δ is bounded from above.
    """
    left, right = _of_wave(problem, surrogate, points, 100.0)
    return float((left * right).sum()) >= 0


def _of_wave(
    problem: EigenProblem, surrogate: Surrogate, points: Points, waves: float
) -> list[Tensor]:
    """Return L φ and M φ at some points for a product of cosines, (n, equations) each.

    waves: the change of each cosine's phase over half the domain.
    """
    low, half = surrogate.low, (surrogate.high - surrogate.low) / 2
    m, some = len(problem.fields), points[:2048]

    def wave(x: Tensor) -> Tensor:
        phases = torch.linspace(0.2, 0.8, x.shape[1], dtype=x.dtype, device=x.device)
        value = torch.cos(waves * ((x - low) / half - 1) + phases).prod(dim=1, keepdim=True)
        return value.expand(-1, m)

    equations = problem.operator_values, problem.mass_values
    channels = channels_at(surrogate, equations, points)
    jet = jet_of(wave, some.coords, channels)
    return [equation(some, jet) for equation in equations]


@torch.no_grad()
def density_of(problem: EigenProblem, surrogate: Surrogate, points: Points) -> Tensor | None:
    """Return ρ (n, 1) if M u = ρ u with ρ > 0 for one field, or M is the identity; else None."""
    if type(problem).mass is EigenProblem.mass:
        return torch.ones_like(points.coords[:, :1])
    equation = problem.mass_values
    if len(problem.fields) > 1 or channels_at(surrogate, [equation], points).derivative_order:
        return None
    one = Jet(Channels(points.names), torch.ones_like(points.coords[:, :1]))
    density = equation(points, one)
    return density if bool((density > 0).all()) else None
